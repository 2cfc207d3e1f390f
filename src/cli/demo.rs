//! `kadalu demo`: the whole story on the embedded server.

use std::time::Duration;

use clap::Args;
use glusterd_client::{
    client::{Cluster, Event, Options, digest},
    server::{Limits, Server},
    transport::{Listener, ServerAddress},
    volfile::{Graph, Volfile, example::Example},
};

use super::{Failure, output};

/// Watch a volume change, with nothing but this binary
///
/// Starts an embedded volfile server on loopback with a replica-3 volume, fetches its volfile, watches it, changes an
/// option and adds bricks, and shows each notification with what it means. Ends by itself in seconds.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Seconds between the steps
    #[arg(long, env = "KADALU_PAUSE", value_name = "SECONDS", default_value = "1", value_parser = clap::value_parser!(u64).range(0..=60))]
    pause: u64,
}

const VOLUME: &str = "demo";

impl Demo {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let failed = |doing: &'static str| move |error: std::io::Error| Failure::other(doing, error);
        let server = Server::new(Limits::default());
        let listener =
            Listener::tcp(([127, 0, 0, 1], 0).into()).map_err(failed("cannot listen on 127.0.0.1"))?;
        let port = listener.local_addr().map_or(0, |address| address.port());
        let serving = server.clone();
        tokio::spawn(async move { serving.serve(listener).await });

        let mut volume = Example::with_bricks(VOLUME, 3, 3);
        publish(&server, &volume)?;
        say(&format!("An embedded glusterd on 127.0.0.1:{port} serves the volume {VOLUME}. Fetch it:\n"))?;

        let address =
            ServerAddress::tcp("127.0.0.1", port).map_err(|error| Failure::other("loopback", error))?;
        let cluster = Cluster::new([address], Options::default());
        let fetched = cluster.fetch(VOLUME).await?;
        let volfile =
            Volfile::parse(&fetched.text[..]).map_err(|error| Failure::other("the volfile", error))?;
        if let Some(graph) = Graph::new(&volfile) {
            say(&format!(
                "{} bytes, {}\n{}\n{}",
                fetched.text.len(),
                digest(&fetched.text),
                graph.kind(),
                graph.tree()
            ))?;
        }

        say("\nWatch it, and change things on the server:\n")?;
        let mut watch = cluster.watch(VOLUME);
        self.show(&mut watch, &["connected", "initial"]).await?;

        say("$ gluster volume set demo network.ping-timeout 10\n")?;
        volume = volume.option("protocol/client", "ping-timeout", "10");
        publish(&server, &volume)?;
        self.show(&mut watch, &["changed"]).await?;

        say("$ gluster volume add-brick demo server-{3,4,5}.example.net:…\n")?;
        volume.bricks = Example::with_bricks(VOLUME, 3, 6).bricks;
        publish(&server, &volume)?;
        self.show(&mut watch, &["changed"]).await?;

        say("A volfile that would run a command as root in each mount (a backtick) is refused:\n")?;
        match server
            .publish(VOLUME, "volume demo\n  type debug/io-stats\n  option log-level `reboot`\nend-volume\n")
        {
            Err(refused) => say(&format!("    {refused}\n\n"))?,
            Ok(_) => return Err(Failure::other("the demo", "a volfile with a backtick was served")),
        }
        say("That was it. On a real cluster: kadalu volfile-get HOST1,HOST2:/VOLUME --watch\n")
    }

    /// Shows the events that the last step must bring.
    async fn show(
        &self,
        watch: &mut glusterd_client::client::Watch,
        expected: &[&str],
    ) -> Result<(), Failure> {
        for expected in expected {
            let event = tokio::time::timeout(Duration::from_secs(10), watch.next())
                .await
                .map_err(|_| Failure::other("the demo", format!("no {expected} event within 10 seconds")))?;
            say(&match event {
                Event::Connected(server) => format!("  connected to {server}\n"),
                Event::Initial(generation) => {
                    format!("  generation {}: {}\n", generation.number, generation.digest)
                }
                Event::Changed { generation, change } => {
                    let items = change.items.iter().map(|item| format!("      {item}\n")).collect::<String>();
                    let (number, class) = (generation.number, change.class);
                    format!("  FETCHSPEC came; fetched generation {number} ({class}):\n{items}")
                }
                other => {
                    return Err(Failure::other("the demo", format!("expected {expected}, got {other:?}")));
                }
            })?;
        }
        say("\n")?;
        tokio::time::sleep(Duration::from_secs(self.pause)).await;
        Ok(())
    }
}

fn publish(server: &Server, volume: &Example) -> Result<(), Failure> {
    let text = volume.volfile().render().map_err(|error| Failure::other("the demo's volfile", error))?;
    server.publish(VOLUME, text).map(|_| ()).map_err(|error| Failure::other("the demo's volfile", error))
}

fn say(text: &str) -> Result<(), Failure> {
    output::print(text.as_bytes())
}
