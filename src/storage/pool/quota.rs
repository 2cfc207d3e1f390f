//! The limit that a PV is to have, stated where every brick can read it: see [`crate::storage::quota`].

use rustix::{fs::XattrFlags, io::Errno};

use super::{
    Pool,
    records::{self, Found},
    tree::Directory,
};
use crate::storage::{
    Error,
    error::Doing,
    layout::Place,
    quota::{self, ASKED, Asked, STATED},
};

impl Pool {
    /// States the limit of a PV anew, which wakes the quotad of each brick, and says which it is; none where no limit is to be
    /// set, or there is no PV.
    ///
    /// # Errors
    /// `Invalid` for what is no component; `Precondition` where its record cannot be read.
    pub fn state_quota(&self, component: &str) -> Result<Option<Asked>, Error> {
        let place = Place::of(component)?;
        let root = self.root()?;
        let Some(found) = records::read(&root, &place)? else { return Ok(None) };
        if let Some(info) = root.open(&place.info())? {
            let record = place.record();
            state(&info, &record, &found, true)?;
            match info.set_attribute(STATED, record.as_bytes(), XattrFlags::empty()) {
                Ok(()) | Err(Errno::NOTSUP | Errno::PERM) => {}
                Err(errno) => {
                    return Err(errno)
                        .doing(|| format!("cannot set the attribute {STATED} of {}", place.info()));
                }
            }
        }
        Ok(found.asked)
    }

    /// An attribute of the root of the volume, as one of its bricks has it.
    ///
    /// # Errors
    /// What stands in the way of reading it.
    pub fn root_attribute(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        self.root()?.attribute(name)
    }
}

/// The value of [`ASKED`].
pub(super) fn attribute(asked: Option<&Asked>) -> Result<Vec<u8>, Error> {
    quota::write(&asked).map_err(|error| Error::other("cannot write the limit of a PV", error))
}

/// States the limit that a record asks for at the record, where it is not stated; with `anew`, in any case. One that has
/// taken its place since it was read states its own.
pub(super) fn state(info: &Directory, record: &str, found: &Found, anew: bool) -> Result<(), Error> {
    let value = attribute(found.asked.as_ref())?;
    let new = |there: Option<Vec<u8>>| (anew || there.as_ref() != Some(&value)).then_some(value);
    info.change_attribute(record, found.inode, ASKED, new)
}
