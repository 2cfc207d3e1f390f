//! What holds for every volfile, and for every heap of bytes.

use std::path::Path;
use std::{fs, iter};

use bstr::BString;
use proptest::prelude::*;

use super::*;

/// The volfiles that a real glusterd wrote.
fn real() -> Vec<(String, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/volfiles/real");
    let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    files
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap()))
        .collect()
}

/// Everything that can be done with bytes, for the panics that it must not have.
fn use_all(bytes: &[u8]) {
    let Ok(volfile) = Volfile::parse(bytes) else { return };
    let graph = Graph::new(&volfile).unwrap();
    for problem in graph.problems() {
        assert!(problem.line > 0 && !problem.to_string().is_empty());
    }
    let _ = (graph.kind().to_string(), checks(&graph), graph.tree().to_string(), graph.dot().to_string());
    let _ = (volfile.render(), volfile.redacted().to_string(), graph.canonical_bytes());
    let _ = diff(&graph, &graph);
}

#[test]
fn truncated_at_every_byte() {
    // The others differ from these in names and numbers only, and the work grows with the square of the size.
    for (_, text) in real().into_iter().filter(|(name, _)| ["single", "thin", "uss"].contains(&name.as_str()))
    {
        (0..text.len()).for_each(|end| use_all(&text[..end]));
    }
}

/// Words of any bytes that a volfile can hold.
fn word() -> impl Strategy<Value = BString> {
    let bytes = any::<u8>().prop_filter("a byte that can be written", |byte| !b"\n\0`".contains(byte));
    prop_oneof![
        prop::sample::select(vec!["a", "b", "volume", "option", "end-volume"]).prop_map(BString::from),
        prop::collection::vec(bytes, 1..6).prop_map(BString::from),
    ]
}

/// A volfile without errors: each volume has one or more of those before it as children, the last one all
/// that had no parent.
fn volfile() -> impl Strategy<Value = Volfile<'static>> {
    let volume = (
        prop::sample::select(vec!["protocol/client", "cluster/replicate", "x/y"]),
        prop::collection::vec((key(), prop::sample::select(vec!["1", "2", "/a", "h"])), 1..4),
        any::<u8>(),
    );
    prop::collection::vec(volume, 1..6).prop_map(|volumes| {
        let mut volfile = Volfile::new();
        let mut roots: Vec<String> = Vec::new();
        let last = volumes.len() - 1;
        for (n, (xlator_type, options, children)) in volumes.into_iter().enumerate() {
            let name = format!("v{n}");
            let take = if n == last { roots.len() } else { usize::from(children) % (roots.len() + 1) };
            let mut taken = roots.split_off(roots.len() - take);
            if children % 2 == 0 {
                taken.reverse();
            }
            let mut volume = volfile.volume(name.as_str(), xlator_type).subvolumes(taken);
            for (key, value) in options {
                volume = volume.option(key, value);
            }
            roots.push(name);
        }
        volfile
    })
}

fn key() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "a",
        "b",
        "username",
        "password",
        "remote-host",
        "remote-subvolume",
        "transport-type",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        use_all(&bytes);
    }

    #[test]
    fn any_tokens(tokens in prop::collection::vec(
        prop::sample::select(vec![
            "volume", "type", "option", "subvolumes", "end-volume", "a", "b", "\"\"", "\"", "\\", "#", "\n", "\0", "`",
        ]), 0..40))
    {
        use_all(tokens.join(" ").as_bytes());
    }

    #[test]
    fn real_volfiles_with_some_bytes_changed(
        which in any::<prop::sample::Index>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut files = real();
        let (_, mut text) = files.swap_remove(which.index(files.len()));
        for (at, byte) in edits {
            let at = at.index(text.len());
            text[at] = byte;
        }
        use_all(&text);
    }

    #[test]
    fn what_is_rendered_reads_back(
        volumes in prop::collection::vec(
            (word(), word(), prop::collection::vec((word(), word()), 0..4), prop::collection::vec(word(), 1..4)), 1..5),
    ) {
        let mut volfile = Volfile::new();
        for (name, xlator_type, options, subvolumes) in volumes {
            let volume = volfile.volume(name, xlator_type).subvolumes(subvolumes);
            options.into_iter().fold(volume, |volume, (key, value)| volume.option(key, value));
        }
        let text = volfile.render().unwrap();
        prop_assert_eq!(Volfile::parse(&text).unwrap(), volfile);
    }

    #[test]
    fn no_change_is_no_difference(old in volfile(), new in volfile()) {
        let (a, b) = (Graph::new(&old).unwrap(), Graph::new(&new).unwrap());
        prop_assert!(a.problems().iter().all(|problem| problem.severity() == Severity::Warning));
        prop_assert_eq!(diff(&a, &a), Change::default());
        for (from, to) in [(&a, &b), (&b, &a)] {
            let change = diff(from, to);
            prop_assert_eq!(change.class == Class::None, from.canonical_bytes() == to.canonical_bytes());
            prop_assert_eq!(change.class == Class::None, change.items.is_empty());
            prop_assert_eq!(change.class, diff(to, from).class);
            prop_assert_eq!(change.class == Class::Topology, topology(from) != topology(to));
        }
    }
}

/// What glusterfs compares to tell options from topology (facts §11.2), written another way than in `diff`.
fn topology(graph: &Graph<'_>) -> Vec<String> {
    let mut open = vec![graph.top()];
    let next = iter::from_fn(|| {
        let xlator = open.pop()?;
        open.extend(xlator.children());
        let remote = ["remote-host", "remote-subvolume"].map(|key| xlator.option(key));
        let remote = if xlator.xlator_type() == "protocol/client" { remote } else { [None; 2] };
        Some(format!("{} {} {} {remote:?}", xlator.name(), xlator.xlator_type(), xlator.children().len()))
    });
    next.collect()
}

#[test]
fn the_kinds_of_real_volumes() {
    let mut kinds = real();
    kinds.sort();
    let kinds: Vec<_> = kinds
        .iter()
        .map(|(name, text)| {
            let volfile = Volfile::parse(text).unwrap();
            let graph = Graph::new(&volfile).unwrap();
            let codes: Vec<_> =
                checks(&graph).iter().map(|check| check.code).filter(|code| *code != "shared-host").collect();
            format!("{name}: {} {}", graph.kind(), codes.join(" "))
        })
        .collect();
    let expected = [
        "arbiter: replicate 2+1 arbiter ",
        "decom: distribute over 2 × replicate 3 distributed decommissioned",
        "disperse: disperse 3+1 ",
        "dist: distribute over 3 × single brick distributed single-copy single-copy single-copy",
        "distdisp: distribute over 2 × disperse 2+1 distributed",
        "distrep: distribute over 2 × replicate 3 distributed",
        "distrep-shd: side by side 2 × replicate 3 ",
        "options: distribute over 2 × replicate 3 distributed",
        "replaced: replicate 3 ",
        "replica2: replicate 2 no-quorum",
        "replica3: replicate 3 ",
        "replica3-trusted: replicate 3 ",
        "shard: replicate 3 sharded",
        "single: single brick single-copy",
        "thin: replicate 2+1 thin-arbiter ",
        "tls: replicate 3 ",
        "uss: replicate 3 no-remote-host",
    ];
    assert_eq!(kinds, expected);
}

#[test]
fn trusted_and_untrusted_volfiles_are_the_same() {
    let files = real();
    let text = |name: &str| &files.iter().find(|(known, _)| known == name).unwrap().1;
    let [trusted, plain] = ["replica3-trusted", "replica3"].map(|name| Volfile::parse(text(name)).unwrap());
    let [trusted_graph, plain_graph] = [&trusted, &plain].map(|volfile| Graph::new(volfile).unwrap());
    assert_ne!(trusted, plain);
    assert_eq!(diff(&trusted_graph, &plain_graph), Change::default());
    assert_eq!(trusted_graph.canonical_bytes(), plain_graph.canonical_bytes());

    let password = trusted_graph.xlators().find_map(|xlator| xlator.option("password")).unwrap().to_string();
    assert!(trusted.render().unwrap().windows(password.len()).any(|bytes| bytes == password.as_bytes()));
    let shown = format!("{}{trusted:?}{:?}{:?}", trusted.redacted(), trusted_graph, trusted_graph.kind());
    assert!(!shown.contains(&password), "{shown}");
}
