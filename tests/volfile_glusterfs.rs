//! Reads volfiles as glusterfs does: the corpus in `tests/volfiles` is given to the installed `glusterfs` and
//! to us, and what its parser says in its log, word by word, is what we must have read.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bstr::{BStr, BString, ByteSlice};
use glusterd_client::volfile::{Fault, Graph, Severity, Volfile};

/// Refused by us, taken by glusterfs, for a reason that stands at `Volfile::parse`.
const STRICTER: &[&str] = &["string-unterminated-at-end.vol"];

#[test]
fn reads_as_glusterfs_reads() {
    let Some(xlators) = glusterfs() else { return };
    let corpus = corpus();
    assert!(corpus.len() > 90, "the corpus is incomplete: {} files", corpus.len());
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(path) = corpus.get(next.fetch_add(1, Ordering::Relaxed)) {
                    compare(path, &xlators);
                }
            });
        }
    });
}

/// Where the installed translators are; `None`, said aloud, if there is no glusterfs and no way to get it.
fn glusterfs() -> Option<PathBuf> {
    let directory = || {
        let output = Command::new("glusterfs").arg("--print-xlatordir").output().ok()?;
        Some(PathBuf::from(output.stdout.trim_ascii().to_str().ok()?))
    };
    directory().or_else(|| {
        let _ = Command::new("apt-get").args(["install", "-y", "glusterfs-client"]).status();
        let installed = directory();
        if installed.is_none() {
            eprintln!("SKIPPED: there is no glusterfs here and apt-get cannot install it (root? network?)");
        }
        installed
    })
}

fn corpus() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/volfiles");
    let files =
        [directory.clone(), directory.join("real")].into_iter().flat_map(|dir| fs::read_dir(dir).unwrap());
    files
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "vol"))
        .collect()
}

fn compare(path: &Path, xlators: &Path) {
    let name = path.file_name().unwrap().to_str().unwrap();
    // Nothing leaves this machine, not even a question for the name of a brick's host.
    let text = fs::read(path).unwrap().replace("remote-host g1", "remote-host 127.0.0.1");
    let theirs = Theirs::read(&text);
    let parsed = Volfile::parse(&text);
    let graph = parsed.as_ref().ok().and_then(Graph::new);
    let problems = graph.as_ref().map(Graph::problems).unwrap_or_default();
    let has = |fault: fn(&Fault) -> bool| problems.iter().any(|problem| fault(&problem.fault));

    if text.contains(&b'`') {
        // Whatever it did with it: ours refuses, and the file shows why.
        assert!(
            parsed.is_err() || has(|fault| *fault == Fault::Backtick),
            "{name}: the backtick was not seen"
        );
        assert!(
            theirs.refused || name == "backtick-escaped.vol" || theirs.said("executed"),
            "{name}: {theirs:?}"
        );
        return;
    }
    if has(|fault| *fault == Fault::NulByte) {
        assert!(theirs.said("Option:top:x:a\n"), "{name}: the word was not cut: {theirs:?}");
        return;
    }

    let known = |xlator_type: &BStr| xlators.join(format!("{xlator_type}.so")).exists();
    let unknown = graph.as_ref().is_some_and(|graph| !graph.unknown_types(known).is_empty());
    let refused =
        parsed.is_err() || unknown || has(|fault| matches!(fault, Fault::DuplicateVolume | Fault::MountFuse));
    assert_eq!(refused, theirs.refused || STRICTER.contains(&name), "{name}: {parsed:?}\n{theirs:?}");

    if let (Some(graph), false) = (&graph, refused) {
        assert_eq!(ours(graph), theirs.events, "{name}");
        let half = has(|fault| {
            matches!(
                fault,
                Fault::UndefinedSubvolume { .. }
                    | Fault::LaterSubvolume { .. }
                    | Fault::OwnSubvolume
                    | Fault::EmptySubvolume
                    | Fault::EmptyOption
            )
        });
        assert_eq!(half, theirs.left_out, "{name}: {problems:?}\n{theirs:?}");
    }
    if path.parent().unwrap().ends_with("real") {
        let errors: Vec<_> =
            problems.iter().filter(|problem| problem.severity() == Severity::Error).collect();
        assert!(!refused && errors.is_empty(), "{name}: {errors:?}");
        assert_eq!(
            shape(&Volfile::parse(&text).unwrap()),
            shape(&Volfile::parse(&theirs.final_graph).unwrap()),
            "{name}"
        );
    }
}

/// What was read, in the words of glusterfs' parser.
fn ours(graph: &Graph<'_>) -> [Vec<BString>; 3] {
    let mut events: [Vec<BString>; 3] = Default::default();
    for xlator in graph.xlators() {
        let name = xlator.name();
        let mut event = |which: usize, parts: &[&[u8]]| events[which].push(parts.concat().into());
        event(0, &[b"New node for '", name, b"'"]);
        event(0, &[b"Type:", name, b":", xlator.xlator_type()]);
        for option in xlator.section().options() {
            event(1, &[b"Option:", name, b":", &option.key, b":", &option.value]);
        }
        for child in xlator.children() {
            event(2, &[b"child:", name, b"->", child.name()]);
        }
        event(0, &[b"end:", name]);
    }
    events
}

/// Names, types and children: glusterfs adds options of its own to the graph it prints, and has its own order.
fn shape(volfile: &Volfile<'_>) -> Vec<(BString, BString, Vec<BString>)> {
    let owned = |word: &BStr| word.to_owned();
    let shape = volfile.sections().map(|section| {
        (owned(section.name()), owned(section.xlator_type()), section.subvolumes().map(owned).collect())
    });
    let mut shape: Vec<_> = shape.collect();
    shape.sort();
    shape
}

/// What glusterfs made of a volfile.
#[derive(Debug, Default)]
struct Theirs {
    refused: bool,
    /// An option or a subvolume was logged as wrong and ignored.
    left_out: bool,
    /// Volumes and types, options, children: each in the order of the file.
    events: [Vec<BString>; 3],
    final_graph: Vec<u8>,
}

impl Theirs {
    fn read(text: &[u8]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (file, log) = (directory.path().join("v.vol"), directory.path().join("log"));
        fs::write(&file, text).unwrap();
        let child = Command::new("glusterfs")
            .args(["-N", "-L", "TRACE", "-f"])
            .arg(&file)
            .arg("-l")
            .arg(&log)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let mut child = Running(child.unwrap());
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let ended = child.0.try_wait().unwrap().is_some();
            let said = fs::read(&log).unwrap_or_default();
            let printed =
                said.find("Final graph:").is_some_and(|at| said[at..].find_iter("\n+---").count() >= 2);
            if ended || printed {
                return Self::of(&said);
            }
            assert!(
                Instant::now() < deadline,
                "glusterfs neither ended nor printed a graph:\n{}",
                said.as_bstr()
            );
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn of(log: &[u8]) -> Self {
        let mut theirs = Self::default();
        for line in log.split_str("\n") {
            let refusals = ["failed to construct the graph", "fuse xlator cannot be specified"];
            theirs.refused |= refusals.iter().any(|words| line.contains_str(words));
            let Some((head, said)) = line.split_once_str(" 0-parser: ") else { continue };
            let said = said.strip_suffix(b" ").unwrap_or(said);
            let function = head.rsplit_once_str(":").map_or(&b""[..], |(_, function)| function);
            match function {
                b"new_volume]" | b"volume_type]" | b"volume_end]" => theirs.events[0].push(said.into()),
                b"volume_option]" if said.starts_with(b"Option:") => theirs.events[1].push(said.into()),
                b"volume_sub]" if said.starts_with(b"child:") => theirs.events[2].push(said.into()),
                b"volume_option]" | b"volume_sub]" => theirs.left_out = true,
                _ => {}
            }
        }
        if let Some(at) = log.find("Final graph:") {
            for line in log[at..].lines() {
                if let Some((number, rest)) = line.split_once_str(":")
                    && !number.is_empty()
                    && number.trim_ascii_start().iter().all(u8::is_ascii_digit)
                {
                    theirs.final_graph.extend_from_slice(rest);
                    theirs.final_graph.push(b'\n');
                }
            }
        }
        theirs
    }

    fn said(&self, words: &str) -> bool {
        self.events.iter().flatten().any(|event| [event.as_slice(), b"\n"].concat().contains_str(words))
    }
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_corpus_has_a_file_for_each_fault() {
    let mut seen = BTreeSet::new();
    for path in corpus() {
        let text = fs::read(path).unwrap();
        let Ok(volfile) = Volfile::parse(&text) else { continue };
        let problems = Graph::new(&volfile).unwrap().problems();
        seen.extend(
            problems.iter().map(|problem| serde_json::to_value(problem).unwrap()["fault"].to_string()),
        );
    }
    let all = "backtick cycle duplicate-option duplicate-subvolume duplicate-volume empty-option empty-subvolume \
               later-subvolume long-name mount-fuse nul-byte orphan outside-type own-subvolume undefined-subvolume";
    assert_eq!(seen.iter().map(|fault| fault.trim_matches('"')).collect::<Vec<_>>().join(" "), all);
}
