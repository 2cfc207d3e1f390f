//! Whether what is there is what the spec says.

use super::{DRIFTED, Writer};
use crate::{
    operator::{
        crd::Truth,
        plan::{
            accept::{Decision, Why, listed},
            made::Made,
        },
    },
    storage::config::{Storage, StorageConfig},
};

impl Writer<'_> {
    /// `Drifted`: what is there is not what the spec says, or was not.
    pub(super) fn drifted(&mut self, decision: &Decision, made: Option<&Made>) {
        let edit = match decision {
            Decision::Waits { current: Some(_), why, .. } => Some(match (why, self.kept(DRIFTED)) {
                (Some(why), _) => Why::new(&why.reason, format!("the edit is not in force: {}", why.message)),
                (None, Some(kept)) if kept.status == Truth::True => {
                    Why::new(&kept.reason, kept.message.clone())
                }
                (None, _) => {
                    Why::new("EditPending", "the edit is not in force yet: its volume is being looked at")
                }
            }),
            Decision::Replaced { config, .. } if self.waits_for_another(config) => {
                Some(Why::new("EditPending", "the edit is not in force: another volume has taken the name"))
            }
            _ => None,
        };
        let not_ours = self.not_ours.join("; ");
        let whys =
            [edit, (!not_ours.is_empty()).then(|| Why::new("ClassNotOurs", not_ours)), self.put_back()];
        let mut whys = whys.into_iter().flatten();
        match whys.next() {
            Some(first) => {
                let message = [first.message].into_iter().chain(whys.map(|why| why.message)).collect();
                self.set(DRIFTED, Truth::True, Why { reason: first.reason, message: listed(message, "; ") });
            }
            None if made.is_none() => self.unknown(DRIFTED, "NotObserved", "nothing is in force yet"),
            None => {
                self.set(DRIFTED, Truth::False, Why::new("InSync", "what is there is what the spec says"))
            }
        }
    }

    /// Whether the spec is another one than what is in force.
    fn waits_for_another(&self, config: &StorageConfig) -> bool {
        matches!(&self.world.object.config, Ok(Storage::External(wanted)) if **wanted != *config)
    }

    /// Of what others have changed; said for a while, so that somebody sees it.
    fn put_back(&self) -> Option<Why> {
        let drifted = self.status.conditions.iter().find(|one| one.type_ == DRIFTED);
        let was = |reason: &str| drifted.is_some_and(|one| one.reason == reason);
        let differing = [self.restored.as_slice(), &self.withheld].concat().join("; ");
        match differing.is_empty() {
            true if self.world.may_put_back => None,
            true => {
                let said = drifted.filter(|_| was("Restored") || was("Contested"))?;
                Some(Why::new(&said.reason, said.message.clone()))
            }
            false if was("Contested") || !self.withheld.is_empty() => Some(Why::new(
                "Contested",
                format!(
                    "{differing} again and again; it is put back after longer and longer pauses: see by its metadata.managedFields \
                     who changes it"
                ),
            )),
            false => Some(Why::new("Restored", format!("{differing}, and is put back"))),
        }
    }
}
