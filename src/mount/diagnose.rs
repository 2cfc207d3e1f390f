//! Why a mount did not come up: from the log of its glusterfs and what else is known, one sentence.
//!
//! The lines were produced with glusterfs 10.3, a failure each. The log holds the volfile with its passwords ("Final
//! graph"), so nothing is repeated from it but the few words that are looked for.

use std::{collections::BTreeMap, process::ExitStatus};

use bstr::ByteSlice as _;

use super::{Error, Reason, source::shortened};
use crate::{
    glusterd::cli::VolumeStatus,
    volfile::{Brick, Graph, Redundancy, Set},
};

/// Bytes at the end of a log that are read.
pub const MAX_LOG: usize = 64 * 1024;

/// Bricks that are named in a sentence.
const MAX_NAMED: usize = 8;

/// What is known of a mount that does not work.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// The volume's name.
    pub volume: &'a str,
    /// What glusterfs has logged since it was started; of a longer text only the last [`MAX_LOG`] bytes are read.
    pub log: &'a [u8],
    /// How glusterfs ended, if it did.
    pub exit: Option<ExitStatus>,
    /// Whether bricks are connected, by the names of their `protocol/client`; one that is not in here is not known.
    pub connected: &'a BTreeMap<String, bool>,
    /// The volfile that glusterfs was given.
    pub graph: Option<&'a Graph<'a>>,
    /// The errno of a lookup at the mount's root.
    pub lookup: Option<i32>,
    /// What a glusterd says of the volume.
    pub status: Option<VolumeStatus>,
}

/// The likeliest reason, the surest evidence first.
pub fn diagnose(evidence: &Evidence<'_>) -> Error {
    let log = &evidence.log[evidence.log.len().saturating_sub(MAX_LOG)..];
    let log = log.to_str_lossy();
    let entries: Vec<_> = log.lines().filter_map(entry).collect();
    let bricks = Bricks::new(evidence, &entries);
    fatal(evidence, &entries, &bricks)
        .or_else(|| stopped(evidence))
        .or_else(|| bricks.missing(evidence.volume))
        .unwrap_or_else(|| unknown(evidence))
}

/// The translator and the message of `[time] LEVEL [MSGID: n] [file:line:function] 0-NAME: MESSAGE`.
fn entry(line: &str) -> Option<(&str, &str)> {
    let (_, rest) = line.strip_prefix('[')?.split_once("] ")?;
    let (_, mut rest) = rest.split_once(' ')?;
    while let Some(bracket) = rest.strip_prefix('[') {
        rest = bracket.split_once("] ")?.1;
    }
    let (name, message) = rest.split_once(": ")?;
    let (graph, name) = name.split_once('-')?;
    graph.bytes().all(|byte| byte.is_ascii_digit()).then_some((name, message))
}

/// The text between two marks.
fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    Some(text.split_once(start)?.1.split_once(end)?.0)
}

/// What ends glusterfs.
fn fatal(evidence: &Evidence<'_>, entries: &[(&str, &str)], bricks: &Bricks<'_>) -> Option<Error> {
    entries.iter().find_map(|(name, message)| {
        let (reason, sentence) = if let Some(why) = between(message, "cannot open /dev/fuse (", ")") {
            let why = shortened(why);
            (Reason::Machine, format!("/dev/fuse cannot be opened ({why}): run `modprobe fuse`, and give a container the device and the privilege"))
        } else if *name == "glusterfs-fuse" && message.starts_with("mount of ") && message.ends_with("failed") {
            (Reason::Machine, "the kernel refused the FUSE mount: the privilege to mount is missing, /dev/fuse is another device, or it does not know one of the mount options".to_owned())
        } else if let Some(why) = between(message, "DL open failed [{error=", "}]") {
            let missing = shortened(why.rsplit('/').next().unwrap_or(why));
            (Reason::Machine, format!("glusterfs cannot load a translator ({missing}): install it, or the library that it needs"))
        } else if let Some(why) = message.strip_prefix("validation failed: ") {
            (Reason::InvalidVolfile, format!("glusterfs refuses an option of {}: {}", shortened(name), shortened(why)))
        } else if let Some(what) = between(message, "Initialization of volume failed", "}]") {
            let name = shortened(what.rsplit("name=").next().unwrap_or(what));
            (Reason::InvalidVolfile, format!("the translator {name} of glusterfs did not start: its log says why"))
        } else if let Some(what) = message.strip_prefix("syntax error: ") {
            let line = shortened(what.split(" (").next().unwrap_or(what));
            (Reason::InvalidVolfile, format!("glusterfs cannot read the volfile: syntax error in {line}"))
        } else if let Some(why) = between(message, "SETVOLUME on remote-host failed [{remote-error=", "}, {errno=") {
            refused(evidence.volume, &bricks.address(name), why)
        } else if message.starts_with("failed to fetch volume file") {
            (Reason::NoSuchVolume, format!("glusterfs was given no volfile of the volume {}", shortened(evidence.volume)))
        } else if *message == "Exhausted all volfile servers" && evidence.exit.is_some() {
            (Reason::Other, "glusterfs could not reach the volfile server of the mount host".to_owned())
        } else {
            return None;
        };
        Some(Error::new(reason, sentence))
    })
}

/// What a brick says to a client that it does not want.
fn refused(volume: &str, brick: &str, why: &str) -> (Reason, String) {
    let volume = shortened(volume);
    if let Some(directory) = between(why, "subdirectory for mount \"", "\"") {
        let directory = shortened(directory);
        (Reason::NoSuchDirectory, format!("there is no directory {directory} in the volume {volume}"))
    } else if why == "Authentication failed" {
        (
            Reason::Access,
            format!(
                "the brick {brick} refuses this client: add its address to auth.allow (`gluster volume set {volume} auth.allow …`) and see auth.reject and auth.ssl-allow"
            ),
        )
    } else {
        (Reason::Bricks, format!("the brick {brick} refuses this client: {}", shortened(why)))
    }
}

fn stopped(evidence: &Evidence<'_>) -> Option<Error> {
    let volume = shortened(evidence.volume);
    let how = match evidence.status? {
        VolumeStatus::Stopped => "is stopped",
        VolumeStatus::Created => "was never started",
        _ => return None,
    };
    Some(Error::new(
        Reason::Stopped,
        format_args!("the volume {volume} {how}: run `gluster volume start {volume}`"),
    ))
}

/// The bricks of the volfile, and what the log says of each.
struct Bricks<'a> {
    sets: Vec<(Set, usize)>,
    connected: &'a BTreeMap<String, bool>,
    said: BTreeMap<&'a str, String>,
}

impl<'a> Bricks<'a> {
    fn new(evidence: &Evidence<'a>, entries: &[(&'a str, &'a str)]) -> Self {
        let mut said = BTreeMap::new();
        for &(name, message) in entries {
            if let Some(what) = trouble(message) {
                said.insert(name, what);
            }
        }
        let sets = evidence.graph.map(|graph| (graph, graph.kind().sets));
        let sets = sets.map(|(graph, sets)| {
            sets.into_iter().map(|set| (needed(graph, &set), set)).map(|(n, set)| (set, n))
        });
        Self { sets: sets.into_iter().flatten().collect(), connected: evidence.connected, said }
    }

    fn address(&self, client: &str) -> String {
        let mut bricks = self.sets.iter().flat_map(|(set, _)| &set.bricks);
        let brick = bricks.find(|brick| brick.client == client);
        brick.map_or_else(|| shortened(client), |brick| shortened(&brick.address.to_string()))
    }

    /// Of which something is known, and nothing good.
    fn is_down(&self, brick: &Brick) -> bool {
        let client = brick.client.as_str();
        self.connected.get(client).map_or_else(|| self.said.contains_key(client), |connected| !connected)
    }

    /// The first set that has too few bricks.
    fn missing(&self, volume: &str) -> Option<Error> {
        self.sets.iter().find_map(|(set, needed)| {
            let down: Vec<_> = set.bricks.iter().filter(|brick| self.is_down(brick)).collect();
            let (up, all) = (set.bricks.len() - down.len(), set.bricks.len());
            if up >= *needed {
                return None;
            }
            let mut names: Vec<_> = down.iter().take(MAX_NAMED).map(|brick| self.named(brick)).collect();
            if down.len() > MAX_NAMED {
                names.push(format!("and {} more", down.len() - MAX_NAMED));
            }
            let (volume, names) = (shortened(volume), names.join(", "));
            let sentence = if all == 1 {
                format!("the brick of the volume {volume} is not connected: {names}")
            } else {
                let set = shortened(&set.name);
                format!("{up} of {all} bricks of {set} in the volume {volume} are connected and {needed} are needed; not connected: {names}")
            };
            Some(Error::new(Reason::Bricks, sentence))
        })
    }

    fn named(&self, brick: &Brick) -> String {
        let address = shortened(&brick.address.to_string());
        match self.said.get(brick.client.as_str()) {
            Some(what) => format!("{address} ({what})"),
            None => address,
        }
    }
}

/// Bricks of a set without which nothing can be read.
fn needed(graph: &Graph<'_>, set: &Set) -> usize {
    let all = set.bricks.len();
    let option = |key| graph.get(&set.name).and_then(|xlator| xlator.option(key));
    match set.redundancy {
        Redundancy::Disperse { data, .. } => data,
        Redundancy::None => 1,
        _ if option("quorum-type").is_some_and(|kind| kind == "none") => 1,
        _ if option("quorum-type").is_some_and(|kind| kind == "fixed") => {
            option("quorum-count").and_then(|count| count.to_str().ok()?.parse().ok()).unwrap_or(1).min(all)
        }
        // Two copies have no quorum unless one is asked for.
        _ if all <= 2 => 1,
        _ => all / 2 + 1,
    }
}

/// What a line says of the connection to a brick.
fn trouble(message: &str) -> Option<String> {
    let said = if message.starts_with("failed to get the port number for remote subvolume") {
        "its glusterd knows no port: the brick process is not running".to_owned()
    } else if message.starts_with("connection attempt on ") {
        shortened(between(message, "failed, (", ")")?).to_lowercase()
    } else if message.starts_with("DNS resolution failed on host ") {
        "its host name cannot be resolved".to_owned()
    } else if message.contains(" has not responded in the last ") {
        "it does not respond".to_owned()
    } else if message.starts_with("could not load our cert at ") {
        "TLS: this machine has no certificate, /etc/ssl/glusterfs.pem".to_owned()
    } else {
        return None;
    };
    Some(said)
}

fn unknown(evidence: &Evidence<'_>) -> Error {
    let volume = shortened(evidence.volume);
    match (evidence.exit, evidence.lookup) {
        (Some(exit), _) => Error::new(
            Reason::Other,
            format_args!("the glusterfs of the volume {volume} ended ({exit}): its log says why"),
        ),
        (None, Some(errno)) => Error::new(
            Reason::Other,
            format_args!("the volume {volume} cannot be read: {}", std::io::Error::from_raw_os_error(errno)),
        ),
        (None, None) => Error::new(
            Reason::TimedOut,
            format_args!(
                "the volume {volume} does not answer: glusterfs runs, and nothing comes back from its bricks"
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volfile::example::Example;

    /// Of real logs of glusterfs 10.3.
    const AUTH: &str = "[2026-11-23 05:36:18.728178 +0000] E [MSGID: 114044] [client-handshake.c:756:client_setvolume_cbk] 0-vol-client-1: SETVOLUME on remote-host failed [{remote-error=Authentication failed}, {errno=13}, {error=Permission denied}] ";
    const SUBDIRECTORY: &str = "[2026-11-23 05:33:25.901850 +0000] E [MSGID: 114044] [client-handshake.c:756:client_setvolume_cbk] 0-vol-client-0: SETVOLUME on remote-host failed [{remote-error=subdirectory for mount \"/nosuch\" is not found}, {errno=2}, {error=No such file or directory}] ";
    const NO_PORT: &str = "[2026-11-23 05:34:14.554868 +0000] E [MSGID: 114058] [client-handshake.c:1193:client_query_portmap_cbk] 0-vol-client-0: failed to get the port number for remote subvolume. Please run gluster volume status on server to see if brick process is running [] ";
    const NO_ROUTE: &str = "[2026-11-23 05:36:59.757050 +0000] E [socket.c:3539:socket_connect] 0-vol-client-2: connection attempt on  failed, (Network is unreachable)";
    const NO_FUSE: &str = "[2026-11-23 05:36:21.184220 +0000] E [mount.c:475:gf_fuse_mount] 0-glusterfs-fuse: cannot open /dev/fuse (No such file or directory)\n[2026-11-23 05:36:21.184242 +0000] E [MSGID: 101019] [xlator.c:640:xlator_init] 0-fuse: Initialization of volume failed. review your volfile again. [{name=fuse}] ";
    const MOUNT: &str = "[2026-11-23 05:36:27.516904 +0000] E [mount.c:510:gf_fuse_mount] 0-glusterfs-fuse: mount of 10.77.0.1:one to /mnt (default_permissions,relatime,allow_other,max_read=131072) failed";
    const NO_TYPE: &str = "[2026-11-23 05:36:40.331895 +0000] W [MSGID: 101095] [xlator.c:392:xlator_dynload] 0-xlator: DL open failed [{error=/usr/lib/x86_64-linux-gnu/glusterfs/10.3/xlator/performance/nonesuch.so: cannot open shared object file: No such file or directory}] ";
    const BAD_OPTION: &str = "[2026-11-23 05:36:40.797847 +0000] E [MSGID: 101090] [graph.c:401:glusterfs_graph_validate_options] 0-one-write-behind: validation failed: invalid number format \"banana\" in option \"cache-size\" ";
    const SYNTAX: &str = "[2026-11-23 05:36:40.557608 +0000] E [MSGID: 101021] [graph.y:360:graphyyerror] 0-parser: syntax error: line 17 (volume 'one-client-0'): \"endvolume\"";
    const WEDGED: &str = "[2026-11-23 05:39:50.376159 +0000] C [rpc-clnt-ping.c:152:rpc_clnt_ping_timer_expired] 0-vol-client-0: server 10.77.0.1:58660 has not responded in the last 42 seconds, disconnecting.";
    const NO_VOLUME: &str = "[2026-11-23 05:33:25.315441 +0000] E [glusterfsd-mgmt.c:2371:mgmt_getspec_cbk] 0-mgmt: failed to fetch volume file (key:nosuch)";

    fn told(log: &str, connected: &[(&str, bool)], status: Option<VolumeStatus>) -> (Reason, String) {
        let volfile = Example::with_bricks("vol", 3, 3).volfile();
        let graph = Graph::new(&volfile).unwrap();
        let connected = connected.iter().map(|(name, up)| ((*name).to_owned(), *up)).collect();
        let error = diagnose(&Evidence {
            volume: "vol",
            log: log.as_bytes(),
            exit: None,
            connected: &connected,
            graph: Some(&graph),
            lookup: Some(107),
            status,
        });
        (error.reason(), error.to_string())
    }

    #[test]
    fn each_failure_has_its_reason_and_its_sentence() {
        for (log, reason, expected) in [
            (
                AUTH,
                Reason::Access,
                "server-1.example.net:/bricks/vol/brick-1 refuses this client: add its address to auth.allow",
            ),
            (SUBDIRECTORY, Reason::NoSuchDirectory, "no directory /nosuch in the volume vol"),
            (NO_FUSE, Reason::Machine, "/dev/fuse cannot be opened (No such file or directory)"),
            (MOUNT, Reason::Machine, "the kernel refused the FUSE mount"),
            (NO_TYPE, Reason::Machine, "nonesuch.so: cannot open shared object file"),
            (
                BAD_OPTION,
                Reason::InvalidVolfile,
                "an option of one-write-behind: invalid number format \"banana\"",
            ),
            (SYNTAX, Reason::InvalidVolfile, "syntax error in line 17"),
            (NO_VOLUME, Reason::NoSuchVolume, "no volfile of the volume vol"),
            ("", Reason::Other, "cannot be read: Transport endpoint is not connected"),
        ] {
            let (told, sentence) = told(log, &[], None);
            assert_eq!(told, reason, "{sentence}");
            assert!(sentence.contains(expected), "{sentence}");
        }
    }

    #[test]
    fn quorum_names_what_is_missing_and_why() {
        let log = format!("{NO_PORT}\n{NO_ROUTE}");
        let (reason, sentence) =
            told(&log, &[("vol-client-0", false), ("vol-client-1", true), ("vol-client-2", false)], None);
        assert_eq!(reason, Reason::Bricks);
        assert_eq!(
            sentence,
            "1 of 3 bricks of vol-replicate-0 in the volume vol are connected and 2 are needed; not connected: \
             server-0.example.net:/bricks/vol/brick-0 (its glusterd knows no port: the brick process is not running), \
             server-2.example.net:/bricks/vol/brick-2 (network is unreachable)"
        );
        assert!(told(WEDGED, &[("vol-client-1", false)], None).1.contains("brick-0 (it does not respond)"));
        // Two of three are enough.
        assert_eq!(told(NO_PORT, &[], None).0, Reason::Other);
    }

    #[test]
    fn a_stopped_volume_comes_before_its_bricks() {
        let (reason, sentence) = told(NO_PORT, &[("vol-client-1", false)], Some(VolumeStatus::Stopped));
        assert_eq!(reason, Reason::Stopped);
        assert!(sentence.contains("`gluster volume start vol`"));
    }

    #[test]
    fn hostile_logs_are_bounded_and_tell_no_secret() {
        let long = format!("[t] E [x] 0-a: validation failed: {}", "é".repeat(200_000));
        assert!(told(&long, &[], None).1.len() < 300);
        let graph = " 18:     option password 0c5f2142-8ba6-43e8-b60c-5c469afb35af\n[\n[] [\n[t] E [";
        assert!(!told(graph, &[], None).1.contains("0c5f"));
        let split = &AUTH.as_bytes()[..AUTH.len() - 40];
        let _ = told(&String::from_utf8_lossy(split), &[], None);
    }
}
