//! PVs that go.

use std::time::{SystemTime, UNIX_EPOCH};

use rustix::io::Errno;

use super::{
    Pool, claim, records,
    records::Found,
    tree::{Directory, TRIES, vanishing},
};
use crate::storage::{
    Error, Reason,
    error::Doing,
    layout::{Place, TRASH},
    record::{Reclaim, State},
};

/// The permissions of the trash: what lies in it is nobody's.
pub(super) const PRIVATE: u32 = 0o700;

impl Pool {
    /// Deletes a PV by the policy of its record, or by `default` where that has none. A missing one is no error.
    ///
    /// What is deleted lies in the trash until [`Pool::empty_trash`].
    ///
    /// # Errors
    /// `Invalid` for what is no component; `Precondition` where its record cannot be read, or there is a directory without a
    /// record: nothing is deleted then.
    pub fn delete(&self, component: &str, default: Reclaim) -> Result<(), Error> {
        let place = Place::of(component)?;
        let root = self.root()?;
        let Some(mut found) = records::read(&root, &place)? else {
            return gone(&root, &place);
        };
        match (found.state(&place), found.record.reclaim.unwrap_or(default)) {
            (State::Deleting, _) | (State::InUse, Reclaim::Delete) => self.discard(&root, &place, found),
            _ if found.archive(&place).is_some() => self.archive(&root, &place, found),
            (State::InUse, Reclaim::Archive) => self.archive(&root, &place, found),
            (State::InUse, Reclaim::Retain) => {
                found.record.state = State::Retained;
                records::write(&root, &place, &found.record).map(drop)
            }
            (State::Archived | State::Retained, _) => Ok(()),
        }
    }

    /// Moves an archived or retained PV into the trash, for ever.
    ///
    /// # Errors
    /// `NotFound`; `Precondition` where it is in use.
    pub fn purge(&self, archived_or_retained: &str) -> Result<(), Error> {
        let root = self.root()?;
        if claim::read(&root)?.is_some() {
            return self.purge_claim(&root, archived_or_retained);
        }
        let (place, found) = put_aside(&root, archived_or_retained)?;
        if found.state(&place) == State::InUse {
            let message =
                format!("{place} is in use: delete its PersistentVolume, or the claim that holds it, first");
            return Err(Error::new(Reason::Precondition, message));
        }
        self.discard(&root, &place, found)
    }

    /// Moves a PV into the trash, and removes its record then.
    pub(super) fn discard(&self, root: &Directory, place: &Place, mut found: Found) -> Result<(), Error> {
        if found.record.state != State::Deleting {
            found.record.state = State::Deleting;
            records::write(root, place, &found.record)?;
        }
        self.index.set(&place.to_string(), None);
        if let Some(parent) = root.open(&place.prefix())? {
            to_trash(root, &parent, place)?;
        }
        records::remove(root, place)
    }
}

/// The PV that somebody names who wants to restore or purge it: by its component, or by its path.
pub(super) fn put_aside(root: &Directory, name: &str) -> Result<(Place, Found), Error> {
    let mut places = match Place::at(name) {
        Some(place) => vec![place?],
        None => Place::of_archived(name)?.into_iter().chain([Place::of(name)?]).collect(),
    }
    .into_iter();
    let mut next = || -> Result<Option<(Place, Found)>, Error> {
        for place in places.by_ref() {
            if let Some(found) = records::read(root, &place)? {
                return Ok(Some((place, found)));
            }
            // Where it was until a moment ago, maybe.
            records::prune(root, &place);
        }
        Ok(None)
    };
    match (next()?, next()?) {
        (Some(one), None) => Ok(one),
        (Some((one, _)), Some((two, _))) => {
            let message = format!("{name:?} is the name of {one} and of {two}: give the path of one");
            Err(Error::new(Reason::Precondition, message))
        }
        (None, _) => {
            let message = format!("{name:?} is no PV of this pool; see kadalu pvs");
            Err(Error::new(Reason::NotFound, message))
        }
    }
}

/// A PV without a record is gone, if its directory is: what has none is never deleted.
fn gone(root: &Directory, place: &Place) -> Result<(), Error> {
    if root.kind(&place.to_string())?.is_some() {
        let message = format!(
            "{} has no record that says how to delete it: it stays; remove it by hand, or write its record",
            root.at(&place.to_string())
        );
        return Err(Error::new(Reason::Precondition, message));
    }
    records::prune(root, place);
    Ok(())
}

/// Moves the directory of a PV into the trash; one that is not there has been.
fn to_trash(root: &Directory, parent: &Directory, place: &Place) -> Result<(), Error> {
    for n in 0..u64::from(TRIES) {
        let trash = root.make_with(TRASH, PRIVATE)?;
        match parent.rename(place.component(), &trash, format!("{}.{}", place.component(), now() + n)) {
            Ok(()) => return Ok(()),
            // Another of this name and time, or the trash was taken away as empty.
            Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR | Errno::ISDIR) => {}
            Err(Errno::NOENT) if parent.kind(place.component())?.is_none() => return Ok(()),
            Err(Errno::NOENT) => {}
            Err(errno) => {
                return Err(errno)
                    .doing(|| format!("cannot move {} to {}", root.at(&place.to_string()), root.at(TRASH)));
            }
        }
    }
    Err(vanishing(format_args!("cannot move {place} to {TRASH}")))
}

/// Milliseconds since 1970.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX >> 1)
}
