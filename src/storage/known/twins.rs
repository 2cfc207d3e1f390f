//! Storages that two files name.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
};

use super::KnownPool;
use crate::storage::parameters::Parameters;

/// A storage, and the file that says so.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) file: PathBuf,
    pub(super) pool: KnownPool,
}

/// What all files say together.
#[derive(Debug, Default)]
pub(super) struct Storages {
    /// Each once; of one with several meanings all of them, for the PVs that it has.
    pub(super) all: Vec<KnownPool>,
    /// By name those with several meanings, a sentence each: nobody can say which one new PVs are to have.
    pub(super) unclear: BTreeMap<String, String>,
}

impl Storages {
    pub(super) fn of(told: Vec<Told>) -> Self {
        let mut storages = Self::default();
        let mut first: HashMap<String, (PathBuf, Parameters)> = HashMap::new();
        for Told { file, pool } in told {
            let name = pool.name.clone().unwrap_or_default();
            match first.get(&name) {
                Some((_, parameters)) if is_same(parameters, &pool.parameters) => continue,
                Some((before, _)) => {
                    let place = if *before == file {
                        format!(
                            "in one namespace of {} and another in a second one: leave one of them out",
                            file.display()
                        )
                    } else {
                        format!(
                            "in {} and another in {}: take it out of one of them",
                            before.display(),
                            file.display()
                        )
                    };
                    let sentence =
                        format!("storage {name:?} has one meaning {place}; no PV is made of it until then");
                    storages.unclear.entry(name).or_insert(sentence);
                }
                None => {
                    first.insert(name, (file, pool.parameters.clone()));
                }
            }
            storages.all.push(pool);
        }
        storages
    }
}

/// Whether both mean the same, however each of them writes it.
fn is_same(one: &Parameters, other: &Parameters) -> bool {
    let meaning = |parameters: &Parameters| {
        let mut meant = Parameters { kind: None, ..parameters.clone() };
        // They are of one cluster, in whatever order.
        meant.servers.sort_by_key(ToString::to_string);
        (parameters.kind.unwrap_or_default(), meant.write())
    };
    meaning(one) == meaning(other)
}
