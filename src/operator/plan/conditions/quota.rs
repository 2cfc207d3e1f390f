//! Whether sizes are limits.

use super::{QUOTA, Writer};
use crate::{
    operator::{
        crd::Truth,
        plan::accept::{Why, listed},
        world::{DriverView, Home, Limit},
    },
    storage::{config::StorageConfig, record::QuotaPolicy},
};

impl Writer<'_> {
    /// `QuotaEnforced`, and what further PVs may have.
    pub(super) fn quota(&mut self, config: Option<&StorageConfig>) {
        let Some(config) = config else {
            return self.unknown(QUOTA, "NotObserved", "the storage is not in force");
        };
        let handles = &self.world.users.handles;
        let by_hand = match self.world.users.by_hand.len() {
            0 => String::new(),
            number => format!("; {number} made by hand have no limit"),
        };
        if self.world.driver == DriverView::NotAsked {
            return;
        }
        if let Home::Known { available: available @ Some(_), .. } = self.world.driver.home() {
            self.status.capacity.get_or_insert_default().available = *available;
        }
        if config.is_whole() {
            return self.set(
                QUOTA,
                Truth::True,
                Why::new("WholeVolume", "a PV is the whole of the volume: its size is the limit"),
            );
        }
        if config.parameters.quota == Some(QuotaPolicy::Off) {
            return self.set(QUOTA, Truth::False, Why::new("Off", "quota is off: no limit is set"));
        }
        match &self.world.driver {
            DriverView::NotAsked => {}
            DriverView::Absent => {
                self.unknown(QUOTA, "NotObserved", "there is no driver to ask: see --csi of kadalu operator")
            }
            DriverView::Failed { why, .. } => self.unknown(QUOTA, "DriverUnreachable", why),
            DriverView::Seen { .. } if handles.is_empty() => {
                self.unknown(
                    QUOTA,
                    "NoVolumes",
                    &format!("there are no PVs yet that the driver has made{by_hand}"),
                );
            }
            DriverView::Seen { limits, asked, .. } => {
                let (mut lacking, mut doubtful, mut missing) = (Vec::new(), Vec::new(), Vec::new());
                let (mut off, mut is_new) = (0, false);
                for handle in handles {
                    match limits.get(handle) {
                        Some(Limit::Enforced) => {}
                        Some(Limit::Off) => off += 1,
                        Some(Limit::NotEnforced(why)) => lacking.push(format!("{handle}: {why}")),
                        Some(Limit::Unknown(why)) => doubtful.push(format!("{handle}: {why}")),
                        None if asked.contains(handle) => missing.push(handle),
                        // It is younger than the answer: the next one tells.
                        None => is_new = true,
                    }
                }
                let all = handles.len();
                let (truth, reason, message) = if !lacking.is_empty() {
                    let number = lacking.len();
                    let message = format!("{number} of {all} PVs are not limited: {}", listed(lacking, "; "));
                    (Truth::False, "QuotaNotEnforced", message)
                } else if !missing.is_empty() {
                    let number = missing.len();
                    let missing = listed(missing.into_iter().cloned().collect(), ", ");
                    let message = format!(
                        "{number} of {all} PVs are not known to the driver ({missing}): their volume does not answer it, or \
                         another driver has made them"
                    );
                    (Truth::Unknown, "NotListed", message)
                } else if !doubtful.is_empty() {
                    let number = doubtful.len();
                    let message =
                        format!("of {number} of {all} PVs nobody tells: {}", listed(doubtful, "; "));
                    (Truth::Unknown, "QuotaUnknown", message)
                } else if is_new {
                    return;
                } else if off == all {
                    let message = format!("none of {all} PVs has a limit: quota was off when they were made");
                    (Truth::False, "Off", message)
                } else {
                    let limited = all - off;
                    let off = match off {
                        0 => String::new(),
                        off => format!("; {off} have no limit: quota was off when they were made"),
                    };
                    let message = format!("every brick enforces the limits of all {limited} PVs{off}");
                    (Truth::True, "Enforced", message)
                };
                self.set(QUOTA, truth, Why::new(reason, message + &by_hand));
            }
        }
    }
}
