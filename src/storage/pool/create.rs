//! PVs that come, and grow.

use std::time::SystemTime;

use rustix::{fs::FileType, io::Errno};

use super::{
    Capacity, NewPv, Pool, Pv, Range, claim, records,
    records::Found,
    size::Gib,
    tree::{Directory, TRIES, vanishing},
};
use crate::storage::{
    Error, Reason,
    error::Doing,
    layout::{Place, component},
    record::{MAX_SIZE, Record, State},
};

/// The permissions of a PV's directory unless others are asked for: pods of any user write there.
pub(super) const MODE: u32 = 0o777;

/// The permissions of a directory that has not got its own yet.
const UNFINISHED: u32 = 0;

impl Pool {
    /// Creates a PV, or returns the one that is there and is the same.
    ///
    /// `range` says which size one that is there may have; `overcommit` how much of the volume may be promised, as a ratio.
    ///
    /// # Errors
    /// `Invalid` for the name, the mode or the ratio; `OutOfRange` for a size outside of `range`; `Exists` where there is one
    /// of another size, policy or state; `Exhausted` where there is no room; `Precondition` where the volume is claimed as a
    /// whole, or a directory has the name and no record.
    pub fn create(&self, new: &NewPv, range: &Range, overcommit: f64) -> Result<Pv, Error> {
        let place = Place::of(&component(&new.name)?)?;
        new.check(range)?;
        let root = self.root()?;
        claim::refuse(&root)?;
        let mut published = false;
        for _ in 0..TRIES {
            let Some(found) = records::read(&root, &place)? else {
                published = self.publish(&root, &place, new, overcommit)?;
                if published {
                    // The other side of `Pool::claim`: of two at once, at least one sees the other.
                    if let Err(error) = claim::refuse(&root) {
                        self.index.set(&place.to_string(), None);
                        records::remove(&root, &place)?;
                        return Err(error);
                    }
                }
                continue;
            };
            // What was begun before is ended first.
            if found.state(&place) == State::Deleting {
                self.discard(&root, &place, found)?;
            } else if found.archive(&place).is_some() {
                self.archive(&root, &place, found)?;
            } else {
                let pv = same(&found, &place, new, range)?;
                if !published {
                    records::sweep_of(&root, &place)?;
                }
                make_directory(&root, &place, new.mode.unwrap_or(MODE))?;
                self.index.set(&pv.path, Some(pv.size));
                return Ok(pv);
            }
        }
        Err(vanishing(format_args!("cannot create {place}")))
    }

    /// Writes the record of a new PV if there is room for it; false where another was faster.
    fn publish(&self, root: &Directory, place: &Place, new: &NewPv, overcommit: f64) -> Result<bool, Error> {
        if root.kind(&place.to_string())?.is_some() {
            let message = format!(
                "{} is there and has no record, so nobody knows whose it is: move it away, or write its record",
                root.at(&place.to_string())
            );
            return Err(Error::new(Reason::Precondition, message));
        }
        let path = place.to_string();
        let before = self.reserve(root, &path, (0, new.size), overcommit)?;
        let published = records::publish(root, place, &new.record(place));
        if !matches!(published, Ok(true)) {
            self.index.set(&path, before);
        }
        published
    }

    /// Grows a PV to what `range` asks for; one that is as large already stays as it is.
    ///
    /// # Errors
    /// `NotFound`; `OutOfRange` where the limit is below its size; `Exhausted` where there is no room; `Precondition` where
    /// its record cannot be read or its directory is gone.
    pub fn expand(&self, component: &str, range: &Range, overcommit: f64) -> Result<Pv, Error> {
        let place = Place::of(component)?;
        let root = self.root()?;
        let found = records::read(&root, &place)?.filter(|found| found.is_usable(&place));
        let Some(mut found) = found else {
            return Err(Error::new(Reason::NotFound, format_args!("{place} is no PV of this pool")));
        };
        present(&root, &place)?;
        let pv = found.pv(&place);
        if range.limit.is_some_and(|limit| limit < pv.size) {
            let message = format!("{place} has {} bytes already, and cannot shrink to {range}", pv.size);
            return Err(Error::new(Reason::OutOfRange, message));
        }
        if pv.size >= range.required {
            self.index.set(&pv.path, Some(pv.size));
            return Ok(pv);
        }
        let size = range.size()?;
        let before = self.reserve(&root, &pv.path, (pv.size, size), overcommit)?;
        found.record.size = size;
        match records::write(&root, &place, &found.record) {
            Ok(asked) => found.asked = asked,
            Err(error) => {
                self.index.set(&pv.path, before);
                return Err(error);
            }
        }
        // Who has read all records meanwhile may have found the size before.
        self.index.set(&pv.path, Some(size));
        Ok(found.pv(&place))
    }

    /// Counts a PV that grows `from` a size `to` another if there is room for the growth, and says what was counted for it
    /// before. What it has written of its size before is not free any more, and need not be.
    fn reserve(
        &self,
        root: &Directory,
        path: &str,
        (from, to): (u64, u64),
        overcommit: f64,
    ) -> Result<Option<u64>, Error> {
        let growth = to.saturating_sub(from);
        let capacity = self.capacity_of(root)?;
        self.index.reserve(path, to, |others| {
            let promised = others.saturating_add(from);
            let available = Capacity { promised, ..capacity }.available(overcommit)?;
            if growth <= available {
                return Ok(());
            }
            let message = format!(
                "no room for {}{} on the volume: of {} are {} promised to {}other PVs and {} free, so that {} can be \
                 promised at an overcommit of {overcommit}; grow the volume, purge archived PVs or choose another pool",
                Gib(growth),
                if from > 0 { " more" } else { "" },
                Gib(capacity.total),
                Gib(promised),
                if from > 0 { "it and " } else { "" },
                Gib(capacity.free),
                Gib(available),
            );
            Err(Error::new(Reason::Exhausted, message))
        })
    }
}

impl NewPv {
    /// Whether it can be made at all.
    pub(super) fn check(&self, range: &Range) -> Result<(), Error> {
        if let Some(mode) = self.mode.filter(|mode| *mode > 0o7777) {
            return Err(Error::new(
                Reason::Invalid,
                format_args!("{mode:o} are no permissions of a directory"),
            ));
        }
        if self.size == 0 || self.size > MAX_SIZE || !range.holds(self.size) {
            let message = format!("{} bytes are no size of a volume with {range}", self.size);
            return Err(Error::new(Reason::OutOfRange, message));
        }
        Ok(())
    }

    fn record(&self, place: &Place) -> Record {
        let name = (self.name != place.component()).then(|| self.name.clone());
        Record { name, ..self.claim() }
    }

    /// Its record as a whole volume.
    pub(super) fn claim(&self) -> Record {
        Record {
            size: self.size,
            path_prefix: String::new(),
            reclaim: Some(self.reclaim),
            name: Some(self.name.clone()),
            state: State::InUse,
            to: None,
            created: Some(humantime::format_rfc3339_seconds(SystemTime::now()).to_string()),
            quota: Some(self.quota),
            soft_percent: self.soft_percent,
            inodes: self.inodes,
            others: serde_json::Map::new(),
        }
    }

    /// Whether `pv` is what would be made.
    pub(super) fn is(&self, pv: &Pv, range: &Range) -> Result<(), Error> {
        let refuse = |why: String| {
            Err(Error::new(Reason::Exists, format_args!("there is a PV {:?} already: {why}", pv.name)))
        };
        match pv {
            Pv { name, .. } if *name != self.name => refuse(format!("{:?} has the same path", self.name)),
            Pv { state: State::InUse, size, .. } if !range.holds(*size) => {
                refuse(format!("it has {size} bytes, and {range} are asked for"))
            }
            Pv { state: State::InUse, reclaim: Some(reclaim), .. } if *reclaim != self.reclaim => {
                refuse(format!("its reclaim policy is {reclaim}, and {} is asked for", self.reclaim))
            }
            Pv { state: State::InUse, .. } => Ok(()),
            Pv { state, .. } => refuse(format!("it is {state}; restore or purge it with kadalu pvs")),
        }
    }
}

/// The PV of a record, if it is what is to be made.
fn same(found: &Found, place: &Place, new: &NewPv, range: &Range) -> Result<Pv, Error> {
    let pv = found.pv(place);
    if let Some(to) = &found.record.to {
        let message = format!("{place} is being restored as {to}; end that with kadalu pvs --restore");
        return Err(Error::new(Reason::Exists, message));
    }
    new.is(&pv, range)?;
    Ok(pv)
}

/// The directory of a PV is there, or that is said.
pub(super) fn present(root: &Directory, place: &Place) -> Result<(), Error> {
    match root.kind(&place.to_string())? {
        Some(FileType::Directory) => Ok(()),
        there => {
            let what = if there.is_some() { "something else stands there" } else { "it is gone" };
            let message = format!(
                "{} is the directory of a PV, and {what}: bring it back, or, if its creation was interrupted, try that again",
                root.at(&place.to_string())
            );
            Err(Error::new(Reason::Precondition, message))
        }
    }
}

/// Makes the directory of a PV, or ends what a killed process has begun; one that is there keeps its permissions.
fn make_directory(root: &Directory, place: &Place, mode: u32) -> Result<(), Error> {
    let name = place.component();
    let words = || format!("cannot make the directory {}", root.at(&place.to_string()));
    for _ in 0..TRIES {
        let parent = root.make(&place.prefix())?;
        match parent.mkdir(name, UNFINISHED) {
            Ok(()) | Err(Errno::EXIST) => {}
            // Others have taken away what was empty.
            Err(Errno::NOENT) => continue,
            Err(errno) => return Err(errno).doing(words),
        }
        let Some(stat) = parent.stat(name)? else { continue };
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            return present(root, place);
        }
        if stat.st_mode & 0o777 == UNFINISHED {
            parent.set_mode(name, mode)?;
            parent.sync()?;
        }
        return Ok(());
    }
    Err(vanishing(words()))
}
