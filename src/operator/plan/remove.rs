//! A storage that somebody has deleted.

use serde_json::Value;

use super::{
    Action, Outcome,
    accept::{Why, users},
    conditions::Writer,
};
use crate::{operator::world::World, storage::config::Storage};

/// Held while there are PVs of it; then what was made of it goes, and at last the object. The volume is not touched.
pub(super) fn remove(world: &World<'_>) -> Outcome {
    let object = world.object;
    if !object.is_held() {
        return Outcome::default();
    }
    if let Some(users) = users(world).filter(|_| world.rival.is_none()) {
        let message = format!(
            "deleted, and held while there are PVs: {users} of this storage. Delete their claims; PVs that stay by their \
             reclaimPolicy have to be deleted too. Claims of its classes are served until then, and hold it too"
        );
        let mut writer = Writer::new(world);
        writer.ready_not(Why::new("HeldByVolumes", message));
        return Outcome { actions: writer.end(), ..Outcome::default() };
    }
    let key = object.key();
    let ours = world.classes.iter().filter(|(_, class)| class.storage.as_deref() == Some(&key));
    let classes = ours
        .map(|(name, class)| Action::DeleteClass { name: name.clone(), uid: class.uid.clone() })
        .collect::<Vec<_>>();
    // The classes first, and the rest when they are seen to be gone: a PV that came meanwhile is counted then.
    if !classes.is_empty() {
        return Outcome { actions: classes, ..Outcome::default() };
    }
    let entry = (object.status.in_force.is_some() || is_of_ours(world)) && world.entry.is_some();
    let entry = (entry && world.rival.is_none()).then_some(Action::RemoveEntry);
    Outcome { actions: entry.into_iter().chain([Action::Release]).collect(), ..Outcome::default() }
}

/// Whether the entry is what we write of the storage, although the status does not say that we have: we were killed between.
fn is_of_ours(world: &World<'_>) -> bool {
    let (Ok(Storage::External(config)), Some(entry)) = (&world.object.config, &world.entry) else {
        return false;
    };
    let without_ids = |mut entry: Value| {
        let ids = ["volume_id", "gluster_volume_id"];
        entry.as_object_mut().into_iter().for_each(|entry| entry.retain(|key, _| !ids.contains(&&**key)));
        entry
    };
    serde_json::from_str(entry).is_ok_and(|entry| without_ids(entry) == without_ids(config.info(None)))
}
