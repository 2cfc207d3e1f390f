use std::time::Duration;

/// How long to wait before the next try: doubling, capped, and spread out, so that a thousand nodes do not come back to a
/// cluster at the same moment. No clock and no randomness of its own.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    tries: u32,
}

impl Backoff {
    /// Waits about `first`, then about twice as long each time, up to about `most`.
    pub fn new(first: Duration, most: Duration) -> Self {
        Self { first, most, tries: 0 }
    }

    /// The next wait: between half and all of its step, by `random` in 0..1.
    pub fn next(&mut self, random: f64) -> Duration {
        let step = self.first.saturating_mul(1 << self.tries.min(20)).min(self.most);
        self.tries = self.tries.saturating_add(1);
        step.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0)
    }

    /// Starts anew, after a success.
    pub fn reset(&mut self) {
        self.tries = 0;
    }
}

/// A period spread by a quarter to either side, by `random` in 0..1.
pub(super) fn jittered(period: Duration, random: f64) -> Duration {
    period.mul_f64(0.75 + random.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_to_its_cap_and_starts_anew() {
        let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(3));
        let waits = (0..6).map(|_| backoff.next(1.0).as_millis()).collect::<Vec<_>>();
        assert_eq!(waits, [200, 400, 800, 1600, 3000, 3000]);
        backoff.reset();
        assert_eq!(backoff.next(0.0).as_millis(), 100);
    }
}
