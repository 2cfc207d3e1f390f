//! Shell completions and the man page, from the definition of the command line itself.

use std::{fs, path::PathBuf};

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Failure, Kadalu, output};

/// Print a completion script
///
/// Example: kadalu completions bash > /usr/share/bash-completion/completions/kadalu
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// For which shell
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Kadalu::command(), "kadalu", &mut script);
        output::print(&script)
    }
}

/// Print the man page, or write one page a subcommand
///
/// Example: kadalu man --dir /usr/local/share/man/man1
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Write kadalu.1 and kadalu-SUBCOMMAND.1 there; it is made where it is missing
    #[arg(long, env = "KADALU_MAN_DIR", value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Man {
    pub(crate) fn run(self) -> Result<(), Failure> {
        if let Some(dir) = self.dir {
            return fs::create_dir_all(&dir)
                .and_then(|()| clap_mangen::generate_to(Kadalu::command(), &dir))
                .map_err(|error| Failure::other(format_args!("cannot write to {}", dir.display()), error));
        }
        let mut page = Vec::new();
        clap_mangen::Man::new(Kadalu::command())
            .render(&mut page)
            .map_err(|error| Failure::other("cannot make the page", error))?;
        output::print(&page)
    }
}
