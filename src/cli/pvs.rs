//! `kadalu pvs`.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use clap::{Args, builder::FalseyValueParser};
use glusterd_client::{
    mount::source::Source,
    storage::pool::{Capacity, Gib, Pool, Pv},
};
use serde_json::json;
use tokio::task::spawn_blocking;

use super::{
    Exit, Failure,
    mount_host::{MountHost, absolute},
    mountd::Signals,
    mounted::Mounted,
    output::{Format, columns, shown},
};

/// Show the PVs of a pool, and bring back or purge those that were put aside
///
/// A pool is a volume, by its servers, or a directory where all of it is mounted.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Pvs {
    #[arg(value_name = "DIRECTORY|SERVERS:/VOLUME", help = POOL)]
    pool: String,
    /// What is printed
    #[arg(long, env = "KADALU_FORMAT", value_name = "FORMAT", default_value = "table")]
    format: Format,
    /// Put an archived or retained PV back into use; prints its path
    #[arg(long, env = "KADALU_RESTORE", value_name = "PV", conflicts_with_all = ["purge", "empty_trash"])]
    restore: Option<String>,
    /// The name that it gets; without it, the one that it had
    #[arg(long = "as", env = "KADALU_AS", value_name = "NAME", requires = "restore")]
    name: Option<String>,
    /// Move an archived or retained PV into the trash, for ever
    #[arg(long, env = "KADALU_PURGE", value_name = "PV")]
    purge: Option<String>,
    /// Remove what lies in the trash now, and not when the driver gets to it; prints how many entries that were
    #[arg(long, env = "KADALU_EMPTY_TRASH", value_parser = FalseyValueParser::new())]
    empty_trash: bool,
    #[command(flatten)]
    host: MountHost,
}

/// No doc comment: its brackets would be links.
const POOL: &str = "Where a volume is mounted as a whole, or host[:port], a comma list of them, [IPv6]:port, or \
    unix:/path, then the volume: it is mounted through kadalu mountd while this runs";

const EXAMPLES: &str = "Examples:\n  \
    kadalu pvs g1,g2:/vol                                      a line a PV\n  \
    kadalu pvs /mnt/vol --format json                          where it is mounted already; for a script\n  \
    kadalu pvs g1:/vol --restore archived-pvc-1 --as pvc-1     then make a PersistentVolume of it\n  \
    kadalu pvs g1:/vol --purge archived-pvc-1 --empty-trash    it is gone\n\n\
    Two archived PVs of one name are told apart by their paths. Exit codes: see kadalu --help.";

impl Pvs {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        match source(&self.pool)? {
            Some(source) => self.mounted(source).await,
            None => {
                let root = absolute(Path::new(&self.pool))?;
                self.on_a_thread(root).await
            }
        }
    }

    /// Works on a volume that is mounted for just that.
    async fn mounted(self, source: Source) -> Result<(), Failure> {
        let host = self.host.connect_soon().await?;
        let mut mounted = Mounted::new(host, source);
        let work = async {
            let root = mounted.volume().await?;
            self.on_a_thread(root).await
        };
        let outcome = tokio::select! {
            outcome = work => outcome,
            error = interrupted() => Err(error),
        };
        // Nothing of ours is open there, but for what was interrupted, which can be at any point.
        let ended = mounted.end().await;
        outcome.and(ended)
    }

    async fn on_a_thread(self, root: PathBuf) -> Result<(), Failure> {
        let done = spawn_blocking(move || self.at(&root)).await;
        done.map_err(Failure::defect)?
    }

    fn at(&self, root: &Path) -> Result<(), Failure> {
        let pool = Pool::open(root)?;
        if let Some(archived) = &self.restore {
            let pv = pool.restore(archived, &self.name_of(&pool, archived)?)?;
            return self.format.print(&pv, &format!("{}\n", path(&pv)));
        }
        if let Some(name) = &self.purge {
            pool.purge(name)?;
        }
        if self.empty_trash {
            let removed = pool.empty_trash(&mut || true)?;
            return self.format.print(&json!({ "removed": removed }), &format!("{removed}\n"));
        }
        if self.purge.is_some() {
            return Ok(());
        }
        let (pvs, capacity) = (pool.list()?, pool.capacity()?);
        if pvs.is_empty() && self.format == Format::Table {
            // Words; a script that counts lines counts none.
            let _ = writeln!(io::stderr(), "kadalu: {} holds no PVs", self.pool);
            return Ok(());
        }
        self.format.print(&json!({ "pvs": pvs, "capacity": capacity }), &table(&pvs, capacity))
    }

    /// The name that a PV gets when it is restored.
    fn name_of(&self, pool: &Pool, archived: &str) -> Result<String, Failure> {
        if let Some(name) = &self.name {
            return Ok(name.clone());
        }
        let mut named = pool.list()?.into_iter().filter(|pv| [name(pv), &pv.path].contains(&archived));
        let missing = || {
            Failure::new(Exit::Target, format_args!("{archived:?} is no PV of {}; see kadalu pvs", self.pool))
        };
        Ok(named.next().ok_or_else(missing)?.name)
    }
}

/// What the pool's words say: a volume and its servers; none for a directory.
fn source(pool: &str) -> Result<Option<Source>, Failure> {
    if pool.starts_with(['/', '.']) || !pool.contains(":/") {
        return Ok(None);
    }
    let source = Source::parse(pool)?;
    if !source.subdirectory.is_empty() {
        let message = format!("{source}: a pool is a whole volume; write SERVERS:/VOLUME");
        return Err(Failure::new(Exit::Usage, message));
    }
    Ok(Some(source))
}

/// Waits until somebody wants this to end.
pub(super) async fn interrupted() -> Failure {
    match Signals::new() {
        Ok(mut signals) => {
            signals.next().await;
            Failure::new(Exit::Other, "interrupted: the same again ends what was begun")
        }
        Err(failure) => failure,
    }
}

const HEAD: [&str; 6] = ["PV", "SIZE", "STATE", "RECLAIM", "CREATED", "PATH"];

/// A line a PV, and one for all of them.
fn table(pvs: &[Pv], capacity: Capacity) -> String {
    let row = |pv: &Pv| {
        [
            shown(name(pv)),
            Gib(pv.size).to_string(),
            pv.state.to_string(),
            pv.reclaim.map_or_else(|| "-".to_owned(), |reclaim| reclaim.to_string()),
            pv.created.as_deref().map_or_else(|| "-".to_owned(), shown),
            path(pv).to_owned(),
        ]
    };
    let rows = [HEAD.map(str::to_owned)].into_iter().chain(pvs.iter().map(row)).collect::<Vec<_>>();
    let Capacity { total, free, promised } = capacity;
    let all = format!("  {} promised of {}, {} free\n", Gib(promised), Gib(total), Gib(free));
    columns(&rows).collect::<String>() + &all
}

/// What a PV is called here: its name on disk, which a whole volume has not.
fn name(pv: &Pv) -> &str {
    if pv.component.is_empty() { &pv.name } else { &pv.component }
}

fn path(pv: &Pv) -> &str {
    if pv.path.is_empty() { "." } else { &pv.path }
}

#[cfg(test)]
mod tests {
    use glusterd_client::storage::record::{Reclaim, State};

    use super::*;

    #[test]
    fn a_line_a_pv() {
        let pv = Pv {
            component: "archived-pvc-1".into(),
            name: "pvc-1".into(),
            path: "subvol/d3/d3/archived-pvc-1".into(),
            size: 1 << 30,
            reclaim: Some(Reclaim::Archive),
            quota: None,
            asked: None,
            state: State::Archived,
            created: Some("2026-01-01T00:00:00Z".into()),
        };
        let whole = Pv {
            component: String::new(),
            name: "a\nb".into(),
            path: String::new(),
            reclaim: None,
            size: pv.size,
            quota: None,
            asked: None,
            state: State::InUse,
            created: None,
        };
        let capacity = Capacity { total: 4 << 30, free: 1 << 29, promised: 2 << 30 };
        let pvs = [pv, whole];
        let expected = "\
PV              SIZE      STATE     RECLAIM  CREATED               PATH
archived-pvc-1  1.00 GiB  archived  archive  2026-01-01T00:00:00Z  subvol/d3/d3/archived-pvc-1
a\\nb            1.00 GiB  in-use    -        -                     .
  2.00 GiB promised of 4.00 GiB, 0.50 GiB free
";
        assert_eq!(table(&pvs, capacity), expected);
    }

    #[test]
    fn a_pool_is_a_volume_or_a_directory() {
        for directory in ["/mnt", "./a:/b", "/a:/b", "mnt", "."] {
            assert!(source(directory).unwrap().is_none(), "{directory}");
        }
        assert_eq!(source("g1,g2:/vol").unwrap().unwrap().volume, "vol");
        for bad in ["g1:/vol/directory", "g1:/", ":/vol"] {
            assert_eq!(source(bad).unwrap_err().exit, Exit::Usage, "{bad}");
        }
    }
}
