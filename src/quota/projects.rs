//! Which project is a PV's. The registry is the file system itself: a directory's own project, with quotad's word for it.
//!
//! | the directory's project | is |
//! |---|---|
//! | 0, or inherited from above | none: it gets a new one |
//! | nobody else's | the PV's: that of kadalu-quotad (`st_ino` modulo 2³²) too |
//! | also another PV's, whose acknowledgement names it | not the PV's: a new one if kadalu-quotad chose it, else `ProjectTaken` |
//! | in `/etc/projects` or `/etc/projid`, for something else | somebody's: `ProjectTaken` |

use std::{
    collections::{HashMap, HashSet},
    fs::File,
    io::Read,
    ops::RangeInclusive,
    os::fd::BorrowedFd,
    path::{Path, PathBuf},
};

use super::{
    brick::failed,
    xfs::{Kernel, Project, Usage},
};
use crate::storage::quota::{Code, InForce, Limits, Problem};

/// The most bytes of the lists in `/etc` that are read.
const MAX_LIST: u64 = 4 << 20;

/// A PV's directory as it was found.
#[derive(Debug, Clone)]
pub(super) struct Found {
    /// Its number.
    pub(super) inode: u64,
    /// Its project.
    pub(super) project: Project,
    /// That of the directory above hands it down.
    pub(super) inherited: bool,
    /// What quotad has said of it, on this brick.
    pub(super) said: Option<InForce>,
}

impl Found {
    /// The project that it was put into; none where it is in none, or only in that of what is above it.
    pub(super) fn own(&self) -> Option<u32> {
        (self.project.id != 0 && !self.inherited).then_some(self.project.id)
    }

    /// Whether quotad has said that this is its project.
    fn is_acknowledged(&self, project: u32) -> bool {
        self.said.as_ref().is_some_and(|said| said.project == Some(project))
    }
}

/// What is known of the files of a project.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Tree {
    /// Nothing.
    Unknown,
    /// All are in it.
    Marked,
    /// Some are not.
    Unmarked(Problem),
}

/// Whose a project is.
#[derive(Debug, Clone)]
struct Owner {
    inode: u64,
    path: String,
    tree: Tree,
}

/// The projects of a brick's PVs.
#[derive(Debug)]
pub(super) struct Projects {
    range: RangeInclusive<u32>,
    /// The first of the range that was not looked at since the start.
    next: u32,
    owners: HashMap<u32, Owner>,
    /// Those of PVs that are gone, until nothing uses them.
    leaving: HashSet<u32>,
    others: Others,
}

/// What a PV's project is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    /// That which its directory has.
    Has(u32),
    /// This one, in which it is not yet.
    Gets(u32),
}

impl Projects {
    /// None are known yet; new ones come from this range.
    pub(super) fn new(range: RangeInclusive<u32>) -> Self {
        // 0 is that of all that is in none, and the last one no project.
        let range = (*range.start()).max(1)..=(*range.end()).min(u32::MAX - 1);
        let (next, owners, leaving) = (*range.start(), HashMap::new(), HashSet::new());
        Self { range, next, owners, leaving, others: Others::default() }
    }

    /// Learns anew whose each project is, from all directories of PVs by their paths.
    pub(super) fn learn(&mut self, all: &[(String, &Found)], others: Others) {
        self.others = others;
        let before = std::mem::take(&mut self.owners);
        for acknowledged in [true, false] {
            for (path, found) in all {
                let Some(project) = found.own() else { continue };
                if found.is_acknowledged(project) == acknowledged {
                    self.own(project, found.inode, path);
                }
            }
        }
        for (project, owner) in before {
            match self.owners.get_mut(&project) {
                // What failed is tried again.
                Some(now) if now.inode == owner.inode && owner.tree == Tree::Marked => now.tree = owner.tree,
                Some(_) => {}
                None => {
                    self.leaving.insert(project);
                }
            }
        }
        self.leaving.retain(|project| !self.owners.contains_key(project));
    }

    fn own(&mut self, project: u32, inode: u64, path: &str) {
        let owner = || Owner { inode, path: path.to_owned(), tree: Tree::Unknown };
        self.owners.entry(project).or_insert_with(owner);
    }

    /// The project of the PV at `path` below `brick`.
    ///
    /// # Errors
    /// `ProjectTaken`; `NoProject`; `Failed`.
    pub(super) fn choose(
        &mut self,
        brick: &Path,
        path: &str,
        found: &Found,
        kernel: &dyn Kernel,
        file_system: BorrowedFd<'_>,
    ) -> Result<Choice, Problem> {
        let full = brick.join(path);
        if let Some(project) = found.own() {
            match self.other(project, found.inode, &full) {
                None => {
                    self.own(project, found.inode, path);
                    return Ok(Choice::Has(project));
                }
                // kadalu-quotad took numbers of inodes, which are longer than those of projects.
                Some(Other::Pv(_)) if u64::from(project) == found.inode & u64::from(u32::MAX) => {}
                Some(other) => {
                    let words = format_args!(
                        "{} is in project {project}, which is also that of {other}: put it into none (xfs_io -c \
                         'chproj 0' {0}), and it gets one of its own",
                        full.display()
                    );
                    return Err(Problem::new(Code::ProjectTaken, words));
                }
            }
        }
        // What an attribute says of a project that the directory is not in counts for nothing: clients can set it too.
        self.free(kernel, file_system).map(Choice::Gets)
    }

    /// Notes that a PV's directory was put into a project.
    pub(super) fn gave(&mut self, project: u32, inode: u64, path: &str) {
        self.owners.insert(project, Owner { inode, path: path.to_owned(), tree: Tree::Unknown });
        self.leaving.remove(&project);
    }

    /// What is known of the files of a project.
    pub(super) fn tree(&self, project: u32) -> Tree {
        self.owners.get(&project).map_or(Tree::Unknown, |owner| owner.tree.clone())
    }

    /// Notes how the files of a project were left.
    pub(super) fn set_tree(&mut self, project: u32, tree: Tree) {
        if let Some(owner) = self.owners.get_mut(&project) {
            owner.tree = tree;
        }
    }

    /// Notes that the PV at a path is gone.
    pub(super) fn gone(&mut self, path: &str) {
        let gone = self.owners.iter().filter(|(_, owner)| owner.path == path).map(|(project, _)| *project);
        let gone = gone.collect::<Vec<_>>();
        for project in gone {
            self.owners.remove(&project);
            self.leaving.insert(project);
        }
    }

    /// Takes the limits from projects that no PV has any more and in which no file is, and says from how many.
    ///
    /// # Errors
    /// What the system call said.
    pub(super) fn release(
        &mut self,
        kernel: &dyn Kernel,
        file_system: BorrowedFd<'_>,
    ) -> rustix::io::Result<u64> {
        let mut released = 0;
        let mut from = *self.range.start();
        while let Some(usage) = kernel.next_usage(file_system, from)? {
            if !self.range.contains(&usage.project) {
                break;
            }
            if !self.owners.contains_key(&usage.project) && !self.others.name(usage.project) {
                released += u64::from(free(kernel, file_system, &usage)? == Free::Limited);
            }
            from = usage.project + 1;
        }
        Ok(released + self.release_leaving(kernel, file_system)?)
    }

    /// The same of projects of PVs that went while this looked, wherever their numbers are from.
    ///
    /// # Errors
    /// What the system call said.
    pub(super) fn release_leaving(
        &mut self,
        kernel: &dyn Kernel,
        file_system: BorrowedFd<'_>,
    ) -> rustix::io::Result<u64> {
        let mut released = 0;
        for project in self.leaving.clone() {
            let is_free = match kernel.usage(file_system, project)? {
                Some(usage) if !self.others.name(project) => free(kernel, file_system, &usage)?,
                _ => Free::Already,
            };
            released += u64::from(is_free == Free::Limited);
            if is_free != Free::InUse {
                self.leaving.remove(&project);
            }
        }
        Ok(released)
    }

    /// Whether PVs have gone whose files have not yet.
    pub(super) fn are_leaving(&self) -> bool {
        !self.leaving.is_empty()
    }

    /// Whose a project is besides; none where it is nobody's, or that of this inode at this path.
    fn other(&self, project: u32, inode: u64, path: &Path) -> Option<Other<'_>> {
        match self.owners.get(&project) {
            Some(owner) if owner.inode != inode => Some(Other::Pv(&owner.path)),
            _ => self.others.of(project, path),
        }
    }

    /// The next project of the range that nobody has.
    fn free(&mut self, kernel: &dyn Kernel, file_system: BorrowedFd<'_>) -> Result<u32, Problem> {
        let (first, last) = (*self.range.start(), *self.range.end());
        let candidates = (self.next..=last).chain(first..self.next.min(last.saturating_add(1)));
        for project in candidates {
            if self.owners.contains_key(&project) || self.others.name(project) {
                continue;
            }
            let usage = kernel
                .usage(file_system, project)
                .map_err(|errno| failed(format_args!("cannot ask for project {project}"), errno))?;
            if usage.is_none_or(|usage| usage == Usage { project, ..Default::default() }) {
                self.next = project + 1;
                return Ok(project);
            }
        }
        let words = format_args!(
            "no project from {first} to {last} is free: give quotad a larger range with --project-ids FIRST-LAST"
        );
        Err(Problem::new(Code::NoProject, words))
    }
}

/// What a project without a PV was.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Free {
    /// Files are in it.
    InUse,
    /// It had a limit, which was taken away.
    Limited,
    /// There was nothing on it.
    Already,
}

/// Takes the limits from a project in which no file is.
fn free(kernel: &dyn Kernel, file_system: BorrowedFd<'_>, usage: &Usage) -> rustix::io::Result<Free> {
    if usage.used_inodes > 0 {
        return Ok(Free::InUse);
    }
    if (usage.bytes, usage.soft, usage.inodes) == (0, 0, 0) {
        return Ok(Free::Already);
    }
    let none = Limits { bytes: 0, soft: None, inodes: None };
    kernel.limit(file_system, usage.project, none).map(|()| Free::Limited)
}

/// Somebody else whose project it is.
enum Other<'a> {
    Pv(&'a str),
    Listed(String),
}

impl std::fmt::Display for Other<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pv(path) => f.write_str(path),
            Self::Listed(words) => f.write_str(words),
        }
    }
}

/// The projects that the admin has given to others, in `/etc/projects` (`42:/path`) and `/etc/projid` (`name:42`).
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Others {
    paths: HashMap<u32, Vec<PathBuf>>,
    names: HashMap<u32, String>,
}

impl Others {
    /// Those of this host; none where there are no such lists.
    pub(super) fn read() -> Self {
        Self::parse(&list("/etc/projects"), &list("/etc/projid"))
    }

    /// Those of two lists; lines that cannot be read are skipped, as by `xfs_quota`.
    pub(super) fn parse(projects: &str, projid: &str) -> Self {
        let mut all = Self::default();
        for (project, path) in split(projects) {
            if let Ok(project) = project.parse() {
                all.paths.entry(project).or_default().push(path.into());
            }
        }
        for (name, project) in split(projid) {
            if let Ok(project) = project.parse() {
                all.names.insert(project, name.to_owned());
            }
        }
        all
    }

    /// Whether a project is listed at all.
    fn name(&self, project: u32) -> bool {
        self.paths.contains_key(&project) || self.names.contains_key(&project)
    }

    /// For what else than this path a project is listed.
    fn of(&self, project: u32, path: &Path) -> Option<Other<'_>> {
        let paths = self.paths.get(&project).map(Vec::as_slice).unwrap_or_default();
        if let Some(other) = paths.iter().find(|other| *other != path) {
            return Some(Other::Listed(format!("{} in /etc/projects", other.display())));
        }
        let name = self.names.get(&project).filter(|_| paths.is_empty())?;
        Some(Other::Listed(format!("{name:?} in /etc/projid")))
    }
}

fn split(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().map(str::trim).filter(|line| !line.starts_with('#')).filter_map(|line| {
        let (left, right) = line.split_once(':')?;
        Some((left.trim(), right.trim()))
    })
}

fn list(path: &str) -> String {
    let mut text = Vec::new();
    // Where there is none, nothing is listed.
    let _ = File::open(path).and_then(|file| file.take(MAX_LIST).read_to_end(&mut text));
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_admin_has_given_away_is_somebodys() {
        let others = Others::parse(
            "# comment\n42:/bricks/b/subvol\n 43 : /bricks/b/subvol/d3/d3/pvc-1 \nx:/y\n\n99999999999:/z\n44",
            "builds:45\nmine:43\n",
        );
        let pv = Path::new("/bricks/b/subvol/d3/d3/pvc-1");
        assert_eq!(others.of(42, pv).unwrap().to_string(), "/bricks/b/subvol in /etc/projects");
        assert_eq!(others.of(45, pv).unwrap().to_string(), "\"builds\" in /etc/projid");
        assert!(others.of(43, pv).is_none() && others.of(44, pv).is_none() && others.of(1, pv).is_none());
        assert!([42, 43, 45].iter().all(|project| others.name(*project)) && !others.name(44));
    }

    #[test]
    fn listed_projects_are_neither_kept_nor_given() {
        let kernel = crate::quota::fake::Fake::default();
        let file = File::open("/").unwrap();
        let at = std::os::fd::AsFd::as_fd(&file);
        let mut projects = Projects::new(1..=3);
        projects.learn(&[], Others::parse("1:/a\n9:/b", "c:2"));
        let found =
            |id| Found { inode: 5, project: Project { id, inherit: true }, inherited: false, said: None };
        let brick = Path::new("/bricks/b");
        let taken = projects.choose(brick, "subvol/x", &found(9), &kernel, at).unwrap_err();
        assert!(
            taken.code == Code::ProjectTaken && taken.sentence.contains("/b in /etc/projects"),
            "{taken}"
        );
        assert_eq!(projects.choose(brick, "subvol/x", &found(0), &kernel, at).unwrap(), Choice::Gets(3));
        projects.gave(3, 5, "subvol/x");
        let full = projects.choose(brick, "subvol/y", &found(0), &kernel, at).unwrap_err();
        assert!(full.code == Code::NoProject && full.sentence.contains("--project-ids"), "{full}");
    }
}
