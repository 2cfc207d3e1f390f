//! The glusterfs of this machine, which may be upgraded while we run.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use tracing::warn;

use super::{
    Error,
    installed::{Installed, Version},
    lock::lock,
};
use crate::glusterd::OpVersions;

/// The installed glusterfs, as it was when it was last looked at; none where it was not there.
#[derive(Debug)]
pub(super) struct Glusterfs {
    program: PathBuf,
    installed: Mutex<Option<Arc<Installed>>>,
}

impl Glusterfs {
    /// Looks for it. Without it nothing can be mounted, but what is mounted can be followed.
    pub(super) async fn find(program: &Path) -> Self {
        let glusterfs = Self { program: program.to_owned(), installed: Mutex::default() };
        if let Err(error) = glusterfs.look().await {
            warn!(target: "kadalu", %error, "nothing can be mounted");
        }
        glusterfs
    }

    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    pub(super) fn current(&self) -> Option<Arc<Installed>> {
        lock(&self.installed).clone()
    }

    /// What is announced with GETSPEC: what the glusterfs that loads the volfile can do, the installed one and those of older
    /// versions that still run.
    pub(super) fn op_versions(&self, running: impl Iterator<Item = Version>) -> OpVersions {
        let installed = self.current().map(|installed| installed.version());
        running.chain(installed).min().and_then(Version::op_versions).unwrap_or(OpVersions::ANY)
    }

    /// Such as `10.3`.
    pub(super) fn version(&self) -> String {
        self.current().map(|installed| installed.version().to_string()).unwrap_or_default()
    }

    /// Why it could not load a volfile: the translators that it lacks.
    pub(super) fn unknown(&self, text: &[u8]) -> Vec<String> {
        self.current().map(|installed| installed.unknown(text)).unwrap_or_default()
    }

    /// Looks again: what is started next is what is installed now.
    pub(super) async fn look(&self) -> Result<Arc<Installed>, Error> {
        let installed = Arc::new(Installed::find(&self.program).await?);
        *lock(&self.installed) = Some(installed.clone());
        Ok(installed)
    }
}
