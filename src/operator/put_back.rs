//! How often what others have changed is put back: they may be a machine that puts back too.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

/// The longest pause.
const LONGEST: Duration = Duration::from_secs(3600);

/// When something of each storage was put back.
#[derive(Debug)]
pub(super) struct PutBack {
    first: Duration,
    pauses: BTreeMap<String, Pause>,
}

#[derive(Debug)]
struct Pause {
    length: Duration,
    until: Instant,
}

impl PutBack {
    /// With a first pause of this length.
    pub(super) fn new(first: Duration) -> Self {
        Self { first, pauses: BTreeMap::new() }
    }

    /// Whether something of this storage may be put back now.
    pub(super) fn may(&self, storage: &str) -> bool {
        self.pauses.get(storage).is_none_or(|pause| pause.until <= Instant::now())
    }

    /// Something was put back: the next time after a pause, which is twice as long where it was soon after another.
    pub(super) fn done(&mut self, storage: &str) {
        let length = self.pauses.get(storage).map_or(self.first, |before| (before.length * 2).min(LONGEST));
        self.pauses.insert(storage.to_owned(), Pause { length, until: Instant::now() + length });
    }

    /// Forgets storages that are not there any more, and what nobody has changed for as long as the pause was.
    pub(super) fn keep(&mut self, is_there: impl Fn(&str) -> bool) {
        let now = Instant::now();
        self.pauses.retain(|storage, pause| is_there(storage) && now < pause.until + pause.length);
    }

    /// When the pauses that are not over yet end.
    pub(super) fn ends(&self) -> impl Iterator<Item = Instant> {
        let now = Instant::now();
        self.pauses.values().map(|pause| pause.until).filter(move |until| now < *until)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep_until;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pauses_double_until_nobody_changes_anything() {
        let minute = Duration::from_secs(60);
        let mut put_back = PutBack::new(minute);
        for pause in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert!(put_back.may("s"));
            put_back.done("s");
            assert!(!put_back.may("s") && put_back.may("t"));
            let end = put_back.ends().next().unwrap();
            assert_eq!(end, Instant::now() + pause * minute);
            sleep_until(end).await;
            put_back.keep(|_| true);
            assert_eq!(put_back.ends().count(), 0);
        }
        sleep_until(Instant::now() + LONGEST).await;
        put_back.keep(|_| true);
        put_back.done("s");
        assert_eq!(put_back.ends().collect::<Vec<_>>(), [Instant::now() + minute]);
        put_back.keep(|storage| storage != "s");
        assert!(put_back.may("s"));
    }
}
