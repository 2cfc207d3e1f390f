use super::{Error, Reason};
use crate::glusterd::cli::VolumeStatus;

#[derive(Debug, Default, Clone)]
pub(super) struct Evidence {
    pub(super) volume: String,
    pub(super) volfile: bytes::Bytes,
    pub(super) log: Vec<u8>,
    pub(super) status: Option<VolumeStatus>,
    pub(super) started: Option<String>,
    pub(super) lookup: Option<i32>,
    pub(super) bricks: Vec<super::helper::Brick>,
}
pub(super) fn diagnose(e: &Evidence) -> Error {
    Error::new(Reason::Other, format!("{e:?}"))
}
