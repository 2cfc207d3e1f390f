//! One thing at a time is done to a volume.

use std::{
    collections::BTreeSet,
    future::Future,
    sync::{Arc, Mutex, MutexGuard},
};

use tonic::{Code, Status};
use tracing::Instrument;

use super::{
    server,
    status::{defect, failed},
};
use crate::mount::lock::lock;

/// The volumes that something is being done to, by their ids, or by their names where they have no id yet. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Operations(Arc<Mutex<BTreeSet<String>>>);

/// A volume that nobody else does anything to, until all clones are dropped.
#[derive(Debug, Clone)]
#[must_use]
pub struct Guard {
    _held: Arc<Held>,
}

#[derive(Debug)]
struct Held {
    operations: Operations,
    id: String,
}

impl Operations {
    /// Takes a volume, and names it in the log line of the call.
    ///
    /// # Errors
    /// `ABORTED` while another call has it, as CSI wants: the caller asks again later.
    pub fn begin(&self, id: &str) -> Result<Guard, Status> {
        server::about(id);
        self.begin_also(id)
    }

    /// The same for another id of the volume that the call is about.
    pub(super) fn begin_also(&self, id: &str) -> Result<Guard, Status> {
        if !self.volumes().insert(id.to_owned()) {
            let sentence = "another call is being carried out for this volume: ask again when it has ended";
            return Err(failed(Code::Aborted, sentence));
        }
        Ok(Guard { _held: Arc::new(Held { operations: self.clone(), id: id.to_owned() }) })
    }

    fn volumes(&self) -> MutexGuard<'_, BTreeSet<String>> {
        // An insert or a remove is whole or has not happened.
        lock(&self.0)
    }
}

impl Guard {
    /// Does something to the volume to its end, also where whoever asked has gone or waits no longer: a call that comes
    /// meanwhile is `ABORTED`, and one that comes later finds nothing half done.
    ///
    /// # Errors
    /// Those of `work`.
    pub async fn whole<T: Send + 'static>(
        self,
        work: impl Future<Output = Result<T, Status>> + Send + 'static,
    ) -> Result<T, Status> {
        let work = async move {
            let outcome = work.await;
            drop(self);
            outcome
        };
        tokio::spawn(work.in_current_span()).await.unwrap_or_else(|error| Err(defect(error)))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.operations.volumes().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[test]
    fn a_volume_is_taken_by_one_at_a_time() {
        let operations = Operations::default();
        let guard = operations.begin("a").unwrap();
        assert_eq!(operations.begin("a").unwrap_err().code(), Code::Aborted);
        let other = operations.begin("b").unwrap();
        let clone = guard.clone();
        drop((guard, other));
        assert_eq!(operations.begin("a").unwrap_err().code(), Code::Aborted);
        drop(clone);
        drop(operations.begin("a").unwrap());
        assert!(operations.volumes().is_empty());
    }

    #[tokio::test]
    async fn work_goes_on_when_nobody_waits_for_it() {
        let operations = Operations::default();
        let (release, released) = oneshot::channel::<()>();
        let (done, is_done) = oneshot::channel();
        let work = operations.begin("a").unwrap().whole(async move {
            released.await.unwrap();
            done.send(()).unwrap();
            Ok(())
        });
        let waiting = tokio::spawn(work);
        tokio::task::yield_now().await;
        waiting.abort();
        assert!(waiting.await.unwrap_err().is_cancelled());
        assert_eq!(operations.begin("a").unwrap_err().code(), Code::Aborted);
        release.send(()).unwrap();
        is_done.await.unwrap();
        tokio::task::yield_now().await;
        drop(operations.begin("a").unwrap());
    }

    #[tokio::test]
    async fn a_panic_frees_the_volume_and_is_reported() {
        let operations = Operations::default();
        let defect = operations.begin("a").unwrap().whole::<()>(async { panic!("on purpose") }).await;
        assert_eq!(defect.unwrap_err().code(), Code::Internal);
        drop(operations.begin("a").unwrap());
    }
}
