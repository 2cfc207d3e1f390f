//! The pools that are known: storages, as files that somebody keeps, and those learned from requests.

mod files;
mod folder;

use std::{collections::BTreeMap, fs, os::unix::fs::DirBuilderExt, path::Path};

use self::{
    files::{Learned, STORAGES, learned},
    folder::{Folder, MAX_FILE},
};
use super::{
    context::Context,
    error::{Error, Reason},
    handle::{Handle, PoolId},
    layout::Place,
    parameters::Parameters,
};
use crate::mount::{
    file::{read_bounded, replace},
    options::MountOptions,
    source::Source,
};

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
    storages: Option<Folder<KnownPool>>,
    learned: Folder<KnownPool>,
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
        let storages = storages.map(|place| Folder::new(place, STORAGES, files::storages));
        Ok(Self { storages, learned: Folder::new(&pools, &[".json"], learned) })
    }

    /// All of them, each once: those that were used, by their ids, then the storages that were not.
    pub fn all(&self) -> Vec<KnownPool> {
        let mut storages = self.storages();
        let mut all = self.learned.files().all;
        for pool in &mut all {
            let same = |storage: &KnownPool| pool.parameters.is_same_volume(&storage.parameters);
            if let Some(at) = storages.iter().position(same) {
                let KnownPool { name, parameters, .. } = storages.remove(at);
                pool.name = name;
                pool.parameters = std::mem::take(&mut pool.parameters).or(parameters);
            }
        }
        all.append(&mut storages);
        all
    }

    /// The storages of the files, whether or not anybody has used them; without ids.
    pub fn storages(&self) -> Vec<KnownPool> {
        self.storages.as_ref().map(|storages| storages.files().all).unwrap_or_default()
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
    /// [`Reason::Precondition`] where there is no such storage; [`Reason::Invalid`] where it has another volume.
    pub fn complete(&self, parameters: Parameters) -> Result<Parameters, Error> {
        let storage = self.storages().into_iter().find(|storage| match &parameters.storage {
            Some(name) => storage.name.as_ref() == Some(name),
            None => storage.parameters.is_same_volume(&parameters),
        });
        let mut complete = match (storage, &parameters.storage) {
            (None, Some(name)) => {
                let sentence =
                    format!("there is no storage {name:?} among those of --storages, see storage_name");
                return Err(Error::new(Reason::Precondition, sentence));
            }
            (None, None) => parameters,
            (Some(storage), _) => {
                let complete = parameters.or(storage.parameters.clone());
                if complete.volume != storage.parameters.volume {
                    let name = storage.name.unwrap_or_default();
                    let sentence =
                        format!("gluster_volname is not the volume of storage {name:?}: leave one out");
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

    /// Remembers a pool, also beyond a restart: what of `parameters` concerns its volume as a whole. Says whether it was
    /// unknown before.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn learn(&self, id: &PoolId, parameters: &Parameters) -> Result<bool, Error> {
        let mut all = parameters.clone();
        let before = self.learned.files().all.into_iter().find(|pool| pool.id.as_ref() == Some(id));
        if let Some(before) = &before {
            all.add_servers(&before.parameters.servers);
            // A class that says nothing of it does not take it from the PVs of another one.
            all.overcommit = all.overcommit.or(before.parameters.overcommit);
        }
        let learned = Learned::of(id, all);
        let path = self.learned.place.join(format!("{id}.json"));
        let failed = |error: &dyn std::fmt::Display| {
            Error::other(format_args!("cannot write {}", path.display()), error)
        };
        let bytes = serde_json::to_vec_pretty(&learned).map_err(|error| failed(&error))?;
        if read_bounded(&path, MAX_FILE).is_ok_and(|before| before == bytes) {
            return Ok(false);
        }
        replace(&path, &bytes).map_err(|error| failed(&error))?;
        Ok(before.is_none())
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
mod tests {
    use super::*;
    use crate::storage::parameters::PvKind;

    const ID: &str = "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9";

    fn id() -> PoolId {
        ID.parse().unwrap()
    }

    fn shown(pool: &KnownPool) -> String {
        let servers = pool.parameters.servers.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let volume = pool.parameters.volume.as_deref().unwrap_or_default();
        format!("{} {} {servers}:/{volume}", pool.id.is_some(), pool.name.as_deref().unwrap_or("-"))
    }

    fn info(dir: &Path, name: &str, text: &str) {
        fs::write(dir.join(format!("{name}.info")), text).unwrap();
    }

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn named(known: &Known, name: &str) -> Option<KnownPool> {
        known.all().into_iter().find(|pool| pool.name.as_deref() == Some(name))
    }

    fn class(pairs: &[(&str, &str)]) -> Parameters {
        Parameters::parse(pairs.iter().copied()).unwrap()
    }

    const KADALU: &str = r#"{"volname": "pool-1", "volume_id": "4ff6f4a2-0000-0000-0000-000000000000", "type": "External",
        "pvReclaimPolicy": "archive", "single_pv_per_pool": false, "gluster_hosts": "g1,g2",
        "gluster_volname": "vol", "gluster_options": "log-level=DEBUG"}"#;

    #[test]
    fn storages_of_a_config_map_are_followed_and_a_bad_one_spoils_only_itself() {
        let (state, storages) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let dir = storages.path();
        let known = Known::open(state.path(), Some(dir)).unwrap();
        assert_eq!(known.all(), []);
        // As a ConfigMap is mounted.
        fs::create_dir(dir.join("..1")).unwrap();
        info(&dir.join("..1"), "pool-1", KADALU);
        std::os::unix::fs::symlink("..1", dir.join("..data")).unwrap();
        std::os::unix::fs::symlink("..data/pool-1.info", dir.join("pool-1.info")).unwrap();
        for (name, bad) in [
            ("empty", ""),
            ("list", "[]"),
            ("path", r#"{"type": "External", "gluster_hosts": "g1", "gluster_volname": "../etc"}"#),
            ("nothing", r#"{"type": "External", "volname": "nothing"}"#),
            ("native", r#"{"type": "Replica3", "volname": "native", "bricks": [{"kube_hostname": "n"}]}"#),
        ] {
            info(dir, name, bad);
        }
        fs::write(dir.join("uid"), "a uid").unwrap();
        let all = known.all();
        assert_eq!(all.iter().map(shown).collect::<Vec<_>>(), ["false pool-1 g1:24007,g2:24007:/vol"]);
        let parameters = &all[0].parameters;
        assert_eq!(parameters.reclaim.unwrap().to_string(), "archive");
        assert_eq!(
            (parameters.kind, parameters.options.canonical().as_str()),
            (Some(PvKind::Subdirectory), "log-level=DEBUG")
        );

        fs::create_dir(dir.join("..2")).unwrap();
        info(&dir.join("..2"), "pool-1", &KADALU.replace("g1,g2", "g3\", \"gluster_port\": \"24008"));
        std::os::unix::fs::symlink("..2", dir.join("..new")).unwrap();
        fs::rename(dir.join("..new"), dir.join("..data")).unwrap();
        assert_eq!(known.all().iter().map(shown).collect::<Vec<_>>(), ["false pool-1 g3:24008:/vol"]);
        info(
            dir,
            "list",
            r#"{"gluster_hosts": ["g4", "g5"], "gluster_volname": "other", "single_pv_per_pool": "True"}"#,
        );
        assert_eq!(named(&known, "list").unwrap().parameters.kind, Some(PvKind::Whole));
        fs::remove_file(dir.join("pool-1.info")).unwrap();
        assert_eq!(named(&known, "pool-1"), None);
    }

    #[test]
    fn storages_of_yaml_are_followed_in_a_directory_or_as_one_file() {
        let (state, storages) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let file = storages.path().join("storage-config.yaml");
        let yaml = |name: &str, hosts: &str| {
            format!(
                "apiVersion: kadalu-operator.storage/v1alpha1\nkind: KadaluStorage\nmetadata: {{name: {name}}}\n\
                 spec: {{type: External, details: [{{gluster_node: {hosts}, gluster_volname: vol}}]}}\n"
            )
        };
        fs::write(&file, format!("{}---\n{}", yaml("one", "g1"), yaml("two", "h1"))).unwrap();
        info(storages.path(), "pool-1", KADALU);
        let shown_all = |known: &Known| known.all().iter().map(shown).collect::<Vec<_>>();
        let of_directory = Known::open(state.path(), Some(storages.path())).unwrap();
        let of_file = Known::open(state.path(), Some(&file)).unwrap();
        assert_eq!(shown_all(&of_file), ["false one g1:24007:/vol", "false two h1:24007:/vol"]);
        assert_eq!(shown_all(&of_directory)[0], "false pool-1 g1:24007,g2:24007:/vol");
        assert_eq!(shown_all(&of_directory)[1..], shown_all(&of_file));
        let class =
            of_file.complete(class(&[("hostvol_type", "External"), ("storage_name", "two")])).unwrap();
        assert_eq!(
            (class.servers[0].to_string().as_str(), class.kind),
            ("h1:24007", Some(PvKind::Subdirectory))
        );
        let new = storages.path().join("new");
        fs::write(&new, yaml("one", "[g1, g2]")).unwrap();
        fs::rename(new, &file).unwrap();
        for known in [&of_file, &of_directory] {
            assert_eq!(shown_all(known).last().unwrap(), "false one g1:24007,g2:24007:/vol");
        }
        fs::write(&file, "kind: KadaluStorage\nspec: {type: Externl}\n").unwrap();
        assert_eq!(shown_all(&of_file), ["false one g1:24007,g2:24007:/vol"]);
        let trouble = of_file.incomplete().unwrap();
        assert!(
            trouble.contains("storage-config.yaml: 1:1: ") && trouble.contains("more: kadalu config"),
            "{trouble}"
        );
    }

    #[test]
    fn what_cannot_be_read_is_told_and_what_was_read_before_holds() {
        let (state, storages) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let dir = storages.path().join("storages");
        let known = Known::open(state.path(), Some(&dir)).unwrap();
        assert!(known.incomplete().unwrap().contains("storages"));
        fs::create_dir(&dir).unwrap();
        info(&dir, "pool-1", KADALU);
        assert_eq!((known.incomplete(), known.all().len()), (None, 1));
        let before = known.all();
        info(&dir, "pool-1", "{");
        assert!(known.incomplete().unwrap().contains("pool-1.info"));
        assert_eq!(known.all(), before);
        fs::rename(&dir, storages.path().join("away")).unwrap();
        assert!(known.incomplete().is_some());
        assert_eq!(known.all(), before);
        fs::rename(storages.path().join("away"), &dir).unwrap();
        info(&dir, "pool-1", KADALU);
        assert_eq!((known.incomplete(), known.all()), (None, before));
        for n in 0..1000 {
            info(&dir, &format!("other-{n:04}"), r#"{"type": "Replica3"}"#);
        }
        assert!(known.incomplete().unwrap().contains("1000"));
        assert!(Known::open(state.path(), None).unwrap().incomplete().is_none());
        fs::write(state.path().join(format!("pools/{ID}.json")), "{").unwrap();
        assert!(Known::open(state.path(), None).unwrap().incomplete().is_some());
    }

    #[test]
    fn a_pool_that_was_learned_is_known_after_a_restart_with_all_its_servers() {
        let (state, storages) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        info(storages.path(), "pool-1", KADALU);
        let learn = |known: &Known, servers: &str| {
            known
                .learn(&id(), &class(&[("servers", servers), ("volume", "vol"), ("overcommit", "2")]))
                .unwrap();
        };
        let known = Known::open(state.path(), Some(storages.path())).unwrap();
        learn(&known, "g2");
        known.learn(&id(), &class(&[("servers", "g9:/vol")])).unwrap();
        let path = state.path().join(format!("pools/{ID}.json"));
        assert_eq!(
            std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions()) & 0o777,
            0o600
        );
        for known in [known, Known::open(state.path(), Some(storages.path())).unwrap()] {
            let all = known.all();
            assert_eq!(
                all.iter().map(shown).collect::<Vec<_>>(),
                ["true pool-1 g1:24007,g2:24007,g9:24007:/vol"]
            );
            assert_eq!(known.get(&id()).as_ref(), all.first());
            assert_eq!(all[0].parameters.overcommit, Some(2.0));
            assert_eq!(all[0].parameters.reclaim.unwrap().to_string(), "archive");
            assert_eq!(known.get(&ID.replace('0', "1").parse().unwrap()), None);
        }
        // Of another cluster, with a volume of the same name.
        let known = Known::open(state.path(), None).unwrap();
        assert_eq!(known.all().iter().map(shown).collect::<Vec<_>>(), ["true - g9:24007,g2:24007:/vol"]);
        fs::write(path, "{").unwrap();
        assert_eq!(known.all().len(), 1);
        assert_eq!(Known::open(state.path(), None).unwrap().all(), []);
    }

    #[test]
    fn a_pv_is_mounted_by_what_is_known_before_what_its_context_says() {
        let (state, storages) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        info(storages.path(), "pool-1", KADALU);
        let known = Known::open(state.path(), Some(storages.path())).unwrap();
        let locate =
            |id: &str, pairs: &[(&str, &str)]| known.locate(id, &map(pairs)).map(|at| at.source.to_string());
        let kadalu = [("gvolname", "vol"), ("gserver", "g0,g2"), ("path", "subvol/d3/d3/pvc-1")];
        assert_eq!(locate("pvc-1", &kadalu).unwrap(), "g1:24007,g2:24007,g0:24007:/vol/subvol/d3/d3/pvc-1");
        let elsewhere = [("gvolname", "vol"), ("gserver", "h1")];
        assert_eq!(locate("pvc-1", &elsewhere).unwrap(), "h1:24007:/vol");
        assert_eq!(locate("h1:/vol/a b", &[]).unwrap(), "h1:24007:/vol/a b");
        let pv = format!("{ID}/pvc-1");
        assert!(locate(&pv, &[]).unwrap_err().to_string().contains("nothing says where"));
        known.learn(&id(), &class(&[("servers", "g1:/vol")])).unwrap();
        assert_eq!(locate(&pv, &[]).unwrap(), "g1:24007,g2:24007:/vol/subvol/d3/d3/pvc-1");
        assert_eq!(
            locate(&pv, &[("gluster_volname", "vol"), ("path", "a")]).unwrap(),
            "g1:24007,g2:24007:/vol/a"
        );
        assert_eq!(locate(&format!("{ID}:pvc-1"), &[]).unwrap(), "g1:24007,g2:24007:/vol");
        let other = [("gluster_volname", "vol"), ("volume_uuid", &*ID.replace('0', "1"))];
        for (id, pairs) in [
            (pv.as_str(), &other[..]),
            ("pvc-1", &[]),
            ("a/b", &[]),
            ("pvc-1", &[("gluster_volname", "unknown")]),
            ("", &[]),
        ] {
            assert_eq!(locate(id, pairs).unwrap_err().reason(), Reason::Invalid, "{id}");
        }
    }

    #[test]
    fn a_class_is_completed_by_its_storage() {
        let (state, storages) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        info(storages.path(), "pool-1", KADALU);
        let known = Known::open(state.path(), Some(storages.path())).unwrap();
        let complete = |pairs: &[(&str, &str)]| known.complete(class(pairs));
        for pairs in [
            &[("storage_name", "pool-1")][..],
            &[("servers", "g2:/vol")],
            &[("servers", "g2:/vol"), ("storage_name", "pool-1")],
        ] {
            let class = complete(pairs).unwrap();
            assert_eq!(class.reclaim.unwrap().to_string(), "archive");
            assert_eq!((class.volume.unwrap().as_str(), class.servers.len()), ("vol", 2));
            assert_eq!(class.options.canonical(), "log-level=DEBUG");
        }
        let own = complete(&[("servers", "g2:/vol"), ("options", "acl"), ("reclaim", "delete")]).unwrap();
        assert_eq!(
            (own.options.canonical().as_str(), own.reclaim.unwrap().to_string().as_str()),
            ("acl", "delete")
        );
        known
            .learn(&id(), &class(&[("servers", "g9,g2:/vol"), ("options", "acl"), ("overcommit", "3")]))
            .unwrap();
        let class = complete(&[("servers", "g9:/vol")]).unwrap();
        assert_eq!(
            (class.servers.len(), class.options.canonical().as_str(), class.overcommit),
            (2, "", None)
        );
        let elsewhere = complete(&[("servers", "h1:/vol")]).unwrap();
        assert_eq!((elsewhere.servers.len(), elsewhere.reclaim), (1, None));
        assert_eq!(complete(&[("storage_name", "pool-2")]).unwrap_err().reason(), Reason::Precondition);
        let other = complete(&[("storage_name", "pool-1"), ("servers", "g1:/other")]);
        assert_eq!(other.unwrap_err().reason(), Reason::Invalid);
    }
}
