//! `kadalu config`.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use clap::{Args, ValueEnum};
use glusterd_client::storage::config::{ClassStyle, Storage, StorageConfig};
use serde_json::Value;

use super::{
    Failure,
    output::{print, shown},
    storage_file::{external, label, storages},
};

/// Print what a storage-config.yaml means: each storage in one spelling, and the storage class that follows from it
///
/// Reads KadaluStorage objects in every spelling that is in use, and asks nobody. For a cluster without the operator
/// and its definition of the kind, --only class prints what kubectl apply takes there; with the operator, it makes the class.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Config {
    /// A file of YAML or JSON, - for standard input
    #[arg(value_name = "FILE", env = "KADALU_FILE")]
    file: PathBuf,
    /// How they are printed
    #[arg(long, env = "KADALU_FORMAT", value_name = "FORMAT", default_value = "yaml")]
    format: Format,
    /// What the storage class is called: kadalu.external.NAME, kadalu.NAME, or one of each
    #[arg(long, env = "KADALU_CLASS_NAMES", value_name = "NAMES", default_value = "rfc")]
    class_names: ClassNames,
    /// Print nothing else
    #[arg(long, env = "KADALU_ONLY", value_name = "WHAT")]
    only: Option<Only>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Only {
    /// The storages in normal form
    Storage,
    /// Their storage classes
    Class,
}

const EXAMPLES: &str = "Examples:\n  \
    kadalu config storage-config.yaml                                     look at it\n  \
    kadalu config storage-config.yaml --only class | kubectl apply -f -   without the operator\n  \
    kubectl get kadalustorages -A -o yaml | kadalu config -               those of a cluster\n\n\
    What is wrong is told on standard error, a line each: FILE:LINE:COLUMN: FIELD: what and what to do. Exit codes: 0 all \
    is well, 2 the file cannot be read or makes no sense.";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A document for each object
    Yaml,
    /// A list of the objects
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ClassNames {
    /// kadalu.external.NAME, as the RFC has it
    Rfc,
    /// kadalu.NAME, as kadalu has it since 0.8.3
    Kadalu,
    /// Both
    Both,
}

impl Config {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let storages = storages(&self.file)?;
        for storage in &storages {
            if let Storage::Foreign { name, kind } = storage {
                let (name, kind) = (shown(name), shown(kind));
                tell(&format!("{name} is left out: kadalu runs the bricks of its type {kind}"));
            }
        }
        let all = external(storages);
        for (n, config) in all.iter().enumerate() {
            let twins: Vec<_> = all.iter().filter(|other| other.name == config.name).collect();
            if twins.len() > 1 && all[..n].iter().all(|before| before.name != config.name) {
                let labels: Vec<_> = twins.iter().map(|twin| label(twin, &all)).collect();
                let (labels, class) = (labels.join(" and "), config.class_name());
                tell(&format!("{labels} want the class {class}: in a cluster it is that of the older one"));
            }
        }
        let objects: Vec<_> = all.iter().flat_map(|config| self.objects(config)).collect();
        print(&self.format.text(&objects)?)
    }

    fn objects(&self, config: &StorageConfig) -> Vec<Value> {
        let (rfc, kadalu) = (config.class_name(), config.kadalu_class_name());
        let names = match self.class_names {
            ClassNames::Rfc => vec![rfc],
            ClassNames::Kadalu => vec![kadalu],
            ClassNames::Both => vec![rfc, kadalu],
        };
        let classes = names.iter().map(|name| config.storage_class(name, ClassStyle::Whole));
        let storage = (self.only != Some(Only::Class)).then(|| config.normal());
        storage.into_iter().chain(classes.filter(|_| self.only != Some(Only::Storage))).collect()
    }
}

/// A line beside what is printed.
fn tell(sentence: &str) {
    // Nobody reading any more does not change what is printed.
    let _ = writeln!(io::stderr(), "kadalu: {sentence}");
}

impl Format {
    fn text(self, objects: &[Value]) -> Result<Vec<u8>, Failure> {
        match self {
            Self::Yaml => {
                let documents =
                    objects.iter().map(|object| Ok(format!("---\n{}", serde_saphyr::to_string(object)?)));
                let documents: Result<Vec<_>, serde_saphyr::ser::Error> = documents.collect();
                let documents = documents.map_err(|error| Failure::other("cannot write YAML", error))?;
                Ok(documents.concat().into_bytes())
            }
            Self::Json => {
                let mut text = serde_json::to_vec_pretty(objects)
                    .map_err(|error| Failure::other("cannot write JSON", error))?;
                text.push(b'\n');
                Ok(text)
            }
        }
    }
}
