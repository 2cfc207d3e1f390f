//! Looking at volumes.

use std::{path::Path, sync::Arc};

use super::{plan::conditions::OF_BRICKS, world::Target};
use crate::{
    client,
    mount::installed::Installed,
    storage::check::{self, Report},
};

/// Looks at volumes; a script in tests.
pub trait Prober: Send + Sync + 'static {
    /// Looks at one. Where `bricks` is set the state of its bricks too, which takes the lock of the volume.
    fn look(&self, target: Target, bricks: bool) -> impl Future<Output = Report> + Send;
}

/// Looks from this machine, by [`check`](mod@check).
#[derive(Debug, Clone)]
pub struct FromHere {
    /// How clusters are spoken to.
    pub client: client::Options,
}

impl Prober for FromHere {
    async fn look(&self, target: Target, bricks: bool) -> Report {
        // Asked each time: an image may be replaced beneath us. None is no fault of the volume.
        let installed = Installed::find(Path::new("glusterfs")).await.ok();
        let options = check::Options {
            client: self.client.clone(),
            installed: installed.map(|installed| installed.version()),
            kind: target.kind,
            allow: target.allow,
            quota: target.quota,
            status: bricks,
        };
        check::check(&target.servers, &target.volume, &options).await
    }
}

/// A report, with what only the state of the bricks tells from the time when it was asked for.
pub(super) fn completed(report: Report, before: Option<&Report>) -> Arc<Report> {
    let mut report = report;
    let Some(before) = before else { return Arc::new(report) };
    if !report.findings.iter().any(|finding| OF_BRICKS.contains(&finding.code)) {
        let of_bricks = before.findings.iter().filter(|finding| OF_BRICKS.contains(&finding.code));
        report.findings.extend(of_bricks.cloned());
        report.facts.capacity = report.facts.capacity.or(before.facts.capacity);
    }
    Arc::new(report)
}
