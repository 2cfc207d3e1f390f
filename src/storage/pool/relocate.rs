//! PVs that are put aside, and come back: moved with their records, in steps of which each can be the last.
//!
//! 1. The record says where it goes. 2. It gets a second name there, which nobody else can have then. 3. The directory
//!    moves. 4. The record loses its first name.

use rustix::io::Errno;

use super::{
    Pool, Pv, claim, create, records,
    records::Found,
    remove::put_aside,
    tree::{Directory, TRIES, vanishing},
};
use crate::storage::{
    Error, Reason,
    error::Doing,
    layout::{Place, component},
    record::State,
};

/// How many archived PVs may have had the same name.
const ARCHIVES: u32 = 10_000;

impl Pool {
    /// Puts a PV aside under the next free name.
    pub(super) fn archive(&self, root: &Directory, place: &Place, mut found: Found) -> Result<(), Error> {
        // Its creation was interrupted: there is nothing to keep.
        if found.record.to.is_none() && root.kind(&place.to_string())?.is_none() {
            return self.discard(root, place, found);
        }
        let to = match found.archive(place).map(|to| Place::found(to, place.hash())).transpose()? {
            Some(to) if is_free(root, &to, &found)? => to,
            _ => self.next_archive(root, place, &found)?,
        };
        if found.record.to.as_deref() != Some(to.component()) || found.record.state != State::Archived {
            found.record.state = State::Archived;
            found.record.to = Some(to.component().to_owned());
            records::write(root, place, &found.record)?;
        }
        self.relocate(root, place, &to, found.record.size)
    }

    fn next_archive(&self, root: &Directory, place: &Place, found: &Found) -> Result<Place, Error> {
        for n in 1..=ARCHIVES {
            let to = place.archive(n);
            if is_free(root, &to, found)? {
                return Ok(to);
            }
        }
        let message =
            format!("{place} has been archived {ARCHIVES} times: purge some with kadalu pvs --purge");
        Err(Error::new(Reason::Precondition, message))
    }

    /// Puts an archived or retained PV back into use, as `name`.
    ///
    /// # Errors
    /// `Invalid` for a name that CSI forbids; `NotFound`; `Exists` where there is another of this name; `Precondition` where
    /// it is in use, or its directory is gone.
    pub fn restore(&self, archived: &str, name: &str) -> Result<Pv, Error> {
        let to = Place::of(&component(name)?)?;
        let root = self.root()?;
        if claim::read(&root)?.is_some() {
            return self.restore_claim(&root, archived, name);
        }
        let (place, mut found) = match put_aside(&root, archived) {
            // It has lost its first name, and is still called archived under the new one.
            Err(error) if error.reason() == Reason::NotFound => match records::read(&root, &to)? {
                Some(found) if found.record.to.as_deref() == Some(to.component()) => (to.clone(), found),
                _ => return Err(error),
            },
            outcome => outcome?,
        };
        if found.state(&place) == State::InUse && place == to {
            // All was done, but for saying so.
            return Ok(found.pv(&place));
        }
        if !matches!(found.state(&place), State::Archived | State::Retained) {
            let message = format!("{place} is {}: there is nothing to restore", found.state(&place));
            return Err(Error::new(Reason::Precondition, message));
        }
        if place != to {
            self.bring_back(&root, &place, &to, name, &mut found)?;
        }
        create::present(&root, &to)?;
        let record = &mut found.record;
        (record.state, record.to) = (State::InUse, None);
        record.name = (name != to.component()).then(|| name.to_owned());
        found.asked = records::write(&root, &to, record)?;
        self.index.set(&to.to_string(), Some(found.record.size));
        Ok(found.pv(&to))
    }

    /// Moves a PV that was put aside to where it will be used.
    fn bring_back(
        &self,
        root: &Directory,
        place: &Place,
        to: &Place,
        name: &str,
        found: &mut Found,
    ) -> Result<(), Error> {
        if let Some(other) = found.leaves_for(place).filter(|other| *other != to.component()) {
            let message = format!("{place} is being moved to {other}: end that first");
            return Err(Error::new(Reason::Precondition, message));
        }
        if !is_free(root, to, found)? {
            let message = format!("there is a PV {name:?} already: restore {place} under another name");
            return Err(Error::new(Reason::Exists, message));
        }
        if records::inode(root, to)? != Some(found.inode) {
            create::present(root, place)?;
        }
        if found.leaves_for(place).is_none() {
            found.record.state = found.state(place);
            found.record.to = Some(to.component().to_owned());
            records::write(root, place, &found.record)?;
        }
        self.relocate(root, place, to, found.record.size)
    }

    /// Moves a PV whose record says so.
    fn relocate(&self, root: &Directory, place: &Place, to: &Place, size: u64) -> Result<(), Error> {
        link(root, place, to)?;
        self.index.set(&place.to_string(), None);
        self.index.set(&to.to_string(), Some(size));
        if let Some(from) = root.open(&place.prefix())? {
            move_directory(root, &from, place, to)?;
        }
        records::remove(root, place)
    }
}

/// Whether a PV can be moved to a place: it has its name there already, or nothing else has.
fn is_free(root: &Directory, to: &Place, found: &Found) -> Result<bool, Error> {
    Ok(match records::inode(root, to)? {
        Some(there) => there == found.inode,
        None => root.kind(&to.to_string())?.is_none(),
    })
}

/// Gives a record its second name.
fn link(root: &Directory, place: &Place, to: &Place) -> Result<(), Error> {
    let words = || format!("cannot give the record of {place} the name of {to}");
    for _ in 0..TRIES {
        let Some(from) = root.open(&place.info())? else { break };
        let into = root.make(&to.info())?;
        match from.link_to(&place.record(), &into, &to.record()) {
            Ok(()) => return into.sync(),
            Err(Errno::NOENT) => {}
            Err(Errno::EXIST) => {
                if records::inode(root, place)? == records::inode(root, to)? {
                    return Ok(());
                }
                let message = format!("{}: another took it; try again", words());
                return Err(Error::new(Reason::Unavailable, message));
            }
            Err(errno) => return Err(errno).doing(words),
        }
    }
    Err(vanishing(words()))
}

/// Moves the directory of a PV; one that is not there has been.
fn move_directory(root: &Directory, from: &Directory, place: &Place, to: &Place) -> Result<(), Error> {
    let words = || format!("cannot move {} to {}", root.at(&place.to_string()), root.at(&to.to_string()));
    for _ in 0..TRIES {
        if from.kind(place.component())?.is_none() {
            return Ok(());
        }
        let into = root.make(&to.prefix())?;
        match from.rename(place.component(), &into, to.component()) {
            Ok(()) => return into.sync(),
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno).doing(words),
        }
    }
    Err(vanishing(words()))
}
