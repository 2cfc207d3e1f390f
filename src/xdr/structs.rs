//! Declares a struct with its XDR codec, so that the field list is written once.

use super::{Reader, Unpack};

/// `xdr! { pub struct Name<'a> { pub field: Type, … } }`: the struct, `Pack`, and `Unpack` from a [`Reader`].
macro_rules! xdr {
    ($(#[$meta:meta])* pub struct $name:ident $(<$life:lifetime>)? {
        $($(#[$field_meta:meta])* pub $field:ident : $kind:ty),* $(,)?
    }) => {
        $(#[$meta])*
        pub struct $name $(<$life>)? { $($(#[$field_meta])* pub $field: $kind),* }

        impl<'r $(, $life)?> $crate::xdr::Unpack<$crate::xdr::Reader<'r>> for $name $(<$life>)?
        $(where 'r: $life)?
        {
            fn unpack(input: &mut $crate::xdr::Reader<'r>) -> xdr_codec::Result<(Self, usize)> {
                let start = input.position();
                let value = Self {
                    $($field: $crate::xdr::in_field(input, concat!(stringify!($name), ".", stringify!($field)))?),*
                };
                Ok((value, input.position() - start))
            }
        }

        impl<$($life,)? Out: std::io::Write> $crate::xdr::Pack<Out> for $name $(<$life>)? {
            fn pack(&self, out: &mut Out) -> xdr_codec::Result<usize> {
                let mut size = 0;
                $(size += $crate::xdr::Pack::<Out>::pack(&self.$field, out)?;)*
                Ok(size)
            }
        }
    };
}
pub(crate) use xdr;

/// Unpacks one field; a failure in it carries the field's name.
#[inline]
pub(crate) fn in_field<'a, T: Unpack<Reader<'a>>>(
    input: &mut Reader<'a>,
    field: &'static str,
) -> xdr_codec::Result<T> {
    let (value, _) = T::unpack(input)?;
    input.name_failure(field);
    Ok(value)
}
