//! Random calls, some of them killed, beside a model of what they should do.

use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;

use super::{super::tree::seam::killed_after, *};
use crate::storage::Reason;

#[derive(Debug, Clone)]
enum Call {
    Create { name: usize, size: u64, reclaim: Reclaim },
    Expand { name: usize, size: u64 },
    Delete { name: usize },
    Restore { which: usize, name: usize },
    Purge { which: usize },
    Empty,
}

const NAMES: [&str; 3] = ["pvc-1", "a/b", "pvc-cab174b3-d77c-41f5-83e7-bc84ac75606c"];

fn calls(longest: usize) -> impl Strategy<Value = Vec<(Call, Option<u32>)>> {
    let reclaim = prop_oneof![Just(Reclaim::Delete), Just(Reclaim::Archive), Just(Reclaim::Retain)];
    let name = 0..NAMES.len();
    let call = prop_oneof![
        4 => (name.clone(), 1..4_u64, reclaim).prop_map(|(name, size, reclaim)| Call::Create { name, size, reclaim }),
        2 => (name.clone(), 1..6_u64).prop_map(|(name, size)| Call::Expand { name, size }),
        4 => name.clone().prop_map(|name| Call::Delete { name }),
        2 => (0..4_usize, name).prop_map(|(which, name)| Call::Restore { which, name }),
        2 => (0..4_usize).prop_map(|which| Call::Purge { which }),
        1 => Just(Call::Empty),
    ];
    prop::collection::vec((call, prop::option::weighted(0.6, 0..60_u32)), 1..longest)
}

fn component(name: usize) -> String {
    crate::storage::layout::component(NAMES[name]).unwrap()
}

/// Which PV that was put aside, of those in a list.
fn put_aside(pvs: &[Pv], which: usize) -> String {
    let aside = pvs.iter().filter(|pv| pv.state != State::InUse).collect::<Vec<_>>();
    aside
        .get(which % aside.len().max(1))
        .map_or_else(|| "archived-none".to_owned(), |pv| pv.component.clone())
}

fn run(pool: &Pool, call: &Call, aside: &str) -> Result<(), Error> {
    match call {
        Call::Create { name, size, reclaim } => create(pool, NAMES[*name], *size, *reclaim).map(drop),
        Call::Expand { name, size } => pool.expand(&component(*name), &at_least(*size), 1.0).map(drop),
        Call::Delete { name } => pool.delete(&component(*name), Reclaim::Delete),
        Call::Restore { name, .. } => pool.restore(aside, NAMES[*name]).map(drop),
        Call::Purge { .. } => pool.purge(aside),
        Call::Empty => pool.empty_trash(&mut || true).map(drop),
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Modelled {
    size: u64,
    reclaim: Reclaim,
    state: State,
    /// What stands in its file.
    data: String,
}

#[derive(Debug, Default)]
struct Model {
    pvs: BTreeMap<String, Modelled>,
    made: usize,
}

impl Model {
    /// What a call does, and what it says.
    fn apply(&mut self, call: &Call, aside: &str) -> Result<(), Reason> {
        match call {
            Call::Create { name, size, reclaim } => match self.pvs.get(&component(*name)) {
                Some(pv) if (pv.size, pv.reclaim, pv.state) == (*size, *reclaim, State::InUse) => Ok(()),
                Some(_) => Err(Reason::Exists),
                None => {
                    self.made += 1;
                    let data = format!("PV {}", self.made);
                    let pv = Modelled { size: *size, reclaim: *reclaim, state: State::InUse, data };
                    self.pvs.insert(component(*name), pv);
                    Ok(())
                }
            },
            Call::Expand { name, size } => {
                let pv = self.pvs.get_mut(&component(*name)).ok_or(Reason::NotFound)?;
                pv.size = pv.size.max(*size);
                Ok(())
            }
            Call::Delete { name } => {
                let name = component(*name);
                let Some(pv) = self.pvs.get_mut(&name).filter(|pv| pv.state == State::InUse) else {
                    return Ok(());
                };
                match pv.reclaim {
                    Reclaim::Retain => pv.state = State::Retained,
                    Reclaim::Delete => drop(self.pvs.remove(&name)),
                    Reclaim::Archive => {
                        let pv = Modelled { state: State::Archived, ..self.pvs.remove(&name).unwrap() };
                        let mut names = (2..).map(|n| format!("archived-{name}.{n}"));
                        let first = std::iter::once(format!("archived-{name}"));
                        let free = first.chain(names.by_ref()).find(|name| !self.pvs.contains_key(name));
                        self.pvs.insert(free.unwrap(), pv);
                    }
                }
                Ok(())
            }
            Call::Restore { name, .. } => {
                let (to, pv) = (component(*name), self.pvs.get(aside).ok_or(Reason::NotFound)?.clone());
                if to != aside && self.pvs.contains_key(&to) {
                    return Err(Reason::Exists);
                }
                self.pvs.remove(aside);
                self.pvs.insert(to, Modelled { state: State::InUse, ..pv });
                Ok(())
            }
            Call::Purge { .. } => self.pvs.remove(aside).map(drop).ok_or(Reason::NotFound),
            Call::Empty => Ok(()),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

    /// Killed, then made again: as if it had not been killed.
    #[test]
    fn what_is_killed_and_made_again_does_what_the_model_does(calls in calls(24)) {
        let (lab, mut model) = (Lab::new(), Model::default());
        // One lives on where nothing is killed, and counts by itself.
        let mut pool = lab.pool();
        for (call, kill) in calls {
            let aside = put_aside(&pool.list().unwrap(), match call {
                Call::Restore { which, .. } | Call::Purge { which } => which,
                _ => 0,
            });
            let first = kill.map(|steps| killed_after(steps, || run(&pool, &call, &aside)));
            let (outcome, again) = match first {
                Some(Some(outcome)) => (outcome, false),
                Some(None) => {
                    pool = lab.pool();
                    (run(&pool, &call, &aside), true)
                }
                None => (run(&pool, &call, &aside), false),
            };
            let expected = model.apply(&call, &aside);
            let said = outcome.map_err(|error| error.reason());
            // All was done, but for saying so.
            let done = again && said == Err(Reason::NotFound) && expected.is_ok();
            prop_assert!(said == expected || done, "{call:?}: {said:?}, not {expected:?}");
            if let (Call::Create { name, .. }, Ok(())) = (&call, expected) {
                let pv = pool.get(&component(*name)).unwrap().unwrap();
                lab.write(&format!("{}/data", pv.path), &model.pvs[&pv.component].data);
            }
            let pvs = pool.list().unwrap();
            lab.audit(&pvs);
            let found = pvs.iter().map(|pv| {
                let data = lab.read(&format!("{}/data", pv.path));
                let modelled =
                    Modelled { size: pv.size, reclaim: pv.reclaim.unwrap(), state: pv.state, data };
                (pv.component.clone(), modelled)
            });
            prop_assert_eq!(&found.collect::<BTreeMap<_, _>>(), &model.pvs);
            let promised = model.pvs.values().map(|pv| pv.size).sum::<u64>();
            prop_assert_eq!(pool.capacity().unwrap().promised, promised);
        }
    }

    /// Killed, and something else is done then: nothing is lost, and in the end nothing is left.
    #[test]
    fn what_is_killed_and_left_so_loses_and_leaks_nothing(calls in calls(32)) {
        let lab = Lab::new();
        let (mut precious, mut made) = (HashSet::new(), 0);
        for (call, kill) in calls {
            let pvs = lab.pool().list().unwrap();
            let aside = put_aside(&pvs, match call {
                Call::Restore { which, .. } | Call::Purge { which } => which,
                _ => 0,
            });
            // What may be gone afterwards.
            for pv in &pvs {
                let named = |name: usize| pv.component == component(name);
                let goes = match call {
                    Call::Delete { name } | Call::Create { name, .. } => {
                        named(name) && (pv.reclaim == Some(Reclaim::Delete) || pv.state == State::Deleting)
                    }
                    Call::Purge { .. } => pv.component == aside,
                    _ => false,
                };
                if goes && let Ok(data) = fs::read_to_string(lab.path(&format!("{}/data", pv.path))) {
                    precious.remove(&data);
                }
            }
            let pool = lab.pool();
            let _ = killed_after(kill.unwrap_or(u32::MAX), || run(&pool, &call, &aside));
            if let Call::Create { name, .. } = call
                && let Ok(Some(pv)) = lab.pool().get(&component(name))
            {
                let data = format!("{}/data", pv.path);
                if !lab.path(&data).exists() {
                    made += 1;
                    lab.write(&data, &format!("PV {made}"));
                    precious.insert(format!("PV {made}"));
                }
            }
            let mut found = HashSet::new();
            for path in lab.below("subvol", 4) {
                match path.matches('/').count() {
                    3 => prop_assert!(lab.path(&format!("info/{path}.json")).exists(), "{path} has no record"),
                    4 => drop(found.insert(lab.read(&path))),
                    _ => {}
                }
            }
            prop_assert!(precious.is_subset(&found), "{precious:?} are not all in {found:?}");
        }
        for _ in 0..8 {
            for Pv { component, state, .. } in lab.pool().list().unwrap() {
                let _ = match state {
                    State::InUse => lab.pool().delete(&component, Reclaim::Delete),
                    _ => lab.pool().purge(&component),
                };
            }
        }
        prop_assert_eq!(lab.pool().list().unwrap(), Vec::<Pv>::new());
        lab.pool().empty_trash(&mut || true).unwrap();
        // Half-made records that nobody asks for again are nobody's after an hour.
        let hours_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(7200);
        for path in lab.below("", 9) {
            let file = fs::File::open(lab.path(&path)).unwrap();
            if file.metadata().unwrap().is_file() {
                file.set_modified(hours_ago).unwrap();
            }
        }
        lab.pool().refresh().unwrap();
        let left = lab.below("", 9).into_iter().filter(|path| path.matches('/').count() > 3 || !lab.path(path).is_dir());
        prop_assert_eq!(left.filter(|path| !lab.path(path).is_dir()).collect::<Vec<_>>(), Vec::<String>::new());
        prop_assert_eq!(lab.below("subvol", 3).iter().filter(|path| path.matches('/').count() == 3).count(), 0);
    }
}
