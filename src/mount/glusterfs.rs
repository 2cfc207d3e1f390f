//! The glusterfs of this machine, which may be upgraded while we run.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use tracing::warn;

use super::{Error, installed::Installed};
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
        self.installed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is announced with GETSPEC: what the glusterfs that loads the volfile can do.
    pub(super) fn op_versions(&self) -> OpVersions {
        self.current().map_or(OpVersions::ANY, |installed| installed.op_versions())
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
        *self.installed.lock().unwrap_or_else(PoisonError::into_inner) = Some(installed.clone());
        Ok(installed)
    }
}
