//! A hundred directories of one volume: one glusterfs process, one connection to the cluster.

use std::thread::sleep;
use std::time::Duration;

use crate::lab::{Host, Kind, eventually, require_fuse};
use crate::labs::Labs;
use crate::mounted::MountHost;

story! { needs require_fuse; hundred_targets }

const TARGETS: usize = 100;

fn hundred_targets(labs: &Labs) {
    let lab = labs.plain();
    let (name, client) = ("hundred", lab.client());
    lab.start_volume(name, Kind::Replica3);
    let source = format!("{}:/{name}", lab.server_list());
    let host = MountHost::start(client, name);
    let all = host.mount(&source, "all", &[]);
    let dir = all.strip_suffix("/all").expect("the target's name");
    // In one go: a hundred times into the host's namespaces takes longer.
    let script = format!(
        "for n in $(seq {TARGETS}); do mkdir {all}/d$n {dir}/t$n; \
         {} mount --socket {} {source}/d$n {dir}/t$n; echo $n >{dir}/t$n/file; done",
        client.binary(),
        host.socket()
    );
    client.shell(&script);
    assert_eq!(host.pool(&all)["targets"].as_array().map(Vec::len), Some(TARGETS + 1));
    assert_eq!(client.shell(&format!("cat {all}/d{TARGETS}/file")).trim(), TARGETS.to_string());
    assert_eq!(host.processes().len(), 1, "one process for all");

    let own = host.own_pid();
    let glusterds = |pid: &str| {
        let sockets = client.shell("ss -Htnp state established dport = :24007");
        sockets.lines().filter(|line| line.contains(&format!("pid={pid},"))).count()
    };
    // glusterfs asks for the ports of bricks and hangs up.
    eventually("one connection to the cluster", || {
        let of_glusterfs = host.processes().iter().map(|pid| glusterds(pid)).sum::<usize>();
        (glusterds(&own) == 1 && of_glusterfs == 0).then_some(())
    });
    let (before, seconds) = (ticks(client, &own), 20);
    sleep(Duration::from_secs(seconds));
    let used = ticks(client, &own) - before;
    let rss = client.shell(&format!("grep VmRSS /proc/{own}/status"));
    eprintln!(
        "{name}: {TARGETS} targets, mountd {} and {:.2} % of a core",
        rss.split_whitespace().collect::<Vec<_>>().join(" "),
        used as f64 / seconds as f64
    );
    for n in 1..=TARGETS {
        assert!(host.mounts().iter().any(|(point, _)| *point == format!("{dir}/t{n}")), "t{n}");
    }
}

/// Of processor time, a hundredth of a second each.
fn ticks(client: &Host, pid: &str) -> u64 {
    let stat = client.shell(&format!("cat /proc/{pid}/stat"));
    // Behind the name in parentheses: utime and stime are the 14th and 15th field.
    let fields = stat.rsplit(')').next().expect("fields").split_whitespace();
    fields.skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("a number")).sum()
}
