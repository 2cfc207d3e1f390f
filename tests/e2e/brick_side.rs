//! What the stories of quota see on the bricks themselves, and what the controller says of it.

use std::path::PathBuf;

use glusterd_client::csi::generated::Volume;
use glusterd_client::storage::quota::{self, IN_FORCE, InForce};

use crate::lab::eventually;
use crate::quotad::Bed;

impl Bed<'_> {
    /// The name of brick `n`, as glusterd has it.
    pub(crate) fn brick(&self, n: usize) -> String {
        let (host, path) = &self.bricks[n];
        format!("{}:{path}", host.name())
    }

    /// A path from the volume's root on brick `n`, as this process reaches it.
    pub(crate) fn on_brick(&self, n: usize, path: &str) -> PathBuf {
        let (host, brick) = &self.bricks[n];
        host.seen(&format!("{brick}/{path}"))
    }

    /// The acknowledgement that stands on a PV's directory on brick `n`, whoever it is of.
    pub(crate) fn said(&self, n: usize, path: &str) -> Option<InForce> {
        let mut value = Vec::with_capacity(quota::MAX_VALUE);
        let of = self.on_brick(n, path);
        rustix::fs::getxattr(&of, IN_FORCE, rustix::buffer::spare_capacity(&mut value)).ok()?;
        quota::read(&value)
    }

    /// Waits until each brick acknowledges a limit of so many bytes, and returns the projects.
    #[track_caller]
    pub(crate) fn wait_limited(&self, path: &str, bytes: u64) -> Vec<u32> {
        (0..self.bricks.len()).map(|n| self.wait_limited_on(n, path, bytes)).collect()
    }

    /// Waits until brick `n` acknowledges it by its own name, and returns the project.
    #[track_caller]
    pub(crate) fn wait_limited_on(&self, n: usize, path: &str, bytes: u64) -> u32 {
        eventually(&format!("{path} has a limit of {bytes} bytes on {}", self.brick(n)), || {
            let said = self.said(n, path).filter(|said| said.brick == self.brick(n))?;
            let is_limited = said.limits.is_some_and(|limits| limits.bytes == bytes);
            said.project.filter(|_| is_limited && said.problem.is_none())
        })
    }

    /// Kills the process of brick `n`.
    pub(crate) fn kill_brick(&self, n: usize) {
        let (host, path) = &self.bricks[n];
        let file = format!("/run/gluster/vols/{}/{}{}.pid", self.volume, host.name(), path.replace('/', "-"));
        host.shell(&format!("kill -KILL $(cat {file})"));
        let ended = || host.exec("sh", &["-c", &format!("kill -0 $(cat {file})")]).status != Some(0);
        eventually("the brick's process ends", || ended().then_some(()));
    }

    /// Starts those processes of bricks that do not run.
    pub(crate) fn start_bricks(&self) {
        self.lab.host(0).gluster(&["volume", "start", self.volume, "force"]);
    }

    /// Waits until the controller says that a PV's size is enforced.
    #[track_caller]
    pub(crate) fn wait_healthy(&self, volume: &Volume) {
        eventually("the controller sees the limit on every brick", || {
            self.health(volume).is_none().then_some(())
        });
    }

    /// Waits until the controller names brick `n` as one that does not enforce a PV's size, with one of these words.
    #[track_caller]
    pub(crate) fn wait_unhealthy(&self, volume: &Volume, n: usize, words: &[&str]) {
        eventually(&format!("the controller names {} with {words:?}", self.brick(n)), || {
            let said = self.health(volume)?;
            (said.contains(&self.brick(n)) && words.iter().any(|word| said.contains(word))).then_some(())
        });
    }

    /// What the controller says of a PV whose size is not enforced; none where it is.
    pub(crate) fn health(&self, volume: &Volume) -> Option<String> {
        self.driver.health(volume, &["QuotaNotEnforced", "QuotaUnknown"])
    }
}
