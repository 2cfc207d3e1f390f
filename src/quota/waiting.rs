//! PVs whose directories are not there yet, and when each is looked for again.

use std::{
    collections::{BTreeSet, HashMap},
    time::{Duration, Instant},
};

use crate::storage::layout::Place;

/// How soon a PV is looked for again; twice as late each time,
const SOON: Duration = Duration::from_millis(2);

/// but no later than that: where a brick is back, self-heal makes one directory after the other.
const LATE: Duration = Duration::from_secs(5);

/// When attributes of a PV's directory have changed, it is looked at so much later: pods can change some as often as they like.
const LATER: Duration = Duration::from_secs(1);

/// For how many; more are left to the next look at everything.
const MAX_WAITING: usize = 4096;

/// A PV that is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wait {
    /// When its record was noticed.
    pub(super) since: Instant,
    delay: Duration,
    at: Instant,
}

/// The PVs that are waited for.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    of: HashMap<Place, Wait>,
    order: BTreeSet<(Instant, Place)>,
}

impl Waiting {
    /// Waits for a PV; `before` is how it was waited for the last time.
    pub(super) fn add(&mut self, place: Place, since: Instant, before: Option<Wait>, now: Instant) {
        let delay = before.map_or(SOON, |before| LATE.min(before.delay * 2));
        self.remove(&place);
        self.insert(place, Wait { since, delay, at: now + delay });
    }

    fn insert(&mut self, place: Place, wait: Wait) {
        if self.of.len() < MAX_WAITING {
            self.order.insert((wait.at, place.clone()));
            self.of.insert(place, wait);
        }
    }

    /// Looks at a PV in a moment, however often that is asked for meanwhile.
    pub(super) fn later(&mut self, place: Place, now: Instant) {
        if !self.of.contains_key(&place) {
            self.insert(place, Wait { since: now, delay: LATER, at: now + LATER });
        }
    }

    /// Waits for a PV no more, and says how it was waited for.
    pub(super) fn remove(&mut self, place: &Place) -> Option<Wait> {
        let wait = self.of.remove(place)?;
        self.order.remove(&(wait.at, place.clone()));
        Some(wait)
    }

    /// Those to be looked for now.
    pub(super) fn due(&self, now: Instant) -> Vec<Place> {
        self.order.iter().take_while(|(at, _)| *at <= now).map(|(_, place)| place.clone()).collect()
    }

    /// When the first is to be looked for.
    pub(super) fn first(&self) -> Option<Instant> {
        self.order.first().map(|(at, _)| *at)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.of.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pv_is_waited_for_ever_longer_until_it_is_there() {
        let (mut waiting, start) = (Waiting::default(), Instant::now());
        let [one, two] = ["pvc-1", "pvc-2"].map(|name| Place::of(name).unwrap());
        let (mut now, mut times) = (start, 0);
        waiting.add(one.clone(), now, None, now);
        waiting.add(two.clone(), now, None, now + 4 * LATE);
        while let Some(at) = waiting.first().filter(|_| times < 14) {
            assert!(waiting.due(at - Duration::from_nanos(1)).is_empty());
            assert!(times < 12 || at - now == LATE);
            now = at;
            assert_eq!(waiting.due(now)[0], one);
            let before = waiting.remove(&one);
            assert_eq!(before.unwrap().since, start);
            waiting.add(one.clone(), start, before, now);
            times += 1;
        }
        assert!(waiting.remove(&one).is_some() && waiting.remove(&one).is_none());
        assert!(waiting.remove(&two).is_some() && waiting.first().is_none() && waiting.len() == 0);
    }

    #[test]
    fn not_all_are_waited_for() {
        let (mut waiting, now) = (Waiting::default(), Instant::now());
        for n in 0..=MAX_WAITING {
            waiting.add(Place::of(&format!("pvc-{n}")).unwrap(), now, None, now);
        }
        assert_eq!((waiting.len(), waiting.order.len()), (MAX_WAITING, MAX_WAITING));
        // One that is waited for already has its place.
        waiting.add(Place::of("pvc-0").unwrap(), now, None, now);
        assert_eq!(waiting.len(), MAX_WAITING);
    }
}
