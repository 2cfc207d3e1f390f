//! deploy/kubernetes: what no schema knows. `.ci/manifests` has the schemas.

use std::{collections::BTreeSet, fs, path::Path};

use glusterd_client::storage::{
    config::{self, ClassStyle, Storage, StorageConfig},
    handle::Handle,
    known::Known,
    parameters::{Parameters, PvKind},
};
use serde_json::Value;

use super::support::finish;

/// The objects of a directory of deploy/kubernetes.
fn objects(directory: &str) -> Vec<Value> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/kubernetes").join(directory);
    let files = fs::read_dir(&directory).expect("it is there").map(|entry| entry.expect("a file").path());
    let manifests = files.filter(|path| path.extension().is_some_and(|end| end == "yaml"));
    let read = |path: &Path| {
        let text = fs::read_to_string(path).expect("UTF-8");
        serde_saphyr::from_multiple::<Value>(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    manifests.flat_map(|path| read(&path)).collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn names<'a>(items: &'a Value, key: &str) -> BTreeSet<&'a str> {
    list(items).iter().map(|item| text(&item[key])).collect()
}

/// The workloads with their pods.
fn pods(objects: &[Value]) -> Vec<(&str, &Value)> {
    let workloads = objects.iter().filter(|object| object["spec"]["template"].is_object());
    workloads.map(|object| (text(&object["metadata"]["name"]), &object["spec"]["template"]["spec"])).collect()
}

#[test]
fn every_command_line_is_understood() {
    let objects = objects("");
    let ours = |(of, pod): (_, &Value)| {
        let containers = list(&pod["containers"]).iter().filter(|container| container["image"] == "kadalu");
        containers.map(|container| (of, container.clone())).collect::<Vec<_>>()
    };
    let containers: Vec<_> = pods(&objects).into_iter().flat_map(ours).collect();
    assert_eq!(containers.len(), 4);
    for (of, container) in containers {
        // Without its feature nobody knows the operator.
        if container["name"] == "operator" && !cfg!(feature = "operator") {
            continue;
        }
        let words = list(&container["command"]).iter().chain(list(&container["args"])).map(text);
        // Without what runs it.
        let words = words.skip_while(|word| word.starts_with('/') || *word == "kadalu");
        let arguments: Vec<_> = words.collect();
        let variables = list(&container["env"]).iter().map(|variable| text(&variable["name"]));
        for named in variables {
            assert!(arguments.iter().any(|word| word.contains(&format!("$({named})"))), "{of}: {named}");
        }
        // Read up to its end, where help is asked for.
        let ran = finish(super::support::kadalu(&arguments).arg("--help"));
        assert_eq!(ran.code, Some(0), "{of}: kadalu {}: {}", arguments.join(" "), ran.stderr);
    }
}

#[test]
fn what_is_named_is_there() {
    let objects = objects("");
    let of_kind = |kind: &str| {
        let found = objects.iter().filter(|object| object["kind"] == kind);
        found.map(|object| text(&object["metadata"]["name"])).collect::<BTreeSet<_>>()
    };
    let accounts = of_kind("ServiceAccount");
    for (of, pod) in pods(&objects) {
        let account = pod["serviceAccountName"].as_str();
        assert!(account.is_none_or(|account| accounts.contains(account)), "{of}: {account:?}");
        assert!(account.is_some() || pod["automountServiceAccountToken"] == false, "{of} needs no token");
        let containers = list(&pod["containers"]);
        let mounted: BTreeSet<_> =
            containers.iter().flat_map(|container| names(&container["volumeMounts"], "name")).collect();
        assert_eq!(mounted, names(&pod["volumes"], "name"), "{of}");
        for container in containers {
            let image = text(&container["image"]);
            assert!(image == "kadalu" || image.starts_with("registry.k8s.io/sig-storage/"), "{of}: {image}");
            assert!(image == "kadalu" || image.contains(":v"), "{of}: {image} has no version");
            for probe in ["livenessProbe", "readinessProbe"] {
                let port = &container[probe]["httpGet"]["port"];
                assert!(
                    port.as_str().is_none_or(|port| names(&container["ports"], "name").contains(port)),
                    "{of}"
                );
            }
        }
    }
    // kadalu's own, which go with its operator.
    let kadalus = |kind: &&str| of_kind(kind).contains("kadalu-operator");
    assert_eq!(["ClusterRole", "ClusterRoleBinding"].iter().filter(|kind| kadalus(kind)).count(), 0);
    for object in objects.iter().filter(|object| object["spec"]["template"].is_object()) {
        let labels = &object["spec"]["template"]["metadata"]["labels"];
        assert_eq!(&object["spec"]["selector"]["matchLabels"], labels);
    }
    for binding in objects.iter().filter(|object| text(&object["kind"]).ends_with("Binding")) {
        let role = &binding["roleRef"];
        assert!(of_kind(text(&role["kind"])).contains(text(&role["name"])), "{binding}");
        assert!(names(&binding["subjects"], "name").is_subset(&accounts), "{binding}");
        assert_eq!(names(&binding["subjects"], "namespace"), of_kind("Namespace"), "{binding}");
    }
}

/// All I/O goes through the mount host: nothing may restart it unasked.
#[test]
fn the_mount_host_is_left_alone() {
    let objects = objects("");
    let mountd =
        objects.iter().find(|object| object["metadata"]["name"] == "kadalu-mountd").expect("it is there");
    assert_eq!(mountd["spec"]["updateStrategy"]["type"], "OnDelete");
    let container = &mountd["spec"]["template"]["spec"]["containers"][0];
    assert!(container["livenessProbe"].is_null() && container["resources"]["limits"].is_null());
    assert!(text(&container["command"][0]).ends_with("/supervise"), "PID 1 is not mountd");
    let state = list(&container["volumeMounts"]).iter().find(|mount| mount["name"] == "state");
    // By the dead mounts there, the next container knows what it has to mend: tests/e2e/live_container.rs.
    assert_eq!(state.expect("its state")["mountPropagation"], "Bidirectional");
}

/// It asks from where the mounts ask, and may do nothing else: what it has of root is the driver's socket, and low ports.
#[test]
fn the_operator_has_no_privilege() {
    let objects = objects("");
    let pods = pods(&objects);
    let (_, pod) = pods.iter().find(|(of, _)| *of == "kadalu-controller").expect("it is there");
    assert_eq!(pod["hostNetwork"], true);
    let containers = list(&pod["containers"]);
    let named = |name: &str| containers.iter().find(|each| each["name"] == name).expect("it is there");
    let (operator, driver) = (named("operator"), named("kadalu"));
    let context = &operator["securityContext"];
    assert!(context["privileged"].is_null() && context["allowPrivilegeEscalation"] == false);
    assert_eq!(context["capabilities"]["drop"][0], "ALL");
    assert_eq!(list(&context["capabilities"]["add"]), ["NET_BIND_SERVICE"]);
    assert_eq!((&context["runAsUser"], &context["readOnlyRootFilesystem"]), (&0.into(), &true.into()));
    assert_eq!(names(&operator["volumeMounts"], "name"), BTreeSet::from(["socket"]));
    let flag = |of: &Value, flag: &str| {
        let found = list(&of["args"]).iter().find_map(|word| text(word).strip_prefix(flag));
        found.unwrap_or_else(|| panic!("{flag}")).to_owned()
    };
    assert_eq!(flag(operator, "--csi="), flag(driver, "--endpoint="));
    // All of these share the network of the node.
    let ports = [("kadalu-controller", 9761), ("kadalu-controller", 9763), ("kadalu-mountd", 9760)];
    for (of, pod) in pods {
        for container in list(&pod["containers"]).iter().filter(|_| pod["hostNetwork"] == true) {
            let probes = ["livenessProbe", "readinessProbe"].map(|probe| &container[probe]["httpGet"]);
            for asked in probes.into_iter().filter(|asked| asked.is_object()) {
                assert_eq!(asked["host"], "127.0.0.1", "{of}");
                assert!(
                    ports.iter().any(|(pod, port)| *pod == of && asked["port"] == *port),
                    "{of}: {asked}"
                );
            }
        }
    }
    // By its declared ports the scheduler keeps a second one from the node, where it could not listen.
    let declared = containers.iter().flat_map(|container| list(&container["ports"]));
    let declared: BTreeSet<_> = declared.map(|port| port["containerPort"].as_u64()).collect();
    assert_eq!(declared, BTreeSet::from([Some(9761), Some(9763)]));
    // What /healthz tells of the API is mended by no restart.
    assert!(operator["livenessProbe"].is_null());
    let ready = &operator["readinessProbe"]["httpGet"];
    assert_eq!(ready["path"], "/healthz");
    assert_eq!(ready["port"].to_string(), flag(operator, "--metrics-address=127.0.0.1:"));
}

/// A patch of RFC 6902, as far as components have it.
fn patched(object: &mut Value, operation: &Value) {
    let path = text(&operation["path"]);
    let (parent, key) = path.rsplit_once('/').expect("a path");
    if operation["op"] == "test" {
        return assert_eq!(object.pointer(path), Some(&operation["value"]), "{path}");
    }
    let parent = object.pointer_mut(parent).unwrap_or_else(|| panic!("there is no {parent}"));
    let there = parent.get(key).is_some() || key.parse().is_ok_and(|at: usize| parent.get(at).is_some());
    match (text(&operation["op"]), parent) {
        ("add", Value::Array(items)) if key == "-" => items.push(operation["value"].clone()),
        ("add", Value::Object(fields)) if !there => {
            fields.insert(key.to_owned(), operation["value"].clone());
        }
        ("replace", Value::Array(items)) if there => {
            items[key.parse::<usize>().expect("a number")] = operation["value"].clone();
        }
        ("remove", Value::Object(fields)) if there => drop(fields.remove(key)),
        (operation, parent) => panic!("{operation} {path}: {parent}"),
    }
}

/// With the component, on the node's address; and the example finds all that tell any.
#[test]
fn metrics_are_told_where_the_example_scrapes_them() {
    let mut objects = objects("");
    for patch in list(&self::objects("components/metrics")[0]["patches"]) {
        let is = |object: &&mut Value| {
            object["kind"] == patch["target"]["kind"] && object["metadata"]["name"] == patch["target"]["name"]
        };
        let object = objects.iter_mut().find(is).expect("it is there");
        let operations: Value = serde_saphyr::from_str(text(&patch["patch"])).expect("a patch");
        list(&operations).iter().for_each(|operation| patched(object, operation));
    }
    let examples = self::objects("examples");
    let monitor = examples.iter().find(|object| object["kind"] == "PodMonitor").expect("it is there");
    let endpoint = &monitor["spec"]["podMetricsEndpoints"][0];
    assert_eq!(
        (&monitor["metadata"]["namespace"], &endpoint["path"]),
        (&"kadalu".into(), &"/metrics".into())
    );
    let chosen = &monitor["spec"]["selector"]["matchExpressions"][0];
    let mut scraped = BTreeSet::new();
    for object in objects.iter().filter(|object| object["spec"]["template"].is_object()) {
        let template = &object["spec"]["template"];
        for container in list(&template["spec"]["containers"]) {
            let flag = list(&container["args"]).iter().find_map(|word| text(word).strip_prefix("--metrics"));
            let Some(address) = flag else { continue };
            let (_, address) = address.split_once('=').expect("an address");
            let port = address.strip_prefix("$(HOST_IP):").unwrap_or_else(|| panic!("{address}"));
            let named = list(&container["ports"]).iter().find(|named| named["name"] == endpoint["port"]);
            assert_eq!(named.expect("a port")["containerPort"].to_string(), port);
            let host = list(&container["env"]).iter().find(|variable| variable["name"] == "HOST_IP");
            assert_eq!(host.expect("it is there")["valueFrom"]["fieldRef"]["fieldPath"], "status.hostIP");
            // Without a host it is the pod's address, which is the node's.
            let probe = &container["readinessProbe"]["httpGet"];
            assert!(template["spec"]["hostNetwork"] == true && probe["host"].is_null());
            assert_eq!(probe["port"].to_string(), port);
            let pod = &template["metadata"]["labels"][text(&chosen["key"])];
            assert!(list(&chosen["values"]).contains(pod), "{pod}");
            scraped.insert(text(&container["name"]).to_owned());
        }
    }
    assert_eq!(scraped, BTreeSet::from(["mountd".to_owned(), "operator".to_owned()]));
}

/// `kadalu crd` is for those who have the binary alone.
#[cfg(feature = "operator")]
#[test]
fn the_definition_is_printed() {
    let ran = finish(&mut super::support::kadalu(&["crd"]));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/kubernetes/crd.yaml");
    assert_eq!((ran.code, ran.stdout), (Some(0), fs::read_to_string(path).expect("it is there")));
}

/// The storages of an example.
fn storages(file: &str) -> Vec<StorageConfig> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/kubernetes/examples").join(file);
    let read = config::read(&fs::read(path).expect("it is there"));
    let external = |storage| match storage {
        Storage::External(config) => *config,
        Storage::Foreign { name, kind } => panic!("{name} is of type {kind}"),
    };
    read.unwrap_or_else(|faults| panic!("{file}: {faults:?}")).into_iter().map(external).collect()
}

#[test]
fn storages_are_understood() {
    let whole = |file: &str| {
        let storages = storages(file);
        assert_eq!(storages.len(), 1, "{file}");
        (storages[0].class_name(), storages[0].storage_class("c", ClassStyle::Whole))
    };
    let (name, class) = whole("rfc.yaml");
    assert_eq!(name, "kadalu.external.ext-storage");
    assert_eq!(class["parameters"]["gluster_volname"], "volume_name");
    let (name, class) = whole("heketi.yaml");
    assert_eq!((name.as_str(), &class["allowVolumeExpansion"]), ("kadalu.external.vol-1", &false.into()));
    let (_, class) = whole("tls.yaml");
    assert_eq!(class["parameters"]["quota"], "required");
    // Ours are in the documented spelling.
    let kinds = ["heketi.yaml", "tls.yaml"].map(storages).concat();
    for object in objects("examples").iter().filter(|object| object["kind"] == "KadaluStorage") {
        let Some(config) = kinds.iter().find(|config| object["metadata"]["name"] == config.name) else {
            continue;
        };
        let (words, normal) = (&object["spec"], &config.normal()["spec"]);
        for (here, there) in [(words, normal), (&words["details"], &normal["details"])] {
            let keys = |object: &Value| {
                object.as_object().expect("an object").keys().cloned().collect::<BTreeSet<_>>()
            };
            assert!(keys(here).is_subset(&keys(there)), "{}: {here}", config.name);
        }
    }
}

/// Byte for byte: what is in the RFC works as it is.
#[test]
fn the_example_of_the_rfc_is_its_text() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| fs::read_to_string(root.join(path)).expect("it is there");
    assert_eq!(read("deploy/kubernetes/examples/rfc.yaml"), read("tests/storages/rfc.yaml"));
}

/// The driver reads the examples as they are meant.
#[test]
fn examples_are_understood() {
    let examples = objects("examples");
    let of_kind = |kind: &'static str| examples.iter().filter(move |object| object["kind"] == kind);
    let classes = of_kind("StorageClass").map(|class| {
        assert_eq!(class["provisioner"], "kadalu");
        let pairs = class["parameters"].as_object().expect("parameters");
        let parameters = Parameters::parse(pairs.iter().map(|(key, value)| (key.as_str(), text(value))));
        (text(&class["metadata"]["name"]).to_owned(), parameters.expect("they make sense").kind)
    });
    let classes: std::collections::BTreeMap<_, _> = classes.collect();
    assert_eq!(classes["kadalu.external.whole"], Some(PvKind::Whole));
    assert!(classes.contains_key("kadalu.external.ext-storage"));
    for claim in of_kind("PersistentVolumeClaim") {
        let class = text(&claim["spec"]["storageClassName"]);
        let made = ["rfc.yaml", "heketi.yaml"].iter().flat_map(|file| storages(file));
        let made = made.map(|storage| storage.class_name()).any(|made| made == class);
        assert!(class.is_empty() || classes.contains_key(class) || made, "{class}");
    }
    for pv in of_kind("PersistentVolume") {
        let handle = Handle::parse(text(&pv["spec"]["csi"]["volumeHandle"]));
        assert!(matches!(handle, Ok(Handle::Static(_))), "{handle:?}");
    }
    let storages = tempfile::tempdir().expect("a directory");
    for (name, file) in of_kind("ConfigMap").flat_map(|map| map["data"].as_object().expect("files")) {
        fs::write(storages.path().join(name), text(file)).expect("written");
    }
    let known =
        Known::open(&storages.path().join("state"), Some(storages.path())).expect("a state directory");
    let known: Vec<_> = known.all().into_iter().map(|pool| (pool.name, pool.parameters.volume)).collect();
    assert_eq!(known, [(Some("ext-storage".to_owned()), Some("volume_name".to_owned()))]);
}
