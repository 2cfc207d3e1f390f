//! The lease in the API.

use std::time::Duration;

use k8s_openapi::{
    api::coordination::v1::{Lease as Object, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::{
    election::{Election, Lease, Step, Times},
    troubles::Troubles,
};

/// Its name.
pub const LEASE: &str = "kadalu-operator";

/// Where the lease is, and who wants it.
pub(super) struct Candidate {
    api: Api<Object>,
    me: String,
    times: Times,
    troubles: Troubles,
}

impl Candidate {
    pub(super) fn new(client: Client, namespace: &str, me: String, times: Times, troubles: Troubles) -> Self {
        Self { api: Api::namespaced(client, namespace), me, times, troubles }
    }

    /// Says by `leader` whether we may work, until `stop`; then lets go of the lease.
    pub(super) async fn run(self, leader: watch::Sender<bool>, stop: CancellationToken) {
        let mut election = Election::new(self.me.clone(), self.times);
        while !stop.is_cancelled() {
            // A call that hangs must not make us believe what is long untrue.
            let round = timeout(self.times.renewed - self.times.retry, self.round(&mut election)).await;
            let failed = match round {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some("the API does not answer".to_owned()),
            };
            self.troubles.set("the lease", failed);
            let leads = election.leads(Instant::now());
            if leader.send_if_modified(|before| std::mem::replace(before, leads) != leads) {
                info!(target: "kadalu", me = self.me, leads, "the lease");
            }
            tokio::select! {
                () = tokio::time::sleep(jittered(self.times.retry)) => {}
                () = stop.cancelled() => {}
            }
        }
        if election.leads(Instant::now()) {
            leader.send_replace(false);
            // Who waits for it sees that the lease is unchanged, and takes it when its time is up.
            let _ = timeout(self.times.retry, self.release()).await;
        }
    }

    async fn round(&self, election: &mut Election) -> Result<(), kube::Error> {
        let begun = Instant::now();
        let found = self.api.get_opt(LEASE).await?;
        let step = election.observe(found.as_ref().map(read), begun);
        let written = match (step, found) {
            (Step::Wait, _) => return Ok(()),
            (_, None) => {
                let metadata = ObjectMeta { name: Some(LEASE.to_owned()), ..Default::default() };
                let lease = Object { metadata, spec: Some(self.spec(None, true)) };
                self.api.create(&PostParams::default(), &lease).await
            }
            (step, Some(found)) => {
                let lease =
                    Object { spec: Some(self.spec(found.spec.as_ref(), step == Step::Take)), ..found };
                self.api.replace(LEASE, &PostParams::default(), &lease).await
            }
        };
        match written {
            Ok(_) => election.written(begun),
            // Another was faster.
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Ours from now on, or still.
    fn spec(&self, before: Option<&LeaseSpec>, taken: bool) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        let transitions = before.and_then(|spec| spec.lease_transitions);
        let acquired = before.and_then(|spec| spec.acquire_time.clone()).filter(|_| !taken);
        LeaseSpec {
            holder_identity: Some(self.me.clone()),
            lease_duration_seconds: Some(self.times.lease.as_secs().clamp(1, 3600) as i32),
            acquire_time: Some(acquired.unwrap_or_else(|| now.clone())),
            renew_time: Some(now),
            lease_transitions: match before {
                Some(_) if taken => Some(transitions.unwrap_or(0).saturating_add(1)),
                _ => transitions.or(Some(0)),
            },
            ..Default::default()
        }
    }

    /// So that another can take it at once.
    async fn release(&self) -> Result<(), kube::Error> {
        let Some(found) = self.api.get_opt(LEASE).await? else { return Ok(()) };
        if read(&found).holder.as_ref() != Some(&self.me) {
            return Ok(());
        }
        let spec = LeaseSpec { holder_identity: None, ..self.spec(found.spec.as_ref(), false) };
        let lease = Object { spec: Some(spec), ..found };
        self.api.replace(LEASE, &PostParams::default(), &lease).await.map(drop)
    }
}

fn read(lease: &Object) -> Lease {
    let spec = lease.spec.clone().unwrap_or_default();
    let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    Lease {
        holder: spec.holder_identity,
        duration: Duration::from_secs(seconds.unwrap_or(0)),
        stamp: lease.metadata.resource_version.clone().unwrap_or_default(),
    }
}

/// A time or somewhat less, so that many do not ask at the same moment.
pub(super) fn jittered(time: Duration) -> Duration {
    time.mul_f64(0.8 + 0.2 * fastrand::f64())
}
