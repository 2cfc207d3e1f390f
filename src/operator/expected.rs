//! What was written and is still to be seen: a plan on an older view would take our own work for somebody else's.

use std::time::Duration;

use tokio::time::Instant;

use super::hands::Written;

/// After which a plan is made all the same: what was written may be gone again, and never seen.
const LONGEST: Duration = Duration::from_secs(5);

/// Something that was written.
#[derive(Debug)]
pub(super) struct Expected {
    pub(super) written: Written,
    /// What was seen of it when it was written.
    before: Option<String>,
    pub(super) until: Instant,
}

impl Expected {
    /// Something was written now; `seen` is the version that is followed.
    pub(super) fn new(written: Written, seen: Option<String>) -> Self {
        Self { written, before: seen, until: Instant::now() + LONGEST }
    }

    /// Whether nobody has to wait for it any more.
    pub(super) fn is_over(&self, seen: Option<&str>) -> bool {
        Instant::now() >= self.until || self.is_seen(seen)
    }

    fn is_seen(&self, seen: Option<&str>) -> bool {
        match (self.written.version.as_deref(), seen) {
            (None, seen) => seen.is_none() || seen != self.before.as_deref(),
            // Deleted before it was made anew, or not there yet.
            (Some(_), None) => false,
            // Versions are numbers that grow (KEP-5504); where they are not, any other than before will do.
            (Some(written), Some(seen)) => match (written.parse::<u128>(), seen.parse::<u128>()) {
                (Ok(written), Ok(seen)) => seen >= written,
                _ => Some(seen) != self.before.as_deref(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::hands::Kind;

    #[tokio::test(start_paused = true)]
    async fn what_was_written_is_waited_for_and_not_for_ever() {
        let expected = |version: Option<&str>, before: Option<&str>| {
            let version = version.map(str::to_owned);
            let written = Written { kind: Kind::Class, name: "c".to_owned(), version };
            Expected::new(written, before.map(str::to_owned))
        };
        for (version, before, seen, over) in [
            (Some("9"), None, None, false),
            (Some("9"), None, Some("9"), true),
            (Some("10"), Some("8"), Some("9"), false),
            (Some("10"), Some("8"), Some("11"), true),
            (Some("9"), Some("8"), None, false),
            (Some("x"), Some("v"), Some("v"), false),
            (Some("x"), Some("v"), Some("w"), true),
            (None, Some("8"), Some("8"), false),
            (None, Some("8"), Some("9"), true),
            (None, Some("8"), None, true),
        ] {
            assert_eq!(expected(version, before).is_over(seen), over, "{version:?} {before:?} {seen:?}");
        }
        let never = expected(Some("9"), None);
        tokio::time::sleep(LONGEST).await;
        assert!(never.is_over(None));
    }
}
