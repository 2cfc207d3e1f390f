//! One file a subcommand. Data goes to standard output, words to standard error.

mod bench;
mod check;
mod config;
#[cfg(feature = "operator")]
mod crd;
mod csi;
mod demo;
mod exit;
mod generate;
mod import;
mod mount;
mod mount_host;
mod mountd;
mod mounted;
mod mounts;
#[cfg(feature = "operator")]
mod operator;
mod output;
mod pvs;
mod quota;
mod quotad;
mod servers;
mod storage_file;
mod umount;
mod volfile_get;
mod volfile_server;
#[cfg(any(test, not(feature = "operator")))]
mod without;

use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
    time::SystemTime,
};

use clap::{Args, Parser, Subcommand, ValueEnum};
use tracing_subscriber::{EnvFilter, layer::SubscriberExt, util::SubscriberInitExt};

use glusterd_client::mount::helper;

use exit::{Exit, Failure};

/// Native tools for Gluster volumes that someone else runs.
#[derive(Debug, Parser)]
#[command(name = "kadalu", version, max_term_width = 100, after_help = EXITS)]
struct Kadalu {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

const EXITS: &str = "Exit codes: 0 ok, 1 other, 2 usage, 3 no server reachable, 4 no such volume, 5 op-version, \
    6 TLS or access, 7 check failed, 8 invalid volfile, 9 the volume cannot serve I/O (stopped, bricks missing), \
    10 target (in use, not mounted, busy, no such directory), 11 this machine (glusterfs, /dev/fuse, privilege), \
    12 no mount host.\n\
    Every flag can be given in the environment too, under the name that stands beside it: KADALU_TLS_CA for --tls-ca.\n\
    RUST_LOG sets what is logged to standard error, such as RUST_LOG=glusterd_client=debug.";

/// Options of every subcommand.
#[derive(Debug, Args)]
struct Global {
    /// How the words on standard error look
    #[arg(long, global = true, env = "KADALU_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// For people
    Text,
    /// One object a line
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::CheckVolume),
    VolfileGet(volfile_get::VolfileGet),
    VolfileServer(volfile_server::VolfileServer),
    Mountd(mountd::Mountd),
    Mount(mount::Mount),
    Umount(umount::Umount),
    Mounts(mounts::Mounts),
    Pvs(pvs::Pvs),
    Quota(quota::Quota),
    Config(config::Config),
    Csi(csi::Csi),
    #[cfg(feature = "operator")]
    Crd(crd::Crd),
    #[cfg(feature = "operator")]
    Operator(operator::Operator),
    #[cfg(not(feature = "operator"))]
    #[command(hide = true)]
    Crd(without::OfOperator),
    #[cfg(not(feature = "operator"))]
    #[command(hide = true)]
    Operator(without::OfOperator),
    Quotad(quotad::Quotad),
    Demo(demo::Demo),
    Import(import::Import),
    Bench(bench::Bench),
    Completions(generate::Completions),
    Man(generate::Man),
}

/// Runs what the command line says.
pub(crate) fn run() -> ExitCode {
    // Started for each look at a mount, with no other argument: nothing is set up for it, nor parsed.
    if std::env::args_os().nth(1).is_some_and(|subcommand| subcommand == helper::SUBCOMMAND) {
        return helper::serve();
    }
    let Kadalu { global, command } = Kadalu::parse();
    let frames = matches!(&command, Command::VolfileGet(get) if get.trace);
    start_logging(global.log_format, frames);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return report(global.log_format, Failure::other("cannot start", error)),
    };
    // A task among tasks: to wake the future of `block_on` costs a system call more each time.
    let result = runtime.block_on(async { tokio::spawn(execute(command)).await });
    // A read of a dead mount or a slow resolver may still sit in a thread: it must not hold us.
    runtime.shutdown_background();
    match result {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(failure)) => report(global.log_format, failure),
        Err(error) => report(global.log_format, Failure::defect(error)),
    }
}

async fn execute(command: Command) -> Result<(), Failure> {
    match command {
        Command::Check(check) => check.run().await,
        Command::VolfileGet(get) => get.run().await,
        Command::VolfileServer(server) => server.run().await,
        Command::Mountd(mountd) => mountd.run().await,
        Command::Mount(mount) => mount.run().await,
        Command::Umount(umount) => umount.run().await,
        Command::Mounts(mounts) => mounts.run().await,
        Command::Pvs(pvs) => pvs.run().await,
        Command::Quota(quota) => quota.run().await,
        Command::Config(config) => config.run(),
        Command::Csi(csi) => csi.run().await,
        #[cfg(feature = "operator")]
        Command::Crd(crd) => crd.run(),
        #[cfg(feature = "operator")]
        Command::Operator(operator) => operator.run().await,
        #[cfg(not(feature = "operator"))]
        Command::Crd(missing) | Command::Operator(missing) => missing.run(),
        Command::Quotad(quotad) => quotad.run().await,
        Command::Demo(demo) => demo.run().await,
        Command::Import(import) => import.run(),
        Command::Bench(bench) => bench.run().await,
        Command::Completions(completions) => completions.run(),
        Command::Man(man) => man.run(),
    }
}

/// Says why the command failed, whatever `RUST_LOG` lets through; as JSON in the shape of a log line.
fn report(format: LogFormat, Failure { exit, message, faults }: Failure) -> ExitCode {
    let line = match format {
        LogFormat::Text if faults.is_empty() => format!("kadalu: {message}"),
        // As an editor goes through them.
        LogFormat::Text => faults.join("\n"),
        LogFormat::Json => {
            let mut fields = serde_json::json!({ "message": message, "exit": exit as u8 });
            if !faults.is_empty() {
                fields["faults"] = faults.into();
            }
            serde_json::json!({
                "timestamp": humantime::format_rfc3339_micros(SystemTime::now()).to_string(),
                "level": "ERROR",
                "fields": fields,
                "target": "kadalu",
            })
            .to_string()
        }
    };
    // Nobody reading any more leaves the number.
    let _ = writeln!(io::stderr(), "{line}");
    exit.into()
}

fn start_logging(format: LogFormat, frames: bool) {
    let (filter, unreadable) = match EnvFilter::try_from_default_env() {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new("warn,kadalu=info"), std::env::var_os("RUST_LOG").map(|_| error)),
    };
    let filter = match "kadalu::frame=trace".parse() {
        Ok(directive) if frames => filter.add_directive(directive),
        _ => filter,
    };
    let registry = tracing_subscriber::registry().with(filter);
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    match format {
        LogFormat::Text => {
            registry.with(lines.with_ansi(io::stderr().is_terminal()).with_target(false)).init()
        }
        LogFormat::Json => registry.with(lines.json()).init(),
    }
    if let Some(error) = unreadable {
        tracing::warn!(target: "kadalu", %error, "RUST_LOG is left out of account");
    }
}
