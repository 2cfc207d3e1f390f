//! What does not work now, said once.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tracing::{info, warn};

/// What does not work, by what was tried.
#[derive(Debug, Clone, Default)]
pub(super) struct Troubles(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    now: BTreeMap<String, String>,
    counted: u64,
}

impl Troubles {
    /// Something was tried: why it failed, or that it has not. Logged where that is another thing than before, but for numbers,
    /// such as versions.
    pub(super) fn set(&self, what: &str, failed: Option<String>) {
        let mut inner = self.lock();
        match failed {
            Some(why) => {
                inner.counted += 1;
                let before = inner.now.insert(what.to_owned(), why.clone());
                if is_news(before.as_deref(), &why) {
                    warn!(target: "kadalu", what, why, "the API of Kubernetes");
                }
            }
            None => {
                if inner.now.remove(what).is_some() {
                    info!(target: "kadalu", what, "the API of Kubernetes works again");
                }
            }
        }
    }

    /// Forgets what is of no interest any more.
    pub(super) fn keep(&self, what: impl Fn(&str) -> bool) {
        self.lock().now.retain(|name, _| what(name));
    }

    /// A line for each.
    pub(super) fn lines(&self) -> Vec<String> {
        self.lock().now.iter().map(|(what, why)| format!("{what}: {why}")).collect()
    }

    /// How many there were since the start.
    pub(super) fn counted(&self) -> u64 {
        self.lock().counted
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether it is another thing than before.
fn is_news(before: Option<&str>, why: &str) -> bool {
    let words = |text: &str| text.split(|letter: char| letter.is_ascii_digit()).collect::<String>();
    before.is_none_or(|before| words(before) != words(why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_error_is_news_and_another_version_is_not() {
        for (before, why, news) in [
            (None, "refused", true),
            (Some("refused"), "refused", false),
            (Some("version 9 is old"), "version 10 is old", false),
            (Some("etcd is away (500)"), "no rule grants it (403)", true),
        ] {
            assert_eq!(is_news(before, why), news, "{before:?} {why:?}");
        }
    }
}
