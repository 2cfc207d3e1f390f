//! The records of PVs on a brick: which there are, and what each asks for.

use std::{
    ffi::CStr,
    io::Read,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{fs::Dir, io::Errno};

use super::brick::{attribute, directory, failed, plain_file, shown};
use crate::storage::{
    layout::{INFO, Place, is_hash},
    quota::{self, ASKED, Asked, Code, Problem, Share},
    record::{MAX_RECORD, Record, State},
};

/// The most sentences about what was skipped that are kept.
const MAX_SKIPPED: usize = 100;

/// What a record says of its PV.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Recorded {
    /// This is to be its limit; or why that is not known.
    Asked(Result<Asked, Problem>),
    /// It is about to go, or no limit is wanted: nothing is to change.
    Left,
}

/// What was skipped, a sentence each.
#[derive(Debug, Default)]
pub(super) struct Skipped(Vec<String>);

impl Skipped {
    /// Adds a sentence, if there is room for more.
    pub(super) fn add(&mut self, sentence: String) {
        if self.0.len() < MAX_SKIPPED {
            self.0.push(sentence);
        }
    }

    /// All of them.
    pub(super) fn into_sentences(self) -> Vec<String> {
        self.0
    }
}

/// The record of a place; none where there is none.
pub(super) fn of(root: impl AsFd, place: &Place, share: Share) -> Result<Option<Recorded>, Problem> {
    match directory(root, place.info()) {
        Ok(Some(info)) => read(info.as_fd(), place, share),
        Ok(None) => Ok(None),
        Err(errno) => Err(failed(format_args!("cannot open {}", place.info()), errno)),
    }
}

/// The record of a place, in its directory; none where there is none.
fn read(info: BorrowedFd<'_>, place: &Place, share: Share) -> Result<Option<Recorded>, Problem> {
    let words = || format!("cannot read {}/{}", place.info(), place.record());
    let file = match plain_file(info, place.record()) {
        Ok(Some(file)) => file,
        Ok(None) => return Ok(None),
        Err(Errno::INVAL | Errno::LOOP) => {
            let words = format_args!("{}: it is no plain file; move it away", words());
            return Err(Problem::new(Code::RecordInvalid, words));
        }
        Err(errno) => return Err(failed(words(), errno)),
    };
    let stated = attribute(file.as_fd(), ASKED).map_err(|errno| failed(words(), errno))?;
    let mut bytes = Vec::new();
    file.take(MAX_RECORD as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| failed(words(), Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
    let parsed = if bytes.len() > MAX_RECORD {
        Err(format!("it has more than {MAX_RECORD} bytes"))
    } else {
        Record::parse(&bytes)
    };
    if parsed.as_ref().is_ok_and(|record| record.state == State::Deleting) {
        return Ok(Some(Recorded::Left));
    }
    let stated = stated.and_then(|value| quota::read::<Option<Asked>>(&value));
    let stated = stated.filter(|asked| asked.as_ref().is_none_or(is_sane));
    // Written in place, as kadalu's own controller does, the file keeps the attribute of the record that was there before.
    let is_old = |stated: &Asked| share.data == 1 && stated.generation != quota::generation(&bytes);
    let asked = match (stated, parsed) {
        (Some(Some(stated)), Ok(record)) if is_old(&stated) => Ok(record.asked(&bytes)),
        (Some(asked), _) => Ok(asked),
        (None, Ok(record)) => Ok(record.asked(&bytes)),
        // Of a file there are fragments here, or nothing.
        (None, Err(_)) if share.data > 1 || bytes.is_empty() => Err(Problem::new(
            Code::RecordUnreadable,
            format_args!(
                "nothing says on this brick how large {place} is to be: its record has no attribute {ASKED}, \
                 which the controller of the CSI driver sets when it looks at the PV"
            ),
        )),
        (None, Err(why)) => Err(Problem::new(
            Code::RecordInvalid,
            format_args!(
                "{}/{} is no record of a PV: {why}; mend it on the volume, or move it away",
                place.info(),
                place.record()
            ),
        )),
    };
    Ok(Some(asked.transpose().map_or(Recorded::Left, Recorded::Asked)))
}

/// Whether an attribute is what the controller writes; anybody with the volume mounted can write another.
fn is_sane(asked: &Asked) -> bool {
    let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    asked.generation.len() == 16 && asked.generation.bytes().all(hex)
}

/// Walks through all records of a brick, and the directories that they lie in.
pub(super) trait Visitor {
    /// A directory of records is entered, before its entries are read: `info`, `info/subvol`, `info/subvol/d3`, ….
    fn enter(&mut self, path: &str, directory: BorrowedFd<'_>);

    /// A record, or why it is none.
    fn record(&mut self, place: Place, recorded: Result<Recorded, Problem>);

    /// What is no record, although it is called like one; a sentence.
    fn skip(&mut self, sentence: String);

    /// Whether to go on.
    fn go_on(&self) -> bool;
}

/// Visits all records below a directory of records, such as `info`, at which a brick's tree of them begins.
pub(super) fn walk(root: BorrowedFd<'_>, path: &str, share: Share, visitor: &mut dyn Visitor) {
    match directory(root, path) {
        Ok(Some(opened)) => below(&opened, path, share, visitor),
        Ok(None) => {}
        Err(errno) => visitor.skip(failed(format_args!("cannot open {path}"), errno).sentence),
    }
}

fn below(opened: &OwnedFd, path: &str, share: Share, visitor: &mut dyn Visitor) {
    visitor.enter(path, opened.as_fd());
    let entries = match Dir::read_from(opened) {
        Ok(entries) => entries,
        Err(errno) => return visitor.skip(failed(format_args!("cannot read {path}"), errno).sentence),
    };
    for entry in entries {
        if !visitor.go_on() {
            return;
        }
        let entry = match entry {
            Ok(entry) => entry,
            Err(errno) => return visitor.skip(failed(format_args!("cannot read {path}"), errno).sentence),
        };
        match child(path, entry.file_name()) {
            Child::Directory(name) => match directory(opened, name) {
                Ok(Some(next)) => below(&next, &format!("{path}/{name}"), share, visitor),
                // It is gone meanwhile, or no directory.
                Ok(None) | Err(Errno::NOTDIR | Errno::LOOP) => {}
                Err(errno) => visitor.skip(failed(format_args!("cannot open {path}/{name}"), errno).sentence),
            },
            Child::Record(place) => match read(opened.as_fd(), &place, share) {
                Ok(Some(recorded)) => visitor.record(place, Ok(recorded)),
                Ok(None) => {}
                Err(problem) => visitor.record(place, Err(problem)),
            },
            Child::Odd(why) => visitor.skip(why),
            Child::Nothing => {}
        }
    }
}

/// What an entry of a directory of records can be, by its name.
pub(super) enum Child<'a> {
    /// Another of them.
    Directory(&'a str),
    /// A record.
    Record(Place),
    /// A record where nobody looks for it; a sentence.
    Odd(String),
    /// Something of others, or a temporary file.
    Nothing,
}

/// What an entry of the directory of records at `path` can be.
pub(super) fn child<'a>(path: &str, name: &'a CStr) -> Child<'a> {
    let text = name.to_str();
    let Some(hash) = path.strip_prefix(INFO) else {
        // `info` has `subvol`, and directories for what kadalu has besides.
        let subvol = text.is_ok_and(|name| {
            INFO.strip_prefix(path).is_some_and(|rest| rest.trim_start_matches('/') == name)
        });
        return if subvol { Child::Directory("subvol") } else { Child::Nothing };
    };
    let hash = hash.trim_start_matches('/');
    if hash.len() < 5 {
        return match text {
            Ok(name) if is_hash(name) => Child::Directory(name),
            _ => Child::Nothing,
        };
    }
    if !name.to_bytes().ends_with(b".json") || name.to_bytes().starts_with(b".") {
        return Child::Nothing;
    }
    let component = text.ok().and_then(|name| name.strip_suffix(".json"));
    let place = component.and_then(|component| {
        let place = Place::found(component, hash).ok()?;
        let belongs = place.first_component().is_some() || Place::of(component).is_ok_and(|of| of == place);
        belongs.then_some(place)
    });
    match place {
        Some(place) => Child::Record(place),
        None => Child::Odd(format!(
            "{path}/{} lies where no PV of its name is looked for: move it away",
            shown(name)
        )),
    }
}
