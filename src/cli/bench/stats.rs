use std::{fmt, time::Duration};

/// Times of one kind, sorted.
#[derive(Debug)]
pub(super) struct Times(Vec<Duration>);

impl Times {
    pub(super) fn new(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self(times)
    }

    /// The time that `share` (0 to 1) of the others do not exceed; zero where there are none.
    pub(super) fn percentile(&self, share: f64) -> Duration {
        let last = self.0.len().saturating_sub(1);
        let at = (share * last as f64).round() as usize;
        self.0.get(at.min(last)).copied().unwrap_or_default()
    }

    pub(super) fn p50(&self) -> Duration {
        self.percentile(0.5)
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = |share| self.percentile(share).as_secs_f64() * 1e6;
        write!(f, "{:>6} × p50 {:>10.1} µs   p99 {:>10.1} µs", self.0.len(), micros(0.5), micros(0.99))
    }
}

/// How many times `whole` is of `part`.
pub(super) fn ratio(whole: Duration, part: Duration) -> f64 {
    whole.as_secs_f64() / part.as_secs_f64().max(1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_few_and_none() {
        let times = Times::new([3, 1, 2].map(Duration::from_secs).to_vec());
        assert_eq!(times.p50(), Duration::from_secs(2));
        assert_eq!(times.percentile(1.0), Duration::from_secs(3));
        assert_eq!(Times::new(Vec::new()).p50(), Duration::ZERO);
    }
}
