
// GENERATED CODE
//
// Generated from cli.x by xdrgen.
//
// DO NOT EDIT


pub const CLI_PROC_GETWD : i64 = 26i64 ;

pub const CLI_PROC_GET_VOLUME : i64 = 5i64 ;

pub const CLI_PROC_LIST_FRIENDS : i64 = 3i64 ;

pub const CLI_PROC_LIST_VOLUME : i64 = 33i64 ;

pub const CLI_PROC_MOUNT : i64 = 29i64 ;

pub const CLI_PROC_STATUS_VOLUME : i64 = 27i64 ;

pub const CLI_PROC_UMOUNT : i64 = 30i64 ;

pub const CLI_PROC_UUID_GET : i64 = 36i64 ;

pub const CLI_PROGRAM : i64 = 1238463i64 ;

pub const CLI_VERSION : i64 = 2i64 ;

pub const MAX_DICT : i64 = 4194304i64 ;

pub const MAX_ERRSTR : i64 = 65536i64 ;

#[derive( Clone , Debug , Eq , PartialEq )] pub struct CliReply { pub op_ret : i32 , pub op_errno : i32 , pub op_errstr : String , pub dict : Vec < u8 > , }

#[derive( Clone , Debug , Eq , PartialEq )] pub struct CliRequest { pub dict : Vec < u8 > , }

#[derive( Clone , Debug , Eq , PartialEq )] pub struct GetwdReply { pub op_ret : i32 , pub op_errno : i32 , pub wd : String , }

#[derive( Copy , Clone , Debug , Eq , PartialEq )] pub struct GetwdRequest { pub unused : i32 , }

#[derive( Clone , Debug , Eq , PartialEq )] pub struct ListFriendsReply { pub op_ret : i32 , pub op_errno : i32 , pub friends : Vec < u8 > , }

#[derive( Clone , Debug , Eq , PartialEq )] pub struct ListFriendsRequest { pub flags : i32 , pub dict : Vec < u8 > , }

impl < Out : xdr_codec :: Write > xdr_codec :: Pack < Out > for CliReply { fn pack ( & self , out : & mut Out ) -> xdr_codec :: Result < usize > { Ok ( self . op_ret . pack ( out ) ? + self . op_errno . pack ( out ) ? + xdr_codec :: pack_string ( & self . op_errstr , Some ( MAX_ERRSTR as usize ) , out ) ? + xdr_codec :: pack_opaque_flex ( & self . dict , Some ( MAX_DICT as usize ) , out ) ? + 0 ) } }

impl < Out : xdr_codec :: Write > xdr_codec :: Pack < Out > for CliRequest { fn pack ( & self , out : & mut Out ) -> xdr_codec :: Result < usize > { Ok ( xdr_codec :: pack_opaque_flex ( & self . dict , Some ( MAX_DICT as usize ) , out ) ? + 0 ) } }

impl < Out : xdr_codec :: Write > xdr_codec :: Pack < Out > for GetwdReply { fn pack ( & self , out : & mut Out ) -> xdr_codec :: Result < usize > { Ok ( self . op_ret . pack ( out ) ? + self . op_errno . pack ( out ) ? + xdr_codec :: pack_string ( & self . wd , Some ( 4096i64 as usize ) , out ) ? + 0 ) } }

impl < Out : xdr_codec :: Write > xdr_codec :: Pack < Out > for GetwdRequest { fn pack ( & self , out : & mut Out ) -> xdr_codec :: Result < usize > { Ok ( self . unused . pack ( out ) ? + 0 ) } }

impl < Out : xdr_codec :: Write > xdr_codec :: Pack < Out > for ListFriendsReply { fn pack ( & self , out : & mut Out ) -> xdr_codec :: Result < usize > { Ok ( self . op_ret . pack ( out ) ? + self . op_errno . pack ( out ) ? + xdr_codec :: pack_opaque_flex ( & self . friends , Some ( MAX_DICT as usize ) , out ) ? + 0 ) } }

impl < Out : xdr_codec :: Write > xdr_codec :: Pack < Out > for ListFriendsRequest { fn pack ( & self , out : & mut Out ) -> xdr_codec :: Result < usize > { Ok ( self . flags . pack ( out ) ? + xdr_codec :: pack_opaque_flex ( & self . dict , Some ( MAX_DICT as usize ) , out ) ? + 0 ) } }

impl < In : xdr_codec :: Read > xdr_codec :: Unpack < In > for CliReply { fn unpack ( input : & mut In ) -> xdr_codec :: Result < ( CliReply , usize ) > { let mut sz = 0 ; Ok ( ( CliReply { op_ret : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , op_errno : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , op_errstr : { let ( v , fsz ) = xdr_codec :: unpack_string ( input , Some ( MAX_ERRSTR as usize ) ) ? ; sz += fsz ; v } , dict : { let ( v , fsz ) = xdr_codec :: unpack_opaque_flex ( input , Some ( MAX_DICT as usize ) ) ? ; sz += fsz ; v } , } , sz ) ) } }

impl < In : xdr_codec :: Read > xdr_codec :: Unpack < In > for CliRequest { fn unpack ( input : & mut In ) -> xdr_codec :: Result < ( CliRequest , usize ) > { let mut sz = 0 ; Ok ( ( CliRequest { dict : { let ( v , fsz ) = xdr_codec :: unpack_opaque_flex ( input , Some ( MAX_DICT as usize ) ) ? ; sz += fsz ; v } , } , sz ) ) } }

impl < In : xdr_codec :: Read > xdr_codec :: Unpack < In > for GetwdReply { fn unpack ( input : & mut In ) -> xdr_codec :: Result < ( GetwdReply , usize ) > { let mut sz = 0 ; Ok ( ( GetwdReply { op_ret : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , op_errno : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , wd : { let ( v , fsz ) = xdr_codec :: unpack_string ( input , Some ( 4096i64 as usize ) ) ? ; sz += fsz ; v } , } , sz ) ) } }

impl < In : xdr_codec :: Read > xdr_codec :: Unpack < In > for GetwdRequest { fn unpack ( input : & mut In ) -> xdr_codec :: Result < ( GetwdRequest , usize ) > { let mut sz = 0 ; Ok ( ( GetwdRequest { unused : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , } , sz ) ) } }

impl < In : xdr_codec :: Read > xdr_codec :: Unpack < In > for ListFriendsReply { fn unpack ( input : & mut In ) -> xdr_codec :: Result < ( ListFriendsReply , usize ) > { let mut sz = 0 ; Ok ( ( ListFriendsReply { op_ret : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , op_errno : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , friends : { let ( v , fsz ) = xdr_codec :: unpack_opaque_flex ( input , Some ( MAX_DICT as usize ) ) ? ; sz += fsz ; v } , } , sz ) ) } }

impl < In : xdr_codec :: Read > xdr_codec :: Unpack < In > for ListFriendsRequest { fn unpack ( input : & mut In ) -> xdr_codec :: Result < ( ListFriendsRequest , usize ) > { let mut sz = 0 ; Ok ( ( ListFriendsRequest { flags : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , dict : { let ( v , fsz ) = xdr_codec :: unpack_opaque_flex ( input , Some ( MAX_DICT as usize ) ) ? ; sz += fsz ; v } , } , sz ) ) } }

