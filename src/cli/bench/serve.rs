use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use clap::Args;
use glusterd_client::{client::Cluster, transport::ServerAddress};

use super::{child::VolfileServer, raw};
use crate::cli::{
    Failure, output,
    servers::{Connecting, Target},
};

/// Count the GETSPECs that a glusterd and our server answer in a second
///
/// Fetches the volume's volfile, serves the same bytes with `kadalu volfile-server`, and puts the same load on both, turn
/// about: one connection, DEPTH calls under way.
///
/// Example: kadalu bench serve g1 vol
#[derive(Debug, Args)]
pub(crate) struct ServeBench {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    connecting: Connecting,
    /// Calls under way at one time
    #[arg(long, env = "KADALU_DEPTH", value_name = "N", default_value = "64", value_parser = super::at_least_one)]
    depth: usize,
    /// Seconds for each server
    #[arg(long, env = "KADALU_SECONDS", value_name = "N", default_value = "5", value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
}

impl ServeBench {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let (servers, volume) = self.target.parse()?;
        let cluster = Cluster::new(servers, self.connecting.options()?);
        let fetched = cluster.fetch(&volume).await?;
        let directory =
            tempfile::tempdir().map_err(|error| Failure::other("no temporary directory", error))?;
        output::replace(&directory.path().join(format!("{volume}.vol")), &fetched.text)?;
        let ours = VolfileServer::start(directory.path())?;
        let ours = ServerAddress::tcp("127.0.0.1", ours.port)
            .map(|address| (ours, address))
            .map_err(|error| Failure::other("loopback", error))?;

        let turn = Duration::from_secs(self.seconds) / 5;
        let (mut theirs, mut own) = (0, 0);
        for _ in 0..5 {
            theirs += self.load(&fetched.server, &volume, turn)?;
            own += self.load(&ours.1, &volume, turn)?;
        }
        let seconds = self.seconds.max(1) as f64;
        let text = format!(
            "volume {volume}, {} bytes, one connection, {} calls under way\n  \
             glusterd {:<20} {:>9.0} GETSPEC/s\n  kadalu volfile-server         {:>9.0} GETSPEC/s\n  {:.1} times as many\n",
            fetched.text.len(),
            self.depth,
            fetched.server,
            theirs as f64 / seconds,
            own as f64 / seconds,
            own as f64 / theirs.max(1) as f64,
        );
        output::print(text.as_bytes())
    }

    /// How many replies came in a time. The bytes of one reply are known after the first, so the rest is counted in bytes:
    /// the generator must not be what is measured.
    fn load(&self, server: &ServerAddress, volume: &str, time: Duration) -> Result<u64, Failure> {
        let failed = |error| Failure::other(format_args!("the load on {server}"), error);
        let ServerAddress::Tcp { host, port } = server else {
            return Err(Failure::other("the load", "it goes over TCP: give host:port"));
        };
        let request = raw::request(volume)?;
        let mut stream = TcpStream::connect((host.as_str(), *port)).map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let mut one = raw::Raw::connect(server, volume)?;
        let reply = one.fetch().map_err(failed)?.len() + 4;
        let depth = self.depth.max(1);
        let mut buffer = vec![0; 1 << 20];
        let (mut received, mut answered) = (0usize, 0u64);
        stream.write_all(&request.repeat(depth)).map_err(failed)?;
        let start = Instant::now();
        while start.elapsed() < time {
            match stream.read(&mut buffer).map_err(failed)? {
                0 => return Err(failed(std::io::ErrorKind::UnexpectedEof.into())),
                n => received += n,
            }
            let whole = received / reply;
            received -= whole * reply;
            answered += whole as u64;
            stream.write_all(&request.repeat(whole)).map_err(failed)?;
        }
        Ok(answered)
    }
}
