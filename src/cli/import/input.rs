//! What `kubectl get -o json` has written: objects and lists of them, one after the other.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use super::{
    kubernetes::{Endpoints, Volume},
    report::Report,
};
use crate::cli::{Exit, Failure};

/// Bytes of one file: tens of thousands of PVs.
const MAX_FILE: u64 = 256 << 20;

/// The objects that matter, of all files, in their order.
#[derive(Debug, Default)]
pub(super) struct Objects {
    pub(super) volumes: Vec<Volume>,
    pub(super) endpoints: Vec<Endpoints>,
}

/// What tells one object from another, before more is believed of it.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(default)]
    kind: Option<String>,
    #[serde(default)]
    metadata: Option<Named>,
    #[serde(borrow, default)]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct Named {
    #[serde(default)]
    name: Option<String>,
}

impl Objects {
    /// Adds those of a file, `-` for standard input. An object that cannot be read spoils no other.
    pub(super) fn read(&mut self, path: &Path, report: &mut Report) -> Result<(), Failure> {
        let text = read(path)?;
        let fails = |error| Failure::other(format_args!("{} is no JSON", path.display()), error);
        let mut documents = 0;
        for document in serde_json::Deserializer::from_slice(&text).into_iter::<&RawValue>() {
            documents += 1;
            self.add(document.map_err(fails)?, None, report).map_err(fails)?;
        }
        if documents == 0 {
            return Err(Failure::new(Exit::Other, format_args!("{} is empty", path.display())));
        }
        Ok(())
    }

    /// `kind`: of one that is in a list of this kind, and need not say it again.
    fn add(&mut self, raw: &RawValue, kind: Option<&str>, report: &mut Report) -> serde_json::Result<()> {
        let head: Head<'_> = serde_json::from_str(raw.get())?;
        let kind = head.kind.as_deref().or(kind).unwrap_or_default();
        let name = head.metadata.and_then(|metadata| metadata.name).unwrap_or_default();
        match (kind, head.items) {
            // A list in a list is none of kubectl's.
            (list, Some(items)) => {
                let of = list.strip_suffix("List").filter(|of| !of.is_empty());
                for item in items {
                    let item_head: Head<'_> = serde_json::from_str(item.get())?;
                    if item_head.items.is_none() {
                        self.add(item, of, report)?;
                    }
                }
            }
            ("PersistentVolume", None) => self.volumes.extend(typed(raw, kind, &name, report)),
            ("Endpoints", None) => self.endpoints.extend(typed(raw, kind, &name, report)),
            // Services and whatever else was exported along.
            _ => {}
        }
        Ok(())
    }
}

fn typed<T: DeserializeOwned>(raw: &RawValue, kind: &str, name: &str, report: &mut Report) -> Option<T> {
    let object = serde_json::from_str(raw.get());
    object.map_err(|error| report.failed(kind, name, format_args!("cannot be read: {error}"))).ok()
}

/// A whole file, if it is not too large.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let fails = |error: io::Error| Failure::other(format_args!("cannot read {}", path.display()), error);
    let mut text = Vec::new();
    let source: Box<dyn Read> = match path.to_str() {
        Some("-") => Box::new(io::stdin().lock()),
        _ => Box::new(File::open(path).map_err(fails)?),
    };
    source.take(MAX_FILE + 1).read_to_end(&mut text).map_err(fails)?;
    if text.len() as u64 > MAX_FILE {
        let sentence = format!("{} has more than {} MiB", path.display(), MAX_FILE >> 20);
        return Err(Failure::new(Exit::Other, sentence));
    }
    Ok(text)
}
