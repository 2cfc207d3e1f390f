
// GENERATED CODE
//
// Generated from dump.x by xdrgen.
//
// DO NOT EDIT


pub const DUMP_PROC_DUMP : i64 = 1i64 ;

pub const DUMP_PROC_NULL : i64 = 0i64 ;

pub const DUMP_PROC_PING : i64 = 2i64 ;

pub const DUMP_PROGRAM : i64 = 123451501i64 ;

pub const DUMP_VERSION : i64 = 1i64 ;

pub struct DumpProgram { pub name : String , pub number : u64 , pub version : u64 , pub next : Option < Box < DumpProgram >> , }

pub struct DumpReply { pub gfs_id : u64 , pub op_ret : i32 , pub op_errno : i32 , pub programs : Option < Box < DumpProgram >> , }

#[derive( Copy , Clone , Debug , Eq , PartialEq )] pub struct DumpRequest { pub gfs_id : u64 , }

#[derive( Clone , Debug , Eq , PartialEq )] pub struct PingReply { pub op_ret : i32 , pub op_errno : i32 , pub xdata : Vec < u8 > , }

impl < Out : xdr_codec :: Write > xdr_codec :: Pack < Out > for DumpProgram { fn pack ( & self , out : & mut Out ) -> xdr_codec :: Result < usize > { Ok ( xdr_codec :: pack_string ( & self . name , Some ( 255i64 as usize ) , out ) ? + self . number . pack ( out ) ? + self . version . pack ( out ) ? + self . next . pack ( out ) ? + 0 ) } }

impl < Out : xdr_codec :: Write > xdr_codec :: Pack < Out > for DumpReply { fn pack ( & self , out : & mut Out ) -> xdr_codec :: Result < usize > { Ok ( self . gfs_id . pack ( out ) ? + self . op_ret . pack ( out ) ? + self . op_errno . pack ( out ) ? + self . programs . pack ( out ) ? + 0 ) } }

impl < Out : xdr_codec :: Write > xdr_codec :: Pack < Out > for DumpRequest { fn pack ( & self , out : & mut Out ) -> xdr_codec :: Result < usize > { Ok ( self . gfs_id . pack ( out ) ? + 0 ) } }

impl < Out : xdr_codec :: Write > xdr_codec :: Pack < Out > for PingReply { fn pack ( & self , out : & mut Out ) -> xdr_codec :: Result < usize > { Ok ( self . op_ret . pack ( out ) ? + self . op_errno . pack ( out ) ? + xdr_codec :: pack_opaque_flex ( & self . xdata , Some ( 65536i64 as usize ) , out ) ? + 0 ) } }

impl < In : xdr_codec :: Read > xdr_codec :: Unpack < In > for DumpProgram { fn unpack ( input : & mut In ) -> xdr_codec :: Result < ( DumpProgram , usize ) > { let mut sz = 0 ; Ok ( ( DumpProgram { name : { let ( v , fsz ) = xdr_codec :: unpack_string ( input , Some ( 255i64 as usize ) ) ? ; sz += fsz ; v } , number : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , version : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , next : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , } , sz ) ) } }

impl < In : xdr_codec :: Read > xdr_codec :: Unpack < In > for DumpReply { fn unpack ( input : & mut In ) -> xdr_codec :: Result < ( DumpReply , usize ) > { let mut sz = 0 ; Ok ( ( DumpReply { gfs_id : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , op_ret : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , op_errno : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , programs : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , } , sz ) ) } }

impl < In : xdr_codec :: Read > xdr_codec :: Unpack < In > for DumpRequest { fn unpack ( input : & mut In ) -> xdr_codec :: Result < ( DumpRequest , usize ) > { let mut sz = 0 ; Ok ( ( DumpRequest { gfs_id : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , } , sz ) ) } }

impl < In : xdr_codec :: Read > xdr_codec :: Unpack < In > for PingReply { fn unpack ( input : & mut In ) -> xdr_codec :: Result < ( PingReply , usize ) > { let mut sz = 0 ; Ok ( ( PingReply { op_ret : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , op_errno : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , xdata : { let ( v , fsz ) = xdr_codec :: unpack_opaque_flex ( input , Some ( 65536i64 as usize ) ) ? ; sz += fsz ; v } , } , sz ) ) } }

