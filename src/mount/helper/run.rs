use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use serde::de::DeserializeOwned;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    process::{Child, Command},
    time::{Instant, timeout_at},
};

use super::{Answer, Bind, Failed, Probe, Rebind, Rebound, Reply, Request, SUBCOMMAND, Space};
use crate::volfile;

/// An answer holds a volfile, whose bytes take two at most, and a line for each of its translators at the most.
const MAX_ANSWER: u64 = 4 * volfile::MAX_SIZE as u64;

/// How the child is started.
#[derive(Debug, Clone)]
pub struct Helper {
    /// The program.
    pub program: PathBuf,
    /// Its arguments: it must call [`super::serve`].
    pub arguments: Vec<OsString>,
}

impl Default for Helper {
    /// This program, as it was started: `/proc/self/exe` stays when the file is replaced.
    fn default() -> Self {
        Self { program: "/proc/self/exe".into(), arguments: vec![SUBCOMMAND.into()] }
    }
}

impl Helper {
    /// How a mount is. What it answered before `within` was over comes back even where the rest hangs.
    ///
    /// A request that glusterfs has in its hands cannot be killed before it is answered or glusterfs ends: a child
    /// stays for each probe of a mount whose bricks hang. So probe such a mount seldom.
    ///
    /// # Errors
    /// [`Failed::TimedOut`] where nothing at all was answered.
    pub async fn probe(&self, mount: &Path, graph: bool, within: Duration) -> Result<Probe, Failed> {
        let mut probe = Probe::default();
        let request = Request::Probe { mount: mount.to_owned(), graph };
        match self.ask(&request, within, |finding| probe.add(finding)).await {
            Err(Failed::TimedOut(_)) if probe.alive.is_some() => Ok(probe),
            result => result.map(|()| probe),
        }
    }

    /// Makes a directory of a mount, and nothing else, be at a target: see [`Bind`].
    ///
    /// # Errors
    /// Also where something else is mounted at the target (`EBUSY`). What was at the target is still there.
    pub async fn bind(&self, bind: &Bind, within: Duration) -> Result<(), Failed> {
        let request = Request::Bind { bind: bind.clone(), look: false };
        self.ask(&request, within, drop::<()>).await
    }

    /// The same where bricks answer on the mount, in one child: what they answered comes first. Where that is nothing or an
    /// errno, nothing was bound.
    pub async fn look_and_bind(&self, bind: &Bind, within: Duration) -> (Option<Answer>, Result<(), Failed>) {
        let mut answer = None;
        let request = Request::Bind { bind: bind.clone(), look: true };
        let result = self.ask(&request, within, |said| answer = Some(said)).await;
        (answer, result)
    }

    /// Takes away the top mount at a path; with `lazy` also while it is in use or hangs: it ends when its last file is closed.
    ///
    /// # Errors
    /// `EBUSY` where files are open, `EINVAL` where nothing is mounted.
    pub async fn unmount(&self, path: &Path, lazy: bool, within: Duration) -> Result<(), Failed> {
        self.ask(&Request::Unmount { path: path.to_owned(), lazy }, within, drop::<()>).await
    }

    /// Replaces mounts of earlier processes in another mount namespace: see [`Rebind`]. A namespace that is gone is no error.
    ///
    /// What was found before a failure comes back too.
    pub async fn rebind(&self, rebind: &Rebind, within: Duration) -> (Vec<Rebound>, Result<(), Failed>) {
        let mut rebound = Vec::new();
        let request = Request::Rebind(rebind.clone());
        let result = self.ask(&request, within, |one| rebound.push(one)).await;
        (rebound, result)
    }

    /// How full the volume is that is mounted at a path.
    ///
    /// # Errors
    /// Also where no FUSE file system is mounted there (`ENODEV`).
    pub async fn space(&self, path: &Path, within: Duration) -> Result<Space, Failed> {
        let mut found = None;
        self.ask(&Request::Space { path: path.to_owned() }, within, |space| found = Some(space)).await?;
        found.ok_or_else(|| Failed::Broken("it did not say how full it is".into()))
    }

    /// Lets a group use the directory of a volume that is mounted at a path: the directory becomes the group's, with what
    /// group members need, and what is made in it becomes the group's too. Nothing in it is touched, and nothing is done
    /// where it is so already.
    ///
    /// # Errors
    /// Also where no FUSE file system is mounted there (`ENODEV`).
    pub async fn let_use(&self, path: &Path, gid: u32, within: Duration) -> Result<(), Failed> {
        self.ask(&Request::Group { path: path.to_owned(), gid }, within, drop::<()>).await
    }

    async fn ask<F: DeserializeOwned>(
        &self,
        request: &Request,
        within: Duration,
        found: impl FnMut(F),
    ) -> Result<(), Failed> {
        let mut child = self.start().map_err(|error| {
            Failed::Broken(format!("{} could not be started: {error}", self.program.display()))
        })?;
        let result = timeout_at(Instant::now() + within, converse(&mut child, request, found)).await;
        // A child inside FUSE can take long to die, so nobody waits for it here.
        let _ = child.start_kill();
        tokio::spawn(async move { child.wait().await });
        result.unwrap_or(Err(Failed::TimedOut(within)))
    }

    fn start(&self) -> std::io::Result<Child> {
        Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .current_dir("/")
            // A signal that a terminal sends to the host is not for the child.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
    }
}

async fn converse<F: DeserializeOwned>(
    child: &mut Child,
    request: &Request,
    mut found: impl FnMut(F),
) -> Result<(), Failed> {
    let broken = |error: &dyn std::fmt::Display| Failed::Broken(error.to_string());
    let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(broken(&"it has no pipes"));
    };
    let request = serde_json::to_vec(request).map_err(|error| broken(&error))?;
    stdin.write_all(&request).await.map_err(|error| broken(&error))?;
    // Its end tells the child that the request is complete.
    drop(stdin);
    let mut lines = BufReader::new(stdout.take(MAX_ANSWER));
    let mut line = Vec::new();
    loop {
        line.clear();
        lines.read_until(b'\n', &mut line).await.map_err(|error| broken(&error))?;
        if line.is_empty() {
            return Err(broken(&"it ended without an answer"));
        }
        match serde_json::from_slice(&line).map_err(|error| broken(&format!("its answer: {error}")))? {
            Reply::Found(finding) => found(finding),
            Reply::Done(result) => return result.map_err(Failed::from),
        }
    }
}
