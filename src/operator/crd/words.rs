//! What the definition of KadaluStorage says of its spec: the words that are documented, and no more types than are certain.
//!
//! [`storage::config`](crate::storage::config) reads the spec in every spelling, and says better than a schema what is wrong
//! with it. So only what kadalu's own definition has a type for has one here, and `details` not even that
//! (`helm/kadalu/charts/operator/crds/kadalu_storage.yaml`): none of its objects is refused, and nothing of them cut away.

use std::borrow::Cow;

use kube::core::Rule;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

/// The spec as it is documented.
pub(super) struct Words;

/// What the API server holds a word to.
#[derive(Clone, Copy)]
enum Form {
    /// Nothing: it is kept as it is, and cannot be named in a rule.
    Any,
    Text,
    Object,
    Objects,
}

const OF_KADALU: &str =
    "Of kadalu's own types, whose bricks it runs itself. It has no meaning where the type is External.";

/// All but `type`.
const WORDS: [(&str, Form, &str); 15] = [
    (
        "details",
        Form::Any,
        "Where the volume is: an object, or a list of one. In it, or beside it, gluster_hosts: servers of its cluster, each as \
         host or host:port, of which one is enough, as more are learned; gluster_volname: the volume's name; gluster_options: \
         options of its mounts, such as \"log-level=DEBUG,acl\".",
    ),
    (
        "single_pv_per_pool",
        Form::Any,
        "true: the whole volume is one PV, as with heketi. false, or nothing: each PV is a directory of the volume.",
    ),
    (
        "kadalu_format",
        Form::Any,
        "The older word for the same: native or true, a directory of the volume; non-native or false, the whole volume.",
    ),
    (
        "pvReclaimPolicy",
        Form::Text,
        "What becomes of the data of a PV that is deleted: delete, archive or retain.",
    ),
    (
        "quota",
        Form::Any,
        "What the size of a PV is worth: required (a claim is bound when every brick enforces it), best-effort or \"off\".",
    ),
    ("soft_limit", Form::Any, "Percent of a PV's size from which on a grace period is counted, such as 80."),
    ("inodes", Form::Any, "Files, directories and links that a PV may have."),
    ("overcommit", Form::Any, "How often the volume's size may be promised: 1, or a ratio such as 1.5."),
    (
        "allow",
        Form::Any,
        "Volumes that are refused otherwise, because sizes of PVs mean nothing there: distribute, shard.",
    ),
    (
        "volume_id",
        Form::Text,
        "kadalu's own id of the storage. It is not that of the Gluster volume, which stands in the status.",
    ),
    ("tolerations", Form::Objects, OF_KADALU),
    ("storage", Form::Objects, OF_KADALU),
    ("options", Form::Any, OF_KADALU),
    ("tiebreaker", Form::Object, OF_KADALU),
    ("disperse", Form::Object, OF_KADALU),
];

impl JsonSchema for Words {
    fn schema_name() -> Cow<'static, str> {
        "Words".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let mut properties = Map::from_iter([("type".to_owned(), kind())]);
        properties.extend(WORDS.iter().map(|(name, form, about)| {
            let mut schema = match form {
                Form::Any => json!({ "x-kubernetes-preserve-unknown-fields": true }),
                Form::Text => json!({ "type": "string", "nullable": true }),
                Form::Object => object(),
                Form::Objects => json!({ "type": "array", "nullable": true, "items": object() }),
            };
            schema["description"] = Value::from(*about);
            ((*name).to_owned(), schema)
        }));
        json_schema!({ "type": "object", "required": ["type"], "properties": properties })
    }
}

/// An object of which nothing is said.
pub(super) fn entry(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "nullable": true, "x-kubernetes-preserve-unknown-fields": true })
}

fn object() -> Value {
    json!({ "type": "object", "nullable": true, "x-kubernetes-preserve-unknown-fields": true })
}

/// The one word that has to be there, by which an object is ours or kadalu's.
fn kind() -> Value {
    // A type that was misspelt may be mended, so the other direction is free.
    let stays = Rule::new("oldSelf.lowerAscii() != 'external' || self.lowerAscii() == 'external'")
        .message("an External storage cannot become one of another type: delete it, and make another");
    json!({
        "description":
            "External: a Gluster volume that somebody else runs. All other types are kadalu's own, and left to its operator.",
        "type": "string",
        "maxLength": 64,
        "x-kubernetes-validations": [stays],
    })
}
