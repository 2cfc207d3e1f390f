use std::time::{Duration, Instant};

use clap::Args;
use glusterd_client::{
    client::{Client, Error},
    glusterd::OpVersions,
    transport::{ConnectOptions, ServerAddress},
    volfile::example::Example,
};
use tokio::{task::JoinSet, time::timeout};

use super::child::VolfileServer;
use crate::cli::{Failure, output, volfile_server::raise_open_files};

/// Hold many connections to our server, and push one change to all of them
///
/// Each connection fetches, waits for FETCHSPEC, and fetches again; every volfile is compared. The server is a process of
/// its own, whose peak memory is shown.
///
/// Example: kadalu bench connections
#[derive(Debug, Args)]
pub(crate) struct ConnectionsBench {
    /// How many
    #[arg(long, env = "KADALU_CONNECTIONS", value_name = "N", default_value = "2000", value_parser = super::at_least_one)]
    connections: usize,
    /// Bricks of the volume
    #[arg(long, env = "KADALU_BRICKS", value_name = "N", default_value = "3", value_parser = super::at_least_one)]
    bricks: usize,
}

const VOLUME: &str = "vol";
const PATIENCE: Duration = Duration::from_secs(60);

impl ConnectionsBench {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        raise_open_files();
        let before = Example::with_bricks(VOLUME, 3, self.bricks);
        let after = before.clone().option("protocol/client", "ping-timeout", "10");
        let render = |volume: &Example| {
            volume.volfile().render().map_err(|error| Failure::other("the volfile", error))
        };
        let (before, after) = (render(&before)?, render(&after)?);
        let directory =
            tempfile::tempdir().map_err(|error| Failure::other("no temporary directory", error))?;
        let file = directory.path().join(format!("{VOLUME}.vol"));
        output::replace(&file, &before)?;
        let server = VolfileServer::start(directory.path())?;
        let address = ServerAddress::tcp("127.0.0.1", server.port)
            .map_err(|error| Failure::other("loopback", error))?;

        let start = Instant::now();
        let mut clients = Vec::new();
        for _ in 0..self.connections {
            let client = Client::connect(&address, &ConnectOptions::default()).await.map_err(failed)?;
            fetch(&client, &before).await?;
            clients.push(client);
        }
        let opened = start.elapsed();
        let held = server.peak();

        let start = Instant::now();
        output::replace(&file, &after)?;
        let mut waiting = JoinSet::new();
        for mut client in clients {
            let after = after.clone();
            waiting.spawn(async move {
                match timeout(PATIENCE, client.notified(0)).await {
                    Ok(outcome) => outcome.map(|_| ()).map_err(failed)?,
                    Err(_) => return Err(Failure::other("a connection", "no FETCHSPEC came")),
                }
                fetch(&client, &after).await.map(|()| client)
            });
        }
        // Kept to the end, so that all are connected while the last is served.
        let mut done = Vec::new();
        while let Some(outcome) = waiting.join_next().await {
            done.push(outcome.map_err(|error| Failure::other("a connection", error))??);
        }
        let text = format!(
            "{} connections, volfile of {} bytes\n  opened, each with a fetch, in {:.2} s; server's peak then {:.1} MB\n  \
             one change pushed to all, each then fetching: {:.0} ms, no error; server's peak {:.1} MB\n",
            done.len(),
            after.len(),
            opened.as_secs_f64(),
            held as f64 / 1024.0,
            start.elapsed().as_secs_f64() * 1e3,
            server.peak() as f64 / 1024.0,
        );
        output::print(text.as_bytes())
    }
}

async fn fetch(client: &Client, expected: &[u8]) -> Result<(), Failure> {
    let fetched = client.getspec(VOLUME, OpVersions::ANY, PATIENCE).await.map_err(failed)?;
    if fetched.text == expected {
        return Ok(());
    }
    Err(Failure::other("a connection", "it was given another volfile than is served"))
}

fn failed(error: Error) -> Failure {
    Failure::new(error.kind().into(), error)
}
