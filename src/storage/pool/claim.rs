//! A whole volume as one PV: claimed by an attribute of its root, which one of many claimants can set.

use rustix::{
    fs::{FileType, XattrFlags},
    io::Errno,
};

use super::{
    NewPv, Pool, Pv, Range, records,
    remove::{PRIVATE, now},
    tree::Directory,
};
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
    /// Claims the whole volume as one PV, or returns the claim that is there and is the same. Its size is not compared with
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
            if new.reclaim == Reclaim::Delete {
                without_data(&root)?;
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
        let is_its = |record: &Record| is(record.name.as_deref().unwrap_or_default(), claimant);
        let Some(record) = read(&root)?.filter(is_its) else { return Ok(()) };
        match (record.state, record.reclaim.unwrap_or_default()) {
            (State::Deleting, _) | (State::InUse, Reclaim::Delete) => discard(&root, record),
            (State::InUse, Reclaim::Archive) => replace(&root, Record { state: State::Archived, ..record }),
            (State::InUse, Reclaim::Retain) => replace(&root, Record { state: State::Retained, ..record }),
            (State::Archived | State::Retained, _) => Ok(()),
        }
    }

    /// [`Pool::purge`] of a whole volume.
    pub(super) fn purge_claim(&self, root: &Directory, name: &str) -> Result<(), Error> {
        let record = named(root, name)?;
        if record.state == State::InUse {
            let message = format!("{name:?} is in use: delete its PersistentVolume first");
            return Err(Error::new(Reason::Precondition, message));
        }
        discard(root, record)
    }

    /// [`Pool::restore`] of a whole volume.
    pub(super) fn restore_claim(&self, root: &Directory, archived: &str, name: &str) -> Result<Pv, Error> {
        let record = named(root, archived)?;
        if record.state == State::InUse && archived == name {
            return Ok(pv(&record));
        }
        if !matches!(record.state, State::Archived | State::Retained) {
            let message = format!("{archived:?} is {}: there is nothing to restore", record.state);
            return Err(Error::new(Reason::Precondition, message));
        }
        let record = Record { state: State::InUse, name: Some(name.to_owned()), ..record };
        let pv = pv(&record);
        replace(root, record)?;
        Ok(pv)
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
    Pv { component: String::new(), name, path: String::new(), size, reclaim, quota, state, created }
}

/// Frees a volume whose PV was deleted, if all of that is gone.
pub(super) fn free(root: &Directory) -> Result<(), Error> {
    match read(root)? {
        Some(record) if record.state == State::Deleting => {}
        _ => return Ok(()),
    }
    // What was written, or not yet moved, meanwhile.
    empty_out(root)?;
    if root.open(TRASH)?.is_none() { root.remove_attribute(CLAIM) } else { Ok(()) }
}

fn named(root: &Directory, name: &str) -> Result<Record, Error> {
    read(root)?.filter(|record| record.name.as_deref() == Some(name)).ok_or_else(|| {
        Error::new(Reason::NotFound, format_args!("{name:?} is not the PV that {root} is; see kadalu pvs"))
    })
}

fn replace(root: &Directory, record: Record) -> Result<(), Error> {
    let set = root.set_attribute(CLAIM, &record.to_bytes()?, XattrFlags::REPLACE);
    set.doing(|| format!("cannot change the claim of {root}"))
}

fn discard(root: &Directory, record: Record) -> Result<(), Error> {
    if record.state != State::Deleting {
        replace(root, Record { state: State::Deleting, ..record })?;
    }
    free(root)
}

/// Moves all contents of a volume into its trash.
fn empty_out(root: &Directory) -> Result<(), Error> {
    // Whoever had the whole volume may have put anything there.
    if root.kind(TRASH)?.is_some_and(|kind| kind != FileType::Directory) {
        root.unlink(TRASH)?;
    }
    loop {
        let names =
            root.entries()?.filter(|name| name.as_ref().map_or(true, |name| is_data(name.to_bytes())));
        let names = names.take(BATCH).collect::<Result<Vec<_>, _>>()?;
        if names.is_empty() {
            return Ok(());
        }
        let trash = root.make_with(TRASH, PRIVATE)?;
        let batch = format!("volume.{}.{:08x}", now(), fastrand::u32(..));
        trash.mkdir(&batch, PRIVATE).doing(|| format!("cannot make {}", trash.at(&batch)))?;
        let Some(batch) = trash.open(&batch)? else { continue };
        for name in names {
            match root.rename(&name, &batch, &name) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => {
                    return Err(errno)
                        .doing(|| format!("cannot move {} to {batch}", root.at(&name.to_string_lossy())));
                }
            }
        }
    }
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
