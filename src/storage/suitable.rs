//! Whether a volume can be the home of PVs, before the first one is made there.

use std::fmt::Write;

use super::{
    error::{Error, Reason},
    parameters::{Allow, PvKind},
};
use crate::{
    glusterd::cli::{VolumeInfo, VolumeStatus},
    volfile::{Check, Graph, Kind, Severity, checks},
};

/// What was learned of a volume from its volfile and its server.
#[derive(Debug, Clone)]
pub struct Examined {
    kind: Kind,
    checks: Vec<Check>,
    /// What the server says besides, a sentence each.
    refused: Vec<String>,
}

impl Examined {
    /// Looks at a volume; `info` where a server tells remote hosts of it.
    pub fn new(graph: &Graph<'_>, info: Option<&VolumeInfo>) -> Self {
        let refused = info.map(told).unwrap_or_default();
        Self { kind: graph.kind(), checks: checks(graph), refused }
    }

    /// What kind of volume it is.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Refuses a volume that cannot hold such PVs, with every reason.
    ///
    /// # Errors
    /// [`Reason::Precondition`].
    pub fn suits(&self, kind: PvKind, allow: Allow) -> Result<(), Error> {
        let mut reasons = self.refused.clone();
        // The mount host gives the snapshot daemon its host.
        let errors = self
            .checks
            .iter()
            .filter(|check| check.severity == Severity::Error && check.code != "no-remote-host");
        reasons.extend(errors.map(|check| check.advice.to_owned()));
        if kind == PvKind::Subdirectory {
            let defeated = [
                (self.kind.layout.width() > 1 && !allow.distribute, "distribute", DISTRIBUTED),
                (self.kind.shard && !allow.shard, "shard", SHARDED),
            ];
            let defeated = defeated.into_iter().filter(|(holds, ..)| *holds);
            reasons.extend(
                defeated.map(|(_, word, why)| format!("{why} (the parameter allow={word} permits it)")),
            );
        }
        if reasons.is_empty() {
            return Ok(());
        }
        let mut sentence = format!("volume {} ({}) cannot hold PVs", self.kind.volume, self.kind);
        for (n, reason) in reasons.iter().enumerate() {
            // Writing to a string cannot fail.
            let _ = write!(sentence, "{} {reason}", if n == 0 { ":" } else { ";" });
        }
        Err(Error::new(Reason::Precondition, sentence))
    }

    /// What the admin should know although it holds PVs, a sentence each.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        self.checks.iter().filter(|check| check.severity == Severity::Warning).map(|check| {
            format!("{}{}", check.volume.iter().map(|of| format!("{of}: ")).collect::<String>(), check.advice)
        })
    }
}

const DISTRIBUTED: &str = "its files are distributed over several sets of bricks, each of which has the limit of a \
                           directory to itself: sizes of PVs cannot be enforced";
const SHARDED: &str = "pieces of its files lie in /.shard, where no directory's limit counts them: sizes of PVs cannot be enforced";

fn told(info: &VolumeInfo) -> Vec<String> {
    let name = &info.name;
    let mut refused = Vec::new();
    match info.status {
        VolumeStatus::Created => {
            refused.push(format!("it was never started: run `gluster volume start {name}`"));
        }
        VolumeStatus::Stopped => refused.push(format!("it is stopped: run `gluster volume start {name}`")),
        VolumeStatus::Started | VolumeStatus::Other(_) => {}
    }
    for (option, why) in [
        ("features.read-only", "nothing can be written"),
        ("features.worm", "what is written cannot be changed"),
    ] {
        let on = |value: &String| {
            matches!(value.to_ascii_lowercase().as_str(), "on" | "enable" | "true" | "yes" | "1")
        };
        if info.options.get(option).is_some_and(on) {
            refused.push(format!("{option} is on and {why}: run `gluster volume reset {name} {option}`"));
        }
    }
    refused
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volfile::{Volfile, example::Example};

    const ALL: Allow = Allow { distribute: true, shard: true };

    fn info(status: VolumeStatus, options: &[(&str, &str)]) -> VolumeInfo {
        let options = options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        VolumeInfo {
            name: "vol".to_owned(),
            id: None,
            status,
            kind: 2,
            replica_count: 3,
            arbiter_count: 0,
            disperse_count: 0,
            redundancy_count: 0,
            thin_arbiter: None,
            snapshot_count: 0,
            bricks: Vec::new(),
            options: options.collect(),
        }
    }

    fn of(volfile: &Volfile<'_>, info: Option<&VolumeInfo>) -> Examined {
        Examined::new(&Graph::new(volfile).unwrap(), info)
    }

    fn real(name: &str) -> Examined {
        let path = format!("{}/tests/volfiles/real/{name}.vol", env!("CARGO_MANIFEST_DIR"));
        of(&Volfile::parse(&std::fs::read(path).unwrap()).unwrap(), None)
    }

    fn refused(examined: &Examined, kind: PvKind, allow: Allow) -> String {
        let error = examined.suits(kind, allow).unwrap_err();
        assert_eq!(error.reason(), Reason::Precondition);
        error.to_string()
    }

    #[test]
    fn real_volumes_of_one_set_hold_pvs() {
        for name in ["replica3", "replica2", "arbiter", "thin", "disperse", "single", "tls", "uss"] {
            real(name)
                .suits(PvKind::Subdirectory, Allow::default())
                .unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        assert_eq!(real("single").warnings().count(), 1);
    }

    #[test]
    fn what_defeats_the_limit_of_a_directory_is_refused_unless_allowed() {
        for name in ["dist", "distrep", "distdisp"] {
            let examined = real(name);
            let sentence =
                refused(&examined, PvKind::Subdirectory, Allow { shard: true, ..Allow::default() });
            assert!(sentence.contains("allow=distribute"), "{sentence}");
            examined.suits(PvKind::Subdirectory, ALL).unwrap();
            examined.suits(PvKind::Whole, Allow::default()).unwrap();
        }
        let sentence =
            refused(&real("shard"), PvKind::Subdirectory, Allow { distribute: true, ..Allow::default() });
        assert!(sentence.contains("allow=shard") && sentence.contains("/.shard"), "{sentence}");
    }

    #[test]
    fn what_serves_nobody_is_refused_for_every_pv() {
        let good = Example::with_bricks("vol", 3, 3).volfile();
        for (info, expected) in [
            (info(VolumeStatus::Created, &[]), "gluster volume start vol"),
            (info(VolumeStatus::Stopped, &[]), "it is stopped"),
            (info(VolumeStatus::Started, &[("features.worm", "Enable")]), "features.worm is on"),
            (
                info(VolumeStatus::Started, &[("features.read-only", "on")]),
                "gluster volume reset vol features.read-only",
            ),
        ] {
            let sentence = refused(&of(&good, Some(&info)), PvKind::Whole, ALL);
            assert!(sentence.contains(expected), "{sentence}");
        }
        let started = info(VolumeStatus::Started, &[("features.worm", "off")]);
        of(&good, Some(&started)).suits(PvKind::Subdirectory, Allow::default()).unwrap();
        let mut snapshot = good.clone();
        snapshot.volume("ro", "features/read-only").option("read-only", "on").subvolumes(["vol"]);
        let sentence = refused(&of(&snapshot, None), PvKind::Whole, ALL);
        assert!(sentence.contains("nothing can be written"), "{sentence}");
    }
}
