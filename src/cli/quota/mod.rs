//! `kadalu quota`.

mod report;

use std::path::PathBuf;

use clap::Args;
use glusterd_client::{
    client::Cluster,
    mount::source::Source,
    storage::{
        enforced::{self, impossible},
        pool::{Pool, Pv},
        record::State,
    },
    volfile::{Graph, Kind, Volfile},
};
use tokio::task::spawn_blocking;

use self::report::Report;
use super::{
    Exit, Failure, mount_host::MountHost, mounted::Mounted, output::Format, pvs::interrupted,
    servers::Reaching,
};

/// Show whether the sizes of PVs are enforced, by what each brick says
///
/// Each brick is mounted by itself, read-only, through kadalu mountd while this runs: nothing is asked of the hosts of the
/// bricks but through the volume's own connections. What the bricks say of themselves is told by kadalu quotad --check.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Quota {
    #[arg(value_name = "SERVERS:/VOLUME", help = VOLUME)]
    volume: String,
    /// What is printed
    #[arg(long, env = "KADALU_FORMAT", value_name = "FORMAT", default_value = "table")]
    format: Format,
    /// Only this PV, by its name or its path
    #[arg(long, env = "KADALU_PV", value_name = "NAME")]
    pv: Option<String>,
    #[command(flatten)]
    host: MountHost,
    #[command(flatten)]
    reaching: Reaching,
}

/// No doc comment: its brackets would be links.
const VOLUME: &str = "host[:port], a comma list of them, [IPv6]:port, or unix:/path, then the volume";

const EXAMPLES: &str = "Examples:\n  \
    kadalu quota g1,g2:/vol                       a line a PV and brick\n  \
    kadalu quota g1:/vol --pv pvc-1               one PV\n  \
    kadalu quota g1:/vol --format json            for a script; exit code 7 where a limit is not in force\n\n\
    Exit codes: see kadalu --help.";

impl Quota {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let source = Source::parse(&self.volume)?;
        if !source.subdirectory.is_empty() {
            let message = format!("{source}: write SERVERS:/VOLUME; one PV is named by --pv");
            return Err(Failure::new(Exit::Usage, message));
        }
        let kind = self.kind(&source).await?;
        let host = self.host.connect_soon().await?;
        let mut mounted = Mounted::new(host, source);
        let report = tokio::select! {
            report = self.look(&mut mounted, &kind) => report,
            error = interrupted() => Err(error),
        };
        let ended = mounted.end().await;
        let report = report?;
        self.format.print(&report, &report.table())?;
        match report.lacking() {
            0 => ended,
            lacking => {
                let message = format!("{lacking} of {} PVs are not limited on every brick", report.pvs.len());
                Err(Failure::new(Exit::CheckFailed, message))
            }
        }
    }

    /// What kind of volume it is.
    async fn kind(&self, source: &Source) -> Result<Kind, Failure> {
        let cluster = Cluster::new(source.servers.iter().cloned(), self.reaching.options()?);
        let fetched = cluster.fetch(&source.volume).await?;
        let invalid = |error: &dyn std::fmt::Display| Failure::new(Exit::InvalidVolfile, error);
        let volfile = Volfile::parse(&fetched.text).map_err(|error| invalid(&error))?;
        Ok(Graph::new(&volfile).ok_or_else(|| invalid(&"the volfile is empty"))?.kind())
    }

    async fn look(&self, mounted: &mut Mounted, kind: &Kind) -> Result<Report, Failure> {
        let root = mounted.volume().await?;
        let pvs = self.pvs(root).await?;
        let bricks = enforced::bricks(kind);
        let paths = pvs.iter().map(|pv| pv.path.clone()).collect();
        let seen = mounted.bricks(&bricks, paths).await?;
        Ok(Report::new(kind.volume.clone(), impossible(kind), &bricks, &seen, pvs))
    }

    /// The PVs that are asked for and have a directory.
    async fn pvs(&self, root: PathBuf) -> Result<Vec<Pv>, Failure> {
        let listed = spawn_blocking(move || Pool::open(&root)?.list()).await;
        let mut pvs = listed.map_err(Failure::defect)??;
        pvs.retain(|pv| !pv.path.is_empty() && pv.state != State::Deleting);
        if let Some(wanted) = &self.pv {
            pvs.retain(|pv| [&pv.component, &pv.name, &pv.path].contains(&wanted));
            if pvs.is_empty() {
                let message = format!("{wanted:?} is no PV of {}; see kadalu pvs", self.volume);
                return Err(Failure::new(Exit::Target, message));
            }
        }
        Ok(pvs)
    }
}
