
// GENERATED CODE
//
// Generated from handshake.x by xdrgen.
//
// DO NOT EDIT


pub const HANDSHAKE_PROC_EVENT_NOTIFY : i64 = 5i64 ;

pub const HANDSHAKE_PROC_GETSPEC : i64 = 2i64 ;

pub const HANDSHAKE_PROC_GET_SNAPSHOT_INFO : i64 = 7i64 ;

pub const HANDSHAKE_PROC_GET_VOLUME_INFO : i64 = 6i64 ;

pub const HANDSHAKE_PROC_NULL : i64 = 0i64 ;

pub const HANDSHAKE_PROC_PING : i64 = 3i64 ;

pub const HANDSHAKE_PROC_SETVOLUME : i64 = 1i64 ;

pub const HANDSHAKE_PROC_SET_LK_VER : i64 = 4i64 ;

pub const HANDSHAKE_PROGRAM : i64 = 14398633i64 ;

pub const HANDSHAKE_VERSION : i64 = 2i64 ;

pub const MAX_DICT : i64 = 4194304i64 ;

pub const MAX_ERRSTR : i64 = 65536i64 ;

pub const MAX_KEY : i64 = 1024i64 ;

pub const MAX_SPEC : i64 = 16777216i64 ;

#[derive( Clone , Debug , Eq , PartialEq )] pub struct DictReply { pub op_ret : i32 , pub op_errno : i32 , pub op_errstr : String , pub dict : Vec < u8 > , }

#[derive( Clone , Debug , Eq , PartialEq )] pub struct DictRequest { pub dict : Vec < u8 > , }

#[derive( Clone , Debug , Eq , PartialEq )] pub struct EventNotifyReply { pub op_ret : i32 , pub op_errno : i32 , pub dict : Vec < u8 > , }

#[derive( Clone , Debug , Eq , PartialEq )] pub struct EventNotifyRequest { pub op : i32 , pub dict : Vec < u8 > , }

#[derive( Clone , Debug , Eq , PartialEq )] pub struct GetspecReply { pub op_ret : i32 , pub op_errno : i32 , pub spec : String , pub xdata : Vec < u8 > , }

#[derive( Clone , Debug , Eq , PartialEq )] pub struct GetspecRequest { pub flags : u32 , pub key : String , pub xdata : Vec < u8 > , }

#[derive( Copy , Clone , Debug , Eq , PartialEq )] pub struct SetLkVerReply { pub op_ret : i32 , pub op_errno : i32 , pub lk_ver : i32 , }

#[derive( Clone , Debug , Eq , PartialEq )] pub struct SetLkVerRequest { pub uid : String , pub lk_ver : i32 , }

#[derive( Clone , Debug , Eq , PartialEq )] pub struct SetvolumeReply { pub op_ret : i32 , pub op_errno : i32 , pub dict : Vec < u8 > , }

#[derive( Clone , Debug , Eq , PartialEq )] pub struct SetvolumeRequest { pub dict : Vec < u8 > , }

impl < Out : xdr_codec :: Write > xdr_codec :: Pack < Out > for DictReply { fn pack ( & self , out : & mut Out ) -> xdr_codec :: Result < usize > { Ok ( self . op_ret . pack ( out ) ? + self . op_errno . pack ( out ) ? + xdr_codec :: pack_string ( & self . op_errstr , Some ( MAX_ERRSTR as usize ) , out ) ? + xdr_codec :: pack_opaque_flex ( & self . dict , Some ( MAX_DICT as usize ) , out ) ? + 0 ) } }

impl < Out : xdr_codec :: Write > xdr_codec :: Pack < Out > for DictRequest { fn pack ( & self , out : & mut Out ) -> xdr_codec :: Result < usize > { Ok ( xdr_codec :: pack_opaque_flex ( & self . dict , Some ( MAX_DICT as usize ) , out ) ? + 0 ) } }

impl < Out : xdr_codec :: Write > xdr_codec :: Pack < Out > for EventNotifyReply { fn pack ( & self , out : & mut Out ) -> xdr_codec :: Result < usize > { Ok ( self . op_ret . pack ( out ) ? + self . op_errno . pack ( out ) ? + xdr_codec :: pack_opaque_flex ( & self . dict , Some ( MAX_DICT as usize ) , out ) ? + 0 ) } }

impl < Out : xdr_codec :: Write > xdr_codec :: Pack < Out > for EventNotifyRequest { fn pack ( & self , out : & mut Out ) -> xdr_codec :: Result < usize > { Ok ( self . op . pack ( out ) ? + xdr_codec :: pack_opaque_flex ( & self . dict , Some ( MAX_DICT as usize ) , out ) ? + 0 ) } }

impl < Out : xdr_codec :: Write > xdr_codec :: Pack < Out > for GetspecReply { fn pack ( & self , out : & mut Out ) -> xdr_codec :: Result < usize > { Ok ( self . op_ret . pack ( out ) ? + self . op_errno . pack ( out ) ? + xdr_codec :: pack_string ( & self . spec , Some ( MAX_SPEC as usize ) , out ) ? + xdr_codec :: pack_opaque_flex ( & self . xdata , Some ( MAX_DICT as usize ) , out ) ? + 0 ) } }

impl < Out : xdr_codec :: Write > xdr_codec :: Pack < Out > for GetspecRequest { fn pack ( & self , out : & mut Out ) -> xdr_codec :: Result < usize > { Ok ( self . flags . pack ( out ) ? + xdr_codec :: pack_string ( & self . key , Some ( MAX_KEY as usize ) , out ) ? + xdr_codec :: pack_opaque_flex ( & self . xdata , Some ( MAX_DICT as usize ) , out ) ? + 0 ) } }

impl < Out : xdr_codec :: Write > xdr_codec :: Pack < Out > for SetLkVerReply { fn pack ( & self , out : & mut Out ) -> xdr_codec :: Result < usize > { Ok ( self . op_ret . pack ( out ) ? + self . op_errno . pack ( out ) ? + self . lk_ver . pack ( out ) ? + 0 ) } }

impl < Out : xdr_codec :: Write > xdr_codec :: Pack < Out > for SetLkVerRequest { fn pack ( & self , out : & mut Out ) -> xdr_codec :: Result < usize > { Ok ( xdr_codec :: pack_string ( & self . uid , Some ( MAX_KEY as usize ) , out ) ? + self . lk_ver . pack ( out ) ? + 0 ) } }

impl < Out : xdr_codec :: Write > xdr_codec :: Pack < Out > for SetvolumeReply { fn pack ( & self , out : & mut Out ) -> xdr_codec :: Result < usize > { Ok ( self . op_ret . pack ( out ) ? + self . op_errno . pack ( out ) ? + xdr_codec :: pack_opaque_flex ( & self . dict , Some ( MAX_DICT as usize ) , out ) ? + 0 ) } }

impl < Out : xdr_codec :: Write > xdr_codec :: Pack < Out > for SetvolumeRequest { fn pack ( & self , out : & mut Out ) -> xdr_codec :: Result < usize > { Ok ( xdr_codec :: pack_opaque_flex ( & self . dict , Some ( MAX_DICT as usize ) , out ) ? + 0 ) } }

impl < In : xdr_codec :: Read > xdr_codec :: Unpack < In > for DictReply { fn unpack ( input : & mut In ) -> xdr_codec :: Result < ( DictReply , usize ) > { let mut sz = 0 ; Ok ( ( DictReply { op_ret : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , op_errno : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , op_errstr : { let ( v , fsz ) = xdr_codec :: unpack_string ( input , Some ( MAX_ERRSTR as usize ) ) ? ; sz += fsz ; v } , dict : { let ( v , fsz ) = xdr_codec :: unpack_opaque_flex ( input , Some ( MAX_DICT as usize ) ) ? ; sz += fsz ; v } , } , sz ) ) } }

impl < In : xdr_codec :: Read > xdr_codec :: Unpack < In > for DictRequest { fn unpack ( input : & mut In ) -> xdr_codec :: Result < ( DictRequest , usize ) > { let mut sz = 0 ; Ok ( ( DictRequest { dict : { let ( v , fsz ) = xdr_codec :: unpack_opaque_flex ( input , Some ( MAX_DICT as usize ) ) ? ; sz += fsz ; v } , } , sz ) ) } }

impl < In : xdr_codec :: Read > xdr_codec :: Unpack < In > for EventNotifyReply { fn unpack ( input : & mut In ) -> xdr_codec :: Result < ( EventNotifyReply , usize ) > { let mut sz = 0 ; Ok ( ( EventNotifyReply { op_ret : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , op_errno : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , dict : { let ( v , fsz ) = xdr_codec :: unpack_opaque_flex ( input , Some ( MAX_DICT as usize ) ) ? ; sz += fsz ; v } , } , sz ) ) } }

impl < In : xdr_codec :: Read > xdr_codec :: Unpack < In > for EventNotifyRequest { fn unpack ( input : & mut In ) -> xdr_codec :: Result < ( EventNotifyRequest , usize ) > { let mut sz = 0 ; Ok ( ( EventNotifyRequest { op : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , dict : { let ( v , fsz ) = xdr_codec :: unpack_opaque_flex ( input , Some ( MAX_DICT as usize ) ) ? ; sz += fsz ; v } , } , sz ) ) } }

impl < In : xdr_codec :: Read > xdr_codec :: Unpack < In > for GetspecReply { fn unpack ( input : & mut In ) -> xdr_codec :: Result < ( GetspecReply , usize ) > { let mut sz = 0 ; Ok ( ( GetspecReply { op_ret : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , op_errno : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , spec : { let ( v , fsz ) = xdr_codec :: unpack_string ( input , Some ( MAX_SPEC as usize ) ) ? ; sz += fsz ; v } , xdata : { let ( v , fsz ) = xdr_codec :: unpack_opaque_flex ( input , Some ( MAX_DICT as usize ) ) ? ; sz += fsz ; v } , } , sz ) ) } }

impl < In : xdr_codec :: Read > xdr_codec :: Unpack < In > for GetspecRequest { fn unpack ( input : & mut In ) -> xdr_codec :: Result < ( GetspecRequest , usize ) > { let mut sz = 0 ; Ok ( ( GetspecRequest { flags : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , key : { let ( v , fsz ) = xdr_codec :: unpack_string ( input , Some ( MAX_KEY as usize ) ) ? ; sz += fsz ; v } , xdata : { let ( v , fsz ) = xdr_codec :: unpack_opaque_flex ( input , Some ( MAX_DICT as usize ) ) ? ; sz += fsz ; v } , } , sz ) ) } }

impl < In : xdr_codec :: Read > xdr_codec :: Unpack < In > for SetLkVerReply { fn unpack ( input : & mut In ) -> xdr_codec :: Result < ( SetLkVerReply , usize ) > { let mut sz = 0 ; Ok ( ( SetLkVerReply { op_ret : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , op_errno : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , lk_ver : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , } , sz ) ) } }

impl < In : xdr_codec :: Read > xdr_codec :: Unpack < In > for SetLkVerRequest { fn unpack ( input : & mut In ) -> xdr_codec :: Result < ( SetLkVerRequest , usize ) > { let mut sz = 0 ; Ok ( ( SetLkVerRequest { uid : { let ( v , fsz ) = xdr_codec :: unpack_string ( input , Some ( MAX_KEY as usize ) ) ? ; sz += fsz ; v } , lk_ver : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , } , sz ) ) } }

impl < In : xdr_codec :: Read > xdr_codec :: Unpack < In > for SetvolumeReply { fn unpack ( input : & mut In ) -> xdr_codec :: Result < ( SetvolumeReply , usize ) > { let mut sz = 0 ; Ok ( ( SetvolumeReply { op_ret : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , op_errno : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , dict : { let ( v , fsz ) = xdr_codec :: unpack_opaque_flex ( input , Some ( MAX_DICT as usize ) ) ? ; sz += fsz ; v } , } , sz ) ) } }

impl < In : xdr_codec :: Read > xdr_codec :: Unpack < In > for SetvolumeRequest { fn unpack ( input : & mut In ) -> xdr_codec :: Result < ( SetvolumeRequest , usize ) > { let mut sz = 0 ; Ok ( ( SetvolumeRequest { dict : { let ( v , fsz ) = xdr_codec :: unpack_opaque_flex ( input , Some ( MAX_DICT as usize ) ) ? ; sz += fsz ; v } , } , sz ) ) } }

