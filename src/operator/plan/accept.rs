//! Which spec is in force: an edit is taken up where no PV loses its volume by it.

use crate::{
    operator::{
        crd::StatusFinding,
        probe::{has_bricks, is_kept, tells},
        world::{ACCEPT, Object, Target, World},
    },
    storage::{
        check::{CODES, Finding, Outcome, Report},
        config::{Fault, Storage, StorageConfig},
    },
};

/// Sentences that are shown of many.
const SHOWN: usize = 8;

/// Why something is not so: a word for scripts and a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Why {
    pub(super) reason: String,
    pub(super) message: String,
}

impl Why {
    pub(super) fn new(reason: &str, message: impl Into<String>) -> Self {
        Self { reason: reason.to_owned(), message: message.into() }
    }
}

/// What becomes of a spec.
#[derive(Debug)]
pub(super) enum Decision {
    /// An older storage has the name.
    Rival(String),
    /// It makes no sense; what was in force stays.
    Invalid { faults: String, current: Option<Box<StorageConfig>> },
    /// It is in force.
    InForce {
        config: Box<StorageConfig>,
        /// The id of the volume, where it is another one than before and was accepted.
        volume_id: Option<String>,
    },
    /// Another volume has taken the name; what was in force stays, and is not used.
    Replaced { config: Box<StorageConfig>, id: String },
    /// It is not in force, or not yet; `why` is none where nobody knows yet.
    Waits { wanted: Option<Box<StorageConfig>>, current: Option<Box<StorageConfig>>, why: Option<Why> },
}

impl Decision {
    /// What classes and entry are made of.
    pub(super) fn in_force(&self, world: &World<'_>) -> Option<StorageConfig> {
        let config = match self {
            Self::Rival(_) => None,
            Self::InForce { config, .. } | Self::Replaced { config, .. } => Some(config),
            Self::Invalid { current, .. } | Self::Waits { current, .. } => current.as_ref(),
        };
        let mut config = StorageConfig::clone(config?);
        // The id that kadalu gave it: its driver may know it by that.
        let before = || world.object.in_force()?.volume_id;
        config.volume_id = config.volume_id.or_else(before).or_else(|| id_of_kadalu(world));
        Some(config)
    }

    /// Whether the PVs of its classes are its own, also where it makes no sense now.
    pub(super) fn has_the_name(&self, world: &World<'_>) -> bool {
        !matches!(self, Self::Rival(_)) && namesake(world.object).is_none()
    }

    /// The id of the volume that the driver may use.
    pub(super) fn volume_id<'w>(&'w self, world: &World<'w>) -> Option<&'w str> {
        match self {
            Self::InForce { volume_id: Some(id), .. } => Some(id),
            _ => world.object.status.volume_id.as_deref(),
        }
    }

    /// Which volumes are looked at.
    pub(super) fn targets(&self, world: &World<'_>) -> Vec<Target> {
        let (current, wanted) = match self {
            Self::Rival(_) => (None, None),
            Self::InForce { config, .. } | Self::Replaced { config, .. } => (Some(config), None),
            Self::Invalid { current, .. } => (current.as_ref(), None),
            Self::Waits { wanted, current, .. } => (current.as_ref(), wanted.as_ref()),
        };
        current.into_iter().chain(wanted).map(|config| Target::of(world.object, config)).collect()
    }
}

/// Decides.
pub(super) fn decide(world: &World<'_>) -> Decision {
    let object = world.object;
    if let Some(rival) = &world.rival {
        return Decision::Rival(rival.clone());
    }
    let current = object.in_force().map(Box::new);
    let wanted = match &object.config {
        Ok(Storage::External(config)) => config.clone(),
        Ok(Storage::Foreign { kind, .. }) => {
            let faults = format!("spec.type was External and is {kind}: give the other storage another name");
            return Decision::Invalid { faults, current };
        }
        Err(faults) => return Decision::Invalid { faults: sentences(faults), current },
    };
    if let Some(other) = namesake(object) {
        let faults = format!(
            "a storage named {} has the storage class kadalu.{0}, which is that of a storage named {other}: give it another name",
            object.name
        );
        return Decision::Invalid { faults, current };
    }
    let Some(current) = current else { return first(world, wanted) };
    let same = shares_server(&current, &wanted);
    let volume = current.parameters.volume != wanted.parameters.volume;
    let kind = current.parameters.kind.unwrap_or_default() != wanted.parameters.kind.unwrap_or_default();
    if same && !volume && !kind {
        return match stranger(world, &current, &wanted) {
            Ok(()) => in_force(world, wanted),
            Err(why) => Decision::Waits { wanted: Some(wanted), current: Some(current), why },
        };
    }
    let users = users(world);
    if volume && let Some(users) = &users {
        let (old, new) = (name(&current), name(&wanted));
        let message = format!(
            "{users} of the volume {old}, so {new} is not taken up: write gluster_volname: {old} again, and make another \
             storage for {new}"
        );
        return Decision::Waits {
            wanted: None,
            current: Some(current),
            why: Some(Why::new("VolumeChanged", message)),
        };
    }
    if kind && let Some(users) = &users {
        let message = format!(
            "{users}, and what they are cannot change between a directory and the whole of a volume: put single_pv_per_pool \
             back, and make another storage with another volume"
        );
        return Decision::Waits {
            wanted: None,
            current: Some(current),
            why: Some(Why::new("KindChanged", message)),
        };
    }
    let is_of_it = same && !volume;
    // Also where nobody is on it: who edits something else does not accept another volume.
    if is_of_it && let Decision::Replaced { config, id } = in_force(world, current.clone()) {
        return Decision::Replaced { config, id };
    }
    match candidate(world, &wanted) {
        // The look at what is in force tells it too, soon.
        Ok(Some(id)) if is_of_it && is_another(world, &id) => {
            Decision::Waits { wanted: Some(wanted), current: Some(current), why: None }
        }
        Ok(id) if users.is_some() && object.status.volume_id != id => {
            let message = format!(
                "{} of the volume with the id {}, and the new servers have {}: name servers of the cluster that it was, and \
                 make another storage for the other cluster",
                users.unwrap_or_default(),
                object.status.volume_id.as_deref().unwrap_or("that nobody has told"),
                id.as_deref().unwrap_or("one whose id they do not tell"),
            );
            let why = Some(Why::new("ClusterChanged", message));
            Decision::Waits { wanted: Some(wanted), current: Some(current), why }
        }
        Ok(id) => Decision::InForce { config: wanted, volume_id: id },
        Err(why) => Decision::Waits { wanted: Some(wanted), current: Some(current), why },
    }
}

/// The storage whose class has the name that one of this storage would have.
fn namesake(object: &Object) -> Option<&str> {
    object.name.strip_prefix("external.")
}

fn first(world: &World<'_>, wanted: Box<StorageConfig>) -> Decision {
    match candidate(world, &wanted) {
        Ok(id) => Decision::InForce { config: wanted, volume_id: id },
        Err(why) => Decision::Waits { wanted: Some(wanted), current: None, why },
    }
}

/// What concerns the same volume as before is in force, unless that is another one now.
fn in_force(world: &World<'_>, config: Box<StorageConfig>) -> Decision {
    let told = world
        .reports
        .get(&Target::of(world.object, &config).to_string())
        .and_then(|report| report.facts.id.clone());
    match told {
        Some(id) if is_another(world, &id) => Decision::Replaced { config, id },
        told => Decision::InForce { config, volume_id: told },
    }
}

/// Whether this is the id of another volume than the storage's, and nobody has accepted it.
fn is_another(world: &World<'_>, id: &String) -> bool {
    let known = world.object.status.volume_id.as_ref();
    known.is_some_and(|known| known != id) && world.object.accept.as_ref() != Some(id)
}

/// Whether a server of an edit may be of another cluster: then mounts could go there. Known ones are not, and of others a look
/// tells; one that is silent now is none of another.
fn stranger(world: &World<'_>, current: &StorageConfig, wanted: &StorageConfig) -> Result<(), Option<Why>> {
    let known = |server| {
        let learned = &world.object.status.servers;
        current.parameters.servers.contains(server) || learned.contains(&server.to_string())
    };
    if wanted.parameters.servers.iter().all(known) {
        return Ok(());
    }
    let report = world.reports.get(&Target::of(world.object, wanted).to_string()).ok_or(None)?;
    let others = report.of("cluster").filter(|finding| finding.outcome == Outcome::Failed);
    match others.map(|finding| StatusFinding::from(finding).to_string()).collect::<Vec<_>>() {
        none if none.is_empty() => Ok(()),
        others => Err(Some(Why::new("ClusterChanged", listed(others, "; ")))),
    }
}

/// The id of a volume that can be taken up; why not where it cannot, nothing where it was not looked at yet.
fn candidate(world: &World<'_>, wanted: &StorageConfig) -> Result<Option<String>, Option<Why>> {
    let target = Target::of(world.object, wanted).to_string();
    let report = world.reports.get(&target).ok_or(None)?;
    match unfit(world, &target, report) {
        Some(why) => Err(Some(why)),
        None => Ok(report.facts.id.clone()),
    }
}

/// What is not as it should be, in the order of [`CODES`]: by a report, and by the status where what is asked once was told
/// before the operator has started.
pub(super) fn found(world: &World<'_>, target: &str, report: &Report) -> Vec<StatusFinding> {
    let status = &world.object.status;
    let known = !has_bricks(report) && status.bricks_checked.as_deref() == Some(target);
    let is_lacking = |code: &str| is_kept(code) && !tells(report, code);
    let kept = status.findings.iter().filter(|kept| known && is_lacking(&kept.code));
    let kept = kept.cloned().collect::<Vec<_>>();
    let found = report.findings.iter().filter(|finding| finding.outcome != Outcome::Ok);
    let found = found.filter(|found| kept.iter().all(|kept| kept.code != found.code));
    let mut found = found.map(StatusFinding::from).chain(kept.iter().cloned()).collect::<Vec<_>>();
    found.sort_by_key(|found| CODES.iter().position(|known| known.code == found.code));
    found
}

/// Why a volume cannot be the home of PVs.
pub(super) fn unfit(world: &World<'_>, target: &str, report: &Report) -> Option<Why> {
    if let Err(why) = reachable(&report.findings) {
        return Some(Why::new("Unreachable", why));
    }
    let found = found(world, target, report);
    let failed = of_volume(&found, "failed");
    let seen = report.facts.id.is_some() || report.facts.digest.is_some();
    match failed.first() {
        Some(_) => Some(Why::new("AssumptionsNotMet", said(&failed))),
        None if !seen => Some(Why::new("NotSeen", "nobody has told anything of the volume")),
        None => None,
    }
}

/// What is so of the volume. Of servers one is enough, and `Reachable` tells of them.
pub(super) fn of_volume<'f>(found: &'f [StatusFinding], outcome: &str) -> Vec<&'f StatusFinding> {
    found.iter().filter(|found| found.code != "server" && found.outcome == outcome).collect()
}

/// How many servers answer, or why none does.
pub(super) fn reachable(findings: &[Finding]) -> Result<String, String> {
    let servers = findings.iter().filter(|finding| finding.code == "server").collect::<Vec<_>>();
    let (dead, alive) =
        servers.iter().copied().partition::<Vec<_>, _>(|finding| finding.outcome != Outcome::Ok);
    let dead = dead.into_iter().map(|finding| StatusFinding::from(finding).to_string()).collect::<Vec<_>>();
    let dead = if dead.is_empty() { String::new() } else { format!(": {}", listed(dead, "; ")) };
    match alive.len() {
        0 if !servers.is_empty() => Err(format!("no server answers{dead}")),
        alive => Ok(format!("{alive} of {} servers answer{dead}", servers.len())),
    }
}

/// Findings as sentences.
pub(super) fn said(findings: &[&StatusFinding]) -> String {
    listed(findings.iter().map(ToString::to_string).collect(), "; ")
}

/// The first of many, and how many more there are.
pub(super) fn listed(mut words: Vec<String>, between: &str) -> String {
    let more = words.len().saturating_sub(SHOWN);
    words.truncate(SHOWN);
    if more > 0 {
        words.push(format!("and {more} more"));
    }
    words.join(between)
}

/// `3 PVs are (pvc-1, pvc-2, …)`, where there are any.
pub(super) fn users(world: &World<'_>) -> Option<String> {
    let names = &world.users.names;
    let are = if names.len() == 1 { "PV is" } else { "PVs are" };
    let listed = listed(names.iter().cloned().collect(), ", ");
    (!names.is_empty()).then(|| format!("{} {are} ({listed})", names.len()))
}

/// What to do about another volume of the name.
pub(super) fn replaced(world: &World<'_>, config: &StorageConfig, id: &str) -> String {
    let known = world.object.status.volume_id.as_deref().unwrap_or_default();
    format!(
        "the volume {} has the id {id}, and was {known}: it was deleted and made anew, or the servers are of another cluster. \
         Nothing is made on it; if it is to take the place of the other: kubectl -n {} annotate kadalustorages {} \
         {ACCEPT}={id} --overwrite",
        name(config),
        world.object.namespace,
        world.object.name,
    )
}

fn sentences(faults: &[Fault]) -> String {
    let sentence = |fault: &Fault| match fault.path.as_str() {
        "" => fault.message.clone(),
        path => format!("{path}: {}", fault.message),
    };
    listed(faults.iter().map(sentence).collect(), "; ")
}

fn name(config: &StorageConfig) -> &str {
    config.parameters.volume.as_deref().unwrap_or_default()
}

fn shares_server(one: &StorageConfig, other: &StorageConfig) -> bool {
    one.parameters.servers.iter().any(|server| other.parameters.servers.contains(server))
}

/// The `volume_id` of the entry that is there: kadalu makes one where the storage says none.
fn id_of_kadalu(world: &World<'_>) -> Option<String> {
    let entry = serde_json::from_str::<serde_json::Value>(world.entry.as_deref()?).ok()?;
    entry.get("volume_id")?.as_str().map(str::to_owned)
}
