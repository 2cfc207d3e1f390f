
// GENERATED CODE
//
// Generated from rpc.x by xdrgen.
//
// DO NOT EDIT


pub const MAX_AUTH : i64 = 400i64 ;

pub const RPC_VERSION : i64 = 2i64 ;

#[derive( Copy , Clone , Debug , Eq , PartialEq )] pub enum AcceptBody { SUCCESS , PROG_UNAVAIL , PROG_MISMATCH ( Versions ) , PROC_UNAVAIL , GARBAGE_ARGS , SYSTEM_ERR , }

#[derive( Copy , Clone , Debug , Eq , PartialEq )] pub enum AcceptStatus { SUCCESS = 0isize , PROG_UNAVAIL = 1isize , PROG_MISMATCH = 2isize , PROC_UNAVAIL = 3isize , GARBAGE_ARGS = 4isize , SYSTEM_ERR = 5isize , }

#[derive( Clone , Debug , Eq , PartialEq )] pub struct Accepted { pub verifier : Auth , pub body : AcceptBody , }

#[derive( Clone , Debug , Eq , PartialEq )] pub struct Auth { pub flavor : u32 , pub body : Vec < u8 > , }

#[derive( Clone , Debug , Eq , PartialEq )] pub struct Call { pub rpc_version : u32 , pub program : u32 , pub version : u32 , pub procedure : u32 , pub credential : Auth , pub verifier : Auth , }

#[derive( Copy , Clone , Debug , Eq , PartialEq )] pub enum Denied { RPC_MISMATCH ( Versions ) , AUTH_ERROR ( u32 ) , }

#[derive( Clone , Debug , Eq , PartialEq )] pub struct Message { pub xid : u32 , pub body : MessageBody , }

#[derive( Clone , Debug , Eq , PartialEq )] pub enum MessageBody { CALL ( Call ) , REPLY ( Reply ) , }

#[derive( Copy , Clone , Debug , Eq , PartialEq )] pub enum MessageType { CALL = 0isize , REPLY = 1isize , }

#[derive( Copy , Clone , Debug , Eq , PartialEq )] pub enum RejectStatus { RPC_MISMATCH = 0isize , AUTH_ERROR = 1isize , }

#[derive( Clone , Debug , Eq , PartialEq )] pub enum Reply { MSG_ACCEPTED ( Accepted ) , MSG_DENIED ( Denied ) , }

#[derive( Copy , Clone , Debug , Eq , PartialEq )] pub enum ReplyStatus { MSG_ACCEPTED = 0isize , MSG_DENIED = 1isize , }

#[derive( Copy , Clone , Debug , Eq , PartialEq )] pub struct Versions { pub low : u32 , pub high : u32 , }

impl < Out : xdr_codec :: Write > xdr_codec :: Pack < Out > for AcceptBody { fn pack ( & self , out : & mut Out ) -> xdr_codec :: Result < usize > { Ok ( match self { & AcceptBody :: SUCCESS => ( AcceptStatus :: SUCCESS as i32 ) . pack ( out ) ? , & AcceptBody :: PROG_UNAVAIL => ( AcceptStatus :: PROG_UNAVAIL as i32 ) . pack ( out ) ? , & AcceptBody :: PROG_MISMATCH ( ref val ) => ( AcceptStatus :: PROG_MISMATCH as i32 ) . pack ( out ) ? + val . pack ( out ) ? , & AcceptBody :: PROC_UNAVAIL => ( AcceptStatus :: PROC_UNAVAIL as i32 ) . pack ( out ) ? , & AcceptBody :: GARBAGE_ARGS => ( AcceptStatus :: GARBAGE_ARGS as i32 ) . pack ( out ) ? , & AcceptBody :: SYSTEM_ERR => ( AcceptStatus :: SYSTEM_ERR as i32 ) . pack ( out ) ? , } ) } }

impl < Out : xdr_codec :: Write > xdr_codec :: Pack < Out > for AcceptStatus { # [ inline ] fn pack ( & self , out : & mut Out ) -> xdr_codec :: Result < usize > { Ok ( ( * self as i32 ) . pack ( out ) ? ) } }

impl < Out : xdr_codec :: Write > xdr_codec :: Pack < Out > for Accepted { fn pack ( & self , out : & mut Out ) -> xdr_codec :: Result < usize > { Ok ( self . verifier . pack ( out ) ? + self . body . pack ( out ) ? + 0 ) } }

impl < Out : xdr_codec :: Write > xdr_codec :: Pack < Out > for Auth { fn pack ( & self , out : & mut Out ) -> xdr_codec :: Result < usize > { Ok ( self . flavor . pack ( out ) ? + xdr_codec :: pack_opaque_flex ( & self . body , Some ( MAX_AUTH as usize ) , out ) ? + 0 ) } }

impl < Out : xdr_codec :: Write > xdr_codec :: Pack < Out > for Call { fn pack ( & self , out : & mut Out ) -> xdr_codec :: Result < usize > { Ok ( self . rpc_version . pack ( out ) ? + self . program . pack ( out ) ? + self . version . pack ( out ) ? + self . procedure . pack ( out ) ? + self . credential . pack ( out ) ? + self . verifier . pack ( out ) ? + 0 ) } }

impl < Out : xdr_codec :: Write > xdr_codec :: Pack < Out > for Denied { fn pack ( & self , out : & mut Out ) -> xdr_codec :: Result < usize > { Ok ( match self { & Denied :: RPC_MISMATCH ( ref val ) => ( RejectStatus :: RPC_MISMATCH as i32 ) . pack ( out ) ? + val . pack ( out ) ? , & Denied :: AUTH_ERROR ( ref val ) => ( RejectStatus :: AUTH_ERROR as i32 ) . pack ( out ) ? + val . pack ( out ) ? , } ) } }

impl < Out : xdr_codec :: Write > xdr_codec :: Pack < Out > for Message { fn pack ( & self , out : & mut Out ) -> xdr_codec :: Result < usize > { Ok ( self . xid . pack ( out ) ? + self . body . pack ( out ) ? + 0 ) } }

impl < Out : xdr_codec :: Write > xdr_codec :: Pack < Out > for MessageBody { fn pack ( & self , out : & mut Out ) -> xdr_codec :: Result < usize > { Ok ( match self { & MessageBody :: CALL ( ref val ) => ( MessageType :: CALL as i32 ) . pack ( out ) ? + val . pack ( out ) ? , & MessageBody :: REPLY ( ref val ) => ( MessageType :: REPLY as i32 ) . pack ( out ) ? + val . pack ( out ) ? , } ) } }

impl < Out : xdr_codec :: Write > xdr_codec :: Pack < Out > for MessageType { # [ inline ] fn pack ( & self , out : & mut Out ) -> xdr_codec :: Result < usize > { Ok ( ( * self as i32 ) . pack ( out ) ? ) } }

impl < Out : xdr_codec :: Write > xdr_codec :: Pack < Out > for RejectStatus { # [ inline ] fn pack ( & self , out : & mut Out ) -> xdr_codec :: Result < usize > { Ok ( ( * self as i32 ) . pack ( out ) ? ) } }

impl < Out : xdr_codec :: Write > xdr_codec :: Pack < Out > for Reply { fn pack ( & self , out : & mut Out ) -> xdr_codec :: Result < usize > { Ok ( match self { & Reply :: MSG_ACCEPTED ( ref val ) => ( ReplyStatus :: MSG_ACCEPTED as i32 ) . pack ( out ) ? + val . pack ( out ) ? , & Reply :: MSG_DENIED ( ref val ) => ( ReplyStatus :: MSG_DENIED as i32 ) . pack ( out ) ? + val . pack ( out ) ? , } ) } }

impl < Out : xdr_codec :: Write > xdr_codec :: Pack < Out > for ReplyStatus { # [ inline ] fn pack ( & self , out : & mut Out ) -> xdr_codec :: Result < usize > { Ok ( ( * self as i32 ) . pack ( out ) ? ) } }

impl < Out : xdr_codec :: Write > xdr_codec :: Pack < Out > for Versions { fn pack ( & self , out : & mut Out ) -> xdr_codec :: Result < usize > { Ok ( self . low . pack ( out ) ? + self . high . pack ( out ) ? + 0 ) } }

impl < In : xdr_codec :: Read > xdr_codec :: Unpack < In > for AcceptBody { fn unpack ( input : & mut In ) -> xdr_codec :: Result < ( AcceptBody , usize ) > { let mut sz = 0 ; Ok ( ( match { let ( v , dsz ) : ( i32 , _ ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += dsz ; v } { x if x == ( 0i32 as i32 ) => AcceptBody :: SUCCESS , x if x == ( 1i32 as i32 ) => AcceptBody :: PROG_UNAVAIL , x if x == ( 2i32 as i32 ) => AcceptBody :: PROG_MISMATCH ( { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } ) , x if x == ( 3i32 as i32 ) => AcceptBody :: PROC_UNAVAIL , x if x == ( 4i32 as i32 ) => AcceptBody :: GARBAGE_ARGS , x if x == ( 5i32 as i32 ) => AcceptBody :: SYSTEM_ERR , v => return Err ( xdr_codec :: Error :: invalidcase ( v as i32 ) ) } , sz ) ) } }

impl < In : xdr_codec :: Read > xdr_codec :: Unpack < In > for AcceptStatus { # [ inline ] fn unpack ( input : & mut In ) -> xdr_codec :: Result < ( AcceptStatus , usize ) > { let mut sz = 0 ; Ok ( ( { let ( e , esz ) : ( i32 , _ ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += esz ; match e { x if x == AcceptStatus :: SUCCESS as i32 => AcceptStatus :: SUCCESS , x if x == AcceptStatus :: PROG_UNAVAIL as i32 => AcceptStatus :: PROG_UNAVAIL , x if x == AcceptStatus :: PROG_MISMATCH as i32 => AcceptStatus :: PROG_MISMATCH , x if x == AcceptStatus :: PROC_UNAVAIL as i32 => AcceptStatus :: PROC_UNAVAIL , x if x == AcceptStatus :: GARBAGE_ARGS as i32 => AcceptStatus :: GARBAGE_ARGS , x if x == AcceptStatus :: SYSTEM_ERR as i32 => AcceptStatus :: SYSTEM_ERR , e => return Err ( xdr_codec :: Error :: invalidenum ( e ) ) } } , sz ) ) } }

impl < In : xdr_codec :: Read > xdr_codec :: Unpack < In > for Accepted { fn unpack ( input : & mut In ) -> xdr_codec :: Result < ( Accepted , usize ) > { let mut sz = 0 ; Ok ( ( Accepted { verifier : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , body : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , } , sz ) ) } }

impl < In : xdr_codec :: Read > xdr_codec :: Unpack < In > for Auth { fn unpack ( input : & mut In ) -> xdr_codec :: Result < ( Auth , usize ) > { let mut sz = 0 ; Ok ( ( Auth { flavor : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , body : { let ( v , fsz ) = xdr_codec :: unpack_opaque_flex ( input , Some ( MAX_AUTH as usize ) ) ? ; sz += fsz ; v } , } , sz ) ) } }

impl < In : xdr_codec :: Read > xdr_codec :: Unpack < In > for Call { fn unpack ( input : & mut In ) -> xdr_codec :: Result < ( Call , usize ) > { let mut sz = 0 ; Ok ( ( Call { rpc_version : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , program : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , version : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , procedure : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , credential : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , verifier : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , } , sz ) ) } }

impl < In : xdr_codec :: Read > xdr_codec :: Unpack < In > for Denied { fn unpack ( input : & mut In ) -> xdr_codec :: Result < ( Denied , usize ) > { let mut sz = 0 ; Ok ( ( match { let ( v , dsz ) : ( i32 , _ ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += dsz ; v } { x if x == ( 0i32 as i32 ) => Denied :: RPC_MISMATCH ( { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } ) , x if x == ( 1i32 as i32 ) => Denied :: AUTH_ERROR ( { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } ) , v => return Err ( xdr_codec :: Error :: invalidcase ( v as i32 ) ) } , sz ) ) } }

impl < In : xdr_codec :: Read > xdr_codec :: Unpack < In > for Message { fn unpack ( input : & mut In ) -> xdr_codec :: Result < ( Message , usize ) > { let mut sz = 0 ; Ok ( ( Message { xid : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , body : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , } , sz ) ) } }

impl < In : xdr_codec :: Read > xdr_codec :: Unpack < In > for MessageBody { fn unpack ( input : & mut In ) -> xdr_codec :: Result < ( MessageBody , usize ) > { let mut sz = 0 ; Ok ( ( match { let ( v , dsz ) : ( i32 , _ ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += dsz ; v } { x if x == ( 0i32 as i32 ) => MessageBody :: CALL ( { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } ) , x if x == ( 1i32 as i32 ) => MessageBody :: REPLY ( { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } ) , v => return Err ( xdr_codec :: Error :: invalidcase ( v as i32 ) ) } , sz ) ) } }

impl < In : xdr_codec :: Read > xdr_codec :: Unpack < In > for MessageType { # [ inline ] fn unpack ( input : & mut In ) -> xdr_codec :: Result < ( MessageType , usize ) > { let mut sz = 0 ; Ok ( ( { let ( e , esz ) : ( i32 , _ ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += esz ; match e { x if x == MessageType :: CALL as i32 => MessageType :: CALL , x if x == MessageType :: REPLY as i32 => MessageType :: REPLY , e => return Err ( xdr_codec :: Error :: invalidenum ( e ) ) } } , sz ) ) } }

impl < In : xdr_codec :: Read > xdr_codec :: Unpack < In > for RejectStatus { # [ inline ] fn unpack ( input : & mut In ) -> xdr_codec :: Result < ( RejectStatus , usize ) > { let mut sz = 0 ; Ok ( ( { let ( e , esz ) : ( i32 , _ ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += esz ; match e { x if x == RejectStatus :: RPC_MISMATCH as i32 => RejectStatus :: RPC_MISMATCH , x if x == RejectStatus :: AUTH_ERROR as i32 => RejectStatus :: AUTH_ERROR , e => return Err ( xdr_codec :: Error :: invalidenum ( e ) ) } } , sz ) ) } }

impl < In : xdr_codec :: Read > xdr_codec :: Unpack < In > for Reply { fn unpack ( input : & mut In ) -> xdr_codec :: Result < ( Reply , usize ) > { let mut sz = 0 ; Ok ( ( match { let ( v , dsz ) : ( i32 , _ ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += dsz ; v } { x if x == ( 0i32 as i32 ) => Reply :: MSG_ACCEPTED ( { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } ) , x if x == ( 1i32 as i32 ) => Reply :: MSG_DENIED ( { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } ) , v => return Err ( xdr_codec :: Error :: invalidcase ( v as i32 ) ) } , sz ) ) } }

impl < In : xdr_codec :: Read > xdr_codec :: Unpack < In > for ReplyStatus { # [ inline ] fn unpack ( input : & mut In ) -> xdr_codec :: Result < ( ReplyStatus , usize ) > { let mut sz = 0 ; Ok ( ( { let ( e , esz ) : ( i32 , _ ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += esz ; match e { x if x == ReplyStatus :: MSG_ACCEPTED as i32 => ReplyStatus :: MSG_ACCEPTED , x if x == ReplyStatus :: MSG_DENIED as i32 => ReplyStatus :: MSG_DENIED , e => return Err ( xdr_codec :: Error :: invalidenum ( e ) ) } } , sz ) ) } }

impl < In : xdr_codec :: Read > xdr_codec :: Unpack < In > for Versions { fn unpack ( input : & mut In ) -> xdr_codec :: Result < ( Versions , usize ) > { let mut sz = 0 ; Ok ( ( Versions { low : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , high : { let ( v , fsz ) = xdr_codec :: Unpack :: unpack ( input ) ? ; sz += fsz ; v } , } , sz ) ) } }

