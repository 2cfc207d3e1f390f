//! `kadalu mounts`.

mod table;

use std::{
    io::{self, Write},
    path::PathBuf,
};

use clap::Args;
use glusterd_client::mount::{
    control::{Client, Mounts as _},
    generated::{AcceptReplacedReply, ReplaceReply},
};

use super::{
    Failure,
    mount_host::{MountHost, absolute},
    output::Format,
};

/// Show what kadalu mountd has mounted and how it is
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Mounts {
    /// What is printed
    #[arg(long, env = "KADALU_FORMAT", value_name = "FORMAT", default_value = "table")]
    format: Format,
    /// Move this target, and all that its glusterfs process serves, to a fresh process; prints its process id
    #[arg(long, env = "KADALU_REPLACE", value_name = "TARGET", conflicts_with = "accept_replaced")]
    replace: Option<PathBuf>,
    /// Go over to the volume that has taken the place of this one, a name or a key; prints its id
    #[arg(long, env = "KADALU_ACCEPT_REPLACED", value_name = "VOLUME")]
    accept_replaced: Option<String>,
    #[command(flatten)]
    host: MountHost,
}

const EXAMPLES: &str = "Examples:\n  \
    kadalu mounts                        a line a target, and below it what is wrong\n  \
    kadalu mounts --format json          for a script: see ListReply in proto/mount.proto\n  \
    kadalu mounts --replace /mnt         after an upgrade of glusterfs: no I/O fails\n  \
    kadalu mounts --accept-replaced vol  vol was deleted and made anew: use the new one\n\n\
    Exit codes: see kadalu --help.";

impl Mounts {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        // What is wrong with the command line is so without a host, too.
        let replace = self.replace.as_deref().map(absolute).transpose()?;
        let host = self.host.connect().await?;
        match (replace, self.accept_replaced) {
            (Some(target), _) => {
                let pid = host.replace(&target).await?;
                self.format.print(&ReplaceReply { pid }, &format!("{pid}\n"))
            }
            (_, Some(volume)) => {
                let id = host.accept_replaced(&volume).await?;
                let text = format!("{id}\n");
                self.format.print(&AcceptReplacedReply { id }, &text)
            }
            _ => list(&host, self.format).await,
        }
    }
}

async fn list(host: &Client, format: Format) -> Result<(), Failure> {
    let list = host.list().await?;
    if format == Format::Table && list.volumes.is_empty() {
        // Words; a script that counts lines counts none.
        let _ = writeln!(io::stderr(), "kadalu: nothing is mounted");
        return Ok(());
    }
    format.print(&list, &table::table(&list))
}
