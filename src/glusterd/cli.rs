//! The read-only part of the CLI program: what glusterd tells any remote host about its volumes and peers (facts §3.1, §3.3).
//! Lists are local and cheap; nothing here takes the cluster's locks (that is [`super::status`]).

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    Dict, MAX_DICT, ReplyError, dict,
    handshake::{DictReply, DictRequest},
    programs::procedures,
    succeeded,
};
use crate::xdr::{self, Opaque, xdr};

procedures! {
    /// Lists the peers of a server.
    ListFriends = CLI 3 (ListFriendsRequest<'a>) -> ListFriendsReply<'a>;
    /// Describes one volume. Without the key `flags` it is never answered.
    GetVolume = CLI 5 (DictRequest<'a>) -> DictReply<'a>;
    /// Lists the volumes.
    ListVolume = CLI 33 (DictRequest<'a>) -> DictReply<'a>;
    /// Asks for the id of the server.
    UuidGet = CLI 36 (DictRequest<'a>) -> DictReply<'a>;
}

xdr! {
    /// Arguments of [`ListFriends`].
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct ListFriendsRequest<'a> {
        /// 1: the peers; 2: the whole pool, the answering server as `localhost`.
        pub flags: i32,
        /// Nothing.
        pub dict: Opaque<'a, MAX_DICT>,
    }
}

xdr! {
    /// Results of [`ListFriends`].
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct ListFriendsReply<'a> {
        /// Below zero for a failure.
        pub op_ret: i32,
        /// An errno.
        pub op_errno: i32,
        /// The peers, as a dict.
        pub friends: Opaque<'a, MAX_DICT>,
    }
}

/// Results of a procedure that answers with a dict.
pub(super) fn dict_reply(body: &[u8]) -> Result<Dict<'_>, ReplyError> {
    let reply = xdr::decode::<DictReply<'_>>(body)?;
    succeeded(reply.op_ret, reply.op_errno, reply.op_errstr.0)?;
    Ok(Dict::decode(reply.dict.0)?)
}

/// The volumes in the results of [`ListVolume`].
pub fn volumes(body: &[u8]) -> Result<Vec<String>, ReplyError> {
    let dict = dict_reply(body)?;
    let count = dict.number::<usize>("count").unwrap_or(0).min(dict.iter().count());
    Ok((0..count).filter_map(|n| dict.text(format!("volume{n}"))).collect())
}

/// The id of the server in the results of [`UuidGet`].
pub fn uuid(body: &[u8]) -> Result<Option<String>, ReplyError> {
    Ok(dict_reply(body)?.text("uuid"))
}

/// A server of the pool, as another one sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Friend {
    /// Its id.
    pub uuid: String,
    /// The name it was probed by; `localhost` for the answering server itself.
    pub hostname: String,
    /// Its other names.
    pub other_names: Vec<String>,
    /// Its port, 0 where unknown.
    pub port: u16,
    /// What the servers think of each other: `Peer in Cluster` where all is well; absent for the answering server.
    pub state: Option<String>,
    /// Whether the answering server is connected to it.
    pub connected: bool,
}

/// The arguments of [`ListFriends`] for the whole pool.
pub const POOL: ListFriendsRequest<'static> = ListFriendsRequest { flags: 2, dict: Opaque(&[]) };

/// The servers in the results of [`ListFriends`]. A server without peers has no dict at all.
pub fn friends(body: &[u8]) -> Result<Vec<Friend>, ReplyError> {
    let reply = xdr::decode::<ListFriendsReply<'_>>(body)?;
    succeeded(reply.op_ret, reply.op_errno, &[])?;
    let dict = Dict::decode(reply.friends.0)?;
    let count = dict.number::<usize>("count").unwrap_or(0).min(dict.iter().count());
    let friend = |n: usize| {
        let text = |key: &str| dict.text(format!("friend{n}.{key}"));
        Some(Friend {
            uuid: text("uuid")?,
            hostname: text("hostname")?,
            other_names: (1..).map_while(|m| text(&format!("hostname{m}"))).collect(),
            port: dict.number(format!("friend{n}.port")).unwrap_or(0),
            state: text("state"),
            connected: dict.number::<i32>(format!("friend{n}.connected")) == Some(1),
        })
    };
    Ok((1..=count).filter_map(friend).collect())
}

/// The dict for [`GetVolume`] of one volume (flags 2: by name).
pub fn volume_request(volume: &str) -> Vec<u8> {
    dict::encode(&[("flags", "2"), ("volname", volume)])
}

/// Whether a volume serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum VolumeStatus {
    /// Never started.
    Created,
    /// Serves.
    Started,
    /// Was started once and does not serve.
    Stopped,
    /// A number that 6 to 11 do not have.
    Other(i32),
}

/// A volume as its server describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VolumeInfo {
    /// Its name.
    pub name: String,
    /// Its id; a volume made anew under an old name has another.
    pub id: Option<String>,
    /// Whether it serves.
    pub status: VolumeStatus,
    /// 0 distribute, 2 replicate, 4 disperse; 1, 3 and 5 are historic.
    pub kind: i32,
    /// Copies of each file; 1 for none but the one.
    pub replica_count: u32,
    /// How many of them are arbiters.
    pub arbiter_count: u32,
    /// Bricks of one disperse set; 0 without.
    pub disperse_count: u32,
    /// How many of them may be lost.
    pub redundancy_count: u32,
    /// Bricks of one set up to Gluster 10, and how many sets there are from 11 on (facts §3.3).
    #[serde(skip)]
    pub dist_count: u32,
    /// None before Gluster 7 (facts §3.3).
    #[serde(skip)]
    pub thin_arbiter_count: Option<u32>,
    /// `host:/path` of the thin arbiter.
    pub thin_arbiter: Option<String>,
    /// Snapshots.
    pub snapshot_count: u32,
    /// In the order of the volume.
    pub bricks: Vec<BrickInfo>,
    /// Options that an admin has set.
    pub options: BTreeMap<String, String>,
}

/// One brick of a [`VolumeInfo`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BrickInfo {
    /// `host:/path`.
    pub name: String,
    /// The id of its server.
    pub host_uuid: Option<String>,
    /// Whether it holds names only.
    pub arbiter: bool,
}

/// glusterd's errno for a volume that there is not (`EG_NOVOL`).
pub const NO_SUCH_VOLUME: i32 = 30_806;

/// The volume in the results of [`GetVolume`]; `None` where there is no such volume.
pub fn volume(body: &[u8]) -> Result<Option<VolumeInfo>, ReplyError> {
    let dict = match dict_reply(body) {
        Err(ReplyError::Failed { op_errno: NO_SUCH_VOLUME, .. }) => return Ok(None),
        other => other?,
    };
    let text = |key: &str| dict.text(format!("volume0.{key}"));
    let number = |key: &str| dict.number::<u32>(format!("volume0.{key}")).unwrap_or(0);
    let Some(name) = text("name") else { return Ok(None) };
    let brick = |n: u32| {
        Some(BrickInfo {
            name: text(&format!("brick{n}"))?,
            host_uuid: text(&format!("brick{n}.uuid")),
            arbiter: number(&format!("brick{n}.isArbiter")) == 1,
        })
    };
    let option = |(key, value): (&bstr::BStr, &bstr::BStr)| {
        let key = key.strip_prefix(b"volume0.option.")?;
        Some((String::from_utf8_lossy(key).into_owned(), value.to_string()))
    };
    Ok(Some(VolumeInfo {
        name,
        id: text("volume_id"),
        status: match dict.number("volume0.status") {
            Some(0) => VolumeStatus::Created,
            Some(1) => VolumeStatus::Started,
            Some(2) => VolumeStatus::Stopped,
            other => VolumeStatus::Other(other.unwrap_or(-1)),
        },
        kind: dict.number("volume0.type").unwrap_or(-1),
        replica_count: number("replica_count"),
        arbiter_count: number("arbiter_count"),
        disperse_count: number("disperse_count"),
        redundancy_count: number("redundancy_count"),
        dist_count: number("dist_count"),
        thin_arbiter_count: dict.number("volume0.thin_arbiter_count"),
        thin_arbiter: text("thin_arbiter_brick"),
        snapshot_count: number("snap_count"),
        bricks: (1..).map_while(brick).collect(),
        options: dict.iter().filter_map(option).collect(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xdr::Text;

    fn reply(op_ret: i32, op_errno: i32, pairs: &[(&str, &str)]) -> Vec<u8> {
        let dict = dict::encode(pairs);
        xdr::encode(&DictReply { op_ret, op_errno, op_errstr: Text(b"so"), dict: Opaque(&dict) }).unwrap()
    }

    #[test]
    fn a_list_is_no_longer_than_its_dict_whatever_it_claims() {
        let body = reply(0, 0, &[("count", "4000000000"), ("volume0", "a"), ("volume1", "b")]);
        assert_eq!(volumes(&body).unwrap(), ["a", "b"]);
    }

    #[test]
    fn an_unknown_volume_is_none_and_another_failure_has_its_words() {
        assert_eq!(volume(&reply(-1, NO_SUCH_VOLUME, &[("count", "0")])), Ok(None));
        let error = volume(&reply(-1, 5, &[])).unwrap_err();
        assert_eq!(error.to_string(), "glusterd answered op_ret -1, op_errno 5: so");
    }

    #[test]
    fn a_volume_is_read_with_its_bricks_and_options() {
        let info = volume(&reply(
            0,
            0,
            &[
                ("volume0.name", "v"),
                ("volume0.status", "1"),
                ("volume0.type", "2"),
                ("volume0.replica_count", "3"),
                ("volume0.arbiter_count", "1"),
                ("volume0.brick1", "g1:/b"),
                ("volume0.brick2", "g2:/b"),
                ("volume0.brick2.isArbiter", "1"),
                ("volume0.option.auth.allow", "*"),
            ],
        ));
        let info = info.unwrap().unwrap();
        assert_eq!(info.status, VolumeStatus::Started);
        assert_eq!(info.bricks.len(), 2);
        assert!(info.bricks[1].arbiter);
        assert_eq!(info.options["auth.allow"], "*");
    }
}
