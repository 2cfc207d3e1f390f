//! Targets: binds of the process's file system.

use std::{path::Path, time::Duration};

use rustix::io::Errno;
use tokio::sync::mpsc::UnboundedSender;
use tracing::info;

use super::{Runner, start::HELPER};
use crate::mount::{
    Error, Reason,
    generated::Mounted,
    helper::{Bind, Failed},
    mountinfo::{MountEntry, MountTable},
    store::StoredTarget,
};

impl Runner {
    /// Mounts a target, with a process for it where there is none.
    pub(super) async fn mount(
        &mut self,
        target: StoredTarget,
        within: Duration,
        progress: &UnboundedSender<String>,
    ) -> Result<Mounted, Error> {
        let ran = self.live.is_some();
        if let (true, Some(accepted)) = (ran, &self.wanted.borrow().accepted) {
            // It may show a brick that the volume has no more.
            self.narrowed(accepted)?;
        }
        if !ran {
            let live = self.start(within, Some(progress)).await?;
            self.install(live).await;
        }
        let known = self.targets.iter().any(|known| known.path == target.path);
        if !known {
            // First: what is bound and not known would be left behind.
            self.targets.push(target.clone());
            self.save();
        }
        let bound = if ran { self.look_and_bind(&target, within).await } else { self.bind(&target).await };
        if let Err(error) = bound {
            if !known {
                self.targets.retain(|known| known.path != target.path);
                self.save();
            }
            return Err(error);
        }
        self.unbound.retain(|unbound| *unbound != target.path);
        info!(target: "kadalu", pool = self.id, path = %target.path.display(), subdirectory = target.subdirectory, "mounted");
        Ok(self.mounted(&target.path))
    }

    fn mounted(&self, path: &Path) -> Mounted {
        let status = self.status();
        let down = &status.bricks_down;
        let mut warnings: Vec<_> = self.options.warnings().map(str::to_owned).collect();
        if !down.is_empty() {
            warnings.push(format!("not connected: {}", down.join(", ")));
        }
        let given = self.live.as_ref().map(|live| &live.given);
        Mounted {
            target: path.display().to_string(),
            kind: given.map(|given| given.accepted.kind.clone()).unwrap_or_default(),
            digest: given.map(|given| given.accepted.digest.clone()).unwrap_or_default(),
            offline: given.is_some_and(|given| given.offline),
            warnings,
        }
    }

    /// Binds a target to the process, in place of binds of earlier ones.
    pub(super) async fn bind(&self, target: &StoredTarget) -> Result<(), Error> {
        let bind = self.bind_of(target)?;
        let bound = self.context.helper.bind(&bind, HELPER).await;
        bound.map_err(|failed| bind_error(&failed, target, &self.volume.stored().name))
    }

    /// The same on a process that ran before, if I/O works on it.
    async fn look_and_bind(&self, target: &StoredTarget, within: Duration) -> Result<(), Error> {
        let bind = self.bind_of(target)?;
        let within = within.min(self.context.config.probe_deadline);
        let volume = self.volume.stored().name;
        let (answer, bound) = self.context.helper.look_and_bind(&bind, within).await;
        match (answer.map(|answer| answer.result), bound) {
            (Some(Ok(())), bound) => bound.map_err(|failed| bind_error(&failed, target, &volume)),
            (Some(Err(errno)), _) => {
                let error = std::io::Error::from_raw_os_error(errno);
                let rejected = self.volume.status().rejected;
                let by = rejected.map(|rejected| rejected.replaced_by).filter(|by| !by.is_empty());
                Err(Error::new(Reason::Bricks, broken(&volume, &error, by.as_deref())))
            }
            (None, Err(failed)) if !matches!(failed, Failed::TimedOut(_)) => {
                Err(Error::new(Reason::Other, failed))
            }
            (None, _) => {
                let sentence = format!(
                    "the mount of this volume that is there already does not answer within {within:?}"
                );
                Err(Error::new(Reason::TimedOut, sentence))
            }
        }
    }

    fn bind_of(&self, target: &StoredTarget) -> Result<Bind, Error> {
        let Some(live) = &self.live else { return Err(Error::new(Reason::Other, "there is no glusterfs")) };
        Ok(Bind {
            mount: live.process.mount.clone(),
            subdirectory: target.subdirectory.clone(),
            target: target.path.clone(),
            read_only: target.read_only,
            staging: self.context.store.stage(),
            replaces: self.devices(),
        })
    }

    /// Unmounts a target.
    pub(super) async fn unmount(&mut self, path: &Path, lazy: bool) -> Result<(), Error> {
        if !self.targets.iter().any(|target| target.path == path) {
            let sentence = format!("{} is not mounted by this host", path.display());
            return Err(Error::new(Reason::NotMounted, sentence));
        }
        let table = MountTable::read().map_err(|error| Error::other("cannot read mountinfo", error))?;
        let (stack, ours) = (table.at(path), self.devices());
        let is_ours = |entry: &MountEntry| ours.contains(&entry.device);
        let layers = stack.iter().filter(|entry| is_ours(entry)).count();
        if let Some(top) = stack.last().filter(|top| !is_ours(top) && layers > 0) {
            let sentence = format!(
                "{}: {} ({}) is mounted over it; unmount that first",
                path.display(),
                top.source,
                top.fs_type
            );
            return Err(Error::new(Reason::TargetInUse, sentence));
        }
        for _ in 0..layers {
            self.take_away(path, lazy).await?;
        }
        info!(target: "kadalu", pool = self.id, path = %path.display(), "unmounted");
        let gone = self.targets.extract_if(.., |target| target.path == path).collect::<Vec<_>>();
        self.note_former(&gone);
        self.unbound.retain(|unbound| unbound != path);
        self.save();
        Ok(())
    }

    async fn take_away(&self, path: &Path, lazy: bool) -> Result<(), Error> {
        self.context.helper.unmount(path, lazy, HELPER).await.map_err(|failed| {
            match failed.errno() == Some(Errno::BUSY.raw_os_error()) {
                true => Error::new(
                    Reason::Busy,
                    format!("{}: files are open there; `--lazy` unmounts it for all others", path.display()),
                ),
                false => Error::new(Reason::Other, failed),
            }
        })
    }
}

/// I/O fails on a mount that is there already; `by` the id of the volume that has taken the name, if one has.
fn broken(volume: &str, error: &std::io::Error, by: Option<&str>) -> String {
    let advice = match by {
        Some(by) => format!(
            "another volume, {by}, has taken the name of this one: `kadalu mounts --accept-replaced {volume}` goes over \
             to it"
        ),
        None => format!("is the volume started, and are its bricks up? `gluster volume status {volume}`"),
    };
    format!("I/O fails on the mount of {volume} that is there already ({error}): {advice}")
}

fn bind_error(failed: &Failed, target: &StoredTarget, volume: &str) -> Error {
    let path = target.path.display();
    match failed.errno().map(Errno::from_raw_os_error) {
        // The target itself was looked at before.
        Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV) if !target.subdirectory.is_empty() => {
            let sentence = format!(
                "there is no directory {:?} in the volume {volume} (links in it are not followed)",
                target.subdirectory
            );
            Error::new(Reason::NoSuchDirectory, sentence)
        }
        Some(Errno::BUSY) => Error::new(Reason::TargetInUse, failed),
        // In the volume itself.
        Some(Errno::INVAL) => Error::new(Reason::Invalid, failed),
        Some(Errno::PERM | Errno::ACCESS) => {
            let sentence = format!("{path}: {failed}; the mount host needs root, with CAP_SYS_ADMIN");
            Error::new(Reason::Machine, sentence)
        }
        Some(Errno::NOTCONN | Errno::IO) => Error::new(Reason::Bricks, format!("{path}: {failed}")),
        _ if matches!(failed, Failed::TimedOut(_)) => {
            Error::new(Reason::TimedOut, format!("{path}: {failed}: bricks do not answer"))
        }
        _ => Error::new(Reason::Other, format!("{path}: {failed}")),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Error;

    use super::broken;

    #[test]
    fn a_volume_that_was_replaced_is_not_looked_for_among_its_bricks() {
        let error = Error::from_raw_os_error(107);
        let started = broken("vol", &error, None);
        assert!(
            started.contains("`gluster volume status vol`") && !started.contains("--accept"),
            "{started}"
        );
        let replaced = broken("vol", &error, Some("an-id"));
        assert!(replaced.contains("an-id") && replaced.contains("`kadalu mounts --accept-replaced vol`"));
        assert!(!replaced.contains("volume status"), "{replaced}");
    }
}
