//! The pools that are known: storages, as files that somebody keeps, and those learned from requests.

mod files;
mod folder;
mod twins;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Mutex,
};

use tracing::warn;

use self::{
    files::{Learned, STORAGES, learned},
    folder::Folder,
    twins::{Storages, Told},
};
use super::{
    context::Context,
    error::{Error, Reason},
    handle::{Handle, PoolId},
    layout::Place,
    parameters::Parameters,
};
use crate::mount::{lock::lock, options::MountOptions, source::Source};

/// What to know of storages that were changed a moment ago.
pub const SHOWN_LATE: &str =
    "where Kubernetes shows them as a ConfigMap, a change is seen within 1 to 2 minutes";

/// A pool that is known.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownPool {
    /// The volume's id; `None` for a storage that nobody has asked for yet.
    pub id: Option<PoolId>,
    /// The storage's name, where it is one.
    pub name: Option<String>,
    /// What is known of it, the volume's name always.
    pub parameters: Parameters,
}

/// Where to mount a PV from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The volume's id, where it is told: what is mounted must be that one.
    pub pool: Option<PoolId>,
    /// Servers, volume, and the PV's directory in it.
    pub source: Source,
    /// Of the mount.
    pub options: MountOptions,
}

/// The pools that are known. Files are read anew when they have changed; a bad one spoils only itself.
#[derive(Debug)]
pub struct Known {
    storages: Option<Folder<Told>>,
    learned: Folder<KnownPool>,
    /// What the log has of storages with several meanings.
    logged: Mutex<BTreeMap<String, String>>,
}

impl Known {
    /// Those of a directory, where one is given, and of what was learned before in this state directory. The directory has
    /// kadalu's `NAME.info` files, or files of KadaluStorage objects (`*.yaml`, `*.yml`); one such file will do.
    ///
    /// # Errors
    /// The state directory cannot be made.
    pub fn open(state_dir: &Path, storages: Option<&Path>) -> Result<Self, Error> {
        let pools = state_dir.join("pools");
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&pools);
        made.map_err(|error| Error::other(format_args!("cannot make {}", pools.display()), error))?;
        let storages = storages.map(|place| Folder::new(place, "storages", STORAGES, files::storages));
        let learned = Folder::new(&pools, "pools", &[".json"], learned);
        Ok(Self { storages, learned, logged: Mutex::default() })
    }

    /// All of them, each once: those that were used, by their ids, then the storages that were not.
    pub fn all(&self) -> Vec<KnownPool> {
        let mut storages = self.storages();
        let mut all = self.learned.files().all;
        for pool in &mut all {
            let same = |storage: &KnownPool| {
                let settled = storage.parameters.volume_id.as_ref();
                pool.parameters.is_same_volume(&storage.parameters)
                    && settled.is_none_or(|id| pool.id.as_ref() == Some(id))
            };
            if let Some(at) = storages.iter().position(same) {
                let KnownPool { name, parameters, .. } = storages.remove(at);
                pool.name = name;
                pool.parameters = std::mem::take(&mut pool.parameters).or(parameters);
            }
        }
        all.append(&mut storages);
        all
    }

    /// The storages of the files, whether or not anybody has used them; without ids. One that two files name is there once
    /// where both mean the same, else with each of its meanings.
    pub fn storages(&self) -> Vec<KnownPool> {
        self.told().all
    }

    fn told(&self) -> Storages {
        let Some(folder) = &self.storages else { return Storages::default() };
        let storages = Storages::of(folder.files().all);
        let mut logged = lock(&self.logged);
        for (name, trouble) in &storages.unclear {
            if logged.get(name) != Some(trouble) {
                warn!(target: "kadalu", trouble, "two files of --storages contradict each other");
            }
        }
        logged.clone_from(&storages.unclear);
        storages
    }

    /// Why there may be pools that are not among [`Known::all`]: what cannot be read, a sentence; none while all is read.
    pub fn incomplete(&self) -> Option<String> {
        let storages = self.storages.as_ref().and_then(|storages| storages.files().trouble);
        storages.or_else(|| self.learned.files().trouble)
    }

    /// The parameters of a StorageClass, with what the storage that it means says where they say nothing, and with all
    /// servers that are known of the volume.
    ///
    /// # Errors
    /// [`Reason::Precondition`] where there is no such storage, or two files contradict each other about it;
    /// [`Reason::Invalid`] where it has another volume.
    pub fn complete(&self, parameters: Parameters) -> Result<Parameters, Error> {
        let Storages { all, unclear } = self.told();
        let storage = all.into_iter().find(|storage| match &parameters.storage {
            Some(name) => storage.name.as_ref() == Some(name),
            None => storage.parameters.is_same_volume(&parameters),
        });
        let name = storage.as_ref().and_then(|storage| storage.name.as_ref());
        if let Some(sentence) = name.and_then(|name| unclear.get(name)) {
            return Err(Error::new(Reason::Precondition, sentence));
        }
        let mut complete = match (storage, &parameters.storage) {
            (None, Some(name)) => {
                let sentence = format!(
                    "there is no storage {name:?} among those of --storages, see storage_name; {SHOWN_LATE}"
                );
                return Err(Error::new(Reason::Precondition, sentence));
            }
            (None, None) => parameters,
            (Some(storage), _) => {
                let complete = parameters.or(storage.parameters.clone());
                if complete.volume != storage.parameters.volume {
                    let name = storage.name.unwrap_or_default();
                    let sentence = format!(
                        "gluster_volname is not the volume of storage {name:?}: leave one out; {SHOWN_LATE}"
                    );
                    return Err(Error::new(Reason::Invalid, sentence));
                }
                complete
            }
        };
        for pool in self.learned.files().all {
            if pool.parameters.is_same_volume(&complete) {
                complete.add_servers(&pool.parameters.servers);
            }
        }
        Ok(complete)
    }

    /// The pool with this id.
    pub fn get(&self, id: &PoolId) -> Option<KnownPool> {
        self.all().into_iter().find(|pool| pool.id.as_ref() == Some(id))
    }

    /// Remembers a pool, also beyond a restart: what of `parameters` concerns its volume as a whole.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn learn(&self, id: &PoolId, parameters: &Parameters) -> Result<(), Error> {
        let mut all = parameters.clone();
        let before = self.learned.files().all.into_iter().find(|pool| pool.id.as_ref() == Some(id));
        if let Some(before) = &before {
            all.add_servers(&before.parameters.servers);
            // A class that says nothing of it does not take it from the PVs of another one.
            all.overcommit = all.overcommit.or(before.parameters.overcommit);
        }
        let path = self.file(id);
        let mut learned = Learned::of(id, all);
        learned.looked = Learned::read(&path).is_some_and(|before| before.looked);
        learned.write(&path)
    }

    /// Remembers, also beyond a restart, that a pool that was learned is looked at before the first PV is made in it. Says
    /// whether that is to be done: it was not before.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn looks_at(&self, id: &PoolId) -> Result<bool, Error> {
        let path = self.file(id);
        match Learned::read(&path) {
            Some(mut learned) if !learned.looked => {
                learned.looked = true;
                learned.write(&path)?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn file(&self, id: &PoolId) -> PathBuf {
        self.learned.place.join(format!("{id}.json"))
    }

    /// Where to mount a PV from: as its context says, by servers of known pools first.
    ///
    /// # Errors
    /// [`Reason::Invalid`] where the context makes no sense or nothing says where the PV is.
    pub fn locate(&self, id: &str, context: &BTreeMap<String, String>) -> Result<Location, Error> {
        let handle = Handle::parse(id)?;
        let pool = match &handle {
            Handle::Pv { pool, .. } | Handle::Whole { pool, .. } => Some(pool.clone()),
            _ => None,
        };
        let Some(context) = Context::read(context)? else { return self.locate_by_handle(handle, pool) };
        if let (Some(own), Some(told)) = (&pool, &context.pool)
            && own != told
        {
            let sentence = format!("volume_context: volume_uuid {told} is not that of volume_id {id}");
            return Err(Error::new(Reason::Invalid, sentence));
        }
        let pool = pool.or(context.pool);
        let like =
            Parameters { servers: context.servers, volume: Some(context.volume), ..Parameters::default() };
        let known = match &pool {
            Some(pool) => self.get(pool),
            None => self.all().into_iter().find(|known| known.parameters.is_same_volume(&like)),
        };
        let all = like.or(known.map(|known| known.parameters).unwrap_or_default());
        let source = Source::new(all.servers, &all.volume.unwrap_or_default(), &context.path)
            .map_err(|error| Error::new(Reason::Invalid, format_args!("volume_context: {error}")))?;
        Ok(Location { pool, source, options: context.options })
    }

    fn locate_by_handle(&self, handle: Handle, pool: Option<PoolId>) -> Result<Location, Error> {
        let path = match &handle {
            Handle::Static(source) => {
                return Ok(Location { pool, source: source.clone(), options: MountOptions::default() });
            }
            Handle::Pv { component, .. } => Place::of(component)?.to_string(),
            _ => String::new(),
        };
        let known = pool.as_ref().and_then(|pool| self.get(pool));
        let Some(KnownPool { parameters, .. }) = known else {
            let sentence = format!(
                "nothing says where volume {handle} is: give gluster_hosts, gluster_volname and path in its \
                 volumeAttributes, or SERVERS:/VOLUME/DIRECTORY as its volumeHandle"
            );
            return Err(Error::new(Reason::Invalid, sentence));
        };
        let source = Source::new(parameters.servers, &parameters.volume.unwrap_or_default(), &path);
        let source = source.map_err(|error| Error::new(Reason::Invalid, error))?;
        Ok(Location { pool, source, options: parameters.options })
    }
}

#[cfg(test)]
mod tests;
