//! Storages of files, what was learned, and where PVs are.

use super::*;
use crate::storage::{
    config::{self, Storage},
    parameters::PvKind,
};

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
    let class = of_file.complete(class(&[("hostvol_type", "External"), ("storage_name", "two")])).unwrap();
    assert_eq!((class.servers[0].to_string().as_str(), class.kind), ("h1:24007", Some(PvKind::Subdirectory)));
    let new = storages.path().join("new");
    fs::write(&new, yaml("one", "[g1, g2]")).unwrap();
    fs::rename(new, &file).unwrap();
    for known in [&of_file, &of_directory] {
        assert_eq!(shown_all(known).last().unwrap(), "false one g1:24007,g2:24007:/vol");
    }
    // As the operator tells the driver.
    let text = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/storages/policies.yaml"));
    let all = config::read(&text.unwrap()).unwrap();
    let [Storage::External(config)] = all.as_slice() else { panic!("{all:?}") };
    info(storages.path(), &config.name, &config.info(Some(ID)).to_string());
    let mut told = named(&of_directory, &config.name).unwrap().parameters;
    assert_eq!(told.volume_id.take(), Some(id()));
    assert_eq!(told, config.parameters);
    fs::write(&file, "kind: KadaluStorage\nspec: {type: Externl}\n").unwrap();
    assert_eq!(shown_all(&of_file), ["false one g1:24007,g2:24007:/vol"]);
    let trouble = of_file.incomplete().unwrap();
    assert!(
        trouble.contains("storage-config.yaml: 1:1: ") && trouble.contains("more: kadalu config"),
        "{trouble}"
    );
}

#[test]
fn a_storage_of_two_files_is_one_where_both_mean_the_same_and_else_none_for_new_pvs() {
    let (state, storages) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let dir = storages.path();
    let known = Known::open(state.path(), Some(dir)).unwrap();
    let named = || known.complete(class(&[("storage_name", "pool-1")]));
    info(dir, "pool-1", KADALU);
    let yaml = |policy: &str| {
        let text = format!(
            "apiVersion: kadalu-operator.storage/v1alpha1\nkind: KadaluStorage\nmetadata: {{name: pool-1}}\nspec: {{type: \
             External, {policy}, details: [{{gluster_hosts: 'g1 g2', volume: vol, options: log_level=debug}}]}}\n"
        );
        fs::write(dir.join("new"), text).unwrap();
        fs::rename(dir.join("new"), dir.join("storage-config.yaml")).unwrap();
    };
    yaml("reclaim: archive");
    assert_eq!((known.all().len(), named().unwrap().servers.len()), (1, 2));
    yaml("reclaim: retain");
    for refused in [named(), known.complete(class(&[("servers", "g2:/vol")]))] {
        let error = refused.unwrap_err();
        assert_eq!(error.reason(), Reason::Precondition);
        for file in ["/pool-1.info and", "/storage-config.yaml: take it out"] {
            assert!(error.to_string().contains(file), "{error}");
        }
    }
    // PVs of either are there all the same, and no other storage suffers.
    assert_eq!((known.all().len(), known.incomplete()), (2, None));
    info(dir, "pool-2", &KADALU.replace("vol\"", "other\""));
    assert_eq!(
        known.complete(class(&[("storage_name", "pool-2")])).unwrap().volume.as_deref(),
        Some("other")
    );
    fs::remove_file(dir.join("pool-1.info")).unwrap();
    assert_eq!(named().unwrap().reclaim.unwrap().to_string(), "retain");
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
        known.learn(&id(), &class(&[("servers", servers), ("volume", "vol"), ("overcommit", "2")])).unwrap();
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
    assert_eq!((class.servers.len(), class.options.canonical().as_str(), class.overcommit), (2, "", None));
    let elsewhere = complete(&[("servers", "h1:/vol")]).unwrap();
    assert_eq!((elsewhere.servers.len(), elsewhere.reclaim), (1, None));
    assert_eq!(complete(&[("storage_name", "pool-2")]).unwrap_err().reason(), Reason::Precondition);
    let other = complete(&[("storage_name", "pool-1"), ("servers", "g1:/other")]);
    assert_eq!(other.unwrap_err().reason(), Reason::Invalid);
}
