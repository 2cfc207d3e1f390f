use glusterd_client::{
    client::{Fetched, digest},
    volfile::{Graph, Severity, Volfile, checks},
};
use serde_json::json;

use super::{Exit, Failure, Format, invalid, output};

/// `--check`: what the volume is, and what is wrong with it.
pub(super) fn run(volume: &str, fetched: &Fetched, format: Format) -> Result<(), Failure> {
    let volfile = Volfile::parse(&fetched.text[..]).map_err(|error| invalid(&[error.to_string()]))?;
    let graph = Graph::new(&volfile).ok_or_else(|| invalid(&["no volume in it".to_owned()]))?;
    let (kind, problems, checks) = (graph.kind(), graph.problems(), checks(&graph));
    if format == Format::Json {
        let object = json!({
            "volume": volume,
            "server": fetched.server.to_string(),
            "digest": digest(&fetched.text),
            "kind": kind,
            "problems": problems,
            "checks": checks,
        });
        output::print(format!("{object:#}\n").as_bytes())?;
    } else {
        let mut text = format!("{volume}: {kind}\n");
        for brick in kind.bricks() {
            text += &format!("    {brick}\n");
        }
        for line in problems.iter().map(ToString::to_string).chain(checks.iter().map(ToString::to_string)) {
            text += &format!("{line}\n");
        }
        output::print(text.as_bytes())?;
    }
    let faults = problems.iter().filter(|p| p.severity() == Severity::Error).map(ToString::to_string);
    let faults = Vec::from_iter(faults);
    if !faults.is_empty() {
        return Err(invalid(&faults));
    }
    match checks.iter().filter(|check| check.severity == Severity::Error).count() {
        0 => Ok(()),
        count => Err(Failure::new(Exit::CheckFailed, format_args!("{volume}: {count} of the checks failed"))),
    }
}
