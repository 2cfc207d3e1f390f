//! Every option that a glusterfs mount has been given by someone: what becomes of it here.
//!
//! From `glusterfs --help` of 9.2, 10.3 and 11.1, what each of them accepts when it is tried, and the words that
//! `mount -t glusterfs` knows.

use super::value::Kind;

/// An option by its one spelling here.
#[derive(Debug)]
pub(super) struct Known {
    /// In lower case, with `-` between words.
    pub(super) name: &'static str,
    /// What becomes of it.
    pub(super) what: What,
    /// The first major release whose glusterfs has it; 0 for all.
    pub(super) since: u32,
}

/// What becomes of an option.
#[derive(Debug, Clone, Copy)]
pub(super) enum What {
    /// `--name`, or nothing: what it is given as a value is a boolean.
    Flag,
    /// `--name=value`.
    Value(Kind),
    /// A word for the kernel's mount, in `--fuse-mountopts`.
    Kernel,
    /// The opposite of such a word.
    NotKernel(&'static str),
    /// A label of SELinux for the kernel's mount: `name="value"` there.
    Label,
    /// The same as another option, with a value.
    As(&'static str),
    /// A boolean with the opposite meaning of that flag.
    Not(&'static str),
    /// Of a translator: `--xlator-option=` with this before the name.
    Xlator(&'static str),
    /// `NAME.KEY=VALUE`; the only one that may be given more than once.
    XlatorOption,
    /// `HOST:/PATH` of the one brick that is shown.
    Brick,
    /// Of the target, not of the process: whether nothing can be written.
    ReadOnly(bool),
    /// More servers, `:` between them.
    Servers,
    /// For fstab(5), mount(8) or systemd: nothing to do here.
    Foreign,
    /// Left out, and why.
    Ignored(&'static str),
    /// An error, and what to do.
    Refused(&'static str),
}

use What::{
    As, Brick, Flag, Foreign, Ignored, Kernel, Label, Not, NotKernel, ReadOnly, Refused, Servers, Value,
    Xlator, XlatorOption,
};

const OWN_LOG: &str = "the mount host keeps the log of each glusterfs itself";
const OWN_SERVER: &str = "glusterfs gets its volfile from the mount host";
const OWN_PROCESS: &str = "the mount host runs glusterfs itself";
/// Each of them ends glusterfs 10.3 where it stands in `--fuse-mountopts`.
const NOT_PASSED: &str = "glusterfs cannot pass it on to the kernel";
const NOT_HANDLED: &str = "glusterfs does not handle it";
const PORT: &str = "write the port behind its server, such as g1:24008:/VOLUME";
const DIRECTORY: &str = "write the directory behind the volume: SERVERS:/VOLUME/DIRECTORY";

const fn known(name: &'static str, what: What) -> Known {
    Known { name, what, since: 0 }
}

/// In the order of their names.
pub(super) const KNOWN: &[Known] = &[
    known("acl", Flag),
    known("async", NotKernel("sync")),
    known("atime", NotKernel("noatime")),
    known("attr-times-granularity", Value(Kind::Number(0, 1_000_000_000))),
    known("attribute-timeout", Value(Kind::Seconds)),
    known("auto", Foreign),
    known("auto-invalidation", Value(Kind::Switch)),
    known("auto-unmount", Ignored("the mount host detaches the mount of a glusterfs that has died")),
    known("aux-gfid-mount", Flag),
    known("background-qlen", Value(Kind::Number(1, 65_535))),
    known("backup-volfile-servers", Servers),
    known("backupvolfile-server", Servers),
    known("brick", Brick),
    known("brick-mux", Refused("it is for bricks")),
    known("capability", Flag),
    known("client-pid", Refused("it makes a process of the cluster's own out of a mount")),
    known("comment", Foreign),
    known("congestion-threshold", Value(Kind::Number(1, 65_535))),
    known("context", Label),
    known("debug", Refused("write log-level=DEBUG")),
    known("defaults", Foreign),
    known("defcontext", Label),
    known("dev", NotKernel("nodev")),
    known("diratime", Foreign),
    known("direct-io-mode", Value(Kind::SwitchOrAuto)),
    known("dirsync", Kernel),
    known("dump-fuse", Refused("it would write all that is read and written to a file")),
    known("enable-ino32", Value(Kind::Switch)),
    known("entry-timeout", Value(Kind::Seconds)),
    known("event-history", Value(Kind::Switch)),
    known("exec", NotKernel("noexec")),
    known("fetch-attempts", Ignored(OWN_SERVER)),
    known("fopen-keep-cache", Value(Kind::Switch)),
    known("fs-display-name", Ignored("the mount host names its mounts")),
    known("fscontext", Label),
    known("fuse-dev-eperm-ratelimit-ns", Value(Kind::Number(0, 1_000_000_000))),
    known("fuse-event-history", As("event-history")),
    known("fuse-flush-handle-interrupt", Value(Kind::Switch)),
    known("fuse-mountopts", Refused("write its words as options of their own, such as noatime,nodev")),
    known("gid-timeout", Value(Kind::Number(0, 2_147_483_647))),
    known("global-threading", Flag),
    known("global-timer-wheel", Flag),
    known("group", Foreign),
    known("halo-max-latency", Xlator("*replicate*.")),
    known("halo-max-replicas", Xlator("*replicate*.")),
    known("halo-min-replicas", Xlator("*replicate*.")),
    Known { name: "inode-table-size", what: Value(Kind::PowerOfTwo), since: 11 },
    known("invalidate-limit", Value(Kind::Number(0, 2_147_483_647))),
    Known { name: "io-engine", what: Value(Kind::Words(&["auto", "legacy", "io_uring"])), since: 10 },
    known("iversion", Ignored(NOT_HANDLED)),
    known("kernel-writeback-cache", Value(Kind::Switch)),
    known("lazyatime", As("lazytime")),
    known("lazytime", Ignored(NOT_PASSED)),
    known("localtime-logging", Flag),
    known("log-buf-size", Ignored(OWN_LOG)),
    known("log-file", Ignored(OWN_LOG)),
    known("log-flush-timeout", Ignored(OWN_LOG)),
    known("log-format", Ignored(OWN_LOG)),
    known(
        "log-level",
        Value(Kind::Words(&["TRACE", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL", "NONE"])),
    ),
    known("logger", Ignored(OWN_LOG)),
    known("loud", Foreign),
    known("lru-limit", Value(Kind::Number(0, 2_147_483_647))),
    known("mac-compat", Value(Kind::Switch)),
    known("mand", Ignored(NOT_HANDLED)),
    known("mem-accounting", Ignored("glusterfs has no such option since release 9")),
    known("negative-timeout", Value(Kind::Seconds)),
    known("netdev", Foreign),
    known("no-daemon", Refused(OWN_PROCESS)),
    known("no-root-squash", Flag),
    known("noatime", Kernel),
    known("noauto", Foreign),
    known("nodev", Kernel),
    known("nodiratime", Ignored(NOT_PASSED)),
    known("noexec", Kernel),
    known("nofail", Foreign),
    known("noiversion", Foreign),
    known("nolazyatime", Foreign),
    known("nolazytime", Foreign),
    known("nomand", Foreign),
    known("norelatime", Foreign),
    known("nostrictatime", Foreign),
    known("nosuid", Kernel),
    known("nouser", Foreign),
    known("oom-score-adj", Value(Kind::Number(-1000, 1000))),
    known("owner", Foreign),
    known("pid-file", Refused(OWN_PROCESS)),
    known("process-name", Ignored(OWN_PROCESS)),
    known("read-only", ReadOnly(true)),
    known("reader-thread-count", Value(Kind::Number(1, 64))),
    known("readonly", ReadOnly(true)),
    known("relatime", Ignored(NOT_PASSED)),
    known("resolve-gids", Flag),
    known("ro", ReadOnly(true)),
    known("root-squash", Not("no-root-squash")),
    known("rootcontext", Label),
    known("rw", ReadOnly(false)),
    known(
        "secure-mgmt",
        Refused("how the mount host reaches the servers is an option of the mount host (--tls-ca)"),
    ),
    known("selinux", Flag),
    known("server-port", Refused(PORT)),
    known("silent", Foreign),
    known("socket-file", Refused(OWN_PROCESS)),
    known("strictatime", Ignored(NOT_PASSED)),
    known("subdir-mount", Refused(DIRECTORY)),
    known("suid", NotKernel("nosuid")),
    known("sync", Kernel),
    known("thin-client", Refused("the mount host serves no gfproxy volfiles")),
    known("transport", Value(Kind::Transport)),
    known("use-readdirp", Value(Kind::Switch)),
    known("user", Foreign),
    known("users", Foreign),
    known("volfile", Refused(OWN_SERVER)),
    known("volfile-check", Ignored("the mount host checks each volfile")),
    known("volfile-id", Refused("write the volume behind the servers: SERVERS:/VOLUME")),
    known("volfile-max-fetch-attempts", Ignored(OWN_SERVER)),
    known("volfile-server", Servers),
    known("volfile-server-port", Refused(PORT)),
    known("volfile-server-transport", Value(Kind::Transport)),
    known("volume-id", Refused("write the volume behind the servers: SERVERS:/VOLUME")),
    known("volume-name", Refused("the top of the volfile is what is mounted")),
    known("worm", Flag),
    known("xlator-option", XlatorOption),
];

const OF_FSTAB: &str = "it is for mount(8), fstab(5) and systemd, and does nothing to the mount itself";

impl Known {
    /// Why it has no effect on a mount of ours, where it has none.
    pub(super) fn idle(&self) -> Option<&'static str> {
        match self.what {
            Ignored(why) => Some(why),
            Foreign => Some(OF_FSTAB),
            Value(Kind::Transport) => Some("bricks are reached as the volfile says"),
            As(other) => find(other).and_then(Self::idle),
            _ => None,
        }
    }
}

/// The option of that name.
pub(super) fn find(name: &str) -> Option<&'static Known> {
    KNOWN.binary_search_by(|known| known.name.cmp(name)).ok().map(|at| &KNOWN[at])
}

/// The known name that is most like this one, if one is.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    nearest_of(name, KNOWN.iter().map(|known| known.name))
}

/// The word that is most like this one, if one is.
pub(crate) fn nearest_of<'w>(name: &str, words: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    let near = words.map(|word| (distance(name, word), word)).min()?;
    (near.0 <= 1 + name.len() / 4).then_some(near.1)
}

/// How many letters are to be added, left out or changed to make one of the other.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in other.bytes().enumerate() {
            let changed = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_points_into_itself() {
        assert!(KNOWN.is_sorted_by(|one, next| one.name < next.name));
        for known in KNOWN {
            if let As(other) | Not(other) | NotKernel(other) = known.what {
                assert!(find(other).is_some(), "{other}");
            }
        }
    }

    #[test]
    fn slips_are_recognised() {
        assert_eq!(nearest("log-levle"), Some("log-level"));
        assert_eq!(nearest("atribute-timeout"), Some("attribute-timeout"));
        assert_eq!(nearest("frobnicate"), None);
    }
}
