//! The subcommands around the two that matter: they run, and say what they should.

use super::support::{Running, kadalu, run};

#[test]
fn the_demo_tells_its_story() {
    let story = run(&["demo", "--pause", "0"]).ok();
    let mut rest = story.as_str();
    for line in [
        "serves the volume demo. Fetch it:\n",
        "replicate 3\ndemo  debug/io-stats\n",
        "  connected to 127.0.0.1:",
        "  generation 1: sha256:",
        "$ gluster volume set demo network.ping-timeout 10\n",
        "  FETCHSPEC came; fetched generation 2 (options: applied in place):\n",
        "      ~ demo-client-0: ping-timeout 42 → 10\n",
        "$ gluster volume add-brick demo ",
        "  FETCHSPEC came; fetched generation 3 (topology: a new graph):\n",
        "      + brick server-3.example.net:/bricks/demo/brick-3 (demo-client-3)\n",
        "refused: line 3: a backtick",
        "That was it.",
    ] {
        let at = rest.find(line).unwrap_or_else(|| panic!("{line:?} is missing in\n{story}"));
        rest = &rest[at + line.len()..];
    }
}

#[test]
fn completions_for_each_shell() {
    for (shell, marks) in [
        ("bash", &["_kadalu()", "complete -F _kadalu"][..]),
        ("zsh", &["#compdef kadalu"]),
        ("fish", &["complete -c kadalu"]),
    ] {
        let script = run(&["completions", shell]).ok();
        for mark in marks.iter().chain(&["volfile-get", "tls-ca"]) {
            assert!(script.contains(mark), "{shell}: {mark}");
        }
    }
    assert_eq!(run(&["completions", "tcsh"]).code, Some(2));
}

#[test]
fn manual_pages() {
    let page = run(&["man"]).ok();
    assert!(page.contains(".TH kadalu 1") && page.contains("volfile\\-get"), "{page}");
    let directory = tempfile::tempdir().unwrap();
    // It is made where it is not there.
    let directory = directory.path().join("share/man1");
    assert_eq!(run(&["man", "--dir", directory.to_str().unwrap()]).ok(), "");
    for name in ["kadalu", "kadalu-volfile-get", "kadalu-volfile-server", "kadalu-demo", "kadalu-bench-fetch"]
    {
        let page = std::fs::read_to_string(directory.join(format!("{name}.1"))).unwrap();
        assert!(page.contains(&format!(".TH {name} 1")) && page.contains(".SH OPTIONS"), "{name}");
    }
    run(&["man", "--dir", "/dev/null/man"])
        .fails(1, "kadalu: cannot write to /dev/null/man: Not a directory (os error 20)\n");
}

#[test]
fn connections_are_held_and_notified() {
    let words = run(&["bench", "connections", "--connections", "20"]);
    assert_eq!(words.code, Some(0), "{}", words.stderr);
    assert!(words.stdout.starts_with("20 connections, volfile of "), "{}", words.stdout);
    assert!(words.stdout.contains("one change pushed to all, each then fetching: "), "{}", words.stdout);
}

#[test]
fn help_lists_the_subcommands_and_the_exit_codes() {
    let help = Running::stdout(kadalu(&["--help"]));
    help.line_with("Native tools for Gluster volumes");
    for subcommand in ["volfile-get", "volfile-server", "demo", "bench", "completions", "man"] {
        help.line_with(&format!("  {subcommand} "));
    }
    help.line_with(
        "Exit codes: 0 ok, 1 other, 2 usage, 3 no server reachable, 4 no such volume, 5 op-version",
    );
    assert_eq!(help.wait(), Some(0));
    // What a change is called to the shell is not eaten by the help.
    assert!(run(&["bench", "notify", "--help"]).ok().contains("network.ping-timeout {}'"));
}
