//! What must not be shown, and what two volfiles may differ in and still be the same.

use std::borrow::Cow;

use bstr::{BStr, ByteSlice};

use super::shown::shown;

/// What stands in place of a secret.
const SECRET: &str = "(secret)";

/// The two options that make a volfile a trusted one (facts §5.2). The same volume has them or not depending
/// on who asks, so they are no difference between two volfiles.
pub(super) fn is_credential(key: &BStr) -> bool {
    key == "username" || key == "password"
}

/// Whether the value of an option lets somebody in: the credentials of clients and bricks, keys of object
/// stores (features/cloudsync), and a private key itself where its path is meant.
pub(super) fn is_secret(key: &BStr, value: &BStr) -> bool {
    is_credential(key)
        || key.starts_with(b"auth.login.")
        || key.ends_with(b"seckey")
        || value.contains_str("PRIVATE KEY-----")
}

/// The value of an option as it may be shown.
pub(crate) fn shown_value(key: &BStr, value: &BStr) -> String {
    if is_secret(key, value) { SECRET.to_owned() } else { shown(value) }
}

/// The value of an option as it may be written into a volfile for eyes and logs.
pub(super) fn redacted_value<'v>(key: &BStr, value: &'v BStr) -> &'v BStr {
    if is_secret(key, value) { SECRET.into() } else { value }
}

/// The key of an option as it may be shown: bricks have the user's name in `auth.login.NAME.password`.
pub(super) fn shown_key(key: &BStr) -> Cow<'_, BStr> {
    match key.strip_prefix(b"auth.login.").and_then(|user| user.strip_suffix(b".password")) {
        Some(_) => Cow::Owned(format!("auth.login.{SECRET}.password").into()),
        None => Cow::Borrowed(key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_let_somebody_in_are_hidden() {
        for (key, value) in [
            ("password", "x"),
            ("username", "x"),
            ("auth.login./brick.allow", "x"),
            ("auth.login.x.password", "y"),
            ("s3plugin-seckey", "x"),
            ("transport.socket.ssl-private-key", "-----BEGIN PRIVATE KEY-----"),
        ] {
            assert_eq!(shown_value(key.into(), value.into()), SECRET, "{key}");
        }
        assert_eq!(shown_value("transport.socket.ssl-private-key".into(), "/etc/ssl/x".into()), "/etc/ssl/x");
        assert_eq!(*shown_key("auth.login.x.password".into()), "auth.login.(secret).password");
    }
}
