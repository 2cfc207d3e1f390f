
// GENERATED CODE
//
// Generated from portmap.x by xdrgen.
//
// DO NOT EDIT


pub const MAX_PATH : i64 = 4096i64 ;

pub const PORTMAP_PROC_BRICKBYPORT : i64 = 2i64 ;

pub const PORTMAP_PROC_NULL : i64 = 0i64 ;

pub const PORTMAP_PROC_PORTBYBRICK : i64 = 1i64 ;

pub const PORTMAP_PROC_SIGNIN : i64 = 4i64 ;

pub const PORTMAP_PROC_SIGNOUT : i64 = 5i64 ;

pub const PORTMAP_PROC_SIGNUP : i64 = 3i64 ;

pub const PORTMAP_PROGRAM : i64 = 34123456i64 ;

pub const PORTMAP_VERSION : i64 = 1i64 ;

#[derive( Clone , Debug , Eq , PartialEq )] pub struct BrickByPortReply { pub op_ret : i32 , pub op_errno : i32 , pub status : i32 , pub brick : String , }

#[derive( Copy , Clone , Debug , Eq , PartialEq )] pub struct BrickByPortRequest { pub port : i32 , }

#[derive( Copy , Clone , Debug , Eq , PartialEq )] pub struct PortByBrickReply { pub op_ret : i32 , pub op_errno : i32 , pub status : i32 , pub port : i32 , }

#[derive( Clone , Debug , Eq , PartialEq )] pub struct PortByBrickRequest { pub brick : String , }

impl < Out : xdr_codec :: Write > xdr_codec :: Pack < Out > for BrickByPortReply { fn pack ( & self , out : & mut Out ) -> xdr_codec :: Result < usize > { Ok ( self . op_ret . pack ( out ) ? + self . op_errno . pack ( out ) ? + self . status . pack ( out ) ? + xdr_codec :: pack_string ( & self . brick , Some ( MAX_PATH as usize ) , out ) ? + 0 ) } }

impl < Out : xdr_codec :: Write > xdr_codec :: Pack < Out > for BrickByPortRequest { fn pack ( & self , out : & mut Out ) -> xdr_codec :: Result < usize > { Ok ( self . port . pack ( out ) ? + 0 ) } }

impl < Out : xdr_codec :: Write > xdr_codec :: Pack < Out > for PortByBrickReply { fn pack ( & self , out : & mut Out ) -> xdr_codec :: Result < usize > { Ok ( self . op_ret . pack ( out ) ? + self . op_errno . pack ( out ) ? + self . status . pack ( out ) ? + self . port . pack ( out ) ? + 0 ) } }

impl < Out : xdr_codec :: Write > xdr_codec :: Pack < Out > for PortByBrickRequest { fn pack ( & self , out : & mut Out ) -> xdr_codec :: Result < usize > { Ok ( xdr_codec :: pack_string ( & self . brick , Some ( MAX_PATH as usize ) , out ) ? + 0 ) } }

impl < In : xdr_codec :: Read > xdr_codec :: Unpack < In > for BrickByPortReply { fn unpack ( input : & mut In ) -> xdr_codec :: Result < ( BrickByPortReply , usize ) > { let mut sz = 0 ; Ok ( ( BrickByPortReply { op_ret : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , op_errno : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , status : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , brick : { let ( v , fsz ) = xdr_codec :: unpack_string ( input , Some ( MAX_PATH as usize ) ) ? ; sz += fsz ; v } , } , sz ) ) } }

impl < In : xdr_codec :: Read > xdr_codec :: Unpack < In > for BrickByPortRequest { fn unpack ( input : & mut In ) -> xdr_codec :: Result < ( BrickByPortRequest , usize ) > { let mut sz = 0 ; Ok ( ( BrickByPortRequest { port : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , } , sz ) ) } }

impl < In : xdr_codec :: Read > xdr_codec :: Unpack < In > for PortByBrickReply { fn unpack ( input : & mut In ) -> xdr_codec :: Result < ( PortByBrickReply , usize ) > { let mut sz = 0 ; Ok ( ( PortByBrickReply { op_ret : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , op_errno : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , status : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , port : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , } , sz ) ) } }

impl < In : xdr_codec :: Read > xdr_codec :: Unpack < In > for PortByBrickRequest { fn unpack ( input : & mut In ) -> xdr_codec :: Result < ( PortByBrickRequest , usize ) > { let mut sz = 0 ; Ok ( ( PortByBrickRequest { brick : { let ( v , fsz ) = xdr_codec :: unpack_string ( input , Some ( MAX_PATH as usize ) ) ? ; sz += fsz ; v } , } , sz ) ) } }

