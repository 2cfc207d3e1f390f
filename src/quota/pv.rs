//! One PV on one brick: record → project → files → limit → acknowledgement. What is as it should be is not written again.

use std::{
    os::fd::{AsFd, OwnedFd},
    sync::Mutex,
    time::{Duration, Instant, SystemTime},
};

use rustix::io::Errno;

use super::{
    LocalBrick, Mode, PvStatus,
    brick::{Root, attribute, directory, failed, keeps_modes, state},
    mark::{Marked, Marker, Progress},
    projects::{Choice, Found, Projects, Tree},
    records::Recorded,
    xfs::{Kernel, Project, Usage},
};
use crate::mount::lock::lock;
use crate::storage::{
    layout::Place,
    quota::{self, Asked, Code, IN_FORCE, InForce, Limits, Problem},
};

/// Held while a project is chosen and given: bricks may lie on one file system.
static CHOOSING: Mutex<()> = Mutex::new(());

/// A look at PVs of a brick.
#[derive(Debug)]
pub(super) struct Look<'a> {
    pub(super) brick: &'a LocalBrick,
    pub(super) mode: Mode,
    pub(super) kernel: &'a dyn Kernel,
    pub(super) root: Root,
    /// Why its file system limits no project; none where it does.
    pub(super) unlimited: Option<Problem>,
    /// What XFS rounds limits up to, in bytes.
    pub(super) block: u64,
    /// How long the files of a PV are put into its project at once; none for as long as it takes.
    pub(super) slice: Option<Duration>,
}

/// What is to be done after a look at a PV.
#[derive(Debug)]
pub(super) enum Next {
    /// Nothing.
    Nothing,
    /// The same again soon: the PV has no directory yet.
    Again,
    /// To put the rest of its files into this project.
    Mark(u32),
}

impl<'a> Look<'a> {
    /// Opens a brick for a look.
    ///
    /// # Errors
    /// As [`Root::open`].
    pub(super) fn begin(brick: &'a LocalBrick, mode: Mode, kernel: &'a dyn Kernel) -> Result<Self, Problem> {
        let root = Root::open(brick)?;
        let applies = || if mode == Mode::Apply { keeps_modes(brick) } else { Ok(()) };
        let unlimited = root.limits_projects(brick, kernel).and_then(|()| applies()).err();
        let size = rustix::fs::fstatvfs(&root)
            .map_err(|errno| failed(format_args!("cannot ask for the blocks of {}", brick.name), errno))?;
        Ok(Self { brick, mode, kernel, root, unlimited, block: size.f_bsize.max(512), slice: None })
    }

    /// Finds the directory of a PV; none where there is none.
    ///
    /// # Errors
    /// `NotDirectory`; `Failed`.
    pub(super) fn find(&self, place: &Place) -> Result<Option<Found>, Problem> {
        let words = || format!("cannot look at {place} on {}", self.brick.name);
        let look = || {
            let Some(above) = directory(&self.root, place.prefix())? else { return Ok(None) };
            let Some(opened) = directory(&above, place.component())? else { return Ok(None) };
            let above = self.kernel.project(above.as_fd())?;
            let project = self.kernel.project(opened.as_fd())?;
            let inherited = above.inherit && above.id == project.id;
            let said = attribute(opened.as_fd(), IN_FORCE)?.and_then(|value| quota::read::<InForce>(&value));
            let said = said.filter(|said| said.brick == self.brick.name);
            Ok(Some(Found { inode: rustix::fs::fstat(&opened)?.st_ino, project, inherited, said }))
        };
        look().map_err(|errno| match errno {
            Errno::NOTDIR | Errno::LOOP => {
                let words = format_args!("{}: no directory stands there; move it away", words());
                Problem::new(Code::NotDirectory, words)
            }
            Errno::XDEV => {
                let words = format_args!("{}: another file system is mounted there; unmount it", words());
                Problem::new(Code::NotDirectory, words)
            }
            _ => failed(words(), errno),
        })
    }

    /// Makes a PV as its record says, as far as the mode allows; none where there is nothing to say of it.
    pub(super) fn settle(
        &self,
        place: &Place,
        recorded: &Recorded,
        found: Result<Option<Found>, Problem>,
        projects: &mut Projects,
    ) -> (Option<PvStatus>, Next) {
        let Recorded::Asked(asked) = recorded else { return (None, Next::Nothing) };
        let mut pv = Pv { look: self, place, status: self.status(place), next: Next::Nothing };
        pv.status.in_force.asked = asked.as_ref().ok().cloned();
        let problem = match found {
            Ok(Some(found)) => pv.settle(asked, &found, projects).err(),
            Ok(None) => {
                pv.next = Next::Again;
                let words = format_args!(
                    "{place} is not on {}: it is made by self-heal, or by the controller in a moment",
                    self.brick.name
                );
                Some(Problem::new(Code::NoDirectory, words))
            }
            Err(problem) => Some(problem),
        };
        if let Some(problem) = problem {
            pv.status.in_force.problem = Some(problem);
        }
        if pv.status.in_force.problem.as_ref().is_some_and(|problem| problem.code == Code::RecordUnreadable) {
            // Self-heal makes a record first, and then what is in it, of which no watch tells.
            pv.next = Next::Again;
        }
        (Some(pv.status), pv.next)
    }

    /// The status of a PV of which nothing is known yet.
    pub(super) fn status(&self, place: &Place) -> PvStatus {
        PvStatus {
            path: place.to_string(),
            in_force: InForce {
                brick: self.brick.name.clone(),
                asked: None,
                project: None,
                limits: None,
                time: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
                problem: None,
            },
            used: None,
            used_inodes: None,
            changed: false,
        }
    }

    fn applies(&self) -> bool {
        self.mode == Mode::Apply
    }
}

/// A PV that is being looked at.
struct Pv<'a> {
    look: &'a Look<'a>,
    place: &'a Place,
    status: PvStatus,
    next: Next,
}

impl Pv<'_> {
    /// The error is that which cannot be acknowledged.
    fn settle(
        &mut self,
        asked: &Result<Asked, Problem>,
        found: &Found,
        projects: &mut Projects,
    ) -> Result<(), Problem> {
        if let Some(problem) = &self.look.unlimited {
            self.status.in_force.project = found.own();
            return Err(problem.clone());
        }
        let outcome = match asked {
            Ok(asked) => self.apply(asked, found, projects),
            Err(problem) => {
                self.keep(found)?;
                Err(problem.clone())
            }
        };
        let in_force = &mut self.status.in_force;
        in_force.problem = outcome.err().or_else(|| self.look.brick.problem.clone());
        self.acknowledge(found)
    }

    /// What is there stays.
    fn keep(&mut self, found: &Found) -> Result<(), Problem> {
        let in_force = &mut self.status.in_force;
        in_force.asked = found.said.as_ref().and_then(|said| said.asked.clone());
        in_force.project = found.own();
        let was_limited = found.said.as_ref().is_some_and(|said| said.limits.is_some());
        if let Some(project) = found.own() {
            let usage = self.usage(project)?;
            self.count(&usage);
            self.status.in_force.limits = was_limited.then(|| limits(&usage));
        }
        Ok(())
    }

    /// The error is acknowledged.
    fn apply(&mut self, asked: &Asked, found: &Found, projects: &mut Projects) -> Result<(), Problem> {
        let (project, opened) = self.project(found, projects)?;
        let is_there = self.look.mode != Mode::Check || found.own() == Some(project);
        self.status.in_force.project = is_there.then_some(project);
        if !is_there {
            return Ok(());
        }
        let unmarked = match self.mark(project, opened, found, projects)? {
            Tree::Marked => None,
            Tree::Unmarked(problem) => Some(problem),
            Tree::Unknown if !self.look.applies() => None,
            Tree::Unknown => {
                let words = format_args!(
                    "the files of {} are being put into project {project}: its limit comes after that",
                    self.place
                );
                return Err(Problem::new(Code::Unmarked, words));
            }
        };
        let in_use = self.limit(project, asked, found)?;
        unmarked.or(in_use).map_or(Ok(()), Err)
    }

    /// The PV's project; the PV's directory is in it then, and open where it was not before.
    fn project(&mut self, found: &Found, projects: &mut Projects) -> Result<(u32, Option<OwnedFd>), Problem> {
        let look = self.look;
        let _choosing = lock(&CHOOSING);
        let path = self.place.to_string();
        let project = match projects.choose(&look.brick.path, &path, found, look.kernel, look.root.as_fd())? {
            Choice::Has(project) => return Ok((project, None)),
            Choice::Gets(project) => project,
        };
        self.status.changed = true;
        if !look.applies() {
            return Ok((project, None));
        }
        let opened = self.open(found)?;
        // Not handed down before its files are in it: see `mark`.
        look.kernel
            .put(opened.as_fd(), Project { id: project, inherit: false })
            .map_err(|errno| failed(format_args!("cannot put {path} into project {project}"), errno))?;
        projects.gave(project, found.inode, &path);
        Ok((project, Some(opened)))
    }

    /// Puts the PV's files into its project, unless they are; `Unknown` where that takes longer.
    fn mark(
        &mut self,
        project: u32,
        opened: Option<OwnedFd>,
        found: &Found,
        projects: &mut Projects,
    ) -> Result<Tree, Problem> {
        let is_whole = found.project == Project { id: project, inherit: true } && opened.is_none();
        match projects.tree(project) {
            Tree::Marked if is_whole => return Ok(Tree::Marked),
            Tree::Unmarked(problem) => return Ok(Tree::Unmarked(problem)),
            _ => {}
        }
        if is_whole && says_marked(found, project) {
            projects.set_tree(project, Tree::Marked);
            return Ok(Tree::Marked);
        }
        self.status.changed = true;
        if !self.look.applies() {
            return Ok(Tree::Unknown);
        }
        let words = || format!("cannot put the files of {} into project {project}", self.place);
        let opened = opened.map_or_else(|| self.open(found), Ok)?;
        let mut marker = Marker::new(opened, project).map_err(|errno| failed(words(), errno))?;
        let until = self.look.slice.map(|slice| Instant::now() + slice);
        let mut go_on = || until.is_none_or(|until| Instant::now() < until);
        Ok(match marker.run(self.look.kernel, &mut go_on) {
            Progress::Done(marked) => {
                let tree = self.look.marked(self.place, marked);
                projects.set_tree(project, tree.clone());
                tree
            }
            Progress::More => {
                self.next = Next::Mark(project);
                Tree::Unknown
            }
        })
    }

    /// Sets the limits, unless they are those; the problem that they are not what was asked for.
    fn limit(&mut self, project: u32, asked: &Asked, found: &Found) -> Result<Option<Problem>, Problem> {
        let look = self.look;
        let before = self.usage(project)?;
        let wanted = look.brick.share.limits(asked);
        // What was asked for then, and not what there was: with that somebody else's would count as quotad's.
        let said = found.said.as_ref().filter(|said| said.limits.is_some());
        let said = said.and_then(|said| said.asked.as_ref()).map(|asked| look.brick.share.limits(asked));
        let (target, in_use) = target(wanted, said, &before, look.block);
        let mut after = before;
        if limits(&before) != target {
            self.status.changed = true;
            if look.applies() {
                let words = || format!("cannot set the limit of project {project} on {}", look.brick.name);
                look.kernel
                    .limit(look.root.as_fd(), project, target)
                    .map_err(|errno| failed(words(), errno))?;
                after = self.usage(project)?;
                if limits(&after) != target {
                    let words = format_args!("{}: the file system has {after:?} after that", words());
                    return Err(Problem::new(Code::Failed, words));
                }
            }
        }
        self.count(&after);
        let limited = if look.mode == Mode::DryRun { target } else { limits(&after) };
        self.status.in_force.limits = Some(limited);
        Ok(in_use.then(|| {
            let words = format_args!(
                "{} uses {} bytes in {} files on {}, more than the {} it is to have: it can have no less than it \
                 uses; delete from it, or expand it",
                self.place,
                before.used,
                before.used_inodes,
                look.brick.name,
                match wanted.inodes {
                    Some(inodes) => format!("{} bytes in {inodes} files", wanted.bytes),
                    None => format!("{} bytes", wanted.bytes),
                }
            );
            Problem::new(Code::InUse, words)
        }))
    }

    /// Says on the PV's directory what is in force, unless that stands there.
    fn acknowledge(&mut self, found: &Found) -> Result<(), Problem> {
        let in_force = &mut self.status.in_force;
        if let Some(said) = &found.said {
            let time = std::mem::replace(&mut in_force.time, said.time.clone());
            if in_force == said {
                return Ok(());
            }
            in_force.time = time;
        }
        self.status.changed = true;
        match self.look.mode {
            Mode::Apply => {
                let opened = self.open(found)?;
                state(opened.as_fd(), IN_FORCE, &self.status.in_force).map_err(|errno| {
                    failed(format_args!("cannot say on {} what is in force", self.place), errno)
                })
            }
            Mode::DryRun => Ok(()),
            Mode::Check => {
                let words = format_args!(
                    "what is asked for {} is not in force on {} yet: see whether quotad runs there",
                    self.place, self.look.brick.name
                );
                self.status.in_force.problem.get_or_insert_with(|| Problem::new(Code::Pending, words));
                Ok(())
            }
        }
    }

    /// Opens the PV's directory, which is still that which was found.
    fn open(&self, found: &Found) -> Result<OwnedFd, Problem> {
        let words = || format!("cannot open {} on {}", self.place, self.look.brick.name);
        let opened =
            directory(&self.look.root, self.place.to_string()).map_err(|errno| failed(words(), errno))?;
        match opened.map(|opened| rustix::fs::fstat(&opened).map(|stat| (opened, stat))) {
            Some(Ok((opened, stat))) if stat.st_ino == found.inode => Ok(opened),
            Some(Err(errno)) => Err(failed(words(), errno)),
            _ => {
                let words = format_args!("{}: it was replaced meanwhile, and is looked at again", words());
                Err(Problem::new(Code::NoDirectory, words))
            }
        }
    }

    fn usage(&self, project: u32) -> Result<Usage, Problem> {
        let look = self.look;
        let usage = look.kernel.usage(look.root.as_fd(), project).map_err(|errno| {
            failed(format_args!("cannot ask for project {project} on {}", look.brick.name), errno)
        })?;
        Ok(usage.unwrap_or(Usage { project, ..Usage::default() }))
    }

    fn count(&mut self, usage: &Usage) {
        (self.status.used, self.status.used_inodes) = (Some(usage.used), Some(usage.used_inodes));
    }
}

impl Look<'_> {
    /// How the files of a PV are, now that they were walked through.
    pub(super) fn marked(&self, place: &Place, marked: Marked) -> Tree {
        if marked.special > 0 {
            tracing::warn!(
                brick = self.brick.name,
                pv = %place,
                entries = marked.special,
                "links, FIFOs, sockets or devices stay in no project, so that pods cannot rename them: it takes Linux 6.17, \
                 or to make them anew"
            );
        }
        if marked.changed > 0 {
            let (brick, changes) = (&self.brick.name, marked.changed);
            tracing::info!(%brick, pv = %place, changes, "files were put into the PV's project");
        }
        marked.problem.map_or(Tree::Marked, Tree::Unmarked)
    }
}

/// Whether quotad has said that all files are in the project.
fn says_marked(found: &Found, project: u32) -> bool {
    found.said.as_ref().is_some_and(|said| {
        said.project == Some(project)
            && said.limits.is_some()
            && said.problem.as_ref().is_none_or(|problem| problem.code != Code::Unmarked)
    })
}

/// The limits of a project, as they are.
fn limits(usage: &Usage) -> Limits {
    let some = |limit: u64| (limit > 0).then_some(limit);
    Limits { bytes: usage.bytes, soft: some(usage.soft), inodes: some(usage.inodes) }
}

/// The limits to set, and whether more is in use than was wanted: the least then that is not below that.
fn target(wanted: Limits, said: Option<Limits>, now: &Usage, block: u64) -> (Limits, bool) {
    let above_use = |wanted: u64, now: u64, used: u64| {
        let least = if (1..used).contains(&now) { now } else { used };
        if wanted < used { (least, true) } else { (wanted, false) }
    };
    let round = |bytes: u64| bytes.checked_next_multiple_of(block).unwrap_or(u64::MAX / block * block);
    // A limit of 0 would be none.
    let (bytes, full) = above_use(round(wanted.bytes.max(1)), now.bytes, now.used);
    // What is not asked for is taken away where quotad has set it, and stays where somebody else has.
    let kept = |ours: bool, now: u64| (now > 0 && !ours).then_some(now);
    let soft = wanted.soft.map(|soft| round(soft.max(1)).min(bytes));
    // XFS leaves out, without a word, a soft limit above the hard one.
    let soft = soft
        .or_else(|| kept(said.is_some_and(|said| said.soft.is_some()), now.soft).map(|soft| soft.min(bytes)));
    let (inodes, crowded) = match wanted.inodes {
        Some(inodes) => {
            let (inodes, crowded) = above_use(inodes.max(1), now.inodes, now.used_inodes);
            (Some(inodes), crowded)
        }
        None => (kept(said.is_some_and(|said| said.inodes.is_some()), now.inodes), false),
    };
    (Limits { bytes, soft, inodes }, full || crowded)
}
