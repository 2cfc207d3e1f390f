//! The records of a pool as files: read, written so that each is whole at every moment, and walked through.

use std::{
    collections::HashSet,
    time::{Duration, SystemTime},
};

use rustix::{fs::Stat, io::Errno};

use super::{
    Pv, quota,
    readers::each,
    tree::{Directory, TRIES, vanishing},
};
use crate::storage::{
    Error, Reason,
    error::Doing,
    layout::{self, DATA, INFO, Place},
    quota::Asked,
    record::{MAX_RECORD, Record, State},
};

/// How old a temporary file must be to be nobody's any more.
const STALE: Duration = Duration::from_secs(3600);

/// A record as it was found.
pub(super) struct Found {
    pub(super) record: Record,
    /// The limit that it asks for.
    pub(super) asked: Option<Asked>,
    /// Two names of one file are one record that is being moved.
    pub(super) inode: u64,
    /// Whether it has two names.
    twice: bool,
}

impl Found {
    /// The component that it is on its way to; none where it is where it belongs.
    pub(super) fn leaves_for(&self, place: &Place) -> Option<&str> {
        self.record.to.as_deref().filter(|to| *to != place.component())
    }

    /// The archive that it is on its way to; nothing else is called so.
    pub(super) fn archive(&self, place: &Place) -> Option<&str> {
        self.leaves_for(place).filter(|to| place.is_archive(to))
    }

    /// Where the PV is in its life; kadalu tells of archived ones by their name only.
    pub(super) fn state(&self, place: &Place) -> State {
        match self.record.state {
            State::InUse if place.first_component().is_some() => State::Archived,
            state => state,
        }
    }

    /// Whether it is a PV that pods may use: in use or retained, and not on its way.
    pub(super) fn is_usable(&self, place: &Place) -> bool {
        matches!(self.state(place), State::InUse | State::Retained) && self.record.to.is_none()
    }

    /// What it says of the PV at `place`.
    pub(super) fn pv(&self, place: &Place) -> Pv {
        let Record { size, reclaim, quota, created, name, .. } = self.record.clone();
        let state = self.state(place);
        let component = match state {
            State::Archived => place.first_component(),
            _ => None,
        }
        .unwrap_or(place.component());
        Pv {
            name: name.unwrap_or_else(|| component.to_owned()),
            component: place.component().to_owned(),
            path: place.to_string(),
            size,
            reclaim,
            quota,
            asked: self.asked.clone(),
            state,
            created,
        }
    }
}

/// The record of a place; none where there is none.
pub(super) fn read(root: &Directory, place: &Place) -> Result<Option<Found>, Error> {
    let path = format!("{}/{}", place.info(), place.record());
    let Some((bytes, stat)) = root.read(&path, MAX_RECORD)? else { return Ok(None) };
    parse(&bytes, &stat, || root.at(&path)).map(Some)
}

/// The inode of the record of a place; none where there is none.
pub(super) fn inode(root: &Directory, place: &Place) -> Result<Option<u64>, Error> {
    Ok(root.stat(&format!("{}/{}", place.info(), place.record()))?.map(|stat| stat.st_ino))
}

fn parse(bytes: &[u8], stat: &Stat, path: impl FnOnce() -> String) -> Result<Found, Error> {
    let record = Record::parse(bytes).map_err(|error| {
        let message = format!(
            "{} is no record of a PV: {error}; nothing is done to the PV until it is mended or moved away",
            path()
        );
        Error::new(Reason::Precondition, message)
    })?;
    let asked = record.asked(bytes);
    Ok(Found { record, asked, inode: stat.st_ino, twice: stat.st_nlink > 1 })
}

/// Writes the record of a new PV; false where there is one already.
pub(super) fn publish(root: &Directory, place: &Place, record: &Record) -> Result<bool, Error> {
    let put = |info: &Directory, temporary: &str| {
        let linked = info.link(temporary, &place.record());
        // Also where it has failed; what is left behind here, the next sweep finds.
        let removed = info.unlink(temporary);
        match linked {
            Ok(()) => removed.map(|_| Some(true)),
            Err(Errno::EXIST) => Ok(Some(false)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno).doing(|| format!("cannot make {}", info.at(&place.record()))),
        }
    };
    written(root, place, record, put).map(|(put, _)| put)
}

/// Replaces the record of a PV, and says which limit the new one asks for.
pub(super) fn write(root: &Directory, place: &Place, record: &Record) -> Result<Option<Asked>, Error> {
    let put = |info: &Directory, temporary: &str| match info.rename(temporary, info, place.record()) {
        Ok(()) => Ok(Some(())),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno).doing(|| format!("cannot replace {}", info.at(&place.record()))),
    };
    written(root, place, record, put).map(|((), asked)| asked)
}

/// Writes a record, with the limit that it asks for, to a temporary file and has it put in place; again where its directory
/// was taken away as empty.
fn written<T>(
    root: &Directory,
    place: &Place,
    record: &Record,
    put: impl Fn(&Directory, &str) -> Result<Option<T>, Error>,
) -> Result<(T, Option<Asked>), Error> {
    let bytes = Record { path_prefix: place.prefix(), ..record.clone() }.to_bytes()?;
    let asked = record.asked(&bytes);
    let attribute = quota::attribute(asked.as_ref())?;
    for _ in 0..TRIES {
        let info = root.make(&place.info())?;
        sweep(&info, place)?;
        let temporary = format!(".{}.{:016x}", place.record(), fastrand::u64(..));
        match info.write_new(&temporary, &bytes, &attribute) {
            Ok(()) => {}
            Err(Errno::NOENT) => continue,
            Err(errno) => return Err(errno).doing(|| format!("cannot write {}", info.at(&temporary))),
        }
        if let Some(outcome) = put(&info, &temporary)? {
            info.sync()?;
            return Ok((outcome, asked));
        }
    }
    Err(vanishing(format_args!("cannot write the record of {place}")))
}

/// Removes what writers of this record, killed or beaten, have left; one who still writes fails and tries again.
pub(super) fn sweep(info: &Directory, place: &Place) -> Result<(), Error> {
    let start = format!(".{}.", place.record());
    for name in info.names()? {
        let name = name?;
        if name.starts_with(&start) {
            info.unlink(&name)?;
        }
    }
    Ok(())
}

/// [`sweep`], where there may be nothing.
pub(super) fn sweep_of(root: &Directory, place: &Place) -> Result<(), Error> {
    root.open(&place.info())?.map_or(Ok(()), |info| sweep(&info, place))
}

/// Removes the record of a PV, and the directories of its hash that are empty then.
pub(super) fn remove(root: &Directory, place: &Place) -> Result<(), Error> {
    if let Some(info) = root.open(&place.info())? {
        sweep(&info, place)?;
        info.unlink(&place.record())?;
        info.sync()?;
    }
    prune(root, place);
    Ok(())
}

/// Takes away the directories of a hash where they are empty; where that fails, they stay.
pub(super) fn prune(root: &Directory, place: &Place) {
    let Some((first, second)) = place.hash().split_once('/') else { return };
    for top in [INFO, DATA] {
        let remove = |path: &str, name: &str| match root.open(path) {
            Ok(Some(parent)) => matches!(parent.rmdir(name), Ok(()) | Err(Errno::NOENT)),
            _ => false,
        };
        if remove(&format!("{top}/{first}"), second) {
            remove(top, first);
        }
    }
}

/// All records of a pool, each with its place; those that cannot be read are named in the log.
pub(super) fn all(root: &Directory, sweeping: bool) -> Result<Vec<(Place, Found)>, Error> {
    let Some(info) = root.open(INFO)? else { return Ok(Vec::new()) };
    let firsts = info.names()?.filter(is_hash).collect::<Result<Vec<_>, _>>()?;
    let walk = |first: String| below(&info, &first, sweeping);
    each(firsts.into_iter(), Vec::new(), walk, |found, walked| {
        found.extend(walked?);
        Ok(())
    })
}

/// The sizes that a pool has promised, by the place's path. A record with two names is being moved, and counts once.
pub(super) fn promised(found: Vec<(Place, Found)>) -> impl Iterator<Item = (String, u64)> {
    let mut moving = HashSet::new();
    found
        .into_iter()
        .filter(|(place, found)| found.state(place) != State::Deleting)
        .filter(move |(_, found)| !found.twice || moving.insert(found.inode))
        .map(|(place, found)| (place.to_string(), found.record.size))
}

/// The records below the first directory of a hash.
fn below(info: &Directory, first: &str, sweeping: bool) -> Result<Vec<(Place, Found)>, Error> {
    let mut all = Vec::new();
    let Some(directory) = readable(info.open(first))? else { return Ok(all) };
    for second in directory.names()?.filter(is_hash) {
        let second = second?;
        let Some(directory) = readable(directory.open(&second))? else { continue };
        for name in directory.names()? {
            let name = name?;
            if name.starts_with('.') {
                if sweeping {
                    sweep_stale(&directory, &name)?;
                }
                continue;
            }
            let Some(component) = name.strip_suffix(".json") else { continue };
            let hash = format!("{first}/{second}");
            all.extend(readable(found(&directory, component, &hash, &name, sweeping))?);
        }
    }
    Ok(all)
}

/// None, with a warning, for what is not as it should be; only what keeps the volume from being read at all is an error.
fn readable<T>(result: Result<Option<T>, Error>) -> Result<Option<T>, Error> {
    result.or_else(|error| match error.reason() {
        Reason::Precondition | Reason::Invalid => {
            tracing::warn!(%error, "left out of the records of PVs");
            Ok(None)
        }
        _ => Err(error),
    })
}

fn found(
    directory: &Directory,
    component: &str,
    hash: &str,
    name: &str,
    sweeping: bool,
) -> Result<Option<(Place, Found)>, Error> {
    let place = Place::found(component, hash)?;
    if place != Place::of(component)? && place.first_component().is_none() {
        let message =
            format!("{} lies where no PV of its name is looked for: move it away", directory.at(name));
        return Err(Error::new(Reason::Precondition, message));
    }
    let Some((bytes, stat)) = directory.read(name, MAX_RECORD)? else { return Ok(None) };
    let found = parse(&bytes, &stat, || directory.at(name))?;
    if sweeping && let Err(error) = quota::state(directory, name, &found, false) {
        tracing::warn!(%error, "the limit of a PV is not stated for its bricks");
    }
    Ok(Some((place, found)))
}

fn sweep_stale(directory: &Directory, name: &str) -> Result<(), Error> {
    let Some(stat) = directory.stat(name)? else { return Ok(()) };
    let written = u64::try_from(stat.st_mtime).unwrap_or_default();
    let written = SystemTime::UNIX_EPOCH + Duration::from_secs(written);
    if name.contains(".json.") && written.elapsed().is_ok_and(|age| age > STALE) {
        directory.unlink(name)?;
    }
    Ok(())
}

/// Also what could not be read, which is told further on.
fn is_hash(name: &Result<String, Error>) -> bool {
    name.as_ref().map_or(true, |name| layout::is_hash(name))
}
