
// GENERATED CODE
//
// Generated from auth.x by xdrgen.
//
// DO NOT EDIT


pub const AUTH_GLUSTERFS : i64 = 5i64 ;

pub const AUTH_GLUSTERFS_V2 : i64 = 390039i64 ;

pub const AUTH_GLUSTERFS_V3 : i64 = 390040i64 ;

pub const AUTH_NONE : i64 = 0i64 ;

pub const AUTH_SYS : i64 = 1i64 ;

#[derive( Copy , Clone , Debug , Eq , PartialEq )] pub struct AuthGlusterfs { pub lk_owner : u64 , pub pid : u32 , pub uid : u32 , pub gid : u32 , pub ngroups : u32 , pub groups : [ u32 ; 16i64 as usize ] , }

#[derive( Clone , Debug , Eq , PartialEq )] pub struct AuthGlusterfsV2 { pub pid : i32 , pub uid : u32 , pub gid : u32 , pub groups : Vec < u32 > , pub lk_owner : Vec < u8 > , }

#[derive( Clone , Debug , Eq , PartialEq )] pub struct AuthGlusterfsV3 { pub pid : i32 , pub uid : u32 , pub gid : u32 , pub flags : u32 , pub ctime_nsec : u32 , pub ctime_sec : u64 , pub groups : Vec < u32 > , pub lk_owner : Vec < u8 > , }

impl < Out : xdr_codec :: Write > xdr_codec :: Pack < Out > for AuthGlusterfs { fn pack ( & self , out : & mut Out ) -> xdr_codec :: Result < usize > { Ok ( self . lk_owner . pack ( out ) ? + self . pid . pack ( out ) ? + self . uid . pack ( out ) ? + self . gid . pack ( out ) ? + self . ngroups . pack ( out ) ? + xdr_codec :: pack_array ( & self . groups [ .. ] , self . groups . len ( ) , out , None ) ? + 0 ) } }

impl < Out : xdr_codec :: Write > xdr_codec :: Pack < Out > for AuthGlusterfsV2 { fn pack ( & self , out : & mut Out ) -> xdr_codec :: Result < usize > { Ok ( self . pid . pack ( out ) ? + self . uid . pack ( out ) ? + self . gid . pack ( out ) ? + xdr_codec :: pack_flex ( & self . groups , Some ( 95i64 as usize ) , out ) ? + xdr_codec :: pack_opaque_flex ( & self . lk_owner , Some ( 380i64 as usize ) , out ) ? + 0 ) } }

impl < Out : xdr_codec :: Write > xdr_codec :: Pack < Out > for AuthGlusterfsV3 { fn pack ( & self , out : & mut Out ) -> xdr_codec :: Result < usize > { Ok ( self . pid . pack ( out ) ? + self . uid . pack ( out ) ? + self . gid . pack ( out ) ? + self . flags . pack ( out ) ? + self . ctime_nsec . pack ( out ) ? + self . ctime_sec . pack ( out ) ? + xdr_codec :: pack_flex ( & self . groups , Some ( 91i64 as usize ) , out ) ? + xdr_codec :: pack_opaque_flex ( & self . lk_owner , Some ( 364i64 as usize ) , out ) ? + 0 ) } }

impl < In : xdr_codec :: Read > xdr_codec :: Unpack < In > for AuthGlusterfs { fn unpack ( input : & mut In ) -> xdr_codec :: Result < ( AuthGlusterfs , usize ) > { let mut sz = 0 ; Ok ( ( AuthGlusterfs { lk_owner : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , pid : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , uid : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , gid : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , ngroups : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , groups : { let ( v , fsz ) = { let mut buf : [ u32 ; 16i64 as usize ] = unsafe { :: std :: mem :: uninitialized ( ) } ; let sz = xdr_codec :: unpack_array ( input , & mut buf [ .. ] , 16i64 as usize , None ) ? ; ( buf , sz ) } ; sz += fsz ; v } , } , sz ) ) } }

impl < In : xdr_codec :: Read > xdr_codec :: Unpack < In > for AuthGlusterfsV2 { fn unpack ( input : & mut In ) -> xdr_codec :: Result < ( AuthGlusterfsV2 , usize ) > { let mut sz = 0 ; Ok ( ( AuthGlusterfsV2 { pid : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , uid : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , gid : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , groups : { let ( v , fsz ) = xdr_codec :: unpack_flex ( input , Some ( 95i64 as usize ) ) ? ; sz += fsz ; v } , lk_owner : { let ( v , fsz ) = xdr_codec :: unpack_opaque_flex ( input , Some ( 380i64 as usize ) ) ? ; sz += fsz ; v } , } , sz ) ) } }

impl < In : xdr_codec :: Read > xdr_codec :: Unpack < In > for AuthGlusterfsV3 { fn unpack ( input : & mut In ) -> xdr_codec :: Result < ( AuthGlusterfsV3 , usize ) > { let mut sz = 0 ; Ok ( ( AuthGlusterfsV3 { pid : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , uid : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , gid : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , flags : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , ctime_nsec : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , ctime_sec : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , groups : { let ( v , fsz ) = xdr_codec :: unpack_flex ( input , Some ( 91i64 as usize ) ) ? ; sz += fsz ; v } , lk_owner : { let ( v , fsz ) = xdr_codec :: unpack_opaque_flex ( input , Some ( 364i64 as usize ) ) ? ; sz += fsz ; v } , } , sz ) ) } }

