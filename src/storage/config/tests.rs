//! What is read from texts and objects. Whole files with what becomes of them are in tests/storages.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn external(text: &str) -> StorageConfig {
    match read(text.as_bytes()).as_deref() {
        Ok([Storage::External(config)]) => (**config).clone(),
        other => panic!("{other:?}\n{text}"),
    }
}

/// A storage whose spec has these lines.
fn with(spec: &str) -> String {
    let lines: String = spec.lines().map(|line| format!("  {line}\n")).collect();
    format!(
        "apiVersion: {API_VERSION}\nkind: KadaluStorage\nmetadata:\n  name: pool\nspec:\n  type: External\n{lines}"
    )
}

fn faults(text: &str) -> Vec<String> {
    read(text.as_bytes()).expect_err(text).iter().map(ToString::to_string).collect()
}

#[test]
fn the_rfc() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/storages/rfc.yaml"));
    let config = external(&text.unwrap());
    assert_eq!(
        (config.name.as_str(), config.class_name().as_str()),
        ("ext-storage", "kadalu.external.ext-storage")
    );
    assert_eq!(config.parameters.servers[0].to_string(), "node1:24007");
    assert_eq!(config.parameters.volume.as_deref(), Some("volume_name"));
    assert_eq!(config.parameters.options.canonical(), "log-level=DEBUG");
}

#[test]
fn defaults_of_kadalus_definition_contradict_nobody() {
    let marked = |metadata: Value, spec: Value| {
        let mut object = json!({"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata,
            "spec": {"type": "External", "details": {"gluster_hosts": ["g1"], "gluster_volname": "vol"}}});
        object["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        // As the operator has it, and as kubectl prints it for `kadalu config`.
        let text = read(object.to_string().as_bytes()).map(|mut storages| storages.pop().unwrap());
        assert_eq!(text.as_ref().ok(), read_object(&object).as_ref().ok());
        read_object(&object)
    };
    let object = |spec| marked(json!({"name": "pool", "uid": "u"}), spec);
    for (single, format, whole) in [
        (false, "native", false),
        (false, "non-native", true),
        (true, "native", true),
        (true, "non-native", true),
    ] {
        let Storage::External(config) =
            object(json!({"single_pv_per_pool": single, "kadalu_format": format, "quota": false})).unwrap()
        else {
            panic!("{single} {format}");
        };
        assert_eq!(config.is_whole(), whole, "{single} {format}");
        assert_eq!(config.parameters.quota, Some(crate::storage::record::QuotaPolicy::Off));
    }
    object(json!({"single_pv_per_pool": true, "kadalu_format": true})).unwrap_err();
    // What somebody wrote is no default.
    let both = json!({"single_pv_per_pool": false, "kadalu_format": "non-native"});
    let applied = |spec: Value| {
        let text = json!({ "spec": spec }).to_string();
        json!({"name": "pool", "uid": "u", "annotations": {"kubectl.kubernetes.io/last-applied-configuration": text}})
    };
    marked(applied(json!({"kadalu_format": "non-native"})), both.clone()).unwrap();
    marked(applied(json!({"kadalu-format": "non-native", "single_pv_per_pool": false})), both.clone())
        .unwrap_err();
    marked(json!({"name": "pool"}), both).unwrap_err();
    assert_eq!(
        faults(&with(
            "single_pv_per_pool: false\nkadalu_format: non-native\ndetails: {gluster_volname: 'g1:/vol'}"
        ))
        .len(),
        1
    );
}

/// The definition of the kind says the number itself, in CEL.
#[test]
fn names_have_one_bound() {
    let of = |length| {
        with("details: {gluster_hosts: 'g:/v'}")
            .replace("name: pool", &format!("name: {}", "x".repeat(length)))
    };
    external(&of(MAX_NAME));
    assert!(faults(&of(MAX_NAME + 1))[0].contains("at most 235"));
    let definition = include_str!("../../../deploy/kubernetes/crd.yaml");
    assert!(definition.contains(&format!("self.metadata.name.size() <= {MAX_NAME}")));
}

#[test]
fn every_spelling_means_the_same() {
    let expected = external(&with("details:\n  gluster_hosts: [g1, g2]\n  gluster_volname: vol"));
    for spec in [
        "details:\n- gluster_node: g1\n  backup_nodes: [g2]\n  gluster_volname: vol",
        "details:\n- gluster_node: [g1, g2]\n  gluster_volname: vol",
        "details: {gluster_host: 'g1', backup-nodes: g2, Gluster_volname: /vol/}",
        "details: {gluster_hosts: 'g1, g2', gluster_volname: vol, gluster_options: ''}",
        "details: {gluster_hosts: g1 g2, gluster_volname: vol, kadalu-format: true}",
        "details: {gluster_hosts: 'g1,g2:/vol', kadalu_format: native, gluster_port: 24007}",
        "kadalu_format: \"true\"\nsingle_pv_per_pool: False\ndetails:\n  gluster_volname: g1,g2:/vol",
        "gluster_hosts:\n- g1\n- g2\ngluster_volname: vol\ndetails: []\ntolerations: [{key: a}]\nstorage: []",
        "gluster_hosts: &hosts [g1, g2]\ndetails: {gluster_volname: vol, gluster_host: *hosts}",
        "details:\n  gluster_hosts: >-\n    g1,\n    g2\n  gluster_volname: !!str vol\n  gluster_options: ~",
    ] {
        assert_eq!(external(&with(spec)), expected, "{spec}");
    }
    let json = serde_json::to_string_pretty(&json!({"kind": "List", "items": [expected.normal()]}));
    assert_eq!(external(&json.unwrap()), expected);
}

#[test]
fn whole_volumes_policies_and_options() {
    for spec in ["kadalu_format: non-native", "kadalu-format: false", "single_pv_per_pool: 'True'"] {
        let config = external(&with(&format!("{spec}\ndetails: {{gluster_hosts: g, gluster_volname: v}}")));
        assert!(config.is_whole(), "{spec}");
        let class = config.storage_class("c", ClassStyle::Whole);
        assert_eq!(
            (&class["allowVolumeExpansion"], &class["reclaimPolicy"]),
            (&json!(false), &json!("Retain"))
        );
    }
    let config = external(&with(
        "pvReclaimPolicy: Archive\nquota: required\nsoft_limit: 80%\ninodes: 1000\novercommit: 1.5\nallow: [shard]\n\
         volume_id: 4ff6f4a2\ndetails:\n  Gluster_options: [log_level=DEBUG, acl, backup-volfile-servers=g2]\n  \
         gluster_hosts: g1:24008\n  gluster_volname: v",
    ));
    assert_eq!(config.volume_id.as_deref(), Some("4ff6f4a2"));
    let class = config.storage_class("kadalu.external.pool", ClassStyle::Whole);
    assert_eq!(
        class["parameters"],
        json!({
            "hostvol_type": "External", "gluster_hosts": "g1:24008,g2", "gluster_volname": "v",
            "gluster_options": "acl,log-level=DEBUG", "single_pv_per_pool": "False", "pvReclaimPolicy": "archive",
            "quota": "required", "soft_limit": "80", "inodes": "1000", "overcommit": "1.5", "allow": "shard",
        })
    );
    let class = config.storage_class("kadalu.external.pool", ClassStyle::ByName);
    assert_eq!(class["parameters"], json!({"hostvol_type": "External", "storage_name": "pool"}));
    let info = config.info(Some("0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"));
    assert_eq!((&info["volname"], &info["gluster_hosts"]), (&json!("pool"), &json!("g1:24008,g2")));
}

#[test]
fn what_stands_beside_it_is_left_out_and_kadalu_s_own_kinds_are_foreign() {
    let own = "apiVersion: kadalu-operator.storage/v1alpha1\nkind: KadaluStorage\nmetadata: {name: own}\nspec:\n  \
        type: Replica3\n  storage: [{node: n, device: /dev/vdc}]\n  anything: else\n";
    let text = format!(
        "# nothing\n---\nkind: Namespace\nmetadata: {{name: kadalu}}\n---\n{own}---\n{}",
        with("details: {gluster_hosts: g:/v}")
    );
    let storages = read(text.as_bytes()).unwrap();
    assert_eq!(storages[0], Storage::Foreign { name: "own".to_owned(), kind: "Replica3".to_owned() });
    assert!(matches!(&storages[1], Storage::External(config) if config.name == "pool"));
}

#[test]
fn hostile_texts_are_told_in_a_sentence() {
    let laugh = (0..9).fold("a0: &a0 [x]\n".to_owned(), |text, n| {
        format!("{text}a{0}: &a{0} [{1}]\n", n + 1, vec![format!("*a{n}"); 9].join(","))
    });
    let chain = (0..1000).fold("- &a0 x\n".to_owned(), |text, n| format!("{text}- &a{} [*a{n}]\n", n + 1));
    // Each alias is read as what it stands for.
    let often =
        |item: &str, times| format!("kind: List\nitems:\n- &a {{{item}}}\n{}", "- *a\n".repeat(times));
    let large = (0..20_000).fold("kind: Pod".to_owned(), |text, n| format!("{text}, k{n}: x"));
    let long = format!("kind: Pod, ? {} : x", "k".repeat(1 << 19));
    assert!(faults(&often(&long, 5))[0].starts_with("1:1: there is no KadaluStorage in it"));
    for (text, expected) in [
        (String::new(), "1:1: there is no KadaluStorage in it"),
        ("- a".to_owned(), "1:1: an object is wanted"),
        ("x".repeat(MAX_FILE + 1), "more than 1 MiB"),
        (format!("a: {}", "[".repeat(1000)), "this is no YAML"),
        (format!("a: [{}]", "a,".repeat(200_000)), "more than 100000 words"),
        (chain, "more than 64 levels"),
        (laugh, "more than 100000 words"),
        (often(&large, 10), "more than 100000 words"),
        (often(&long, 15), "more than 100000 words"),
        (often("kind: Pod", 40_000), "more than 100000 words"),
        ("a: &a [*a]".to_owned(), "1:8: this alias stands for what it is in"),
        ("a: *b".to_owned(), "this is no YAML"),
        ("? [a]\n: b".to_owned(), "a word is wanted before the colon"),
        ("kind: KadaluStorag".to_owned(), "do you mean KadaluStorage?"),
        ("kind: \"\\e[2J\"".to_owned(), "\"\\u{1b}[2J\""),
        ("a: 1\n---\nb: [\n".to_owned(), "1:1: kind: it is missing"),
    ] {
        let faults = faults(&text);
        assert!(faults[0].contains(expected), "{expected}: {:?}", faults[0]);
        assert!(
            faults.iter().all(|fault| fault.len() < 600 && !fault.contains(char::is_control)),
            "{faults:?}"
        );
    }
    let bad = read(b"kind: \xff").unwrap_err();
    assert_eq!(bad[0].to_string(), "1:7: this is not UTF-8: is it a configuration?");
    let deep = (0..200).fold(json!(1), |value, _| json!([value]));
    assert!(read_object(&deep).unwrap_err()[0].message.contains("64 levels"));
    let two = json!({"kind": "List", "items": [with("a"), with("b")]});
    assert!(read_object(&two).is_err());
}

/// Words that make faults likely, and some that do not.
fn word() -> impl Strategy<Value = String> {
    let words = [
        "g1",
        "g2:24008",
        "g1:/vol",
        "vol",
        "true",
        "false",
        "native",
        "acl",
        "log_level=DEBUG",
        "ro",
        "80",
        "1.5",
        "",
        "archive",
        "required",
        "shard",
        "External",
        "Replica3",
        "a,b",
        "[::1]",
        "unix:/run/g.sock",
        "backup-volfile-servers=g3",
    ];
    prop_oneof![4 => prop::sample::select(words.to_vec()).prop_map(str::to_owned), 1 => any::<String>()]
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        6 => word().prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        1 => any::<u16>().prop_map(Value::from),
        2 => prop::collection::vec(word(), 0..4).prop_map(Value::from),
        1 => Just(Value::Null),
        1 => Just(json!({"a": [1]})),
    ]
}

fn object_of(fields: Vec<(String, Value)>) -> Value {
    Value::Object(fields.into_iter().collect())
}

fn fields() -> impl Strategy<Value = Vec<(String, Value)>> {
    let keys = [
        "gluster_hosts",
        "gluster_node",
        "Gluster_options",
        "gluster-volname",
        "gluster_port",
        "kadalu-format",
        "quota",
        "single_pv_per_pool",
        "pvReclaimPolicy",
        "soft_limit",
        "inodes",
        "overcommit",
        "allow",
        "volume_id",
        "storage",
        "options",
    ];
    let key =
        prop_oneof![20 => prop::sample::select(keys.to_vec()).prop_map(str::to_owned), 1 => any::<String>()];
    prop::collection::vec((key, value()), 0..5)
}

prop_compose! {
    fn storage()(spec in fields(), details in fields(), sound in any::<bool>(), listed in any::<bool>()) -> Value {
        let mut details = object_of(details);
        if sound {
            details["gluster_hosts"] = json!("g1,g2:24008");
            details["gluster_volname"] = json!("vol");
        }
        let mut spec = object_of(spec);
        spec["type"] = json!("External");
        spec["details"] = if listed { json!([details]) } else { details };
        json!({"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": "pool-1.x"}, "spec": spec})
    }
}

prop_compose! {
    /// One with which nothing is wrong, whatever is said and however it is spelt.
    fn sound_storage()(
        hosts in prop::sample::subsequence(vec!["g1", "g2:24008", "[::1]", "10.0.0.1:1", "unix:/run/g.sock"], 1..5),
        options in prop::sample::subsequence(vec![
            "log_level=DEBUG", "acl", "attribute-timeout=0.5", "backup-volfile-servers=g3:g4", "--lru-limit=7", "noatime",
            "xlator-option=*.a=b,c", "context=system_u:object_r:fusefs_t:s0:c1,c2", "_netdev",
        ], 0..9),
        (host_key, options_key) in prop::sample::select(vec![
            ("gluster_hosts", "gluster_options"), ("Gluster-Node", "Gluster_options"), ("servers", "options"),
        ]),
        listed in any::<[bool; 3]>(),
        port in prop::option::of(1_u16..),
        kind in prop::option::of(prop::sample::select(vec![
            ("kadalu-format", json!(true)), ("kadalu_format", json!("false")), ("single_pv_per_pool", json!("True")),
            ("KADALU_FORMAT", json!("non-native")),
        ])),
        overcommit in prop::option::of(0.01..1000_f64),
        policies in prop::sample::subsequence(vec![
            ("pvReclaimPolicy", json!("Archive")), ("quota", json!("best-effort")), ("soft_limit", json!("7 %")),
            ("inodes", json!(i64::MAX)), ("allow", json!(["shard"])), ("volume_id", json!("4ff6f4a2")),
        ], 0..6),
    ) -> Value {
        let whole = kind.as_ref().is_some_and(|(_, value)| *value != json!(true));
        let quoted = |option: &str| match option.split_once('=') {
            Some((name, value)) if value.contains(',') => format!("{name}=\"{value}\""),
            _ => option.to_owned(),
        };
        let options: Vec<_> = options.into_iter().map(quoted).collect();
        let list = |listed: bool, words: Vec<String>| if listed { json!(words) } else { json!(words.join(",")) };
        let mut details = json!({"gluster_volname": "vol"});
        details[host_key] = list(listed[0], hosts.into_iter().map(str::to_owned).collect());
        details[options_key] = list(listed[1], options);
        details["gluster_port"] = json!(port);
        let mut spec = json!({"type": "external", "details": if listed[2] { json!([details]) } else { details }});
        spec["overcommit"] = json!(overcommit.filter(|_| !whole));
        for (key, value) in policies.into_iter().chain(kind) {
            spec[key] = value;
        }
        json!({"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": "pool-1.x", "namespace": "kadalu"}, "spec": spec})
    }
}

/// What is true of all faults.
fn sound(faults: &[Fault], text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    let lines: Vec<_> = text.split('\n').collect();
    assert!(!faults.is_empty() && faults.len() <= Fault::MAX);
    for fault in faults {
        assert!(!fault.message.is_empty() && fault.message.len() < 500, "{fault}");
        assert!(!fault.to_string().contains(char::is_control), "{fault}");
        let (line, column) = (fault.line.unwrap() as usize, fault.column.unwrap() as usize);
        // YAML has more ends of lines than this knows.
        let all = lines.get(line - 1).map_or(0, |line| line.chars().count());
        assert!(line <= lines.len() + text.matches('\r').count(), "{fault} of {} lines", lines.len());
        assert!(column <= all + 1 || text.contains('\r'), "{fault} of {all} columns");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "[-a: \\[\\]{}&*?'\"#\n|>!,~]{0,80}") {
        for bytes in [bytes.as_slice(), text.as_bytes(), with(&text).as_bytes()] {
            if let Err(faults) = read(bytes) {
                sound(&faults, bytes);
            }
        }
    }

    #[test]
    fn any_object_is_read_or_refused(object in storage()) {
        let text = serde_json::to_vec_pretty(&object).unwrap();
        match (read_object(&object), read(&text)) {
            (Ok(storage), of_text) => prop_assert_eq!(of_text, Ok(vec![storage])),
            (Err(faults), of_text) => {
                sound(&of_text.unwrap_err(), &text);
                assert!(faults.iter().all(|fault| fault.line.is_none() && fault.message.len() < 500), "{faults:?}");
            }
        }
    }

    #[test]
    fn what_was_read_is_written_and_read_again(object in sound_storage()) {
        let Storage::External(config) = read_object(&object).unwrap() else { panic!("{object}") };
        prop_assert_eq!(&external(&object.to_string()), &*config);
        prop_assert_eq!(&external(&serde_saphyr::to_string(&object).unwrap()), &*config);
        prop_assert_eq!(read_object(&config.normal()), Ok(Storage::External(config.clone())));
        let class = config.storage_class("class", ClassStyle::Whole);
        let pairs = class["parameters"].as_object().unwrap().iter();
        let pairs = pairs.map(|(key, value)| (key.as_str(), value.as_str().unwrap()));
        prop_assert_eq!(&Parameters::parse(pairs).unwrap(), &config.parameters);
    }
}
