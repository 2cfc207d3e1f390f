//! The handshake program: GETSPEC, which fetches a volfile, and its lesser procedures (facts §3.1, §4.4, §5).

use super::{
    Dict, MAX_DICT, MAX_KEY, MAX_SPEC, OpVersions, ReplyError, dict, programs::procedures, succeeded,
};
use crate::xdr::{self, Malformed, Opaque, Text, xdr};

procedures! {
    /// Fetches a volfile.
    Getspec = HANDSHAKE 2 (GetspecRequest<'a>) -> GetspecReply<'a>;
    /// Tells glusterd of an event. Not a subscription: every connection is told of changes without it (facts §3.3).
    EventNotify = HANDSHAKE 5 (EventNotifyRequest<'a>) -> EventNotifyReply<'a>;
    /// Asks for the id of a volume.
    GetVolumeInfo = HANDSHAKE 6 (DictRequest<'a>) -> DictReply<'a>;
    /// Asks for the started snapshots of a volume.
    GetSnapshotInfo = HANDSHAKE 7 (DictRequest<'a>) -> DictReply<'a>;
}

xdr! {
    /// Arguments of [`Getspec`].
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct GetspecRequest<'a> {
        /// Ignored by glusterd; the stock client sends 1.
        pub flags: u32,
        /// What to fetch: a volume's name, or one of the keys of facts §5.1.
        pub key: Text<'a, 1024>,
        /// A dict with the op-versions of the client; without it glusterd takes them for 1.
        pub xdata: Opaque<'a, MAX_DICT>,
    }
}

xdr! {
    /// Results of [`Getspec`]. Only [`GetspecReply::outcome`] tells whether they are a success.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct GetspecReply<'a> {
        /// The size of the volfile, or some other number for a failure.
        pub op_ret: i32,
        /// An errno, also set now and then on success.
        pub op_errno: i32,
        /// The volfile.
        pub spec: Text<'a, MAX_SPEC>,
        /// A dict; from Gluster 8 on with the other servers of the cluster.
        pub xdata: Opaque<'a, MAX_DICT>,
    }
}

xdr! {
    /// Arguments of [`EventNotify`].
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct EventNotifyRequest<'a> {
        /// Which event.
        pub op: i32,
        /// What about it.
        pub dict: Opaque<'a, MAX_DICT>,
    }
}

xdr! {
    /// Results of [`EventNotify`].
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct EventNotifyReply<'a> {
        /// Below zero for a failure.
        pub op_ret: i32,
        /// An errno.
        pub op_errno: i32,
        /// A dict.
        pub dict: Opaque<'a, MAX_DICT>,
    }
}

xdr! {
    /// Arguments that are one dict.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct DictRequest<'a> {
        /// The dict.
        pub dict: Opaque<'a, MAX_DICT>,
    }
}

xdr! {
    /// Results that are one dict, with glusterd's words for a failure.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct DictReply<'a> {
        /// Below zero for a failure.
        pub op_ret: i32,
        /// An errno; 2 even on success in some procedures.
        pub op_errno: i32,
        /// What went wrong.
        pub op_errstr: Text<'a, 65536>,
        /// The dict.
        pub dict: Opaque<'a, MAX_DICT>,
    }
}

/// A volfile as a server gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spec<'a> {
    /// The volfile.
    pub text: &'a [u8],
    /// `cluster.brick-vol-servers`: `host:port host:port `, the connected peers of the answering server as the servers know
    /// them; empty before Gluster 8 (facts §4.4).
    pub servers: &'a [u8],
}

/// A GETSPEC that was answered, but not with a volfile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// -1 with errno 2, 12 or 0, which all mean: no such volume, or not ready (facts §5.5).
    #[error("no such volume (op_errno {op_errno})")]
    NotFound {
        /// 2, 12 or 0 by version and state of the server.
        op_errno: i32,
    },
    /// -1 with errno 95: the volume wants a newer client than was announced.
    #[error("the volume needs a client of another op-version than was announced")]
    OpVersion,
    /// The size announced is not that of the volfile: it was caught half-written, or holds a NUL.
    #[error("torn volfile: {announced} bytes announced, {arrived} arrived")]
    Torn {
        /// `op_ret`.
        announced: i32,
        /// Length of the volfile.
        arrived: usize,
    },
    /// A success without content: the file on the server is empty.
    #[error("the volfile is empty on the server")]
    Empty,
    /// Any other failure.
    #[error("glusterd refused: op_ret {op_ret}, op_errno {op_errno}")]
    Other {
        /// The result; above zero for a key that is too long.
        op_ret: i32,
        /// An errno.
        op_errno: i32,
    },
}

const ENOENT: i32 = 2;
const ENOMEM: i32 = 12;
const EINVAL: i32 = 22;
const ENOTSUP: i32 = 95;

impl<'a> GetspecReply<'a> {
    /// The volfile, by the one rule that holds for every version: `op_ret > 0` and as long as that (facts §5.5).
    pub fn outcome(&self) -> Result<&'a [u8], Refusal> {
        let spec = self.spec.0;
        match (self.op_ret, self.op_errno) {
            (1.., _) if !spec.is_empty() => match usize::try_from(self.op_ret) {
                Ok(len) if len == spec.len() => Ok(spec),
                _ => Err(Refusal::Torn { announced: self.op_ret, arrived: spec.len() }),
            },
            (0, _) => Err(Refusal::Empty),
            (-1, ENOTSUP) => Err(Refusal::OpVersion),
            (-1, op_errno @ (0 | ENOENT | ENOMEM)) => Err(Refusal::NotFound { op_errno }),
            (op_ret, op_errno) => Err(Refusal::Other { op_ret, op_errno }),
        }
    }

    /// The reply that carries `spec` to a client. `op_errno` is 0 and the stock client compares the length with nothing.
    pub fn success(spec: &'a [u8], xdata: &'a [u8]) -> Result<Self, Malformed> {
        let op_ret = i32::try_from(spec.len()).unwrap_or(i32::MAX);
        Ok(Self { op_ret, op_errno: 0, spec: Text(spec), xdata: Opaque(xdata) })
    }

    /// The reply for a volume that there is not; -1, because that alone is a failure to the stock client (facts §5.5).
    pub const NOT_FOUND: Self = Self::failure(ENOENT);
    /// The reply for a key that no glusterd would take.
    pub const INVALID: Self = Self::failure(EINVAL);
    /// The reply for a client that is too old or too new for the volume. A stock client exits upon it, even one with a
    /// mount that works.
    pub const OP_VERSION: Self = Self::failure(ENOTSUP);

    const fn failure(op_errno: i32) -> Self {
        Self { op_ret: -1, op_errno, spec: Text(&[]), xdata: Opaque(&[]) }
    }
}

/// The arguments of [`Getspec`] for a key, with the xdata that [`OpVersions::to_dict`] made.
pub fn getspec<'a>(key: &'a str, xdata: &'a [u8]) -> GetspecRequest<'a> {
    GetspecRequest { flags: 0, key: Text::from(key), xdata: Opaque(xdata) }
}

/// Reads the results of [`Getspec`]; the inner error is one that the server meant.
pub fn spec(body: &[u8]) -> Result<Result<Spec<'_>, Refusal>, ReplyError> {
    let reply = xdr::decode::<GetspecReply<'_>>(body)?;
    Ok(match reply.outcome() {
        Ok(text) => {
            let servers = Dict::decode(reply.xdata.0)?.get("cluster.brick-vol-servers");
            Ok(Spec { text, servers: servers.map_or(&[], |value| value.as_ref()) })
        }
        Err(refusal) => Err(refusal),
    })
}

/// The op-versions that came with a GETSPEC; the error is the reply to send where its key or xdata is bad (facts §5.5).
pub fn announced(request: &GetspecRequest<'_>) -> Result<Option<OpVersions>, GetspecReply<'static>> {
    if request.key.0.len() > MAX_KEY {
        return Err(GetspecReply::INVALID);
    }
    if request.xdata.0.is_empty() {
        return Ok(None);
    }
    // glusterd answers -2 where the keys are missing; a stock client would take that for success, so ours says -1.
    OpVersions::from_dict(request.xdata.0).ok().flatten().map(Some).ok_or(GetspecReply::NOT_FOUND)
}

/// The dict for [`GetVolumeInfo`]: flag 1 asks for the id of the volume (2 fails with errno 22, run on 10.3).
pub fn volume_id_request(volume: &str) -> Vec<u8> {
    dict::encode(&[("flags", "1"), ("volname", volume)])
}

/// The volume id in the results of [`GetVolumeInfo`].
pub fn volume_id(body: &[u8]) -> Result<Option<String>, ReplyError> {
    let reply = xdr::decode::<DictReply<'_>>(body)?;
    succeeded(reply.op_ret, reply.op_errno, reply.op_errstr.0)?;
    Ok(Dict::decode(reply.dict.0)?.text("volume_id"))
}

/// A snapshot that is activated.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Snapshot {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: String,
    /// The volume that holds it.
    pub volume: String,
}

/// The dict for [`GetSnapshotInfo`].
pub fn snapshots_request(volume: &str) -> Vec<u8> {
    dict::encode(&[("volname", volume)])
}

/// The snapshots in the results of [`GetSnapshotInfo`].
pub fn snapshots(body: &[u8]) -> Result<Vec<Snapshot>, ReplyError> {
    let reply = xdr::decode::<DictReply<'_>>(body)?;
    succeeded(reply.op_ret, reply.op_errno, reply.op_errstr.0)?;
    let dict = Dict::decode(reply.dict.0)?;
    let count = dict.number::<usize>("snap-count").unwrap_or(0);
    let snapshot = |n: usize| {
        Some(Snapshot {
            name: dict.text(format!("snapname.{n}"))?,
            id: dict.text(format!("snap-id.{n}"))?,
            volume: dict.text(format!("snap-volname.{n}"))?,
        })
    };
    // Numbered from 0 or 1 by version; a claimed count beyond what the dict can hold is not walked.
    Ok((0..=count.min(dict.iter().count())).filter_map(snapshot).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        glusterd::{OpVersion, Procedure},
        rpc::{Limits, Peer},
    };
    use bytes::Buf;

    fn reply(op_ret: i32, op_errno: i32, spec: &[u8]) -> Result<&[u8], Refusal> {
        GetspecReply { op_ret, op_errno, spec: Text(spec), xdata: Opaque(&[]) }.outcome()
    }

    #[test]
    fn only_a_volfile_of_the_announced_length_is_a_success() {
        assert_eq!(reply(3, 2, b"abc"), Ok(&b"abc"[..]));
        assert_eq!(reply(4, 0, b"abc"), Err(Refusal::Torn { announced: 4, arrived: 3 }));
        assert_eq!(reply(328, 22, b""), Err(Refusal::Other { op_ret: 328, op_errno: 22 }));
        assert_eq!(reply(-2, 2, b""), Err(Refusal::Other { op_ret: -2, op_errno: 2 }));
        assert_eq!(reply(0, 0, b""), Err(Refusal::Empty));
        assert_eq!(reply(-1, 95, b""), Err(Refusal::OpVersion));
        for op_errno in [0, 2, 12] {
            assert_eq!(reply(-1, op_errno, b""), Err(Refusal::NotFound { op_errno }));
        }
    }

    #[test]
    fn golden_getspec_call() {
        let mut peer = Peer::<()>::new(Limits::default());
        let now = std::time::Instant::now();
        let xdata = OpVersions { min: OpVersion(1), max: OpVersion(100_000) }.to_dict();
        let call = (Getspec::PROGRAM, Getspec::NUMBER);
        peer.notify(call, &()).unwrap();
        let skip = peer.waiting();
        peer.transmit().advance(skip);
        peer.call(now, std::time::Duration::ZERO, call, &getspec("one", &xdata), ()).unwrap();
        // The bytes of facts §14, as glusterd 10.3 accepted them.
        let golden = "80000074 00000002 00000000 00000002 00dbb4a9 00000002 00000002 00000000
            00000000 00000000 00000000 00000000 00000003 6f6e6500 0000003b 00000002
            0000000e 00000007 6d61782d 6f702d76 65727369 6f6e0031 30303030 30000000
            000e0000 00026d69 6e2d6f70 2d766572 73696f6e 00310000";
        let golden =
            golden.split_whitespace().flat_map(|w| u32::from_str_radix(w, 16).unwrap().to_be_bytes());
        assert_eq!(peer.transmit().chunk(), golden.collect::<Vec<_>>());
    }

    #[test]
    fn every_truncation_of_a_reply_is_an_error_with_a_place() {
        let servers = dict::encode(&[("cluster.brick-vol-servers", "g2:24007 ")]);
        let bytes = xdr::encode(&GetspecReply::success(b"volume x", &servers).unwrap()).unwrap();
        for cut in 0..bytes.len() {
            let error = spec(&bytes[..cut]).unwrap_err().to_string();
            assert!(error.contains("GetspecReply.") && error.contains("byte "), "{error}");
        }
        let spec = spec(&bytes).unwrap().unwrap();
        assert_eq!((spec.text, spec.servers), (&b"volume x"[..], &b"g2:24007 "[..]));
    }

    #[test]
    fn a_spec_longer_than_what_arrived_costs_nothing() {
        let mut bytes = xdr::encode(&GetspecReply::NOT_FOUND).unwrap();
        for (len, message) in
            [(u32::MAX, "at most 16777216 allowed"), (16 << 20, "16777216 bytes needed, 4 left")]
        {
            bytes[8..12].copy_from_slice(&len.to_be_bytes());
            let mut error = String::new();
            let use_of_memory = allocation_counter::measure(|| error = spec(&bytes).unwrap_err().to_string());
            assert!(error.contains(message), "{error}");
            assert!(use_of_memory.bytes_max < 4096, "{use_of_memory:?}");
        }
    }

    #[test]
    fn decoding_a_reply_of_64_kib_allocates_nothing() {
        let text = vec![b'x'; 64 << 10];
        let bytes = xdr::encode(&GetspecReply::success(&text, &[]).unwrap()).unwrap();
        let use_of_memory = allocation_counter::measure(|| {
            assert_eq!(spec(&bytes).unwrap().unwrap().text.len(), text.len());
        });
        assert_eq!(use_of_memory.count_total, 0);
    }
}
