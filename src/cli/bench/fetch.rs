use std::{ffi::OsStr, time::Instant};

use clap::Args;
use glusterd_client::{
    client::{Client, Cluster},
    transport::ServerAddress,
};

use super::{
    child::{self, Finished},
    raw::Raw,
    stats::{Times, ratio},
};
use crate::cli::{
    Failure, output,
    servers::{Connecting, Target},
};

/// Time one GETSPEC: held connection, fresh connection, fresh process
///
/// Beside a raw socket (request bytes made beforehand, blocking calls) in the same run, turn about, and beside
/// `gluster system:: getspec` where that is installed.
///
/// Example: kadalu bench fetch g1 vol
#[derive(Debug, Args)]
pub(crate) struct FetchBench {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    connecting: Connecting,
    /// Fetches over the held connection; a tenth of it over fresh ones
    #[arg(long, env = "KADALU_COUNT", value_name = "N", default_value = "5000", value_parser = super::at_least_one)]
    count: usize,
    /// Processes to start
    #[arg(long, env = "KADALU_PROCESSES", value_name = "N", default_value = "40", value_parser = super::at_least_one)]
    processes: usize,
}

/// Turn about in runs of this length, so that both meet the same moments of a noisy machine.
const TURN: usize = 50;

impl FetchBench {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let (servers, volume) = self.target.parse()?;
        let options = self.connecting.options()?;
        let cluster = Cluster::new(servers, options.clone());
        let size = cluster.fetch(&volume).await?.text.len();
        let servers = cluster.servers();
        let Some(server) = servers.first() else { return Ok(()) };
        output::print(format!("volume {volume}, {size} bytes, from {server}\n").as_bytes())?;

        let connect = || Client::connect(server, &options.connect);
        let client = connect().await.map_err(unreachable)?;
        let mut raw = Raw::connect(server, &volume)?;
        let (mut ours, mut floor) = (Vec::new(), Vec::new());
        for _ in 0..self.count.div_ceil(TURN) {
            for _ in 0..TURN {
                let start = Instant::now();
                raw.fetch().map_err(|error| Failure::other("the raw socket", error))?;
                floor.push(start.elapsed());
            }
            for _ in 0..TURN {
                let start = Instant::now();
                client.getspec(&volume, options.op_versions, options.reply).await.map_err(unreachable)?;
                ours.push(start.elapsed());
            }
        }
        compare("held connection", ours, floor)?;

        let (mut ours, mut floor) = (Vec::new(), Vec::new());
        for _ in 0..self.count.div_ceil(10) {
            let start = Instant::now();
            Raw::connect(server, &volume)?
                .fetch()
                .map_err(|error| Failure::other("the raw socket", error))?;
            floor.push(start.elapsed());
            let start = Instant::now();
            let client = connect().await.map_err(unreachable)?;
            client.getspec(&volume, options.op_versions, options.reply).await.map_err(unreachable)?;
            ours.push(start.elapsed());
        }
        compare("fresh connection", ours, floor)?;
        self.processes(server, &volume)
    }

    fn processes(&self, server: &ServerAddress, volume: &str) -> Result<(), Failure> {
        let this = child::this_program()?;
        let us = ["volfile-get".to_owned(), server.to_string(), volume.to_owned()];
        let host = match server {
            ServerAddress::Tcp { host, .. } => host.clone(),
            ServerAddress::Unix(_) => "localhost".to_owned(),
        };
        let cli =
            [format!("--remote-host={host}"), "system::".to_owned(), "getspec".to_owned(), volume.to_owned()];
        let gluster = OsStr::new("gluster");
        let installed = child::run(gluster, &["--version"]).is_ok();
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..self.processes {
            ours.push(child::run(&this, &us)?);
            if installed {
                theirs.push(child::run(gluster, &cli)?);
            }
        }
        let ours = process("kadalu volfile-get", &ours)?;
        if !installed {
            return output::print(b"gluster is not installed here: nothing to compare the process with\n");
        }
        let theirs = process("gluster system:: getspec", &theirs)?;
        output::print(format!("  process: {:.1} times faster\n", ratio(theirs.p50(), ours.p50())).as_bytes())
    }
}

fn compare(
    name: &str,
    ours: Vec<std::time::Duration>,
    floor: Vec<std::time::Duration>,
) -> Result<(), Failure> {
    let (ours, floor) = (Times::new(ours), Times::new(floor));
    let ratio = ratio(ours.p50(), floor.p50());
    output::print(
        format!("{name}\n  raw socket  {floor}\n  kadalu      {ours}\n  p50: {ratio:.3} of the raw socket\n")
            .as_bytes(),
    )
}

fn process(name: &str, runs: &[Finished]) -> Result<Times, Failure> {
    let times = Times::new(runs.iter().map(|run| run.time).collect());
    let peak = runs.iter().map(|run| run.peak).max().unwrap_or(0);
    output::print(format!("process {name:<26} {times}   peak {:.1} MB\n", peak as f64 / 1024.0).as_bytes())?;
    Ok(times)
}

fn unreachable(error: glusterd_client::client::Error) -> Failure {
    Failure::new(error.kind().into(), error)
}
