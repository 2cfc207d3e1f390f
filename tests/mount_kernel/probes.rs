use std::{fs, path::Path, time::Duration, time::Instant};

use glusterd_client::mount::helper::{Failed, Helper};
use rustix::{io::Errno, process::Signal};

use crate::volume::{SOON, Volume, block_on, eventually, helper};

pub(crate) const TESTS: &[(&str, fn())] = &[
    ("a_mount_that_works_says_so_and_shows_its_graph", healthy),
    ("a_dead_mount_answers_at_once", dead),
    ("a_stopped_glusterfs_answers_nothing_and_holds_nobody", stopped),
    ("bricks_that_went_are_named", bricks_gone),
    ("stopped_bricks_are_told_from_a_stopped_glusterfs", bricks_stopped),
    ("a_helper_that_is_none_is_an_error", broken),
];

const SHORT: Duration = Duration::from_secs(5);
const NOT_CONNECTED: Result<(), i32> = Err(Errno::NOTCONN.raw_os_error());

fn healthy() {
    let volume = Volume::local("one");
    let probe = block_on(helper().probe(&volume.mount, true, SOON)).unwrap();
    assert!(probe.works(), "{probe:?}");
    assert_eq!(probe.alive.unwrap().result, Ok(()));
    let graph = probe.graph.unwrap().unwrap();
    assert!(
        graph.version.chars().all(|c| c.is_ascii_digit() || c == '.') && graph.version.len() > 2,
        "{graph:?}"
    );
    assert_eq!((graph.held, graph.bricks.len()), (1, 0), "{graph:?}");
    assert!(graph.volfile.starts_with(b"volume posix\n"), "{graph:?}");
}

fn dead() {
    let mut volume = Volume::local("one");
    volume.process.kill();
    let start = Instant::now();
    let probe = block_on(helper().probe(&volume.mount, true, SOON)).unwrap();
    assert!(start.elapsed() < SOON);
    assert_eq!(probe.alive.unwrap().result, NOT_CONNECTED);
    assert_eq!(probe.lookup.unwrap().result, NOT_CONNECTED);
    assert_eq!(probe.graph, Some(Err(Errno::NOTCONN.raw_os_error())));
    assert!(!probe.works());
}

fn stopped() {
    let volume = Volume::local("one");
    volume.process.stop();
    block_on(async {
        let failed = helper().probe(&volume.mount, true, SHORT).await.unwrap_err();
        assert_eq!(failed, Failed::TimedOut(SHORT));
        assert_eq!(failed.to_string(), "no answer within 5s");
        // Killed in the middle of a request, and reaped beside us.
        let start = Instant::now();
        while children() > 1 {
            assert!(start.elapsed() < SOON, "{} children", children());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    volume.process.send(Signal::CONT);
    eventually("it works again", || {
        block_on(helper().probe(&volume.mount, false, SOON)).is_ok_and(|probe| probe.works())
    });
}

/// Of this test's thread: its glusterfs is one.
fn children() -> usize {
    fs::read_to_string("/proc/thread-self/children").unwrap().split_whitespace().count()
}

fn bricks_gone() {
    let mut volume = Volume::replicated();
    let bricks = |volume: &Volume| {
        let probe = block_on(helper().probe(&volume.mount, true, SOON)).unwrap();
        let bricks = probe.graph.clone().unwrap().unwrap().bricks;
        assert!(bricks.iter().map(|brick| brick.client.as_str()).eq([
            "vol-client-0",
            "vol-client-1",
            "vol-client-2"
        ]));
        (probe.works(), bricks.iter().map(|brick| brick.connected).collect::<Vec<_>>())
    };
    eventually("all are connected", || bricks(&volume) == (true, vec![true, true, true]));
    volume.bricks[1].kill();
    eventually("one is not", || bricks(&volume) == (true, vec![true, false, true]));
    volume.bricks.clear();
    eventually("without bricks the process still answers", || {
        let probe = block_on(helper().probe(&volume.mount, true, SOON)).unwrap();
        assert_eq!(probe.alive.unwrap().result, Ok(()));
        probe.lookup.unwrap().result == NOT_CONNECTED
    });
}

fn bricks_stopped() {
    let volume = Volume::replicated();
    volume.bricks.iter().for_each(|brick| brick.stop());
    let probe = block_on(helper().probe(&volume.mount, true, SHORT)).unwrap();
    assert_eq!(probe.alive.unwrap().result, Ok(()));
    assert_eq!((probe.lookup, probe.statfs, probe.graph), (None, None, None));
    volume.process.stop();
    assert_eq!(block_on(helper().probe(&volume.mount, true, SHORT)), Err(Failed::TimedOut(SHORT)));
}

fn broken() {
    for (program, says) in [("/nonexistent", "could not be started"), ("/bin/true", "without an answer")] {
        let helper = Helper { program: program.into(), arguments: Vec::new() };
        let failed = block_on(helper.probe(Path::new("/mnt"), false, SOON)).unwrap_err();
        assert!(matches!(&failed, Failed::Broken(_)), "{failed:?}");
        let words = failed.to_string();
        assert!(words.contains(says) || words.contains("Broken pipe"), "{words}");
    }
}
