//! The status of a storage.

mod drifted;
mod quota;

use std::collections::BTreeSet;

use super::{
    Action,
    accept::{Decision, Why, found, of_volume, reachable, replaced, said, unfit},
    made::{Made, changed},
    written,
};
use crate::{
    operator::{
        crd::{Change, Condition, KadaluStorageStatus, StatusFinding, Truth},
        probe::has_bricks,
        world::{DriverView, Home, Target, World, shown},
    },
    storage::{
        check::{Outcome, Report},
        config::StorageConfig,
    },
    transport::MAX_SERVERS,
};

pub(super) const READY: &str = "Ready";
pub(super) const REACHABLE: &str = "Reachable";
pub(super) const ASSUMPTIONS: &str = "AssumptionsMet";
pub(super) const QUOTA: &str = "QuotaEnforced";
pub(super) const DRIFTED: &str = "Drifted";

/// In which conditions are shown.
const ORDER: [&str; 5] = [READY, REACHABLE, ASSUMPTIONS, QUOTA, DRIFTED];

/// Findings that are kept in a status.
const MAX_FINDINGS: usize = 64;

/// Bytes of a message; an event's is shorter.
const MAX_MESSAGE: usize = 2048;

/// A status that is being written.
#[derive(Debug)]
pub(super) struct Writer<'w> {
    world: &'w World<'w>,
    status: KadaluStorageStatus,
    /// What was changed by others and is put back.
    restored: Vec<String>,
    /// What was changed by others, soon after it was put back: it waits.
    withheld: Vec<String>,
    /// What has a name of ours and is not ours.
    not_ours: Vec<String>,
    changes: Vec<String>,
}

impl<'w> Writer<'w> {
    /// Begins with what stands there.
    pub(super) fn new(world: &'w World<'w>) -> Self {
        let mut status = world.object.status.clone();
        status.observed_generation = world.object.generation;
        let (restored, withheld) = (Vec::new(), Vec::new());
        Self { world, status, restored, withheld, not_ours: Vec::new(), changes: Vec::new() }
    }

    /// What has to be done for it.
    pub(super) fn end(mut self) -> Vec<Action> {
        let restored = self.restored.iter().map(|what| format!("{what}, and is put back")).collect();
        let what = [std::mem::take(&mut self.changes), restored].concat();
        if !what.is_empty() {
            self.status.last_change =
                Some(Change { time: self.world.now.to_owned(), what: shown(&what.join("; "), MAX_MESSAGE) });
        }
        self.status.conditions.sort_by_key(|one| ORDER.iter().position(|condition| *condition == one.type_));
        written(&self.world.object.status, self.status)
    }

    /// Somebody has changed what is ours; it is put back.
    pub(super) fn restored(&mut self, what: String) {
        self.restored.push(what);
    }

    /// Whether what is to be made is what was made before, and others have changed.
    pub(super) fn puts_back(&self, config: &StorageConfig) -> bool {
        !self.restored.is_empty() && !self.changes(config)
    }

    /// It is not put back now.
    pub(super) fn withhold(&mut self) {
        self.withheld = std::mem::take(&mut self.restored);
    }

    /// Somebody else has a name that would be ours.
    pub(super) fn not_ours(&mut self, what: String) {
        self.not_ours.push(what);
    }

    /// Whether this is another spec than the one that was in force.
    pub(super) fn changes(&self, config: &StorageConfig) -> bool {
        self.world.object.status.in_force.as_ref() != config.normal()["spec"].as_object()
    }

    /// What is in force now, and the classes of our making.
    pub(super) fn made(&mut self, config: &StorageConfig, classes: Vec<String>) {
        if self.changes(config) {
            let what = match self.world.object.in_force() {
                Some(before) => changed(&before, config),
                None => format!("taken up: StorageClass {}", classes.join(", ")),
            };
            self.changes.push(what);
        }
        self.status.in_force = config.normal()["spec"].as_object().cloned();
        self.status.volume = config.parameters.volume.clone();
        self.status.classes = classes;
    }

    /// All conditions.
    pub(super) fn conditions(&mut self, decision: &Decision, made: Option<&Made>) {
        let config = match decision {
            Decision::Rival(_) => None,
            Decision::InForce { config, .. } | Decision::Replaced { config, .. } => Some(config),
            Decision::Invalid { current, .. } => current.as_ref(),
            Decision::Waits { wanted, current, .. } => current.as_ref().or(wanted.as_ref()),
        };
        let report = config.and_then(|config| {
            self.world.reports.get(&Target::of(self.world.object, config).to_string()).cloned()
        });
        if let (Some(config), Some(report)) = (config, &report) {
            let volume_id = match decision {
                Decision::InForce { volume_id, .. } => volume_id.as_deref(),
                _ => None,
            };
            let found = self.found(config, report, volume_id);
            self.seen(report, &found);
            self.status.findings = found.into_iter().take(MAX_FINDINGS).collect();
        }
        self.quota(config.map(Box::as_ref));
        self.drifted(decision, made);
        self.ready(decision, made);
        for condition in ORDER {
            if !self.status.conditions.iter().any(|one| one.type_ == condition) {
                self.unknown(condition, "NotObserved", "it was not looked at yet");
            }
        }
    }

    /// What a look has told of the volume.
    fn found(
        &mut self,
        config: &StorageConfig,
        report: &Report,
        volume_id: Option<&str>,
    ) -> Vec<StatusFinding> {
        let facts = &report.facts;
        if let Some(id) = volume_id {
            if let Some(before) = self.status.volume_id.as_deref().filter(|before| *before != id) {
                self.changes.push(format!("the volume is the one with the id {id} now, and was {before}"));
            }
            self.status.volume_id = Some(id.to_owned());
        }
        if let Some(kind) = &facts.kind {
            self.status.kind = Some(kind.to_string());
        }
        if !facts.servers.is_empty() {
            let given = config.parameters.servers.iter().map(ToString::to_string).collect::<Vec<_>>();
            // In an order that does not depend on who has answered.
            let learned =
                facts.servers.iter().filter(|server| !given.contains(server)).collect::<BTreeSet<_>>();
            self.status.servers = given.iter().chain(learned).take(MAX_SERVERS).cloned().collect();
        }
        if let Some((total, free)) = facts.capacity {
            let capacity = self.status.capacity.get_or_insert_default();
            (capacity.total, capacity.free) = (Some(total), Some(free));
        }
        let target = Target::of(self.world.object, config).to_string();
        let found = found(self.world, &target, report);
        if has_bricks(report) {
            self.status.bricks_checked = Some(target);
        }
        found
    }

    /// `Reachable` and `AssumptionsMet`.
    fn seen(&mut self, report: &Report, found: &[StatusFinding]) {
        match reachable(&report.findings) {
            Err(why) => {
                self.set(REACHABLE, Truth::False, Why::new("NoServer", why));
                self.unknown(
                    ASSUMPTIONS,
                    "Unreachable",
                    "no server answers; what was found before stands in the findings",
                );
                return;
            }
            Ok(how) => {
                let all = report.of("server").all(|server| server.outcome == Outcome::Ok);
                let reason = if all { "AllServers" } else { "SomeServers" };
                self.set(REACHABLE, Truth::True, Why::new(reason, how));
            }
        }
        let (failed, warnings) = (of_volume(found, "failed"), of_volume(found, "warning"));
        let (truth, why) = match (failed.first(), warnings.as_slice()) {
            (Some(first), _) => (Truth::False, Why::new(&camel(&first.code), said(&failed))),
            (None, []) => (Truth::True, Why::new("AllMet", "the volume can hold PVs")),
            (None, warnings) => (Truth::True, Why::new("Warnings", said(warnings))),
        };
        self.set(ASSUMPTIONS, truth, why);
    }

    fn ready(&mut self, decision: &Decision, made: Option<&Made>) {
        match decision {
            Decision::Rival(rival) => self.ready_not(Why::new(
                "NameTaken",
                format!("the storage {rival} is older and has this name, and names of storage classes are for all namespaces: take another name"),
            )),
            Decision::Invalid { faults, .. } => self.ready_not(Why::new("InvalidConfiguration", faults.clone())),
            Decision::Replaced { config, id } => {
                self.ready_not(Why::new("VolumeReplaced", replaced(self.world, config, id)));
            }
            Decision::Waits { current: None, why: Some(why), .. } => self.ready_not(why.clone()),
            Decision::Waits { current: None, why: None, .. } => match self.kept(READY) {
                Some(_) => {}
                None => self.unknown(READY, "Checking", "the volume is being looked at"),
            },
            Decision::InForce { config, .. } | Decision::Waits { current: Some(config), .. }
                if self.is_still_replaced(config) => {}
            Decision::InForce { .. } | Decision::Waits { .. } => self.ready_as_seen(made),
        }
    }

    /// `Ready` of what is in force.
    fn ready_as_seen(&mut self, made: Option<&Made>) {
        let of = |condition: &str| self.status.conditions.iter().find(|one| one.type_ == condition);
        let ill = |condition: &str, reason: &str| {
            let found = of(condition).filter(|found| found.status == Truth::False)?;
            Some(Why::new(reason, found.message.clone()))
        };
        let entry = made.and_then(|made| Some(Why::new("EntryNotOurs", made.entry.clone()?)));
        let class =
            made.filter(|made| !made.usable).map(|_| Why::new("ClassNotOurs", self.not_ours.join("; ")));
        let why = entry.or(class).or(ill(REACHABLE, "Unreachable")).or(ill(ASSUMPTIONS, "AssumptionsNotMet"));
        let known = match why {
            Some(why) => return self.ready_not(why),
            None => self.known_to_driver(),
        };
        match known {
            Ok(()) => {
                let classes = made.map(|made| made.classes.join(" and ")).unwrap_or_default();
                self.set(
                    READY,
                    Truth::True,
                    Why::new("Ready", format!("claim PVs from StorageClass {classes}")),
                );
            }
            Err(Some(why)) => self.unknown(READY, "DriverNotReady", &why),
            Err(None) if self.kept(READY).is_some_and(|kept| kept.status != Truth::True) => {}
            Err(None) => {
                self.unknown(READY, "Checking", "the driver is being asked whether it knows the storage")
            }
        }
    }

    /// Whether the driver makes PVs of the storage as it is now; why not, nothing where it has not said it yet. What was ready
    /// stays so, whatever becomes of the driver.
    fn known_to_driver(&self) -> Result<(), Option<String>> {
        let (before, now) = (&self.world.object.status, &self.status);
        let was_ready = before.conditions.iter().any(|one| one.type_ == READY && one.status == Truth::True);
        let is_same =
            before.volume == now.volume && (before.volume_id.is_none() || before.volume_id == now.volume_id);
        match (&self.world.driver, self.world.driver.home()) {
            (DriverView::Absent, _) => Ok(()),
            _ if was_ready && is_same => Ok(()),
            (_, Home::Known { of, .. }) if (&of.volume, &of.id) == (&now.volume, &now.volume_id) => Ok(()),
            (_, Home::NotKnown(why)) => Err(Some(why.clone())),
            (DriverView::Failed { why, .. }, _) => Err(Some(format!("the driver does not answer: {why}"))),
            (DriverView::NotAsked | DriverView::Seen { .. }, _) => Err(None),
        }
    }

    /// What was found before a restart holds until somebody has looked again.
    fn is_still_replaced(&self, config: &StorageConfig) -> bool {
        let before = self.status.conditions.iter().find(|condition| condition.type_ == READY);
        let target = Target::of(self.world.object, config).to_string();
        let report = self.world.reports.get(&target);
        before.is_some_and(|before| before.reason == "VolumeReplaced")
            && report.is_none_or(|report| unfit(self.world, &target, report).is_some())
    }

    /// `Ready` is False.
    pub(super) fn ready_not(&mut self, why: Why) {
        self.set(READY, Truth::False, why);
    }

    /// A condition that was written of this very generation.
    fn kept(&self, condition: &str) -> Option<&Condition> {
        let conditions = &self.world.object.status.conditions;
        let found = conditions.iter().find(|found| found.type_ == condition);
        found.filter(|found| found.observed_generation == self.world.object.generation)
    }

    fn unknown(&mut self, condition: &str, reason: &str, message: &str) {
        self.set(condition, Truth::Unknown, Why::new(reason, message));
    }

    fn set(&mut self, condition: &str, status: Truth, Why { reason, message }: Why) {
        let before = self.status.conditions.iter_mut().find(|before| before.type_ == condition);
        let since = before
            .as_ref()
            .filter(|before| before.status == status)
            .map(|before| before.last_transition_time.clone());
        let condition = Condition {
            type_: condition.to_owned(),
            status,
            reason,
            message: shown(&message, MAX_MESSAGE),
            last_transition_time: since.unwrap_or_else(|| self.world.now.to_owned()),
            observed_generation: self.world.object.generation,
        };
        match before {
            Some(before) => *before = condition,
            None => self.status.conditions.push(condition),
        }
    }
}

/// `brick-port` as `BrickPort`.
fn camel(code: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        letters
            .next()
            .map(|first| first.to_ascii_uppercase().to_string() + letters.as_str())
            .unwrap_or_default()
    };
    code.split('-').map(word).collect()
}
