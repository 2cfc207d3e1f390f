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

/// What depends on the image of the operator, and on what the cluster lets in: where one has failed, both are asked again.
const OF_VERSIONS: [&str; 2] = ["op-version", "client-version"];

/// How much a look asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// What costs next to nothing: [`When::Always`](check::When).
    Cheap,
    /// Which clients may load the volume too, in the name of old ones.
    Versions,
    /// The state of the bricks too, which takes the lock of the volume: all that is to be asked once, [`is_once`].
    Bricks,
}

/// Looks at volumes; a script in tests.
pub trait Prober: Send + Sync + 'static {
    /// Looks at one.
    fn look(&self, target: Target, depth: Depth) -> impl Future<Output = Report> + Send;
}

/// Looks from this machine, by [`check`](mod@check).
#[derive(Debug, Clone)]
pub struct FromHere {
    /// How clusters are spoken to.
    pub client: client::Options,
}

impl Prober for FromHere {
    async fn look(&self, target: Target, depth: Depth) -> Report {
        // Asked each time: an image may be replaced beneath us. None is no fault of the volume.
        let installed = Installed::find(Path::new("glusterfs")).await.ok();
        let options = check::Options {
            client: self.client.clone(),
            installed: installed.map(|installed| installed.version()),
            kind: target.kind,
            allow: target.allow,
            quota: target.quota,
            status: depth == Depth::Bricks,
        };
        let Target { servers, volume, .. } = &target;
        if depth == Depth::Cheap {
            return check::check_again(servers, volume, &options).await;
        }
        let mut report = check::check(servers, volume, &options).await;
        // What is not known because it was not asked is not said.
        let is_asked = |code| depth == Depth::Bricks || !is_once(code) || OF_VERSIONS.contains(&code);
        report.findings.retain(|finding| is_asked(finding.code));
        report
    }
}

/// Whether the bricks have told what they are.
pub(super) fn has_bricks(report: &Report) -> bool {
    let of_bricks = report.findings.iter().filter(|finding| OF_BRICKS.contains(&finding.code));
    of_bricks.clone().any(|finding| finding.outcome != Outcome::Unknown)
}

/// How much a look asks where the bricks are not asked, by what was found before and whether it has failed. What has failed
/// because of a version may do so no more after an image, or an option, was changed.
pub(super) fn again<'f>(found: impl IntoIterator<Item = (&'f str, bool)>) -> Depth {
    let failed = found.into_iter().any(|(code, failed)| failed && OF_VERSIONS.contains(&code));
    if failed { Depth::Versions } else { Depth::Cheap }
}

/// Whether a report tells anything of this.
pub(super) fn tells(report: &Report, code: &str) -> bool {
    report.of(code).any(|finding| finding.outcome != Outcome::Unknown)
}

/// How much the nth look asks, where so much is wanted by what is known from earlier days. Once the bricks have told their
/// state, they are not asked for it again; while they do not, more and more seldom, but for a volume that is not accepted yet
/// because of other things.
pub(super) fn depth_of(wanted: Depth, before: Option<&Report>, nth: u64) -> Depth {
    let Some(before) = before.filter(|_| wanted == Depth::Bricks) else { return wanted };
    let asks = !has_bricks(before) && (nth.is_power_of_two() || before.outcome() == Outcome::Failed);
    match asks {
        true => Depth::Bricks,
        false => again(before.findings.iter().map(|found| (found.code, found.outcome == Outcome::Failed))),
    }
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
        // What was told holds until something else is.
        let kept = before.findings.iter().filter(|kept| is_kept(kept.code) && !tells(&report, kept.code));
        report.replace(kept.cloned().collect());
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
        let first = from_here.look(target.clone(), Depth::Bricks).await;
        // It has no bricks that could be asked: each is there, and unknown.
        for code in OF_BRICKS.iter().chain(&OF_A_MOMENT).chain(&[OF_A_MOUNT, "op-version"]) {
            assert!(first.of(code).next().is_some(), "{code} is not in {first:#?}");
        }
        assert!(!has_bricks(&first), "{first:#?}");
        let again = from_here.look(target.clone(), Depth::Versions).await;
        let once = again.findings.iter().map(|finding| finding.code).filter(|code| is_once(code));
        assert_eq!(once.collect::<Vec<_>>(), OF_VERSIONS, "{again:#?}");
        assert!(tells(&again, "op-version"), "{again:#?}");
        let next = from_here.look(target, Depth::Cheap).await;
        assert!(next.of("volfile").next().is_some(), "{next:#?}");
        assert!(next.findings.iter().all(|finding| !is_once(finding.code)), "{next:#?}");

        let first = completed(first, None);
        let words = completed(next, Some(&first));
        assert!(first.of("quota-daemon").chain(first.of("brick-online")).next().is_none(), "{first:#?}");
        assert_eq!(words.of("op-version").count(), 1);
        assert_eq!(words.of("file-system").count(), 1);
    }
}
