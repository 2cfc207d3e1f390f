//! Who of several operators works: the one that holds a lease, as in client-go's `leaderelection`.
//!
//! Times of a lease are those of another machine's clock, so none is compared with ours: a lease is given up for dead when it
//! was seen unchanged for as long as it says.

use std::time::Duration;

use tokio::time::Instant;

/// The longest that a lease may say of itself.
const LONGEST: Duration = Duration::from_secs(600);

/// How long things take.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// How long a lease holds that nobody renews.
    pub lease: Duration,
    /// How long we hold ourselves for its holder without having renewed it: shorter, so that never two do.
    pub renewed: Duration,
    /// Between two looks.
    pub retry: Duration,
}

/// Those of Kubernetes's own components.
impl Default for Times {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(15),
            renewed: Duration::from_secs(10),
            retry: Duration::from_secs(2),
        }
    }
}

/// A lease as it stands in the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Who holds it; none where it was released.
    pub holder: Option<String>,
    /// How long it holds unrenewed.
    pub duration: Duration,
    /// Another one with each renewal.
    pub stamp: String,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It is ours: write it again.
    Renew,
    /// It is nobody's: write our name into it.
    Take,
    /// It is somebody else's.
    Wait,
}

/// One who wants the lease.
#[derive(Debug)]
pub struct Election {
    me: String,
    times: Times,
    /// What stands there, and since when as far as we saw.
    seen: Option<(Lease, Instant)>,
    renewed: Option<Instant>,
}

impl Election {
    /// `me` is a name that no other has, a former run of ours neither.
    pub fn new(me: String, times: Times) -> Self {
        Self { me, times, seen: None, renewed: None }
    }

    /// What to do about what stands there now.
    pub fn observe(&mut self, lease: Option<Lease>, now: Instant) -> Step {
        let Some(lease) = lease else {
            (self.seen, self.renewed) = (None, None);
            return Step::Take;
        };
        if self.seen.as_ref().is_none_or(|(seen, _)| *seen != lease) {
            self.seen = Some((lease, now));
        }
        let Some((lease, since)) = &self.seen else { return Step::Wait };
        match &lease.holder {
            Some(holder) if *holder == self.me => Step::Renew,
            Some(holder) if !holder.is_empty() && now < *since + lease.duration.min(LONGEST) => {
                self.renewed = None;
                Step::Wait
            }
            _ => {
                self.renewed = None;
                Step::Take
            }
        }
    }

    /// The lease was written with our name, by a call that began at this time.
    pub fn written(&mut self, begun: Instant) {
        self.renewed = Some(begun);
    }

    /// Whether we may work.
    pub fn leads(&self, now: Instant) -> bool {
        self.renewed.is_some_and(|renewed| now < renewed + self.times.renewed)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lease(holder: &str, stamp: u32) -> Option<Lease> {
        let holder = (!holder.is_empty()).then(|| holder.to_owned());
        Some(Lease { holder, duration: Times::default().lease, stamp: stamp.to_string() })
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_lease_is_taken_when_it_is_nobodys_and_not_before() {
        let start = Instant::now();
        let mut a = Election::new("a".to_owned(), Times::default());
        assert!(!a.leads(start));
        assert_eq!(a.observe(None, start), Step::Take);
        assert_eq!(a.observe(lease("", 1), start), Step::Take);
        assert_eq!(a.observe(lease("b", 2), start), Step::Wait);
        assert_eq!(a.observe(lease("b", 2), start + 14 * SECOND), Step::Wait);
        // It was renewed, however old the time is that stands in it.
        assert_eq!(a.observe(lease("b", 3), start + 14 * SECOND), Step::Wait);
        assert_eq!(a.observe(lease("b", 3), start + 28 * SECOND), Step::Wait);
        assert_eq!(a.observe(lease("b", 3), start + 29 * SECOND), Step::Take);
        a.written(start + 29 * SECOND);
        assert!(a.leads(start + 38 * SECOND) && !a.leads(start + 39 * SECOND));
        assert_eq!(a.observe(lease("a", 4), start + 31 * SECOND), Step::Renew);
        assert!(a.leads(start + 31 * SECOND));
        assert_eq!(a.observe(lease("b", 5), start + 32 * SECOND), Step::Wait);
        assert!(!a.leads(start + 32 * SECOND));
    }

    #[test]
    fn a_lease_cannot_be_held_for_ever_by_a_number() {
        let start = Instant::now();
        let mut a = Election::new("a".to_owned(), Times::default());
        let eternal = Lease { duration: Duration::MAX, ..lease("b", 1).unwrap() };
        assert_eq!(a.observe(Some(eternal.clone()), start), Step::Wait);
        assert_eq!(a.observe(Some(eternal), start + LONGEST), Step::Take);
    }

    proptest! {
        /// Two of them, whose writes fail now and then, beside a lease that refuses what is written of an old version.
        #[test]
        fn never_two_lead(steps in proptest::collection::vec((0..2_usize, 0..4_000_u64, any::<bool>()), 1..300)) {
            let mut now = Instant::now();
            let mut all = ["a", "b"].map(|name| Election::new(name.to_owned(), Times::default()));
            let mut there = None::<Lease>;
            let mut led = 0;
            for (stamp, (who, wait, fails)) in steps.into_iter().enumerate() {
                now += Duration::from_millis(wait);
                let step = all[who].observe(there.clone(), now);
                if step != Step::Wait && !fails {
                    there = Some(Lease { holder: Some(all[who].me.clone()), stamp: stamp.to_string(), ..lease("", 0).unwrap() });
                    all[who].written(now);
                }
                let leading = all.iter().filter(|one| one.leads(now)).count();
                prop_assert!(leading < 2);
                led += leading;
            }
            prop_assert!(led > 0 || there.is_none());
        }
    }
}
