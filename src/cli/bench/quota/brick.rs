//! A brick as glusterd and its clients would make it, with PVs of the bench's.

use std::{
    ffi::{OsStr, OsString},
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use glusterd_client::storage::{
    layout::Place,
    quota::{ASKED, Asked, IN_FORCE, InForce, MAX_VALUE, generation, read, write},
};
use rustix::fs::XattrFlags;

use crate::cli::{
    Failure,
    bench::{
        child::{run, this_program},
        program::{PATIENCE, Program},
    },
};

const VOLUME: &str = "bench";

/// Out of the way of a quotad that looks after other bricks of the file system.
const PROJECTS: &str = "1000100000-1000999999";

/// The size of each PV, in bytes.
pub(super) const SIZE: u64 = 16 << 20;

/// Of the volume and of its only server.
const ID: [u8; 16] = *b"kadalu bench quo";

pub(super) struct Brick {
    /// What is removed in the end.
    dir: PathBuf,
    pvs: usize,
}

impl Brick {
    /// An empty brick in a new directory of `parent`, and the state of its glusterd beside it.
    pub(super) fn make(parent: &Path) -> Result<Self, Failure> {
        let failed =
            |error| Failure::other(format_args!("cannot make a brick in {}", parent.display()), error);
        let parent = fs::canonicalize(parent).map_err(failed)?;
        let dir = parent.join(format!("kadalu-bench-{}", std::process::id()));
        let brick = Self { dir, pvs: 0 };
        if let Err(error) = brick.prepare() {
            // What failed is what matters.
            let _ = brick.remove();
            return Err(failed(error));
        }
        Ok(brick)
    }

    fn prepare(&self) -> std::io::Result<()> {
        let root = self.root();
        fs::create_dir_all(root.join("info/subvol"))?;
        fs::create_dir(root.join("subvol"))?;
        rustix::fs::setxattr(&root, "trusted.glusterfs.volume-id", &ID, XattrFlags::empty())?;
        let (volume, path) = (self.glusterd().join("vols").join(VOLUME), root.display().to_string());
        let name = format!("localhost:{}", path.replace('/', "-"));
        fs::create_dir_all(volume.join("bricks"))?;
        let id = uuid();
        fs::write(self.glusterd().join("glusterd.info"), format!("UUID={id}\noperating-version=100000\n"))?;
        let info = format!(
            "type=0\ncount=1\nstatus=1\nsub_count=1\nreplica_count=1\ndisperse_count=0\nredundancy_count=0\n\
             volume-id={id}\nuser.kadalu.export=on\nbrick-0={name}\n"
        );
        fs::write(volume.join("info"), info)?;
        fs::write(
            volume.join("bricks").join(&name),
            format!(
                "uuid={id}\nhostname=localhost\npath={path}\nreal_path={path}\nbrick-id=bench-client-0\n"
            ),
        )
    }

    pub(super) fn root(&self) -> PathBuf {
        self.dir.join("brick")
    }

    fn glusterd(&self) -> PathBuf {
        self.dir.join("glusterd")
    }

    /// How many PVs it has.
    pub(super) fn pvs(&self) -> usize {
        self.pvs
    }

    /// Makes PVs that nobody waits for.
    pub(super) fn fill(&mut self, count: usize) -> Result<(), Failure> {
        (0..count).try_for_each(|_| self.pv().map(drop))
    }

    /// Makes a PV, and says how long its limit took from its record on.
    pub(super) fn one(&mut self) -> Result<Duration, Failure> {
        let (directory, asked, written) = self.pv()?;
        loop {
            let said = in_force(&directory).filter(|said| said.asked.as_ref() == Some(&asked));
            if said.as_ref().is_some_and(|said| said.problem.is_none()) {
                return Ok(written.elapsed());
            }
            if written.elapsed() > PATIENCE {
                let problem = said.and_then(|said| Some(said.problem?.sentence));
                let problem = problem.unwrap_or_else(|| "kadalu quotad says nothing of it".to_owned());
                return Err(Failure::other(format_args!("no limit on {}", directory.display()), problem));
            }
            // Long enough to leave the core to the daemon.
            sleep(Duration::from_micros(100));
        }
    }

    /// A PV as the bricks of a volume get it: the record under another name first, then its directory.
    pub(super) fn pv(&mut self) -> Result<(PathBuf, Asked, Instant), Failure> {
        self.pvs += 1;
        let component = format!("pvc-{:08}", self.pvs);
        let place = Place::of(&component)?;
        let made = || -> std::io::Result<_> {
            let record = format!("{{\"size\":{SIZE},\"path_prefix\":\"{}\"}}\n", place.prefix());
            let asked = Asked {
                size: SIZE,
                soft_percent: None,
                inodes: None,
                generation: generation(record.as_bytes()),
            };
            let (root, prefix) = (self.root(), place.prefix());
            let (info, data) = (root.join("info").join(&prefix), root.join(&prefix));
            fs::create_dir_all(&info)?;
            let (temporary, record_file) =
                (info.join(format!(".{component}.json")), info.join(format!("{component}.json")));
            fs::File::create_new(&temporary)?.write_all(record.as_bytes())?;
            rustix::fs::setxattr(&temporary, ASKED, &write(&asked)?, XattrFlags::empty())?;
            let written = Instant::now();
            fs::rename(temporary, record_file)?;
            let directory = data.join(component);
            fs::create_dir_all(&directory)?;
            Ok((directory, asked, written))
        };
        made().map_err(|error| Failure::other("cannot make a PV", error))
    }

    fn arguments(&self) -> Vec<OsString> {
        let (glusterd, run) = (self.glusterd(), self.dir.join("run"));
        let arguments = [
            "quotad".as_ref(),
            "--glusterd-dir".as_ref(),
            glusterd.as_os_str(),
            "--runtime-dir".as_ref(),
            run.as_os_str(),
            "--project-ids".as_ref(),
            PROJECTS.as_ref(),
        ];
        arguments.map(OsStr::to_owned).into()
    }

    /// One look at the brick.
    pub(super) fn look(&self) -> Result<(), Failure> {
        let arguments = [self.arguments(), vec!["--once".into()]].concat();
        run(&this_program()?, &arguments).map(drop)
    }

    /// A daemon that looks after the brick.
    pub(super) fn daemon(&self) -> Result<Program, Failure> {
        let mut command = Command::new(this_program()?);
        command.args(self.arguments()).env("RUST_LOG", "error").stdout(Stdio::null());
        Program::start(&mut command)
    }

    /// Removes all of it, with the limits of its projects.
    pub(super) fn remove(&self) -> Result<(), Failure> {
        let at = format!("cannot remove {}", self.dir.display());
        match fs::remove_dir_all(self.root().join("info"))
            .and_then(|()| fs::remove_dir_all(self.root().join("subvol")))
        {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Failure::other(at, error));
            }
            _ => {}
        }
        // Projects without files are let go.
        let released = self.look();
        fs::remove_dir_all(&self.dir).map_err(|error| Failure::other(at, error))?;
        released
    }
}

fn in_force(directory: &Path) -> Option<InForce> {
    let mut value = [0; MAX_VALUE];
    let length = rustix::fs::lgetxattr(directory, IN_FORCE, &mut value).ok()?;
    read(&value[..length])
}

fn uuid() -> String {
    let hex: String = ID.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
