//! What the driver asks before it makes the first PV of a pool.

use super::{
    Wanted,
    finding::{Finding, Outcome},
    heard::Shape,
    volume,
};
use crate::{
    glusterd::cli::VolumeInfo,
    storage::{
        error::{Error, Reason},
        parameters::{Allow, PvKind},
        record::QuotaPolicy,
    },
    volfile::{Graph, Kind},
};

/// What was learned of a volume from its volfile and its server.
#[derive(Debug, Clone)]
pub struct Examined {
    shape: Shape,
    info: Option<VolumeInfo>,
}

impl Examined {
    /// Looks at a volume; `info` where a server tells remote hosts of it.
    pub fn new(graph: &Graph<'_>, info: Option<&VolumeInfo>) -> Self {
        Self { shape: Shape::new(graph), info: info.cloned() }
    }

    /// What kind of volume it is.
    pub fn kind(&self) -> &Kind {
        &self.shape.kind
    }

    fn findings(&self, kind: PvKind, allow: Allow) -> Vec<Finding> {
        // What a size is worth is no matter of the volfile.
        let wanted = Wanted { kind, allow, quota: QuotaPolicy::Off };
        volume::suits(&self.shape, self.info.as_ref(), wanted)
    }

    /// Refuses a volume that cannot hold such PVs, with every reason.
    ///
    /// # Errors
    /// [`Reason::Precondition`].
    pub fn suits(&self, kind: PvKind, allow: Allow) -> Result<(), Error> {
        let findings = self.findings(kind, allow);
        let failed = findings.iter().filter(|finding| finding.outcome == Outcome::Failed);
        let reasons: Vec<_> = failed.map(Finding::sentence).collect();
        if reasons.is_empty() {
            return Ok(());
        }
        let kind = self.kind();
        let sentence = format!("volume {} ({kind}) cannot hold PVs: {}", kind.volume, reasons.join("; "));
        Err(Error::new(Reason::Precondition, sentence))
    }

    /// What the admin should know although it holds such PVs, a sentence each.
    pub fn warnings(&self, kind: PvKind, allow: Allow) -> impl Iterator<Item = String> {
        let warnings = self.findings(kind, allow).into_iter();
        warnings.filter(|finding| finding.outcome == Outcome::Warning).map(|finding| finding.sentence())
    }
}
