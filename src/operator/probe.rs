//! Looking at volumes.

use std::{path::Path, sync::Arc};

use super::world::Target;
use crate::{
    client,
    mount::installed::Installed,
    storage::check::{self, Outcome, Report, is_once},
};

/// What the state of the bricks tells for as long as they are these bricks.
const OF_BRICKS: [&str; 3] = ["file-system", "project-quota", "inode-size"];

/// What it tells of one moment: no obstacle, and nothing that is kept. A brick that does not run has no `brick-port`.
const OF_A_MOMENT: [&str; 2] = ["brick-online", "free-space"];

/// What only a mount host can tell.
const OF_A_MOUNT: &str = "quota-daemon";

/// Looks at volumes; a script in tests.
pub trait Prober: Send + Sync + 'static {
    /// Looks at one. Where `bricks` is set at what is to be asked once too, [`is_once`]: the state of the bricks takes the
    /// lock of the volume, and which clients may load it is asked in the name of old ones.
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
        let Target { servers, volume, .. } = &target;
        match bricks {
            true => check::check(servers, volume, &options).await,
            false => check::check_again(servers, volume, &options).await,
        }
    }
}

/// Whether the bricks have told what they are.
pub(super) fn has_bricks(report: &Report) -> bool {
    let of_bricks = report.findings.iter().filter(|finding| OF_BRICKS.contains(&finding.code));
    of_bricks.clone().any(|finding| finding.outcome != Outcome::Unknown)
}

/// Whether the nth look asks for the state of the bricks, where it is not known from earlier days. Once they have told it,
/// never again; while they do not, more and more seldom, but for a volume that is not accepted yet because of other things.
pub(super) fn asks_bricks(before: Option<&Report>, nth: u64) -> bool {
    before.is_none_or(|before| {
        !has_bricks(before) && (nth.is_power_of_two() || before.outcome() == Outcome::Failed)
    })
}

/// Whether what was found once is true until somebody asks again.
pub(super) fn is_kept(code: &str) -> bool {
    is_once(code) && !OF_A_MOMENT.contains(&code) && code != OF_A_MOUNT
}

/// A report as the operator uses it: with what is kept of the one before, where it does not tell that itself.
pub(super) fn completed(report: Report, before: Option<&Report>) -> Arc<Report> {
    let mut report = report;
    report.findings.retain(|finding| {
        let is_passing = OF_A_MOMENT.contains(&finding.code) && finding.outcome == Outcome::Unknown;
        finding.code != OF_A_MOUNT && !is_passing
    });
    for finding in report.findings.iter_mut().filter(|finding| OF_A_MOMENT.contains(&finding.code)) {
        finding.outcome = finding.outcome.min(Outcome::Warning);
    }
    if let Some(before) = before {
        let is_new = |code| report.of(code).next().is_none();
        let kept = before.findings.iter().filter(|finding| is_kept(finding.code) && is_new(finding.code));
        let kept = kept.cloned().collect::<Vec<_>>();
        report.findings.extend(kept);
        report.facts.capacity = report.facts.capacity.or(before.facts.capacity);
    }
    Arc::new(report)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        server::{Limits, Server},
        storage::{parameters::Allow, record::QuotaPolicy},
        transport::{Listener, ServerAddress},
        volfile::example::Example,
    };

    #[tokio::test]
    async fn a_look_asks_once_what_is_to_be_asked_once() {
        let server = Server::new(Limits::default());
        server
            .publish("vol", Example::new("vol", 1, [("127.0.0.1", "/b")]).volfile().render().unwrap())
            .unwrap();
        let listener = Listener::tcp("127.0.0.1:0".parse().unwrap()).unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move { server.serve(listener).await });
        let target = Target {
            servers: vec![ServerAddress::tcp("127.0.0.1", port).unwrap()],
            volume: "vol".to_owned(),
            kind: Default::default(),
            allow: Allow::default(),
            quota: QuotaPolicy::default(),
            check: None,
        };
        let from_here = FromHere { client: client::Options::default() };
        let first = from_here.look(target.clone(), true).await;
        // It has no bricks that could be asked: each is there, and unknown.
        for code in OF_BRICKS.iter().chain(&OF_A_MOMENT).chain(&[OF_A_MOUNT, "op-version"]) {
            assert!(first.of(code).next().is_some(), "{code} is not in {first:#?}");
        }
        assert!(!has_bricks(&first), "{first:#?}");
        let next = from_here.look(target, false).await;
        assert!(next.of("volfile").next().is_some(), "{next:#?}");
        assert!(next.findings.iter().all(|finding| !is_once(finding.code)), "{next:#?}");

        let first = completed(first, None);
        let words = completed(next, Some(&first));
        assert!(first.of("quota-daemon").chain(first.of("brick-online")).next().is_none(), "{first:#?}");
        assert_eq!(words.of("op-version").count(), 1);
        assert_eq!(words.of("file-system").count(), 1);
    }
}
