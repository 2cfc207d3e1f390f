use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
    time::{Duration, Instant},
};

use rustix::{fs::AtFlags, io::Errno};
use serde::{Deserialize, Serialize};

use crate::volfile;

/// What a mount answered in time; what is `None` hangs, or comes after what hangs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Probe {
    /// A request that glusterfs answers by itself: does the process live? `ENOTCONN` where it is gone.
    pub alive: Option<Answer>,
    /// A name that does not exist, which no cache knows: bricks had to answer. It also makes glusterfs go over to a graph that is ready.
    pub lookup: Option<Answer>,
    /// statfs(2), which bricks answer too.
    pub statfs: Option<Answer>,
    /// The active graph, or the errno that came instead; only where it was asked for.
    /// `.meta` has no answer while no brick has: the kernel asks for the root directory first.
    pub graph: Option<Result<Graph, i32>>,
}

impl Probe {
    /// Whether I/O works.
    pub fn works(&self) -> bool {
        [self.lookup, self.statfs].iter().all(|step| step.is_some_and(|answer| answer.result.is_ok()))
    }

    pub(super) fn add(&mut self, finding: Finding) {
        match finding {
            Finding::Alive(answer) => self.alive = Some(answer),
            Finding::Lookup(answer) => self.lookup = Some(answer),
            Finding::Statfs(answer) => self.statfs = Some(answer),
            Finding::Graph(graph) => self.graph = Some(graph),
        }
    }
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The errno where it was refused.
    pub result: Result<(), i32>,
    /// Until the answer.
    pub took: Duration,
}

/// The active graph of a glusterfs, as it tells in `.meta`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Graph {
    /// Of glusterfs, such as `10.3`.
    pub version: String,
    /// Of the graph, such as `node1-378-2026-11-23-05:37:01.389904 +0000`: another for each graph.
    pub name: String,
    /// Graphs that the process holds, the active one too.
    pub held: u32,
    /// What glusterfs says it is: not the bytes that it was given, and without changes made in place.
    #[serde(with = "bytes")]
    pub volfile: Vec<u8>,
    /// The graph's `protocol/client` translators.
    pub bricks: Vec<Brick>,
}

/// A brick, as its translator sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brick {
    /// Of the translator, such as `vol-client-0`.
    pub client: String,
    /// Whether it has a connection; not where it does not tell.
    pub connected: bool,
}

/// One part of a [`Probe`].
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Finding {
    Alive(Answer),
    Lookup(Answer),
    Statfs(Answer),
    Graph(Result<Graph, i32>),
}

/// Tells each finding before it goes on to what may hang.
pub(super) fn probe(mount: &Path, graph: bool, tell: &mut dyn FnMut(Finding)) {
    tell(Finding::Alive(timed(|| alive(mount))));
    tell(Finding::Lookup(look(mount)));
    tell(Finding::Statfs(timed(|| rustix::fs::statvfs(mount).map(drop))));
    // After the lookup, which makes glusterfs switch.
    if graph {
        tell(Finding::Graph(
            read_graph(mount).map_err(|error| error.raw_os_error().unwrap_or(Errno::BADMSG.raw_os_error())),
        ));
    }
}

/// Do bricks answer?
pub(super) fn look(mount: &Path) -> Answer {
    timed(|| lookup(mount))
}

fn timed(request: impl FnOnce() -> rustix::io::Result<()>) -> Answer {
    let start = Instant::now();
    let result = request().map_err(Errno::raw_os_error);
    Answer { result, took: start.elapsed() }
}

/// glusterfs keeps no capabilities of files unless it was told to, and says so without asking a brick. The kernel
/// keeps no answer for it, and needs no permission, which would mean a look at the root directory.
fn alive(mount: &Path) -> rustix::io::Result<()> {
    match rustix::fs::lgetxattr_query(mount, "security.capability") {
        Ok(_) | Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(()),
        Err(errno) => Err(errno),
    }
}

fn lookup(mount: &Path) -> rustix::io::Result<()> {
    let name = format!(".kadalu-probe-{:032x}", fastrand::u128(..));
    match rustix::fs::statat(rustix::fs::CWD, mount.join(name), AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(errno),
    }
}

fn read_graph(mount: &Path) -> io::Result<Graph> {
    let meta = mount.join(".meta");
    let graphs = meta.join("graphs");
    let version: serde_json::Value = serde_json::from_slice(&read(&meta.join("version"))?)?;
    let version = version["Package Version"].as_str().unwrap_or_default().to_owned();
    // By its name: the link can change while its files are read.
    let name = fs::read_link(graphs.join("active"))?;
    let directory = graphs.join(&name);
    let held = fs::read_dir(&graphs)?
        .filter(|entry| entry.as_ref().is_ok_and(|entry| entry.file_name() != "active"));
    let held = held.count().try_into().unwrap_or(u32::MAX);
    let volfile = read(&directory.join("volfile"))?;
    let bricks = clients(&volfile).map(|client| Brick {
        connected: read(&directory.join(&client).join("private")).is_ok_and(|text| is_connected(&text)),
        client,
    });
    let bricks = bricks.collect();
    Ok(Graph { version, name: name.to_string_lossy().into_owned(), held, volfile, bricks })
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(volfile::MAX_SIZE as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The names of the `protocol/client` translators. By lines, as glusterfs writes them: it leaves away quotes that a
/// parser would miss.
fn clients(volfile: &[u8]) -> impl Iterator<Item = String> {
    let mut name = None;
    volfile.split(|byte| *byte == b'\n').filter_map(move |line| {
        let line = std::str::from_utf8(line).ok()?.trim();
        if let Some(volume) = line.strip_prefix("volume ") {
            name = Some(volume.to_owned());
        }
        let client = (line == "type protocol/client").then(|| name.take()).flatten();
        // It becomes part of a path.
        client.filter(|client| !client.contains('/'))
    })
}

fn is_connected(private: &[u8]) -> bool {
    private.split(|byte| *byte == b'\n').any(|line| line == b"connected = 1")
}

/// Bytes as a JSON string, a character for each: most are ASCII.
mod bytes {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&bytes.iter().map(|byte| char::from(*byte)).collect::<String>())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.chars().map(u8::try_from).collect::<Result<_, _>>().map_err(Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_of_a_volfile_come_through() {
        let graph = Graph {
            version: "10.3".into(),
            name: "g".into(),
            held: 2,
            volfile: (0..=255).collect(),
            bricks: vec![Brick { client: "c".into(), connected: true }],
        };
        let line = serde_json::to_vec(&Finding::Graph(Ok(graph.clone()))).unwrap();
        assert!(!line.contains(&b'\n'));
        let mut probe = Probe::default();
        probe.add(serde_json::from_slice(&line).unwrap());
        assert_eq!(probe.graph, Some(Ok(graph)));
        let wide = r#"{"Graph":{"Ok":{"version":"","name":"","held":0,"volfile":"Ā","bricks":[]}}}"#;
        assert!(serde_json::from_str::<Finding>(wide).is_err(), "no byte has this character");
    }

    #[test]
    fn clients_are_found_as_glusterfs_writes_them() {
        let volfile = b"volume vol-client-0\n    type protocol/client\n    option x a \"b c\nend-volume\n\
            volume /etc/x\n    type protocol/client\nend-volume\nvolume \xff\n    type protocol/client\nend-volume\n\
            volume io\n    type performance/io-cache\n    option type protocol/client\nend-volume\n\
            volume vol-client-1\n    type protocol/client\nend-volume\n";
        // One with a slash would be a path elsewhere.
        assert_eq!(clients(volfile).collect::<Vec<_>>(), ["vol-client-0", "vol-client-1"]);
    }

    #[test]
    fn a_connection_is_told_by_its_own_line() {
        assert!(is_connected(b"[xlator.protocol.client.c.priv]\nconnected = 1\ntotal_bytes_read = 2\n"));
        for text in ["", "connected = 0\n", "xconnected = 1\n", "connected = 12\n"] {
            assert!(!is_connected(text.as_bytes()), "{text:?}");
        }
    }

    #[test]
    fn io_works_where_both_requests_were_answered() {
        let answer = |result| Some(Answer { result, took: Duration::ZERO });
        let mut probe = Probe { alive: answer(Ok(())), lookup: answer(Ok(())), ..Probe::default() };
        assert!(!probe.works());
        probe.statfs = answer(Err(5));
        assert!(!probe.works());
        probe.statfs = answer(Ok(()));
        assert!(probe.works());
    }
}
