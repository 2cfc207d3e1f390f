//! PVs whose directories are not there yet, and when each is looked for again.

use std::{
    collections::{BTreeSet, HashMap},
    time::{Duration, Instant},
};

use crate::storage::layout::Place;

/// How soon a PV is looked for again; twice as late each time.
const SOON: Duration = Duration::from_millis(2);

/// What waited this long the last time is left to the next look at everything.
const LATE: Duration = Duration::from_secs(5);

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
        let delay = before.map_or(SOON, |before| before.delay * 2);
        self.remove(&place);
        if delay <= LATE {
            let wait = Wait { since, delay, at: now + delay };
            self.order.insert((wait.at, place.clone()));
            self.of.insert(place, wait);
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
    fn a_pv_is_waited_for_ever_longer_and_then_no_more() {
        let (mut waiting, start) = (Waiting::default(), Instant::now());
        let [one, two] = ["pvc-1", "pvc-2"].map(|name| Place::of(name).unwrap());
        let (mut now, mut times) = (start, 0);
        waiting.add(one.clone(), now, None, now);
        waiting.add(two.clone(), now, None, now + 4 * LATE);
        while let Some(at) = waiting.first().filter(|_| waiting.len() == 2) {
            assert!(waiting.due(at - Duration::from_nanos(1)).is_empty());
            now = at;
            assert_eq!(waiting.due(now)[0], one);
            let before = waiting.remove(&one);
            assert_eq!(before.unwrap().since, start);
            waiting.add(one.clone(), start, before, now);
            times += 1;
        }
        assert_eq!(times, 12);
        assert_eq!(waiting.remove(&one), None);
        assert!(waiting.remove(&two).is_some() && waiting.first().is_none() && waiting.len() == 0);
    }
}
