//! Times as people and programs read them.

use std::time::SystemTime;

/// Now, in RFC 3339 with milliseconds.
pub(super) fn now() -> String {
    rfc3339(SystemTime::now())
}

/// A time, in RFC 3339 with milliseconds.
pub(super) fn rfc3339(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}
