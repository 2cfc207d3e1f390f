//! The PVs that can be of a storage, followed.

use std::sync::Arc;

use k8s_openapi::api::core::v1::PersistentVolume;
use kube::{ResourceExt, runtime::watcher::Event};
use tokio::sync::watch;

use super::users::Volumes;

/// What is seen of them; none until all were seen once.
pub(super) type Seen = watch::Receiver<Option<Arc<Volumes>>>;

/// Keeps what is told of them.
#[derive(Debug)]
pub(super) struct Keeper {
    driver: String,
    /// All, as they are told anew: what was told before counts until it is complete.
    anew: Volumes,
    kept: watch::Sender<Option<Arc<Volumes>>>,
}

impl Keeper {
    /// Of this driver.
    pub(super) fn new(driver: &str) -> (Self, Seen) {
        let (kept, seen) = watch::channel(None);
        (Self { driver: driver.to_owned(), anew: Volumes::new(driver), kept }, seen)
    }

    /// Something is told of them; whether it is of interest.
    pub(super) fn apply(&mut self, event: Event<PersistentVolume>) -> bool {
        match event {
            Event::Init => self.anew = Volumes::new(&self.driver),
            Event::InitApply(volume) => drop(self.anew.put(&volume)),
            Event::InitDone => {
                let all = std::mem::take(&mut self.anew);
                self.kept.send_replace(Some(Arc::new(all)));
                return true;
            }
            Event::Apply(volume) => return self.change(|all| all.put(&volume)),
            Event::Delete(volume) => return self.change(|all| all.remove(&volume.name_any())),
        }
        false
    }

    fn change(&self, how: impl FnOnce(&mut Volumes) -> bool) -> bool {
        // They are copied where somebody is planning with them at this moment.
        self.kept.send_if_modified(|kept| kept.as_mut().is_some_and(|all| how(Arc::make_mut(all))))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    fn volume(name: &str, class: &str) -> PersistentVolume {
        let spec = json!({ "storageClassName": class });
        serde_json::from_value(json!({ "metadata": { "name": name }, "spec": spec })).unwrap()
    }

    #[test]
    fn what_is_told_counts_when_it_is_complete_and_only_where_it_is_of_interest() {
        let (mut keeper, seen) = Keeper::new("kadalu");
        let names = || {
            let volumes = seen.borrow().clone()?;
            Some(
                volumes.of("s", None, None, &BTreeMap::new()).names.into_iter().collect::<Vec<_>>().join(" "),
            )
        };
        for (event, of_interest, then) in [
            (Event::Init, false, None),
            (Event::InitApply(volume("a", "kadalu.s")), false, None),
            (Event::InitApply(volume("x", "fast")), false, None),
            (Event::InitDone, true, Some("a")),
            (Event::Apply(volume("x", "fast")), false, Some("a")),
            (Event::Apply(volume("b", "kadalu.s")), true, Some("a b")),
            (Event::Apply(volume("b", "kadalu.s")), false, Some("a b")),
            (Event::Delete(volume("x", "fast")), false, Some("a b")),
            // The watch is broken, and all is listed again.
            (Event::Init, false, Some("a b")),
            (Event::InitApply(volume("b", "kadalu.s")), false, Some("a b")),
            (Event::Init, false, Some("a b")),
            (Event::InitApply(volume("c", "kadalu.s")), false, Some("a b")),
            (Event::InitDone, true, Some("c")),
            (Event::Delete(volume("c", "kadalu.s")), true, Some("")),
        ] {
            let what = event.to_string();
            assert_eq!((keeper.apply(event), names().as_deref()), (of_interest, then), "{what}");
        }
    }
}
