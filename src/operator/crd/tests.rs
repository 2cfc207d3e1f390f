use kube::core::cel::Validator;
use serde_json::json;

use super::*;

/// The schema of the kind, as the API server reads it.
fn schema() -> Value {
    let definition = serde_json::to_value(KadaluStorage::crd()).unwrap();
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

/// What the rules in CEL say of an object that is made, or that takes the place of an older one.
fn faults(object: &Value, older: Option<&Value>) -> Vec<String> {
    let outcome = Validator::new().validate(&schema(), object, older);
    outcome
        .err()
        .map_or(Vec::new(), |errors| errors.into_vec().into_iter().map(|error| error.message).collect())
}

fn storage(name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "kadalu-operator.storage/v1alpha1",
        "kind": "KadaluStorage",
        "metadata": { "name": name, "namespace": "kadalu" },
        "spec": spec,
    })
}

fn external() -> Value {
    let details = json!([{ "gluster_node": "node1", "gluster_volname": "volume_name", "Gluster_options": "log_level=DEBUG" }]);
    json!({ "type": "External", "details": details })
}

/// kadalu's own names: this definition takes the place of its own.
#[test]
fn it_is_kadalus_kind() {
    let definition = serde_json::to_value(KadaluStorage::crd()).unwrap();
    assert_eq!(definition["metadata"]["name"], "kadalustorages.kadalu-operator.storage");
    let spec = &definition["spec"];
    assert_eq!(spec["scope"], "Namespaced");
    assert_eq!(spec["names"]["shortNames"], json!(["kadalu", "kds"]));
    assert_eq!(
        (&spec["names"]["singular"], &spec["names"]["kind"]),
        (&json!("kadalustorage"), &json!("KadaluStorage"))
    );
    let version = &spec["versions"][0];
    assert_eq!(
        (&version["name"], &version["storage"], &version["served"]),
        (&json!("v1alpha1"), &json!(true), &json!(true))
    );
    assert_eq!(version["subresources"], json!({ "status": {} }));
    let columns =
        version["additionalPrinterColumns"].as_array().unwrap().iter().map(|column| column["name"].clone());
    let columns = columns.collect::<Vec<_>>();
    assert_eq!(columns, ["Type", "Volume", "Ready", "Reachable", "Quota", "Why", "Age"]);
}

#[test]
fn an_external_storage_stays_one() {
    let older = storage("s", external());
    for (spec, fits) in [
        (external(), true),
        (json!({ "type": "external" }), true),
        (json!({ "type": "Replica3" }), false),
        (json!({ "type": "Externall" }), false),
    ] {
        let faults = faults(&storage("s", spec.clone()), Some(&older));
        assert_eq!(faults.is_empty(), fits, "{spec}: {faults:?}");
        assert!(faults.iter().all(|fault| fault.contains("cannot become one of another type")), "{faults:?}");
    }
    let misspelt = storage("s", json!({ "type": "Externall" }));
    assert_eq!(faults(&older, Some(&misspelt)), Vec::<String>::new(), "it may be mended");
    assert_eq!(faults(&misspelt, None), Vec::<String>::new(), "the operator says what is wrong with it");
}

#[test]
fn the_name_of_its_class_fits() {
    let long = "s".repeat(236);
    assert_eq!(faults(&storage(&long[1..], external()), None), Vec::<String>::new());
    let refused = faults(&storage(&long, external()), None);
    assert!(matches!(&refused[..], [fault] if fault.contains("235 characters")), "{refused:?}");
    // An event is named NAME.NANOSECONDS, in hexadecimal digits.
    assert!(format!("{}.{:x}", &long[1..], u64::MAX).len() <= 253);
    let of_kadalu =
        storage(&long, json!({ "type": "Replica3", "storage": [{ "node": "n1", "device": "/dev/vdc" }] }));
    assert_eq!(faults(&of_kadalu, None), Vec::<String>::new(), "its classes have other names");
}

/// The API server compiles a rule against the types of the schema: a field without one is no field to it, and what a rule says
/// of an object that is long must have a bound ("CRD validation rules" of Kubernetes' documentation).
#[test]
fn rules_name_only_what_the_api_server_gives_them() {
    let schema = schema();
    let typed = |path: &[&str]| {
        let field = path.iter().fold(&schema, |schema, name| &schema["properties"][name]);
        field["type"].is_string() && field["maxLength"].is_u64()
    };
    let mut rules = Vec::new();
    each_schema(&schema, &mut |schema| {
        rules.extend(schema["x-kubernetes-validations"].as_array().into_iter().flatten().cloned());
    });
    assert_eq!(rules.len(), 2, "{rules:?}");
    assert!(typed(&["spec", "type"]));
    assert!(!typed(&["spec", "details"]), "then a rule could say that External needs them");
    for rule in rules {
        let text = rule["rule"].as_str().unwrap();
        // `self` and `oldSelf` of spec.type, and `self.metadata.name`, which every rule of the root may name.
        let rest = text.replace("self.spec.type", "").replace("self.metadata.name", "");
        assert!(!rest.contains("self.") || rest.contains("self.lowerAscii()"), "{text}");
        assert!(
            rule["message"].as_str().is_some_and(|message| message.len() < 200 && !message.contains('\n')),
            "{text}"
        );
    }
}

/// Nothing of an object of kadalu is refused for its type or cut away, of none of its kinds.
#[test]
fn what_kadalu_keeps_is_kept() {
    let schema = schema();
    let spec = &schema["properties"]["spec"];
    assert_eq!(spec["x-kubernetes-preserve-unknown-fields"], true);
    let of_kadalu = [
        ("type", "string"),
        ("pvReclaimPolicy", "string"),
        ("volume_id", "string"),
        ("tolerations", "array"),
        ("storage", "array"),
        ("tiebreaker", "object"),
        ("disperse", "object"),
    ];
    for (name, property) in spec["properties"].as_object().unwrap() {
        let kadalus = of_kadalu.iter().find(|(known, _)| known == name).map(|(_, kind)| *kind);
        assert_eq!(property["type"].as_str(), kadalus, "{name}");
        each_schema(property, &mut |schema| {
            let kept = schema["x-kubernetes-preserve-unknown-fields"] == true;
            assert!(
                kept || ["string", "array"].contains(&schema["type"].as_str().unwrap()),
                "{name}: {schema}"
            );
            assert!(schema["default"].is_null() && schema["enum"].is_null(), "{name}: {schema}");
        });
    }
}

/// What the API server demands of a schema, beyond what a validator of manifests knows ("structural schema").
#[test]
fn the_schema_is_structural() {
    let mut seen = 0;
    each_schema(&schema(), &mut |schema| {
        seen += 1;
        let free = schema["x-kubernetes-preserve-unknown-fields"] == true;
        assert!(schema["type"].is_string() || free, "a type is missing: {schema}");
        assert!(schema["type"] != "array" || schema["items"].is_object(), "items are missing: {schema}");
        assert!(schema["properties"].is_null() || schema["additionalProperties"].is_null(), "{schema}");
        for forbidden in
            ["$ref", "$defs", "definitions", "anyOf", "oneOf", "allOf", "not", "uniqueItems", "const"]
        {
            assert!(schema[forbidden].is_null(), "{forbidden}: {schema}");
        }
        let known = [Value::Null, json!("date-time"), json!("int64")];
        assert!(
            known.contains(&schema["format"]),
            "the API server warns of a format that it does not know: {schema}"
        );
        let described = schema["description"].as_str().unwrap_or_default();
        assert!(
            !described.contains("crate::") && !described.contains("[`"),
            "that is for rustdoc: {described}"
        );
    });
    assert!(seen > 40, "{seen}");
}

/// The schema and all in it.
fn each_schema(schema: &Value, look: &mut impl FnMut(&Value)) {
    look(schema);
    let properties = schema["properties"].as_object().into_iter().flat_map(|properties| properties.values());
    for inner in properties.chain(schema["items"].is_object().then(|| &schema["items"])) {
        each_schema(inner, look);
    }
}

/// What is read from the API server is written back as it was.
#[test]
fn an_object_is_read_and_written() {
    let mut object = storage("ext-storage", external());
    object["status"] = json!({
        "observedGeneration": 3,
        "conditions": [{
            "type": "Ready", "status": "True", "reason": "Provisioned", "message": "m",
            "lastTransitionTime": "2026-11-23T00:00:00Z", "observedGeneration": 3,
        }],
        "inForce": { "gluster_volname": "volume_name" },
        "capacity": { "total": 1 },
    });
    let read: KadaluStorage = serde_json::from_value(object.clone()).unwrap();
    assert_eq!(Value::Object(read.spec.words.clone()), object["spec"]);
    assert_eq!(serde_json::to_value(read).unwrap(), object);
}
