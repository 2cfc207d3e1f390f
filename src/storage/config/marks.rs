//! The marks of an object of a cluster: by them its user's words are told from the defaults of kadalu's definition of the kind.

use serde_json::Value;

use super::{
    node::{Content, Node},
    words::{Fields, field},
};
use crate::storage::parameters::plain;

/// What `kubectl apply` was given, as it keeps it on the object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// What is known of who wrote the fields of an object.
#[derive(Debug, Clone)]
pub(super) enum Marks {
    /// It is none of a cluster: somebody wrote all that stands there.
    None,
    /// The API server has it, and may have put defaults in it.
    Stored,
    /// The same; what its user wrote is known.
    Applied(Value),
}

impl Marks {
    /// Those of an object.
    pub(super) fn of(object: &Fields) -> Self {
        let inside = |node: &Node, name: &str| match &node.content {
            Content::Object(fields) => field(fields, name).map(|(_, node)| node.clone()),
            _ => None,
        };
        let Some((_, metadata)) = field(object, "metadata") else { return Self::None };
        if inside(metadata, "uid").is_none_or(|uid| uid.is_empty()) {
            return Self::None;
        }
        let applied = inside(metadata, "annotations").and_then(|all| inside(&all, LAST_APPLIED));
        let spec = applied.and_then(|applied| match &applied.content {
            Content::Scalar(text) => serde_json::from_str::<Value>(text).ok()?.get("spec").cloned(),
            _ => None,
        });
        spec.map_or(Self::Stored, Self::Applied)
    }

    /// Whether a field of `spec` may be a default, and not a user's word.
    pub(super) fn may_be_default(&self, word: &str) -> bool {
        match self {
            Self::None => false,
            Self::Stored => true,
            Self::Applied(spec) => {
                !spec.as_object().is_some_and(|fields| fields.keys().any(|key| plain(key) == word))
            }
        }
    }
}
