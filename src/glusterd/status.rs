//! STATUS_VOLUME: what the bricks of a volume say of themselves. The one read-only procedure with a price: it takes the
//! cluster's lock for the volume and asks every server, so ask once and never poll (facts §3.3). A server that starts a
//! brick at that moment may hang: glusterd 10.3 waits, holding its own lock, for the end of the pipe of `xfs_info` or
//! `tune2fs`, which the new brick inherits, and the brick waits for its volfile from that glusterd (seen by gdb).

use serde::Serialize;

use super::{
    Dict, ReplyError,
    cli::dict_reply,
    dict,
    handshake::{DictReply, DictRequest},
    programs::procedures,
};

procedures! {
    /// Asks for the state of a volume's bricks.
    StatusVolume = CLI 27 (DictRequest<'a>) -> DictReply<'a>;
}

/// `GF_CLI_STATUS_DETAIL` of `GF_CLI_STATUS_VOL`, as `gluster volume status VOLUME detail` sends it (captured, 10.3).
const DETAIL: &str = "288";

/// The dict for [`StatusVolume`] of one volume with the details of its bricks.
pub fn detail_request(volume: &str) -> Vec<u8> {
    dict::encode(&[("cmd", DETAIL), ("volname", volume)])
}

/// A process of a volume as its server describes it: a brick, or a daemon beside the bricks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BrickStatus {
    /// The host as the cluster knows it; for a daemon its name, such as `Self-heal Daemon`.
    pub host: String,
    /// The path of the brick; for a daemon the host.
    pub path: String,
    /// Whether it runs and is connected to its glusterd.
    pub online: bool,
    /// Its TCP port; `None` where it does not listen.
    pub port: Option<u16>,
    /// Its process on its host.
    pub pid: Option<i32>,
    /// What lies below a brick; `None` where it is offline.
    pub file_system: Option<FileSystem>,
}

/// The file system of a brick.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileSystem {
    /// Its type, such as `xfs`.
    pub kind: String,
    /// Its device.
    pub device: Option<String>,
    /// Its mount options, such as `rw,prjquota`.
    pub mount_options: Option<String>,
    /// Bytes of an inode.
    pub inode_size: Option<u64>,
    /// Bytes in all.
    pub total: Option<u64>,
    /// Bytes free.
    pub free: Option<u64>,
    /// Inodes in all.
    pub inodes: Option<u64>,
    /// Inodes free.
    pub inodes_free: Option<u64>,
}

/// The bricks and daemons in the results of [`StatusVolume`], in the order of the volume.
pub fn bricks(body: &[u8]) -> Result<Vec<BrickStatus>, ReplyError> {
    let dict = dict_reply(body)?;
    // Numbered from 0 to `brick-index-max`, daemons behind it; whatever is claimed, no further than the dict can hold.
    let number = |key| dict.number::<usize>(key).unwrap_or(0);
    let last = number("brick-index-max").saturating_add(number("other-count"));
    Ok((0..=last.min(dict.iter().count())).filter_map(|n| brick(&dict, n)).collect())
}

fn brick(dict: &Dict<'_>, n: usize) -> Option<BrickStatus> {
    let text =
        |key: &str| dict.text(format!("brick{n}.{key}")).filter(|text| !text.is_empty() && text != "N/A");
    let number = |key: &str| dict.number::<u64>(format!("brick{n}.{key}"));
    let file_system = text("fs_name").map(|kind| FileSystem {
        kind,
        device: text("device"),
        mount_options: text("mnt_options"),
        inode_size: number("inode_size"),
        total: number("total"),
        free: number("free"),
        inodes: number("total_inodes"),
        inodes_free: number("free_inodes"),
    });
    Some(BrickStatus {
        host: text("hostname")?,
        path: text("path")?,
        online: number("status") == Some(1),
        port: number("port").and_then(|port| u16::try_from(port).ok()).filter(|&port| port != 0),
        pid: dict.number(format!("brick{n}.pid")).filter(|&pid: &i32| pid > 0),
        file_system,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xdr::{self, Opaque, Text};

    fn reply(pairs: &[(&str, &str)]) -> Vec<u8> {
        let dict = dict::encode(pairs);
        let reply = DictReply { op_ret: 0, op_errno: 0, op_errstr: Text(&[]), dict: Opaque(&dict) };
        xdr::encode(&reply).unwrap()
    }

    #[test]
    fn a_brick_is_read_with_its_file_system_and_an_offline_one_without() {
        let bricks = bricks(&reply(&[
            ("brick-index-max", "1"),
            ("brick0.hostname", "g1"),
            ("brick0.path", "/b"),
            ("brick0.status", "1"),
            ("brick0.port", "55672"),
            ("brick0.pid", "8159"),
            ("brick0.fs_name", "xfs"),
            ("brick0.mnt_options", "rw,prjquota"),
            ("brick0.inode_size", "512"),
            ("brick0.free", "10"),
            ("brick1.hostname", "g2"),
            ("brick1.path", "/b"),
            ("brick1.status", "0"),
            ("brick1.pid", "-1"),
        ]))
        .unwrap();
        assert_eq!(bricks.len(), 2);
        let file_system = bricks[0].file_system.as_ref().unwrap();
        assert_eq!((bricks[0].port, file_system.inode_size), (Some(55672), Some(512)));
        assert_eq!((bricks[1].online, bricks[1].pid, &bricks[1].file_system), (false, None, &None));
    }

    #[test]
    fn a_claimed_number_of_bricks_is_not_walked() {
        let body = reply(&[
            ("brick-index-max", "18446744073709551615"),
            ("other-count", "1"),
            ("brick0.hostname", "g"),
            ("brick0.path", "/b"),
        ]);
        assert_eq!(bricks(&body).unwrap().len(), 1);
    }
}
