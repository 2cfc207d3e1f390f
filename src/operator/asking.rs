//! When the driver is asked, and what it has said.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use super::{lease::jittered, world::DriverView};

/// After the PVs have changed the driver is asked again, but not more often than this.
const SELDOM: Duration = Duration::from_secs(30);

/// The first pause after an error: it may just be starting.
const RETRY: Duration = Duration::from_secs(2);

/// What was said before holds for as long, whatever the errors: a restart of the driver is no news.
const FORGIVEN: Duration = Duration::from_secs(60);

/// What the driver has said.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Said {
    pub(super) listed: Arc<BTreeSet<String>>,
    pub(super) asked: Arc<BTreeSet<String>>,
    pub(super) not_enforced: Arc<BTreeMap<String, String>>,
    pub(super) available: BTreeMap<String, u64>,
}

/// What is known of the driver.
#[derive(Debug)]
pub(super) struct Asking {
    interval: Duration,
    said: Option<Result<Said, String>>,
    /// Since when it does not answer, and the last pause.
    failing: Option<(Instant, Duration)>,
    /// When it is to be asked, and when it was; none while it is.
    due: Option<Instant>,
    asked: Option<Instant>,
    /// The PVs and storages of which it was asked.
    subjects: BTreeSet<String>,
}

impl Asking {
    /// It was not asked yet.
    pub(super) fn new(interval: Duration) -> Self {
        let due = Some(Instant::now());
        Self { interval, said: None, failing: None, due, asked: None, subjects: BTreeSet::new() }
    }

    /// As if it were not asked yet.
    pub(super) fn forget(&mut self) {
        *self = Self::new(self.interval);
    }

    /// When it is to be asked; none while it is.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Whether to ask now: its time has come, or there is something else to ask of.
    pub(super) fn begin(&mut self, subjects: BTreeSet<String>) -> bool {
        let now = Instant::now();
        if subjects != self.subjects
            && let Some(due) = &mut self.due
        {
            *due = (*due).min(self.asked.map_or(now, |asked| asked + SELDOM)).max(now);
            self.subjects = subjects;
        }
        let begins = self.due.is_some_and(|due| due <= now);
        if begins {
            (self.due, self.asked) = (None, Some(now));
        }
        begins
    }

    /// The PVs and storages of which it is asked.
    pub(super) fn subjects(&self) -> BTreeSet<String> {
        self.subjects.clone()
    }

    /// An answer; gives the PVs that are limited now and were not, or were and are not.
    pub(super) fn answered(&mut self, answer: Result<Said, String>) -> BTreeSet<String> {
        let now = Instant::now();
        match answer {
            Ok(said) => {
                let before = match self.said.take() {
                    Some(Ok(before)) => before.not_enforced,
                    // Nothing to compare with.
                    None | Some(Err(_)) => said.not_enforced.clone(),
                };
                let handles = |of: &BTreeMap<String, String>| of.keys().cloned().collect::<BTreeSet<_>>();
                let other = &handles(&before) ^ &handles(&said.not_enforced);
                (self.said, self.failing) = (Some(Ok(said)), None);
                self.due = Some(now + jittered(self.interval));
                other
            }
            Err(why) => {
                let (since, pause) = self.failing.map_or((now, RETRY), |(since, pause)| (since, pause * 2));
                let pause = pause.min(self.interval);
                if now >= since + FORGIVEN {
                    self.said = Some(Err(why));
                }
                (self.failing, self.due) = (Some((since, pause)), Some(now + jittered(pause)));
                BTreeSet::new()
            }
        }
    }

    /// What a storage is planned with.
    pub(super) fn view(&self, storage: &str) -> DriverView {
        match &self.said {
            None => DriverView::NotAsked,
            Some(Err(why)) => DriverView::Failed(why.clone()),
            Some(Ok(Said { listed, asked, not_enforced, available })) => DriverView::Seen {
                asked: asked.clone(),
                listed: listed.clone(),
                not_enforced: not_enforced.clone(),
                available: available.get(storage).copied(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, sleep_until};

    use super::*;

    const INTERVAL: Duration = Duration::from_secs(300);

    fn said(handles: &[&str], available: u64) -> Result<Said, String> {
        let lacking = handles.iter().map(|handle| ((*handle).to_owned(), "why".to_owned())).collect();
        let available = BTreeMap::from([("s".to_owned(), available)]);
        Ok(Said { not_enforced: Arc::new(lacking), available, ..Said::default() })
    }

    #[tokio::test(start_paused = true)]
    async fn errors_are_forgiven_for_a_minute() {
        for first in [None, Some(said(&[], 1))] {
            let mut asking = Asking::new(INTERVAL);
            first.into_iter().for_each(|first| drop(asking.answered(first)));
            let (before, begun) = (asking.view("s"), Instant::now());
            let mut times = 0;
            while !matches!(asking.view("s"), DriverView::Failed(_)) {
                assert_eq!(asking.view("s"), before);
                asking.answered(Err("it starts".to_owned()));
                times += 1;
                sleep_until(asking.due().unwrap()).await;
            }
            // After 2, 4, 8, 16 and 32 seconds or up to a fifth less; at the latest after 64 more.
            assert!((7..=8).contains(&times), "{times}");
            assert!(begun.elapsed() >= FORGIVEN);
            assert!(asking.answered(said(&["a"], 1)).is_empty());
            assert!(matches!(asking.view("s"), DriverView::Seen { available: Some(1), .. }));
            assert!(asking.due().unwrap() > Instant::now() + INTERVAL / 2);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_is_limited_otherwise_than_before_is_of_interest() {
        let mut asking = Asking::new(INTERVAL);
        for (answer, other) in [
            (said(&["a"], 1), &[][..]),
            (said(&["a"], 2), &[]),
            (said(&["a", "b"], 2), &["b"]),
            (Err("it starts".to_owned()), &[]),
            (said(&["b"], 2), &["a"]),
        ] {
            assert_eq!(asking.answered(answer).into_iter().collect::<Vec<_>>(), other);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn other_pvs_are_asked_of_soon() {
        let mut asking = Asking::new(INTERVAL);
        let subjects = |name: &str| BTreeSet::from([name.to_owned()]);
        assert!(asking.begin(subjects("a")) && !asking.begin(subjects("b")));
        asking.answered(said(&[], 1));
        assert!(!asking.begin(subjects("a")) && asking.due().unwrap() > Instant::now() + SELDOM);
        assert!(!asking.begin(subjects("b")));
        advance(SELDOM).await;
        assert!(asking.begin(subjects("b")));
        asking.forget();
        assert!(asking.begin(subjects("b")));
    }
}
