//! What is made of a storage: its storage classes and its entry in kadalu's ConfigMap.

use serde_json::{Value, json};

use super::{Action, conditions::Writer};
use crate::{
    operator::world::{Class, MANAGER, STORAGE, World},
    storage::{
        config::{ClassStyle, StorageConfig},
        parameters::Parameters,
    },
};

/// What the API lets nobody change in a storage class.
const IMMUTABLE: [&str; 4] = ["provisioner", "parameters", "reclaimPolicy", "volumeBindingMode"];

/// What is made, and what has to be done for it.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) actions: Vec<Action>,
    /// The storage classes that claims can name.
    pub(super) classes: Vec<String>,
    /// Why the entry cannot be written; then no class works.
    pub(super) entry: Option<String>,
    /// Claims can be made.
    pub(super) usable: bool,
}

/// What is to be made, of the volume with this id.
pub(super) fn made(
    world: &World<'_>,
    config: &StorageConfig,
    volume_id: Option<&str>,
    writer: &mut Writer<'_>,
) -> Made {
    let mut made = Made { actions: Vec::new(), classes: Vec::new(), entry: None, usable: false };
    match entry(world, config, volume_id, writer) {
        Ok(action) => made.actions.extend(action),
        Err(why) => {
            made.entry = Some(why);
            return made;
        }
    }
    let mut ours = Vec::new();
    let names = world.settings.class_names.of(&world.object.name);
    for name in &names {
        let wanted = class(world, config, name);
        let is_made = match world.classes.get(name) {
            None => {
                if world.object.status.classes.contains(name) {
                    writer.restored(format!("StorageClass {name} was deleted"));
                }
                made.actions.push(Action::ApplyClass { class: wanted, force: false });
                true
            }
            Some(there) if is_ours(world, there) => {
                made.actions.extend(mended(world, config, there, wanted, writer));
                true
            }
            Some(there) => {
                match works(world, config, there) {
                    true => made.classes.push(name.clone()),
                    false => writer.not_ours(format!(
                        "StorageClass {name} is none of this storage, and stays as it is: delete it, if nobody needs it"
                    )),
                }
                false
            }
        };
        if is_made {
            ours.push(name.clone());
        }
    }
    made.actions.extend(superfluous(world, &names));
    made.classes.extend(ours.iter().cloned());
    made.classes.sort_by_key(|class| names.iter().position(|name| name == class));
    made.usable = !made.classes.is_empty();
    writer.made(config, ours);
    made
}

/// The entry where it has to be written. One of others is left alone: only kadalu's own, of the same storage, is taken over.
fn entry(
    world: &World<'_>,
    config: &StorageConfig,
    volume_id: Option<&str>,
    writer: &mut Writer<'_>,
) -> Result<Option<Action>, String> {
    let info = config.info(volume_id);
    let there = world.entry.as_deref().map(serde_json::from_str::<Value>);
    if matches!(&there, Some(Ok(there)) if *there == info) {
        return Ok(None);
    }
    let was_written = world.object.status.in_force.is_some();
    match &there {
        Some(Ok(there)) if !was_written && !is_kadalus(there, config) => {
            return Err(format!(
                "there is an entry {}.info in the ConfigMap that is of something else: delete it, or give the storage another \
                 name",
                config.name
            ));
        }
        Some(Err(_)) if !was_written => {
            return Err(format!(
                "there is an entry {}.info in the ConfigMap that is no JSON: delete it, or give the storage another name",
                config.name
            ));
        }
        // As it was left; the volume's id is another since, or known now.
        Some(Ok(there)) if *there == config.info(world.object.status.volume_id.as_deref()) => {}
        _ if was_written && !writer.changes(config) => {
            let how = if there.is_some() { "changed" } else { "deleted" };
            writer.restored(format!("the entry {}.info of the ConfigMap was {how}", config.name));
        }
        _ => {}
    }
    Ok(Some(Action::WriteEntry(info.to_string())))
}

/// Whether an entry is what kadalu's operator has written of the same storage.
fn is_kadalus(entry: &Value, config: &StorageConfig) -> bool {
    let text = |key: &str| entry.get(key).and_then(Value::as_str);
    text("volname").is_none_or(|name| name == config.name)
        && text("type").is_none_or(|kind| kind.eq_ignore_ascii_case("external"))
        && text("gluster_volname") == config.parameters.volume.as_deref()
}

/// A storage class as it should be.
fn class(world: &World<'_>, config: &StorageConfig, name: &str) -> Value {
    let mut class = config.storage_class(name, ClassStyle::ByName);
    class["provisioner"] = json!(world.settings.driver);
    class["metadata"] = json!({
        "name": name,
        "labels": { "app.kubernetes.io/managed-by": MANAGER },
        "annotations": { STORAGE: world.object.key() },
    });
    class
}

fn is_ours(world: &World<'_>, class: &Class) -> bool {
    class.storage.as_deref() == Some(&world.object.key())
}

/// What brings a class of ours back to what it should be.
fn mended(
    world: &World<'_>,
    config: &StorageConfig,
    there: &Class,
    mut wanted: Value,
    writer: &mut Writer<'_>,
) -> Vec<Action> {
    let differing = wanted.as_object().into_iter().flatten().filter(|(field, value)| {
        // What is false is not written.
        let value = Some(*value).filter(|value| **value != json!(false));
        let there = there.value.get(field.as_str()).filter(|value| **value != json!(false));
        !["apiVersion", "kind", "metadata"].contains(&field.as_str()) && there != value
    });
    let differing = differing.map(|(field, _)| field.clone()).collect::<Vec<_>>();
    if differing.is_empty() {
        return Vec::new();
    }
    let name = wanted["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    if !writer.changes(config) && world.object.status.classes.contains(&name) {
        writer.restored(format!("StorageClass {name} was changed ({})", differing.join(", ")));
    }
    if !differing.iter().any(|field| IMMUTABLE.contains(&field.as_str())) {
        return vec![Action::ApplyClass { class: wanted, force: true }];
    }
    // What others have put on it, such as the mark of the default class, is not lost with it.
    for kind in ["labels", "annotations"] {
        let theirs = there.value["metadata"][kind].as_object().cloned().unwrap_or_default();
        for (key, value) in theirs {
            let ours = &mut wanted["metadata"][kind];
            if ours.get(&key).is_none() {
                ours[key] = value;
            }
        }
    }
    let delete = Action::DeleteClass { name, uid: there.uid.clone() };
    vec![delete, Action::ApplyClass { class: wanted, force: true }]
}

/// Whether a class that somebody else has made leads to the same volume: kadalu's own does.
fn works(world: &World<'_>, config: &StorageConfig, class: &Class) -> bool {
    if class.value["provisioner"].as_str() != Some(&world.settings.driver) {
        return false;
    }
    let pairs = class.value["parameters"].as_object().into_iter().flatten();
    let pairs = pairs.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)));
    Parameters::parse(pairs).is_ok_and(|parameters| {
        let named = parameters.storage.as_ref() == Some(&config.name);
        named || parameters.is_same_volume(&config.parameters)
    })
}

/// Classes of ours whose names are not wanted any more, as far as no PV names them: its claims grow by their class.
fn superfluous(world: &World<'_>, names: &[String]) -> Vec<Action> {
    let classes = world.classes.iter().filter(|(name, class)| !names.contains(name) && is_ours(world, class));
    let unused = classes.filter(|(name, _)| !world.users.classes.contains(*name));
    unused.map(|(name, class)| Action::DeleteClass { name: name.clone(), uid: class.uid.clone() }).collect()
}

/// What an edit has changed.
pub(super) fn changed(before: &StorageConfig, after: &StorageConfig) -> String {
    let (old, new) = (&before.parameters, &after.parameters);
    let fields = [
        ("servers", old.servers != new.servers),
        ("the volume", old.volume != new.volume),
        ("options", old.options != new.options),
        ("single_pv_per_pool", old.kind != new.kind),
        ("pvReclaimPolicy", old.reclaim != new.reclaim),
        ("quota", old.quota != new.quota),
        ("soft_limit", old.soft_limit != new.soft_limit),
        ("inodes", old.inodes != new.inodes),
        ("overcommit", old.overcommit != new.overcommit),
        ("allow", old.allow != new.allow),
        ("volume_id", before.volume_id != after.volume_id),
    ];
    let words = fields.iter().filter(|(_, changed)| *changed).map(|(word, _)| *word).collect::<Vec<_>>();
    match words.as_slice() {
        [] => "taken up anew".to_owned(),
        words => format!("{} changed: for PVs and mounts that are made from now on", words.join(", ")),
    }
}
