//! When the driver is asked, and what it has said.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use super::{
    lease::jittered,
    world::{DriverView, Home, Identity, Limit},
};

/// After the PVs have changed the driver is asked again, but not more often than this. A storage that it does not know yet is
/// asked of as often, at least.
const SELDOM: Duration = Duration::from_secs(30);

/// The first pause after an error, or before it is asked of the same again: it may just be starting.
const RETRY: Duration = Duration::from_secs(2);

/// What was said before holds for as long, whatever the errors: a restart of the driver, or a slow volume, is no news.
const FORGIVEN: Duration = Duration::from_secs(60);

/// What the driver has said of all PVs.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Said {
    pub(super) limits: Arc<BTreeMap<String, Limit>>,
    pub(super) asked: Arc<BTreeSet<String>>,
}

/// What it has said of storages, by their names; those of which it has said nothing are missing.
pub(super) type Homes = BTreeMap<String, Home>;

/// What it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ask {
    /// Of all PVs and storages.
    All,
    /// Of these storages.
    Storages(BTreeSet<String>),
}

impl Ask {
    /// Whether it is about this storage too.
    pub(super) fn has(&self, storage: &str) -> bool {
        match self {
            Self::All => true,
            Self::Storages(names) => names.contains(storage),
        }
    }
}

/// What it answers. Of PVs it says nothing while the volume of one does not answer; of other storages it does all the same.
#[derive(Debug)]
pub(super) struct Answer {
    /// To [`Ask::All`].
    pub(super) said: Option<Result<Said, String>>,
    pub(super) homes: Homes,
}

/// A storage that it does not know yet.
#[derive(Debug)]
struct New {
    identity: Identity,
    pause: Duration,
    due: Instant,
}

/// What is known of the driver.
#[derive(Debug)]
pub(super) struct Asking {
    interval: Duration,
    said: Option<Result<Said, String>>,
    homes: Homes,
    /// Since when it does not tell of the PVs, and the last pause.
    failing: Option<(Instant, Duration)>,
    /// Since when nobody tells how these PVs are limited.
    doubtful: BTreeMap<String, Instant>,
    /// The last pause because of them.
    pause: Option<Duration>,
    new: BTreeMap<String, New>,
    /// When it is to be asked of all, and when it was.
    due: Instant,
    asked: Option<Instant>,
    /// It is being asked.
    busy: bool,
    /// The PVs and storages of which it was asked.
    subjects: BTreeSet<String>,
}

impl Asking {
    /// It was not asked yet.
    pub(super) fn new(interval: Duration) -> Self {
        Self {
            interval,
            said: None,
            homes: Homes::new(),
            failing: None,
            doubtful: BTreeMap::new(),
            pause: None,
            new: BTreeMap::new(),
            due: Instant::now(),
            asked: None,
            busy: false,
            subjects: BTreeSet::new(),
        }
    }

    /// As if it were not asked yet.
    pub(super) fn forget(&mut self) {
        *self = Self::new(self.interval);
    }

    /// When it is to be asked; none while it is.
    pub(super) fn due(&self) -> Option<Instant> {
        let new = self.new.values().map(|new| new.due);
        new.chain([self.due]).min().filter(|_| !self.busy)
    }

    /// What to ask now: its time has come, or there is something else to ask of. `storages` are those that it is to know.
    pub(super) fn begin(
        &mut self,
        subjects: BTreeSet<String>,
        storages: &BTreeMap<String, Identity>,
    ) -> Option<Ask> {
        if self.busy {
            return None;
        }
        let now = Instant::now();
        if subjects != self.subjects {
            self.due = self.due.min(self.asked.map_or(now, |asked| asked + SELDOM)).max(now);
            self.subjects = subjects;
        }
        self.homes.retain(|name, _| storages.contains_key(name));
        let mut new = std::mem::take(&mut self.new);
        new.retain(|name, new| storages.get(name) == Some(&new.identity));
        for (name, identity) in storages {
            if self.knows(name, identity) {
                new.remove(name);
            } else if !new.contains_key(name) {
                new.insert(name.clone(), New { identity: identity.clone(), pause: RETRY, due: now });
            }
        }
        self.new = new;
        let ask = if self.due <= now {
            self.asked = Some(now);
            Some(Ask::All)
        } else {
            let due = self.new.iter().filter(|(_, new)| new.due <= now);
            let due = due.map(|(name, _)| name.clone()).collect::<BTreeSet<_>>();
            (!due.is_empty()).then_some(Ask::Storages(due))
        };
        self.busy = ask.is_some();
        ask
    }

    fn knows(&self, storage: &str, identity: &Identity) -> bool {
        matches!(self.homes.get(storage), Some(Home::Known { of, .. }) if of == identity)
    }

    /// The PVs and storages of which it is asked.
    pub(super) fn subjects(&self) -> BTreeSet<String> {
        self.subjects.clone()
    }

    /// An answer; gives the PVs that are limited now and were not, or were and are not.
    pub(super) fn answered(&mut self, answer: Answer) -> BTreeSet<String> {
        let now = Instant::now();
        self.busy = false;
        for new in self.new.values_mut().filter(|new| new.due <= now) {
            new.due = now + jittered(new.pause);
            new.pause = (new.pause * 2).min(SELDOM).min(self.interval);
        }
        let other = match answer.said {
            Some(Ok(said)) => self.told(said),
            Some(Err(why)) => {
                self.failed(why);
                BTreeSet::new()
            }
            None => BTreeSet::new(),
        };
        // Of what it did not answer now, it has before.
        self.homes.extend(answer.homes);
        other
    }

    fn failed(&mut self, why: String) {
        let now = Instant::now();
        let (since, pause) = self.failing.map_or((now, RETRY), |(since, pause)| (since, pause * 2));
        let pause = pause.min(self.interval);
        (self.failing, self.due) = (Some((since, pause)), now + jittered(pause));
        if now >= since + FORGIVEN {
            self.said = Some(Err(why));
            self.homes.clear();
        }
    }

    fn told(&mut self, mut said: Said) -> BTreeSet<String> {
        let now = Instant::now();
        let before = self.said.take().and_then(Result::ok);
        let waits = self.forgive(&mut said, before.as_ref());
        self.pause = waits.then(|| self.pause.map_or(RETRY, |pause| pause * 2).min(self.interval));
        self.due = now + jittered(self.pause.unwrap_or(self.interval));
        self.failing = None;
        // Where there is nothing to compare with, nothing is new.
        let other = before.as_ref().map(|before| &not_enforced(before) ^ &not_enforced(&said));
        let other = other.into_iter().flatten().cloned().collect();
        self.said = Some(Ok(said));
        other
    }

    /// Of a PV of which nobody tells any more holds what was told before, for a while; whether that is so of any.
    fn forgive(&mut self, said: &mut Said, before: Option<&Said>) -> bool {
        let now = Instant::now();
        let is_unknown = |limit: &Limit| matches!(limit, Limit::Unknown(_));
        let unknown =
            said.limits.iter().filter(|(_, limit)| is_unknown(limit)).map(|(handle, _)| handle.clone());
        let since = |handle: String| (self.doubtful.get(&handle).copied().unwrap_or(now), handle);
        let doubtful = unknown.map(since).map(|(since, handle)| (handle, since)).collect::<BTreeMap<_, _>>();
        let forgiven =
            doubtful.iter().filter(|(_, since)| now < **since + FORGIVEN).map(|(handle, _)| handle);
        let forgiven = forgiven.collect::<Vec<_>>();
        let waits = !forgiven.is_empty();
        for handle in forgiven {
            let limits = Arc::make_mut(&mut said.limits);
            if let Some(limit) = before.and_then(|before| before.limits.get(handle)) {
                limits.insert(handle.clone(), limit.clone());
            } else {
                // As if it were younger than the answer.
                limits.remove(handle);
                Arc::make_mut(&mut said.asked).remove(handle);
            }
        }
        self.doubtful = doubtful;
        waits
    }

    /// What a storage is planned with.
    pub(super) fn view(&self, storage: &str) -> DriverView {
        let home = self.homes.get(storage).cloned().unwrap_or_default();
        match self.said.clone() {
            None => DriverView::NotAsked,
            Some(Err(why)) => DriverView::Failed { why, home },
            Some(Ok(Said { limits, asked })) => DriverView::Seen { limits, asked, home },
        }
    }
}

/// The PVs that some brick does not limit.
fn not_enforced(said: &Said) -> BTreeSet<&String> {
    let limits = said.limits.iter();
    limits.filter(|(_, limit)| matches!(limit, Limit::NotEnforced(_))).map(|(handle, _)| handle).collect()
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, sleep_until};

    use super::*;

    const INTERVAL: Duration = Duration::from_secs(300);

    fn identity(volume: &str) -> Identity {
        Identity { volume: Some(volume.to_owned()), id: None }
    }

    fn known(available: u64) -> Home {
        Home::Known { of: identity("vol"), available: Some(available) }
    }

    fn homes(home: Home) -> Homes {
        Homes::from([("s".to_owned(), home)])
    }

    /// To a question of all.
    fn all(said: Result<Said, &str>, homes: Homes) -> Answer {
        Answer { said: Some(said.map_err(str::to_owned)), homes }
    }

    /// To one of storages.
    fn only(homes: Homes) -> Answer {
        Answer { said: None, homes }
    }

    fn limits(limits: &[(&str, Limit)]) -> Said {
        let limits = limits.iter().map(|(handle, limit)| ((*handle).to_owned(), limit.clone()));
        let limits = limits.collect::<BTreeMap<_, _>>();
        let asked = Arc::new(limits.keys().cloned().collect());
        Said { limits: Arc::new(limits), asked }
    }

    fn said(handles: &[&str], available: u64) -> Answer {
        let lacking = handles.iter().map(|handle| (*handle, Limit::NotEnforced("why".to_owned())));
        all(Ok(limits(&lacking.collect::<Vec<_>>())), homes(known(available)))
    }

    fn starts() -> Answer {
        all(Err("it starts"), Homes::new())
    }

    #[tokio::test(start_paused = true)]
    async fn errors_are_forgiven_for_a_minute() {
        for first in [None, Some(said(&[], 1))] {
            let mut asking = Asking::new(INTERVAL);
            first.into_iter().for_each(|first| drop(asking.answered(first)));
            let (before, begun) = (asking.view("s"), Instant::now());
            let mut times = 0;
            while !matches!(asking.view("s"), DriverView::Failed { .. }) {
                assert_eq!(asking.view("s"), before);
                asking.answered(starts());
                times += 1;
                sleep_until(asking.due().unwrap()).await;
            }
            // After 2, 4, 8, 16 and 32 seconds or up to a fifth less; at the latest after 64 more.
            assert!((6..=7).contains(&times), "{times}");
            assert!(begun.elapsed() >= FORGIVEN);
            assert!(asking.answered(said(&["a"], 1)).is_empty());
            assert!(matches!(asking.view("s"), DriverView::Seen { home, .. } if home == known(1)));
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
            (starts(), &[]),
            (said(&["b"], 2), &["a"]),
        ] {
            assert_eq!(asking.answered(answer).into_iter().collect::<Vec<_>>(), other);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn other_pvs_are_asked_of_soon() {
        let mut asking = Asking::new(INTERVAL);
        let storages = BTreeMap::new();
        let begin =
            |asking: &mut Asking, name: &str| asking.begin(BTreeSet::from([name.to_owned()]), &storages);
        assert_eq!(begin(&mut asking, "a"), Some(Ask::All));
        assert_eq!((begin(&mut asking, "b"), asking.due()), (None, None));
        asking.answered(said(&[], 1));
        assert_eq!(begin(&mut asking, "a"), None);
        assert!(asking.due().unwrap() > Instant::now() + SELDOM);
        assert_eq!(begin(&mut asking, "b"), None);
        advance(SELDOM).await;
        assert_eq!(begin(&mut asking, "b"), Some(Ask::All));
        asking.forget();
        assert_eq!(begin(&mut asking, "b"), Some(Ask::All));
    }

    #[tokio::test(start_paused = true)]
    async fn a_storage_that_the_driver_does_not_know_is_asked_of_again_and_again() {
        let mut asking = Asking::new(INTERVAL);
        let storages = |volume: &str| BTreeMap::from([("s".to_owned(), identity(volume))]);
        let of_it = Some(Ask::Storages(BTreeSet::from(["s".to_owned()])));
        let home = |asking: &Asking| match asking.view("s") {
            DriverView::Seen { home, .. } => home,
            other => panic!("{other:?}"),
        };
        assert_eq!(asking.begin(BTreeSet::new(), &BTreeMap::new()), Some(Ask::All));
        asking.answered(all(Ok(Said::default()), Homes::new()));
        // It is new: at once.
        let begun = Instant::now();
        assert_eq!(asking.due().map(|due| due > begun), Some(true));
        assert_eq!(asking.begin(BTreeSet::new(), &storages("vol")), of_it);
        assert_eq!(asking.begin(BTreeSet::new(), &storages("vol")), None);
        let mut pauses = Vec::new();
        for _ in 0..7 {
            let not_known = Home::NotKnown("there is no storage".to_owned());
            asking.answered(only(homes(not_known.clone())));
            assert_eq!((asking.begin(BTreeSet::new(), &storages("vol")), home(&asking)), (None, not_known));
            let before = Instant::now();
            sleep_until(asking.due().unwrap()).await;
            pauses.push(before.elapsed());
            assert_eq!(asking.begin(BTreeSet::new(), &storages("vol")), of_it, "{pauses:?}");
        }
        // Up to a fifth less.
        for (pause, most) in pauses.iter().zip([2, 4, 8, 16, 30, 30, 30].map(Duration::from_secs)) {
            assert!(*pause <= most && *pause > most / 2, "{pauses:?}");
        }
        // Nothing was said: what is known of it stays.
        asking.answered(only(Homes::new()));
        assert!(matches!(home(&asking), Home::NotKnown(_)));
        sleep_until(asking.due().unwrap()).await;
        assert_eq!(asking.begin(BTreeSet::new(), &storages("vol")), of_it);
        asking.answered(only(homes(known(1))));
        assert_eq!((asking.begin(BTreeSet::new(), &storages("vol")), home(&asking)), (None, known(1)));
        assert!(asking.due().unwrap() > Instant::now() + SELDOM);
        // One that has become another, and one that is gone.
        assert_eq!(asking.begin(BTreeSet::new(), &storages("other")), of_it);
        asking.answered(only(Homes::new()));
        assert_eq!((asking.begin(BTreeSet::new(), &BTreeMap::new()), home(&asking)), (None, Home::NotAsked));
    }

    #[tokio::test(start_paused = true)]
    async fn storages_are_known_where_the_list_of_pvs_fails() {
        let mut asking = Asking::new(INTERVAL);
        let storages = BTreeMap::from([("s".to_owned(), identity("vol"))]);
        assert_eq!(asking.begin(BTreeSet::new(), &BTreeMap::new()), Some(Ask::All));
        let dead = || all(Err("another volume does not answer"), Homes::new());
        let begun = Instant::now();
        while begun.elapsed() < FORGIVEN * 2 {
            asking.answered(dead());
            sleep_until(asking.due().unwrap()).await;
            assert_eq!(asking.begin(BTreeSet::new(), &BTreeMap::new()), Some(Ask::All));
        }
        asking.answered(dead());
        // One that is new is asked of at once, and known.
        assert_eq!(
            asking.begin(BTreeSet::new(), &storages),
            Some(Ask::Storages(BTreeSet::from(["s".to_owned()])))
        );
        asking.answered(only(homes(known(1))));
        let is_known =
            |asking: &Asking| matches!(asking.view("s"), DriverView::Failed { home, .. } if home == known(1));
        assert!(is_known(&asking));
        // It stays known while it is told of, and not by what was said long ago.
        asking.answered(all(Err("another volume does not answer"), homes(known(1))));
        assert!(is_known(&asking));
        asking.answered(dead());
        assert!(matches!(asking.view("s"), DriverView::Failed { home: Home::NotAsked, .. }));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_volume_is_no_news_for_a_minute() {
        let late = || Limit::Unknown("late".to_owned());
        let lacks = Limit::NotEnforced("why".to_owned());
        let first = limits(&[("a", Limit::Enforced), ("b", lacks.clone())]);
        let slow = || limits(&[("a", late()), ("b", late()), ("c", Limit::Off)]);
        // Of those of which nobody has told before, it is not known that it was asked.
        let forgiven = limits(&[("a", Limit::Enforced), ("b", lacks), ("c", Limit::Off)]);
        for (first, forgiven) in [(Some(first), forgiven), (None, limits(&[("c", Limit::Off)]))] {
            let mut asking = Asking::new(INTERVAL);
            first.clone().into_iter().for_each(|first| drop(asking.answered(all(Ok(first), Homes::new()))));
            let begun = Instant::now();
            let said = |asking: &Asking| match asking.view("s") {
                DriverView::Seen { limits, asked, .. } => Said { limits, asked },
                other => panic!("{other:?}"),
            };
            let mut times = 0;
            loop {
                assert!(
                    asking.answered(all(Ok(slow()), Homes::new())).is_empty() || begun.elapsed() >= FORGIVEN
                );
                if said(&asking) == slow() {
                    break;
                }
                assert_eq!(said(&asking), forgiven);
                times += 1;
                sleep_until(asking.due().unwrap()).await;
            }
            // After 2, 4, 8, 16 and 32 seconds or up to a fifth less; at the latest after 64 more.
            assert!((5..=6).contains(&times) && begun.elapsed() >= FORGIVEN, "{times}");
            assert!(asking.due().unwrap() > Instant::now() + INTERVAL / 2);
            // It stays so, and is over at once.
            asking.answered(all(Ok(slow()), Homes::new()));
            assert_eq!(said(&asking), slow());
            let well = limits(&[("a", Limit::Enforced)]);
            asking.answered(all(Ok(well.clone()), Homes::new()));
            assert_eq!(said(&asking), well);
            // Another time is another time.
            asking.answered(all(Ok(limits(&[("a", late())])), Homes::new()));
            assert_eq!(said(&asking), well);
        }
    }
}
