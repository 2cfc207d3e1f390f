//! What is made once for all who wait for it.

use std::future::Future;

use tokio::{sync::Mutex, time::Instant};
use tonic::Status;

/// A thing that is made when it is first wanted, by one caller for all.
#[derive(Debug)]
pub(in crate::csi::controller) struct Flight<T>(Mutex<Slot<T>>);

#[derive(Debug)]
struct Slot<T> {
    made: Option<T>,
    failed: Option<(Instant, Status)>,
}

impl<T> Default for Flight<T> {
    fn default() -> Self {
        Self(Mutex::new(Slot { made: None, failed: None }))
    }
}

impl<T: Clone> Flight<T> {
    /// The thing as it is, while it is `good`; else made anew, from the old one where there is one. Whoever has waited
    /// for a try that failed shares its failure: a dead volume costs its time once, not once for each caller.
    pub(in crate::csi::controller) async fn get<F: Future<Output = Result<T, Status>>>(
        &self,
        good: impl Fn(&T) -> bool,
        make: impl FnOnce(Option<T>) -> F,
    ) -> Result<T, Status> {
        let begun = Instant::now();
        let mut slot = self.0.lock().await;
        if let Some(made) = slot.made.as_ref().filter(|made| good(made)) {
            return Ok(made.clone());
        }
        if let Some((at, status)) = &slot.failed
            && *at > begun
        {
            return Err(status.clone());
        }
        let outcome = make(slot.made.clone()).await;
        match &outcome {
            Ok(made) => *slot = Slot { made: Some(made.clone()), failed: None },
            Err(status) => slot.failed = Some((Instant::now(), status.clone())),
        }
        outcome
    }

    /// The thing, if it was made.
    pub(in crate::csi::controller) async fn made(&self) -> Option<T> {
        self.0.lock().await.made.clone()
    }

    /// The thing, if it was made and nobody makes it anew just now.
    pub(in crate::csi::controller) fn at_hand(&self) -> Option<T> {
        self.0.try_lock().ok()?.made.clone()
    }

    /// Drops what is there, where it is `bad`.
    pub(in crate::csi::controller) async fn forget(&self, bad: impl Fn(&T) -> bool) {
        let mut slot = self.0.lock().await;
        if slot.made.as_ref().is_some_and(bad) {
            slot.made = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use tokio::{task::JoinSet, time::sleep};
    use tonic::Code;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn all_who_wait_share_one_try() {
        let (flight, began) = (Arc::new(Flight::default()), Instant::now());
        assert_eq!(flight.made().await, None);
        for outcome in [Err(Status::unavailable("dead")), Ok(7)] {
            let mut callers = JoinSet::new();
            for _ in 0..50 {
                let (flight, outcome) = (flight.clone(), outcome.clone());
                callers.spawn(async move {
                    let make = |_| async {
                        sleep(Duration::from_secs(1)).await;
                        outcome
                    };
                    flight.get(|_| true, make).await.map_err(|status| status.code())
                });
            }
            let expected = outcome.map_err(|status: Status| status.code());
            assert!(callers.join_all().await.iter().all(|got| *got == expected));
        }
        assert_eq!(began.elapsed(), Duration::from_secs(2));
        assert_eq!(flight.get(|_| true, |_| async { unreachable!() }).await.unwrap(), 7);
        assert_eq!(flight.at_hand(), Some(7));
        let anew = |_| async { Ok(flight.at_hand().map_or(7, |_| 8)) };
        assert_eq!(flight.get(|_| false, anew).await.unwrap(), 7);
        flight.forget(|number| *number == 8).await;
        assert_eq!(flight.made().await, Some(7));
        assert_eq!(
            flight.get(|number| *number > 7, |old| async move { Ok(old.unwrap() + 1) }).await.unwrap(),
            8
        );
        flight.forget(|number| *number == 8).await;
        let failed = flight.get(|_| true, |old| async move { old.ok_or_else(|| Status::aborted("")) }).await;
        assert_eq!(failed.unwrap_err().code(), Code::Aborted);
    }
}
