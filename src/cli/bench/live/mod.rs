//! `kadalu bench live`: our mount and a stock one, under the same load through the same changes.

mod admin;
mod process;
mod side;
mod table;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::mpsc::Receiver,
    time::{Duration, Instant},
};

use clap::Args;
use glusterd_client::transport::{ServerAddress, parse_servers};

use super::program::{self, PATIENCE};
use crate::cli::{Exit, Failure, output, servers::Target};
use admin::{Admin, Change};
use side::{Load, Ours, Stock};
use table::{Seen, Table};

/// Compare our mount with a stock one while the volume changes
///
/// Mounts the volume twice, by a kadalu mountd of its own and by glusterfs alone, puts the load of bench io on both, and
/// changes options, translators in and out, and, with --brick, bricks. At the end the volume is as it was. Exit code 1: an
/// operation of our mount failed, a block was wrong, or a change did not come.
///
/// Example: kadalu bench live g1,g2,g3:/vol --admin 'ssh g1 gluster' --brick g2:/bricks/extra
#[derive(Debug, Args)]
pub(crate) struct LiveBench {
    #[command(flatten)]
    target: Target,
    /// Servers that the stock mount is given, a comma list; without it, all
    #[arg(long, env = "KADALU_STOCK_SERVERS", value_name = "SERVERS")]
    stock_servers: Option<String>,
    /// How to run gluster on a server, such as 'ssh g1 gluster'
    #[arg(long, env = "KADALU_ADMIN", value_name = "COMMAND")]
    admin: String,
    /// A brick that is added and removed: a path that is not there yet
    #[arg(long, env = "KADALU_BRICK", value_name = "HOST:/PATH")]
    brick: Option<String>,
    /// Kills a glusterd that both are connected to, in the middle; --admin must do without it
    #[arg(long, env = "KADALU_KILL", value_name = "COMMAND", requires = "start")]
    kill: Option<String>,
    /// Starts it again
    #[arg(long, env = "KADALU_START", value_name = "COMMAND", requires = "kill")]
    start: Option<String>,
    /// Operations a second on each mount, about
    #[arg(long, env = "KADALU_RATE", value_name = "N", default_value = "200", value_parser = super::at_least_one)]
    rate: usize,
}

/// Changes follow one another like this: what is measured is a change, not a burst of them.
const PAUSE: Duration = Duration::from_secs(1);

/// The two mount points, and what was seen there so far.
struct Sides {
    /// When the loads began, or a moment later.
    begun: Instant,
    ours: (PathBuf, Seen),
    stock: (PathBuf, Seen),
}

impl LiveBench {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        // Not removed by itself: file systems are mounted below it.
        let dir = tempfile::Builder::new().prefix("kadalu-live-").tempdir();
        let dir = dir.map_err(|error| Failure::other("no temporary directory", error))?.keep();
        let outcome = self.compare(&dir);
        if let Err(error) = remove(&dir) {
            tracing::warn!(target: "kadalu", dir = %dir.display(), %error, "left behind");
        }
        outcome
    }

    fn compare(&self, dir: &Path) -> Result<(), Failure> {
        let (servers, volume) = self.target.parse()?;
        let (hosts, ports) = addresses(&servers)?;
        let list = servers.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let hosts = match &self.stock_servers {
            Some(stock) => {
                let stock = parse_servers(stock);
                addresses(&stock.map_err(|error| Failure::new(Exit::Usage, error))?)?.0
            }
            None => hosts,
        };
        let admin = Admin { command: &self.admin, volume: &volume };
        let mut changes = admin.options()?;
        if let Some(brick) = &self.brick {
            changes.extend(admin.brick(brick)?);
        }
        let targets = ["ours", "stock"].map(|name| dir.join(name));
        for target in &targets {
            fs::create_dir(target).map_err(|error| Failure::other(target.display(), error))?;
        }
        let [at, stock_at] = targets;
        let ours = Ours::mount(dir, &list, &volume, &at)?;
        let stock = Stock::mount(dir, &hosts, &volume, &stock_at)?;
        let loads = [Load::start(&at, self.rate)?, Load::start(&stock_at, self.rate)?];
        let (_, connected) = ours.state()?;
        let text =
            format!("volume {volume}; kadalu mountd is connected to {connected}; stock: {}\n", stock.command);
        output::print(text.as_bytes())?;

        let begun = Instant::now();
        let mut sides = Sides { begun, ours: (at, Seen::default()), stock: (stock_at, Seen::default()) };
        let middle = changes.len() / 2;
        for (n, change) in changes.iter().enumerate() {
            if n == middle {
                self.kill_and_start(&admin, &mut sides)?;
            }
            sides.make(&admin, change)?;
        }
        let Sides { ours: (at, mut first), stock: (stock_at, mut second), .. } = sides;
        let (glusterfs, _) = ours.state()?;
        let connections = |pids: &[u32]| pids.iter().map(|pid| process::connections(*pid, &ports)).sum();
        first.connections = connections(&[ours.host(), glusterfs]);
        first.memory = (program::memory(glusterfs), Some(program::memory(ours.host())));
        first.graphs = side::graphs(&at);
        second.connections = connections(&[stock.glusterfs()]);
        second.memory = (program::memory(stock.glusterfs()), None);
        second.graphs = side::graphs(&stock_at);
        let [load, stock_load] = loads;
        first.report = load.end()?;
        second.report = stock_load.end()?;

        let table = Table { ours: first, stock: second };
        output::print(table.to_string().as_bytes())?;
        if table.ours.whole() {
            return Ok(());
        }
        let what = &table.ours.report;
        Err(Failure::other(
            "our mount",
            format_args!("not all went well: {} {}", what["failures"], what["wrong"]),
        ))
    }

    /// With `--kill` and `--start`: a change is made while the glusterd is dead.
    fn kill_and_start(&self, admin: &Admin<'_>, sides: &mut Sides) -> Result<(), Failure> {
        let Some((kill, start)) = self.kill.as_ref().zip(self.start.as_ref()) else { return Ok(()) };
        let [there, back] = admin.toggle("performance.readdir-ahead")?;
        output::print(format!("killed: {kill}\n").as_bytes())?;
        admin::shell(kill)?;
        let outcome = sides.make(admin, &there);
        // Also when the change was refused: nothing stays dead.
        admin::shell(start)?;
        output::print(format!("started: {start}\n").as_bytes())?;
        outcome?;
        // A glusterd that has just started refuses changes for a moment.
        let begun = Instant::now();
        while let Err(failure) = admin.gluster(&format!("status {}", admin.volume)) {
            if begun.elapsed() > PATIENCE {
                return Err(failure);
            }
            std::thread::sleep(PAUSE);
        }
        sides.make(admin, &back)
    }
}

impl Sides {
    /// Makes a change and notes when each mount has it.
    fn make(&mut self, admin: &Admin<'_>, change: &Change) -> Result<(), Failure> {
        let waiting = change.graph.then(|| {
            [&self.ours.0, &self.stock.0].map(|at| side::switched(at.clone(), side::active_graph(at)))
        });
        let started = Instant::now();
        admin.gluster(&change.words)?;
        let returned = Instant::now();
        if let Some([ours, stock]) = waiting {
            let seen = |active: &Receiver<Instant>| active.recv_timeout(PATIENCE).ok();
            self.ours.1.switch(started, returned, seen(&ours));
            self.stock.1.switch(started, returned, seen(&stock));
        }
        let shown = |seen: &Seen| match seen.switches.last() {
            _ if !change.graph => String::new(),
            Some(Some((start, _))) => format!("{:.2} s", start.as_secs_f64()),
            _ => "not seen".to_owned(),
        };
        let (ours, stock) = (shown(&self.ours.1), shown(&self.stock.1));
        let at = started.duration_since(self.begun).as_secs_f64();
        output::print(format!("{at:>6.1} s  {:<50}{ours:>9}{stock:>9}\n", change.words).as_bytes())?;
        admin.commit(change)?;
        std::thread::sleep(PAUSE);
        Ok(())
    }
}

/// The hosts as glusterfs wants them, and the ports of all.
fn addresses(servers: &[ServerAddress]) -> Result<(Vec<String>, Vec<u16>), Failure> {
    let tcp = servers.iter().map(|server| match server {
        ServerAddress::Tcp { host, port } => Ok((host.clone(), *port)),
        ServerAddress::Unix(_) => Err(Failure::new(
            Exit::Usage,
            format_args!("{server}: a stock mount is made over TCP: give host[:port]"),
        )),
    });
    tcp.collect::<Result<Vec<_>, _>>().map(|tcp| tcp.into_iter().unzip())
}

/// Removes the directory, unless something is mounted below it.
fn remove(dir: &Path) -> std::io::Result<()> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let below = format!(" {}/", dir.display());
    if mounts.lines().any(|line| line.contains(&below)) {
        return Err(std::io::Error::other("something is still mounted there"));
    }
    fs::remove_dir_all(dir)
}
