
// GENERATED CODE
//
// Generated from callback.x by xdrgen.
//
// DO NOT EDIT


pub const CALLBACK_PROC_CACHE_INVALIDATION : i64 = 5i64 ;

pub const CALLBACK_PROC_CHILD_DOWN : i64 = 7i64 ;

pub const CALLBACK_PROC_CHILD_UP : i64 = 6i64 ;

pub const CALLBACK_PROC_ENTRYLK_CONTENTION : i64 = 11i64 ;

pub const CALLBACK_PROC_EVENT_NOTIFY : i64 = 3i64 ;

pub const CALLBACK_PROC_FETCHSPEC : i64 = 1i64 ;

pub const CALLBACK_PROC_GET_SNAPS : i64 = 4i64 ;

pub const CALLBACK_PROC_INODELK_CONTENTION : i64 = 10i64 ;

pub const CALLBACK_PROC_INO_FLUSH : i64 = 2i64 ;

pub const CALLBACK_PROC_NULL : i64 = 0i64 ;

pub const CALLBACK_PROC_RECALL_LEASE : i64 = 8i64 ;

pub const CALLBACK_PROC_STATEDUMP : i64 = 9i64 ;

pub const CALLBACK_PROGRAM : i64 = 52743234i64 ;

pub const CALLBACK_VERSION : i64 = 1i64 ;

#[derive( Copy , Clone , Debug , Eq , PartialEq )] pub struct StatedumpRequest { pub pid : u32 , }

impl < Out : xdr_codec :: Write > xdr_codec :: Pack < Out > for StatedumpRequest { fn pack ( & self , out : & mut Out ) -> xdr_codec :: Result < usize > { Ok ( self . pid . pack ( out ) ? + 0 ) } }

impl < In : xdr_codec :: Read > xdr_codec :: Unpack < In > for StatedumpRequest { fn unpack ( input : & mut In ) -> xdr_codec :: Result < ( StatedumpRequest , usize ) > { let mut sz = 0 ; Ok ( ( StatedumpRequest { pid : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , } , sz ) ) } }

