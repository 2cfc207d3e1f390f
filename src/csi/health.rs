//! How a volume is, in the words of CSI 1.13 and in those of 1.12.

use super::generated::{VolumeCondition, VolumeHealthErrorType, volume_health::VolumeHealthEntry};
use crate::mount::{
    control::cut,
    generated::{Pool, Volume},
};

/// One thing that is wrong with a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    /// How bad it is.
    pub(super) kind: VolumeHealthErrorType,
    /// One word, for programs.
    pub(super) reason: &'static str,
    /// A sentence, for people.
    pub(super) message: String,
}

/// The size of a PV is not enforced on some brick.
pub(crate) const QUOTA_NOT_ENFORCED: &str = "QuotaNotEnforced";

/// Nobody tells whether it is: somebody is silent, or late.
pub(crate) const QUOTA_UNKNOWN: &str = "QuotaUnknown";

/// What a [`condition`] begins with where no limit was asked for. That is no trouble, so 1.13 has no word for it.
pub(crate) const QUOTA_OFF: &str = "nothing keeps its pods to its size: quota is off";

impl Trouble {
    /// What degrades it: I/O works.
    pub(super) fn degraded(reason: &'static str, message: impl Into<String>) -> Self {
        Self { kind: VolumeHealthErrorType::Degraded, reason, message: message.into() }
    }

    /// What makes it of no use now.
    pub(super) fn inaccessible(reason: &'static str, message: impl Into<String>) -> Self {
        Self { kind: VolumeHealthErrorType::Inaccessible, reason, message: message.into() }
    }
}

/// What is wrong with a process that mounts a volume, and with the volume, by the word of the mount host.
pub(super) fn of_process(volume: &Volume, pool: &Pool) -> Vec<Trouble> {
    let mut troubles = Vec::new();
    let name = &volume.name;
    let error = |or: &str| if pool.last_error.is_empty() { or.to_owned() } else { pool.last_error.clone() };
    match pool.state.as_str() {
        "healthy" => {}
        "degraded" => {
            let bricks = pool.bricks_down.join(", ");
            troubles.push(Trouble::degraded(
                "ReplicaDown",
                format!("bricks of {name} are not connected: {bricks}"),
            ));
        }
        state => {
            let what = error("its bricks cannot be reached, or too few of them");
            troubles.push(Trouble::inaccessible(
                "Disconnected",
                format!("the mount of {name} is {state}: {what}"),
            ));
        }
    }
    if let Some(rejected) = &volume.rejected {
        let reasons = rejected.reasons.join("; ");
        troubles.push(if rejected.replaced_by.is_empty() {
            Trouble::degraded("VolfileRejected", format!("a new volfile of {name} is not used: {reasons}"))
        } else {
            let id = &rejected.replaced_by;
            let sentence =
                format!("another volume, {id}, has taken the name {name}: the data is not there any more");
            Trouble::inaccessible("VolumeReplaced", sentence)
        });
    }
    if !pool.drift.is_empty() {
        troubles.push(Trouble::degraded(
            "VolfileStale",
            format!("{name} is used by an old volfile: {}", pool.drift),
        ));
    }
    if volume.connected.is_empty() {
        let why = if volume.trouble.is_empty() { "changes of it are not seen" } else { &volume.trouble };
        troubles.push(Trouble::degraded("ServersUnreachable", format!("no server of {name} answers: {why}")));
    }
    troubles
}

/// The size of a PV is a promise that nobody keeps its pods to, and why.
pub(super) fn quota_not_enforced(why: &impl std::fmt::Display) -> Trouble {
    Trouble::degraded(QUOTA_NOT_ENFORCED, format!("nothing keeps its pods to its size: {why}"))
}

/// Nobody tells whether something keeps the pods of a PV to its size, and why.
pub(super) fn quota_unknown(why: &impl std::fmt::Display) -> Trouble {
    Trouble::degraded(
        QUOTA_UNKNOWN,
        format!("it is not known whether anything keeps its pods to its size: {why}"),
    )
}

/// As CSI 1.13 has it; empty is healthy.
pub(super) fn entries(troubles: &[Trouble]) -> Vec<VolumeHealthEntry> {
    let entry = |trouble: &Trouble| VolumeHealthEntry {
        status: trouble.kind.into(),
        reason: trouble.reason.to_owned(),
        message: cut(&trouble.message),
    };
    troubles.iter().map(entry).collect()
}

/// As CSI 1.12 has it; `off` where no limit was asked for. A size that is not enforced is told and is nothing abnormal: an
/// event for each PV would hide others.
pub(super) fn condition(troubles: &[Trouble], off: bool) -> VolumeCondition {
    let abnormal =
        troubles.iter().any(|trouble| ![QUOTA_NOT_ENFORCED, QUOTA_UNKNOWN].contains(&trouble.reason));
    let words = troubles.iter().map(|trouble| trouble.message.as_str());
    let words: Vec<_> = off.then_some(QUOTA_OFF).into_iter().chain(words).collect();
    let message = if words.is_empty() { "healthy".to_owned() } else { cut(&words.join("; ")) };
    VolumeCondition { abnormal, message }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mount::generated::Rejection;

    fn volume() -> Volume {
        Volume { name: "vol".into(), connected: "g1:24007".into(), ..Default::default() }
    }

    fn pool(state: &str) -> Pool {
        Pool { state: state.into(), ..Default::default() }
    }

    fn shown(troubles: &[Trouble]) -> String {
        let entries = entries(troubles);
        entries
            .iter()
            .map(|entry| format!("{} {}", entry.status, entry.reason))
            .collect::<Vec<_>>()
            .join(", ")
    }

    #[test]
    fn each_trouble_has_its_word() {
        let of = |volume: &Volume, pool: &Pool| shown(&of_process(volume, pool));
        assert_eq!(of(&volume(), &pool("healthy")), "");
        assert_eq!(of(&volume(), &pool("degraded")), "1 ReplicaDown");
        for state in ["starting", "failing", "hung", "dead", "of a later version"] {
            assert_eq!(of(&volume(), &pool(state)), "2 Disconnected");
        }
        let drifted = Pool { drift: "not connected".into(), ..pool("healthy") };
        assert_eq!(of(&volume(), &drifted), "1 VolfileStale");
        let lonely = Volume { connected: String::new(), ..volume() };
        assert_eq!(of(&lonely, &pool("healthy")), "1 ServersUnreachable");
        let rejected = |by: &str| Volume {
            rejected: Some(Rejection { replaced_by: by.into(), ..Default::default() }),
            ..volume()
        };
        assert_eq!(of(&rejected(""), &pool("healthy")), "1 VolfileRejected");
        assert_eq!(of(&rejected("an id"), &pool("healthy")), "2 VolumeReplaced");
    }

    #[test]
    fn only_what_is_abnormal_is() {
        assert_eq!(condition(&[], false), VolumeCondition { abnormal: false, message: "healthy".into() });
        assert_eq!(condition(&[], true), VolumeCondition { abnormal: false, message: QUOTA_OFF.into() });
        for (trouble, word) in [
            (quota_not_enforced(&"brick g1:/b: it has no quota"), "1 QuotaNotEnforced"),
            (quota_unknown(&"brick g1:/b: it is late"), "1 QuotaUnknown"),
        ] {
            let mut troubles = vec![trouble];
            let told = condition(&troubles, false);
            assert!(!told.abnormal && told.message.contains("size: brick g1:/b"), "{told:?}");
            assert_eq!(shown(&troubles), word);
            troubles.extend(of_process(&volume(), &pool("hung")));
            let told = condition(&troubles, true);
            assert!(told.abnormal && told.message.starts_with(QUOTA_OFF), "{told:?}");
        }
    }
}
