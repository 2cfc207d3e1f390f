//! What is to be done for one storage: a function of what is seen, without clock and API.
//!
//! Level by level: `accept` says which spec is in force, `conditions` how the storage is, `made` which classes and which
//! entry follow, `remove` what is left of a storage that is deleted. Planned again after its actions are done, nothing is
//! left to do but what was said to be passing (a class that was put back).

mod accept;
mod conditions;
mod made;
mod remove;
#[cfg(test)]
mod tests;

use serde_json::Value;

use self::{accept::Decision, conditions::Writer};
use super::{
    crd::{Condition, KadaluStorageStatus, Truth},
    probe::{Depth, again},
    world::{Target, World},
};

/// Something to be done in the API. What comes later needs what comes before.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Put our finalizer on the storage.
    Hold,
    /// Write the entry of the storage into the ConfigMap.
    WriteEntry(String),
    /// Take it out.
    RemoveEntry,
    /// Make or mend a storage class; by force where it is ours already.
    ApplyClass {
        /// All of it that is ours.
        class: Value,
        /// Others' changes are undone.
        force: bool,
    },
    /// Delete a storage class.
    DeleteClass {
        /// Its name.
        name: String,
        /// Its uid.
        uid: String,
    },
    /// Write the status.
    WriteStatus(Box<KadaluStorageStatus>),
    /// Say that a condition has changed.
    Tell(Told),
    /// Take our finalizer off.
    Release,
}

/// An event of the storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Whether somebody should look.
    pub warning: bool,
    /// The condition.
    pub condition: String,
    /// Its reason.
    pub reason: String,
    /// Its message.
    pub message: String,
}

/// A volume that is to be looked at, again and again.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// Which, and what for.
    pub target: Target,
    /// How much it asks; [`Depth::Bricks`] where the bricks have not told their state yet.
    pub depth: Depth,
}

/// What follows from a [`World`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Outcome {
    /// What is to be done, in this order.
    pub actions: Vec<Action>,
    /// What is to be looked at.
    pub looks: Vec<Look>,
    /// The actions undo what others have done.
    pub puts_back: bool,
}

/// What is to be done.
pub fn plan(world: &World<'_>) -> Outcome {
    let object = world.object;
    if object.deleting {
        return remove::remove(world);
    }
    if object.is_foreign() {
        return Outcome::default();
    }
    let decision = accept::decide(world);
    let mut writer = Writer::new(world);
    let mut actions = Vec::new();
    let in_force = decision.in_force(world);
    let made =
        in_force.as_ref().map(|config| made::made(world, config, decision.volume_id(world), &mut writer));
    let made_of_it = made.as_ref().filter(|made| made.entry.is_none());
    // PVs may be there before it is in force: kadalu's, of the same name.
    let is_used = decision.has_the_name(world) && !world.users.names.is_empty();
    if !object.is_held() && (is_used || made_of_it.is_some()) {
        actions.push(Action::Hold);
    }
    let differs = in_force.as_ref().is_some_and(|config| writer.puts_back(config));
    // Against somebody who puts back too it would go on for ever.
    match (made_of_it, differs && !world.may_put_back) {
        (Some(_), true) => writer.withhold(),
        (Some(made), false) => actions.extend(made.actions.iter().cloned()),
        (None, _) => {}
    }
    writer.conditions(&decision, made.as_ref());
    actions.extend(writer.end());
    Outcome { actions, looks: looks(world, &decision), puts_back: differs && world.may_put_back }
}

/// What is looked at: what is in force, and what somebody wants to be.
fn looks(world: &World<'_>, decision: &Decision) -> Vec<Look> {
    let status = &world.object.status;
    let targets = decision.targets(world);
    let look = |target: Target| {
        let name = target.to_string();
        let report = world.reports.get(&name);
        let found = report.map(|report| accept::found(world, &name, report));
        let found = found.as_ref().unwrap_or(&status.findings);
        let found = found.iter().map(|found| (found.code.as_str(), found.outcome == "failed"));
        let depth = match status.bricks_checked.as_deref() == Some(&name) {
            false => Depth::Bricks,
            true => again(found),
        };
        Look { target, depth }
    };
    targets.into_iter().map(look).collect()
}

/// The status where it has changed, and what is told of it.
fn written(before: &KadaluStorageStatus, after: KadaluStorageStatus) -> Vec<Action> {
    if *before == after {
        return Vec::new();
    }
    let told = after.conditions.iter().filter_map(|condition| {
        let before = before.conditions.iter().find(|before| before.type_ == condition.type_);
        tell(before, condition)
    });
    let told = told.map(Action::Tell).collect::<Vec<_>>();
    [vec![Action::WriteStatus(Box::new(after))], told].concat()
}

/// What is said of a condition: nothing where it is as before, or was never seen and says nothing that anybody waits for.
fn tell(before: Option<&Condition>, condition: &Condition) -> Option<Told> {
    let Condition { type_, status, reason, message, .. } = condition;
    let is_good = if type_ == conditions::DRIFTED { Truth::False } else { Truth::True };
    let is_new = match before {
        Some(Condition { status: Truth::Unknown, .. }) if *status == Truth::Unknown => false,
        Some(before) => (before.status, &before.reason) != (*status, reason),
        None => *status != Truth::Unknown && (type_ != conditions::DRIFTED || *status != is_good),
    };
    is_new.then(|| Told {
        warning: *status != is_good && *status != Truth::Unknown,
        condition: type_.clone(),
        reason: reason.clone(),
        message: message.clone(),
    })
}
