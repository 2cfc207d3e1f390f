//! All PVs of a brick, one after the other, and what their going leaves behind.

use std::{
    collections::{BTreeMap, BTreeSet},
    os::fd::{AsFd, BorrowedFd},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    BrickStatus, LocalBrick, Mode, Options, PvStatus,
    brick::{directory, failed},
    projects::{Found, Others, Projects},
    pv::{Look, Next},
    records::{self, Recorded, Skipped, Visitor},
    xfs::Kernel,
};
use crate::mount::lock::lock;
use crate::storage::{
    layout::Place,
    quota::{Code, Problem},
};

/// The most PVs of a brick that are looked after: anybody with the volume mounted can make records.
pub(super) const MAX_PVS: usize = 200_000;

/// Where a tree of records begins.
const INFO: &str = "info";

/// Looks at all PVs of a brick once, and, by the mode, mends what is not as it should be.
///
/// It fails for no PV and no brick: what is wrong is in the status.
pub fn look(brick: &LocalBrick, options: &Options, mode: Mode, kernel: &dyn Kernel) -> BrickStatus {
    let mut keeper = Keeper::new(brick.clone(), options, mode);
    match Look::begin(brick, mode, kernel) {
        Ok(look) => {
            keeper.crawl(&look, &mut NoWatch, &AtomicBool::new(false));
        }
        Err(problem) => keeper.fail(problem),
    }
    keeper.told.status(brick)
}

/// What is known of the PVs of a brick, for whoever asks.
#[derive(Debug, Default)]
pub(super) struct Told(Mutex<Telling>);

#[derive(Debug, Default)]
struct Telling {
    changes: u64,
    problem: Option<Problem>,
    pvs: BTreeMap<String, PvStatus>,
    skipped: Vec<String>,
}

impl Told {
    /// As it is told.
    pub(super) fn status(&self, brick: &LocalBrick) -> BrickStatus {
        let telling = self.lock();
        BrickStatus {
            brick: brick.name.clone(),
            volume: brick.volume.clone(),
            problem: telling.problem.clone(),
            pvs: telling.pvs.values().cloned().collect(),
            skipped: telling.skipped.clone(),
        }
    }

    /// How often something may have changed in it.
    pub(super) fn changes(&self) -> u64 {
        self.lock().changes
    }

    fn lock(&self) -> MutexGuard<'_, Telling> {
        lock(&self.0)
    }

    /// To change it.
    fn change(&self) -> MutexGuard<'_, Telling> {
        let mut telling = self.lock();
        telling.changes += 1;
        telling
    }
}

/// What looks into the directories of records while they are walked through.
pub(super) trait Watching {
    /// A directory of records, or of PVs, is entered, before it is read.
    fn enter(&mut self, path: &str, directory: BorrowedFd<'_>);
}

/// Nobody does.
#[derive(Debug)]
pub(super) struct NoWatch;

impl Watching for NoWatch {
    fn enter(&mut self, _path: &str, _directory: BorrowedFd<'_>) {}
}

/// A PV: its record, and its directory.
type Seen = (Place, Recorded, Result<Option<Found>, Problem>);

/// What looks after one brick.
#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) brick: LocalBrick,
    mode: Mode,
    /// [`MAX_PVS`], where it is no test.
    most: usize,
    pub(super) projects: Projects,
    pub(super) told: Arc<Told>,
}

impl Keeper {
    /// Knows nothing yet.
    pub(super) fn new(brick: LocalBrick, options: &Options, mode: Mode) -> Self {
        let projects = Projects::new(options.project_ids.clone());
        Self { brick, mode, most: MAX_PVS, projects, told: Arc::default() }
    }

    /// The brick cannot be looked at: its PVs are not known any more.
    pub(super) fn fail(&self, problem: Problem) {
        let mut telling = self.told.change();
        *telling = Telling { changes: telling.changes, problem: Some(problem), ..Telling::default() };
    }

    /// Looks at all PVs, and says what is to be done after that; ends early when it is stopped.
    pub(super) fn crawl(
        &mut self,
        look: &Look<'_>,
        watching: &mut dyn Watching,
        stopped: &AtomicBool,
    ) -> Vec<(Place, Next)> {
        let share = self.brick.share;
        let (most, skipped) = (self.most, Skipped::default());
        let mut all = All { found: Vec::new(), most, more: 0, skipped, watching, stopped };
        records::walk(look.root.as_fd(), INFO, share, &mut all);
        let All { found: mut recorded, more, skipped, .. } = all;
        recorded.sort_by(|(one, _), (other, _)| one.cmp(other));
        let prefixes = recorded.iter().map(|(place, _)| place.prefix()).collect::<BTreeSet<_>>();
        prefixes.iter().for_each(|prefix| enter(look, prefix, watching));
        let found = recorded.into_iter().map(|(place, recorded)| {
            let found = look.find(&place);
            (place, recorded, found)
        });
        let found: Vec<Seen> = found.take_while(|_| !stopped.load(Ordering::Relaxed)).collect();
        self.learn(&found);
        {
            let mut telling = self.told.change();
            let problem = look.unlimited.clone().or_else(|| self.brick.problem.clone());
            telling.problem = problem.or_else(|| (more > 0).then(|| self.too_many(more)));
            telling.skipped = skipped.into_sentences();
            let mut before = std::mem::take(&mut telling.pvs);
            let paths = found.iter().map(|(place, ..)| place.to_string());
            telling.pvs = paths.filter_map(|path| before.remove_entry(&path)).collect();
        }
        let mut next = Vec::new();
        for (place, recorded, found) in found {
            if stopped.load(Ordering::Relaxed) {
                return next;
            }
            match self.settle(look, &place, &recorded, found) {
                Next::Nothing => {}
                then => next.push((place, then)),
            }
        }
        self.release(look);
        next
    }

    /// That there are more records than are looked after.
    fn too_many(&self, more: usize) -> Problem {
        let words = format_args!(
            "{} has {more} records of PVs more than the {} that are looked after: they have no limit; see who makes them \
             below info/subvol",
            self.brick.name, self.most
        );
        Problem::new(Code::Failed, words)
    }

    /// Looks at one PV; its record, if it has one, is read anew.
    pub(super) fn one(&mut self, look: &Look<'_>, place: &Place, watching: &mut dyn Watching) -> Next {
        enter(look, &place.prefix(), watching);
        {
            let telling = self.told.lock();
            if telling.pvs.len() >= self.most && !telling.pvs.contains_key(&place.to_string()) {
                // The next look at everything tells.
                return Next::Nothing;
            }
        }
        let recorded = match records::of(&look.root, place, self.brick.share) {
            Ok(Some(recorded)) => recorded,
            Ok(None) => {
                let path = place.to_string();
                self.projects.gone(&path);
                self.told.change().pvs.remove(&path);
                return Next::Nothing;
            }
            Err(problem) => Recorded::Asked(Err(problem)),
        };
        let found = look.find(place);
        self.settle(look, place, &recorded, found)
    }

    /// Whether the last look at a PV has brought its limit into force.
    pub(super) fn is_new_in_force(&self, place: &Place) -> bool {
        let telling = self.told.lock();
        telling.pvs.get(&place.to_string()).is_some_and(|pv| pv.changed && pv.in_force.problem.is_none())
    }

    fn settle(
        &mut self,
        look: &Look<'_>,
        place: &Place,
        recorded: &Recorded,
        found: Result<Option<Found>, Problem>,
    ) -> Next {
        let (status, next) = look.settle(place, recorded, found, &mut self.projects);
        let path = place.to_string();
        let mut telling = self.told.change();
        match status {
            Some(status) => {
                telling.pvs.insert(path, status);
            }
            None => {
                telling.pvs.remove(&path);
            }
        }
        next
    }

    fn learn(&mut self, found: &[Seen]) {
        let known = found.iter().filter_map(|(place, _, found)| match found {
            Ok(Some(found)) => Some((place.to_string(), found)),
            _ => None,
        });
        self.projects.learn(&known.collect::<Vec<_>>(), Others::read());
    }

    fn release(&mut self, look: &Look<'_>) {
        if self.mode == Mode::Apply && look.unlimited.is_none() {
            let released = self.projects.release(look.kernel, look.root.as_fd());
            self.tell_released(released);
        }
    }

    /// Takes the limits from PVs that have gone, as soon as their files have.
    pub(super) fn release_leaving(&mut self, look: &Look<'_>) {
        if look.unlimited.is_none() {
            let released = self.projects.release_leaving(look.kernel, look.root.as_fd());
            self.tell_released(released);
        }
    }

    fn tell_released(&self, outcome: rustix::io::Result<u64>) {
        match outcome {
            Ok(0) => {}
            Ok(projects) => tracing::info!(
                brick = self.brick.name,
                projects,
                "limits of PVs that are gone were taken away"
            ),
            Err(errno) => {
                let problem = failed("cannot take away the limits of PVs that are gone", errno);
                tracing::warn!(brick = self.brick.name, %problem, "limits stay");
            }
        }
    }
}

/// Has a directory of PVs watched; one that is not there yet is when a PV in it is looked for again.
fn enter(look: &Look<'_>, path: &str, watching: &mut dyn Watching) {
    if let Ok(Some(opened)) = directory(&look.root, path) {
        watching.enter(path, opened.as_fd());
    }
}

/// All records of a brick.
struct All<'a> {
    found: Vec<(Place, Recorded)>,
    most: usize,
    /// Records beyond that.
    more: usize,
    skipped: Skipped,
    watching: &'a mut dyn Watching,
    stopped: &'a AtomicBool,
}

impl Visitor for All<'_> {
    fn enter(&mut self, path: &str, directory: BorrowedFd<'_>) {
        self.watching.enter(path, directory);
    }

    fn record(&mut self, place: Place, recorded: Result<Recorded, Problem>) {
        if self.found.len() >= self.most {
            self.more += 1;
            return;
        }
        self.found.push((place, recorded.unwrap_or_else(|problem| Recorded::Asked(Err(problem)))));
    }

    fn skip(&mut self, sentence: String) {
        self.skipped.add(sentence);
    }

    fn go_on(&self) -> bool {
        !self.stopped.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests;
