//! The glusterfs of this machine, which may be upgraded while we run.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use super::{Error, installed::Installed};

/// The installed glusterfs, as it was when it was last looked at.
#[derive(Debug)]
pub(super) struct Glusterfs {
    program: PathBuf,
    installed: Mutex<Arc<Installed>>,
}

impl Glusterfs {
    pub(super) async fn find(program: &Path) -> Result<Self, Error> {
        let installed = Arc::new(Installed::find(program).await?);
        Ok(Self { program: program.to_owned(), installed: Mutex::new(installed) })
    }

    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    pub(super) fn current(&self) -> Arc<Installed> {
        self.installed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Looks again: what is started next is what is installed now.
    pub(super) async fn look(&self) -> Result<Arc<Installed>, Error> {
        let installed = Arc::new(Installed::find(&self.program).await?);
        *self.installed.lock().unwrap_or_else(PoisonError::into_inner) = installed.clone();
        Ok(installed)
    }
}
