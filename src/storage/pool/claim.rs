//! A whole volume as one PV: claimed by an attribute of its root, which one of many claimants can set.
//!
//! No file system compares an attribute and sets it in one step. One [`Pool`] a volume does, by a lock; of two, in processes
//! that delete and claim one volume at the same moment, one could take the claim of the other for its own. So more than one
//! controller without the election of a leader is not safe for whole volumes.

use rustix::{
    fs::{FileType, XattrFlags},
    io::Errno,
};

use super::{
    NewPv, Pool, Pv, Range,
    create::MODE,
    records,
    remove::{PRIVATE, now},
    tree::Directory,
};
use crate::mount::lock::lock;
use crate::storage::{
    Error, Reason,
    error::Doing,
    layout::{DATA, TRASH, component},
    record::{Reclaim, Record, State},
};

/// The attribute; its value is a record as JSON.
const CLAIM: &str = "trusted.kadalu.claim";

/// What is at the root of a volume and nobody's data: of ours, of gluster's, of the bricks' file systems.
const NO_DATA: [&str; 4] = [TRASH, ".trashcan", ".glusterfs", "lost+found"];

/// Names that are read before they are moved: more would be kept in memory.
const BATCH: usize = 1024;

impl Pool {
    /// Claims the whole volume as one PV, whose permissions the root of an empty one gets, or returns the claim that is there and is the same. Its size is not compared with
    /// the volume's.
    ///
    /// # Errors
    /// `Invalid` for the name; `OutOfRange` for the size; `Exists` where there is a claim of this name with another size,
    /// policy or state; `Precondition` where another PV claims it, or it holds PVs, or it holds data that the policy
    /// `delete` would delete later; `Unavailable` while it is emptied.
    pub fn claim(&self, new: &NewPv) -> Result<Pv, Error> {
        component(&new.name)?;
        let exactly = Range { required: new.size, limit: Some(new.size) };
        new.check(&exactly)?;
        let root = self.root()?;
        let _claims = lock(&self.claims);
        loop {
            if let Some(record) = read(&root)? {
                let pv = pv(&record);
                if pv.state == State::Deleting {
                    let message = format!("{root} is being emptied of the PV {:?}; try again later", pv.name);
                    return Err(Error::new(Reason::Unavailable, message));
                }
                if pv.name != new.name {
                    return refuse(&root).map(|()| pv);
                }
                new.is(&pv, &exactly)?;
                return without_pvs(&root).map(|()| pv);
            }
            without_pvs(&root)?;
            if root.open(TRASH)?.is_some() {
                let message = format!("{root} is being emptied of deleted PVs; try again later");
                return Err(Error::new(Reason::Unavailable, message));
            }
            match without_data(&root) {
                // Before the claim, so that who is killed between the two does it again.
                Ok(()) => root.set_own_mode(new.mode.unwrap_or(MODE))?,
                Err(error) if new.reclaim == Reclaim::Delete => return Err(error),
                // It has its permissions as it has its data.
                Err(error) if error.reason() == Reason::Precondition => {}
                Err(error) => return Err(error),
            }
            match root.set_attribute(CLAIM, &new.claim().to_bytes()?, XattrFlags::CREATE) {
                // The other side of `Pool::create`: of two at once, at least one sees the other.
                Ok(()) => {
                    if let Err(error) = without_pvs(&root) {
                        root.remove_attribute(CLAIM)?;
                        return Err(error);
                    }
                }
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno).doing(|| format!("cannot claim {root}")),
            }
        }
    }

    /// The PV that the whole volume is, in use or retained; none where it is not claimed, or that PV is being deleted or
    /// archived.
    ///
    /// # Errors
    /// `Precondition` where the claim cannot be read.
    pub fn claimed(&self) -> Result<Option<Pv>, Error> {
        let pv = read(&self.root()?)?.map(|record| pv(&record));
        Ok(pv.filter(|pv| matches!(pv.state, State::InUse | State::Retained)))
    }

    /// The same, if it is the PV of this component.
    ///
    /// # Errors
    /// `Precondition` where the claim cannot be read.
    pub fn claimed_as(&self, component: &str) -> Result<Option<Pv>, Error> {
        Ok(self.claimed()?.filter(|pv| is(&pv.name, component)))
    }

    /// Deletes the PV that the whole volume is, by the policy of its claim, if it is the PV of this component. None, or
    /// another, is no error.
    ///
    /// By `delete`, all contents go into the trash, and the claim is freed when [`Pool::empty_trash`] has emptied it.
    ///
    /// # Errors
    /// `Precondition` where the claim cannot be read; what could not be moved.
    pub fn release(&self, claimant: &str) -> Result<(), Error> {
        let root = self.root()?;
        let claims = lock(&self.claims);
        let is_its = |record: &Record| is(record.name.as_deref().unwrap_or_default(), claimant);
        let Some(record) = read(&root)?.filter(is_its) else { return Ok(()) };
        match (record.state, record.reclaim.unwrap_or_default()) {
            (State::Deleting, _) | (State::InUse, Reclaim::Delete) => discard(&root, &record)?,
            (State::InUse, Reclaim::Archive) => return replace(&root, &record, State::Archived),
            (State::InUse, Reclaim::Retain) => return replace(&root, &record, State::Retained),
            (State::Archived | State::Retained, _) => return Ok(()),
        }
        drop(claims);
        self.free_claim(&root)
    }

    /// [`Pool::purge`] of a whole volume.
    pub(super) fn purge_claim(&self, root: &Directory, name: &str) -> Result<(), Error> {
        let claims = lock(&self.claims);
        let record = named(root, name)?;
        if record.state == State::InUse {
            let message = format!("{name:?} is in use: delete its PersistentVolume first");
            return Err(Error::new(Reason::Precondition, message));
        }
        discard(root, &record)?;
        drop(claims);
        self.free_claim(root)
    }

    /// [`Pool::restore`] of a whole volume.
    pub(super) fn restore_claim(&self, root: &Directory, archived: &str, name: &str) -> Result<Pv, Error> {
        let _claims = lock(&self.claims);
        let record = named(root, archived)?;
        if record.state == State::InUse && archived == name {
            return Ok(pv(&record));
        }
        if !matches!(record.state, State::Archived | State::Retained) {
            let message = format!("{archived:?} is {}: there is nothing to restore", record.state);
            return Err(Error::new(Reason::Precondition, message));
        }
        let restored = Record { state: State::InUse, name: Some(name.to_owned()), ..record.clone() };
        change(root, &record, &restored)?;
        Ok(pv(&restored))
    }

    /// Frees a volume whose PV was deleted, if all of that is gone.
    pub(super) fn free_claim(&self, root: &Directory) -> Result<(), Error> {
        let Some(record) = read(root)?.filter(|record| record.state == State::Deleting) else {
            return Ok(());
        };
        // Whoever had the whole volume may have put anything there.
        let mut first = true;
        loop {
            // Let go after each batch: others who ask are to be told that it is being emptied.
            let _claims = lock(&self.claims);
            if !is_still(root, &record)? {
                return Ok(());
            }
            if std::mem::take(&mut first) && root.kind(TRASH)?.is_some_and(|kind| kind != FileType::Directory)
            {
                root.unlink(TRASH)?;
            }
            // What was written, or not yet moved, meanwhile.
            if empty_out(root)? {
                continue;
            }
            if root.open(TRASH)?.is_none() {
                // The next is to find nothing of this one: neither its owner nor what else it has given the root.
                root.reset()?;
                if is_still(root, &record)? {
                    root.remove_attribute(CLAIM)?;
                }
            }
            return Ok(());
        }
    }
}

/// Whether a PV has this component.
fn is(name: &str, claimant: &str) -> bool {
    component(name).is_ok_and(|of_name| of_name == claimant)
}

/// The claim of a volume; none where it is not claimed.
pub(super) fn read(root: &Directory) -> Result<Option<Record>, Error> {
    let Some(value) = root.attribute(CLAIM)? else { return Ok(None) };
    Record::parse(&value).map(Some).map_err(|error| {
        let message = format!("the attribute {CLAIM} of {root} is no claim: {error}; mend or remove it");
        Error::new(Reason::Precondition, message)
    })
}

/// The volume may hold PVs: it is not claimed as a whole.
pub(super) fn refuse(root: &Directory) -> Result<(), Error> {
    let Some(record) = read(root)? else { return Ok(()) };
    let Pv { name, state, .. } = pv(&record);
    let message =
        format!("{root} is claimed as a whole by the PV {name:?}, which is {state}: use another volume");
    Err(Error::new(Reason::Precondition, message))
}

/// What a claim says of the PV.
pub(super) fn pv(record: &Record) -> Pv {
    let Record { name, size, reclaim, quota, state, created, .. } = record.clone();
    let name = name.unwrap_or_default();
    Pv {
        component: String::new(),
        name,
        path: String::new(),
        size,
        reclaim,
        quota,
        asked: None,
        state,
        created,
    }
}

fn named(root: &Directory, name: &str) -> Result<Record, Error> {
    read(root)?.filter(|record| record.name.as_deref() == Some(name)).ok_or_else(|| {
        Error::new(Reason::NotFound, format_args!("{name:?} is not the PV that {root} is; see kadalu pvs"))
    })
}

/// Whether the claim is the one that was read before: of this PV, and in this state.
fn is_still(root: &Directory, record: &Record) -> Result<bool, Error> {
    let of = |record: &Record| (record.name.clone(), record.created.clone(), record.state);
    Ok(read(root)?.is_some_and(|now| of(&now) == of(record)))
}

fn replace(root: &Directory, record: &Record, state: State) -> Result<(), Error> {
    change(root, record, &Record { state, ..record.clone() })
}

/// Changes a claim if it is still the one that was read.
fn change(root: &Directory, from: &Record, to: &Record) -> Result<(), Error> {
    let words = || format!("cannot change the claim of {root}");
    let is = |record| match is_still(root, record)? {
        true => Ok(()),
        false => {
            let message = format!("{}: another has changed it at the same time; try again", words());
            Err(Error::new(Reason::Unavailable, message))
        }
    };
    is(from)?;
    root.set_attribute(CLAIM, &to.to_bytes()?, XattrFlags::REPLACE).doing(words)?;
    is(to)
}

/// From here on, all that is on the volume goes.
fn discard(root: &Directory, record: &Record) -> Result<(), Error> {
    if record.state == State::Deleting { Ok(()) } else { replace(root, record, State::Deleting) }
}

/// Moves some of the contents of a volume into its trash; false where there is nothing to move.
fn empty_out(root: &Directory) -> Result<bool, Error> {
    let names = root.entries()?.filter(|name| name.as_ref().map_or(true, |name| is_data(name.to_bytes())));
    let names = names.take(BATCH).collect::<Result<Vec<_>, _>>()?;
    if names.is_empty() {
        return Ok(false);
    }
    let trash = root.make_with(TRASH, PRIVATE)?;
    let batch = format!("volume.{}.{:08x}", now(), fastrand::u32(..));
    match trash.mkdir(&batch, PRIVATE) {
        Ok(()) => {}
        // Others have taken away what was empty.
        Err(Errno::NOENT) => return Ok(true),
        Err(errno) => return Err(errno).doing(|| format!("cannot make {}", trash.at(&batch))),
    }
    let Some(batch) = trash.open(&batch)? else { return Ok(true) };
    for name in names {
        match root.rename(&name, &batch, &name) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => {
                return Err(errno)
                    .doing(|| format!("cannot move {} to {batch}", root.at(&name.to_string_lossy())));
            }
        }
    }
    Ok(true)
}

/// No directory of the volume is a PV.
fn without_pvs(root: &Directory) -> Result<(), Error> {
    let Some((place, _)) = records::all(root, false)?.into_iter().next() else { return Ok(()) };
    let message =
        format!("{root} holds PVs, such as {place}: it cannot be one as a whole; use another volume");
    Err(Error::new(Reason::Precondition, message))
}

/// There is nothing that whoever deletes the PV would miss.
fn without_data(root: &Directory) -> Result<(), Error> {
    for name in root.entries()? {
        let name = name?;
        let left_over = match name.to_bytes() {
            // A database of kadalu's, and what is left of its PVs, or ours.
            b"stat.db" => true,
            b"info" => is_hollow(root, "info", 3)?,
            b"subvol" => is_hollow(root, DATA, 2)?,
            name => !is_data(name),
        };
        if !left_over {
            let message = format!(
                "{} is on the volume, and would be deleted with the PV: use an empty volume, or the reclaim policy \
                 retain or archive",
                root.at(&name.to_string_lossy())
            );
            return Err(Error::new(Reason::Precondition, message));
        }
    }
    Ok(())
}

/// Whether something is a directory with nothing but directories, of so many levels at most.
fn is_hollow(parent: &Directory, name: &str, levels: u32) -> Result<bool, Error> {
    if parent.kind(name)? != Some(FileType::Directory) {
        return Ok(false);
    }
    let Some(directory) = parent.open(name)? else { return Ok(true) };
    for entry in directory.entries()? {
        let Ok(entry) = entry?.into_string() else { return Ok(false) };
        if levels == 0 || !is_hollow(&directory, &entry, levels - 1)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether a name at the root of a volume is somebody's.
fn is_data(name: &[u8]) -> bool {
    !NO_DATA.iter().any(|none| none.as_bytes() == name)
}
