//! What the operator may do with the API of Kubernetes: as much as it does. Made into `deploy/kubernetes/rbac-operator.yaml`;
//! the operator's tests hold each of its requests against it.

use serde_json::{Value, json};

use super::{LEASE, world::CONFIG_MAP};

/// In which namespaces something may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// In all, or where it is in none.
    Cluster,
    /// In that of the operator.
    Own,
}

/// What may be done with one resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Where.
    pub scope: Scope,
    /// The group of its API; empty for the core.
    pub group: &'static str,
    /// The resource in the plural, with its subresource: `kadalustorages/status`.
    pub resource: &'static str,
    /// The one object of it, where it is one: then a list has to ask for that name alone.
    pub name: Option<&'static str>,
    /// What may be done, in the words of RBAC.
    pub verbs: &'static [&'static str],
}

/// Everything. Server-side apply of what is not there yet takes `create` besides `patch`; `create` cannot be bound to a name.
pub const RULES: [Rule; 9] = [
    // Patched for the finalizer.
    all("kadalu-operator.storage", "kadalustorages", &["list", "watch", "patch"]),
    all("kadalu-operator.storage", "kadalustorages/status", &["patch"]),
    all("storage.k8s.io", "storageclasses", &["list", "watch", "create", "patch", "delete"]),
    // Those that a storage still has hold its deletion back.
    all("", "persistentvolumes", &["list", "watch"]),
    all("events.k8s.io", "events", &["create", "patch"]),
    own("", "configmaps", Some(CONFIG_MAP), &["list", "watch", "patch"]),
    own("", "configmaps", None, &["create"]),
    own("coordination.k8s.io", "leases", Some(LEASE), &["get", "update"]),
    own("coordination.k8s.io", "leases", None, &["create"]),
];

const fn all(group: &'static str, resource: &'static str, verbs: &'static [&'static str]) -> Rule {
    Rule { scope: Scope::Cluster, group, resource, name: None, verbs }
}

const fn own(
    group: &'static str,
    resource: &'static str,
    name: Option<&'static str>,
    verbs: &'static [&'static str],
) -> Rule {
    Rule { scope: Scope::Own, group, resource, name, verbs }
}

/// What `deploy/kubernetes/rbac-operator.yaml` is.
///
/// # Errors
/// It cannot be written as YAML: a defect of ours.
pub fn manifest() -> Result<String, serde_saphyr::SerializeError> {
    let roles = [role("ClusterRole", Scope::Cluster), role("Role", Scope::Own)].concat();
    Ok(format!(
        "# What the operator does, no more: made of src/operator/rbac.rs, and held fresh by a test.\n{}",
        serde_saphyr::to_string_multiple(&roles)?
    ))
}

/// Not `kadalu-operator`: kadalu has roles of that name for all namespaces, and may be there too.
const ROLE: &str = "kadalu-storage-operator";

/// A role with the rules of a scope, and its binding.
fn role(kind: &str, scope: Scope) -> [Value; 2] {
    let rules = RULES.iter().filter(|rule| rule.scope == scope).map(|rule| {
        let mut told =
            json!({ "apiGroups": [rule.group], "resources": [rule.resource], "verbs": rule.verbs });
        if let Some(name) = rule.name {
            told["resourceNames"] = json!([name]);
        }
        told
    });
    let group = "rbac.authorization.k8s.io";
    let version = format!("{group}/v1");
    [
        json!({ "apiVersion": version, "kind": kind, "metadata": { "name": ROLE }, "rules": rules.collect::<Vec<_>>() }),
        json!({
            "apiVersion": version,
            "kind": format!("{kind}Binding"),
            "metadata": { "name": ROLE },
            "roleRef": { "apiGroup": group, "kind": kind, "name": ROLE },
            "subjects": [{ "kind": "ServiceAccount", "name": "kadalu-controller", "namespace": "kadalu" }],
        }),
    ]
}
