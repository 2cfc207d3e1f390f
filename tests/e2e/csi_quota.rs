//! What the controller promises of sizes, on a real cluster: what `kadalu quotad` would say on each brick is written there by
//! hand. PVs are larger than the bricks' file system, so that its size is as if the limit were in force.
#![allow(clippy::unwrap_used, reason = "the answer is in the panic")]

use std::time::SystemTime;

use glusterd_client::csi::generated::Volume;
use glusterd_client::storage::{
    quota::{self, Asked, Code as Lack, Daemon, IN_FORCE, InForce, Problem, QUOTAD, Share},
    record,
};
use serde_json::Value;
use tonic::Code;

use crate::driver::Driver;
use crate::lab::{Kind, Lab, require_fuse};
use crate::labs::Labs;
use crate::live_brick::set;
use crate::mounted::MountHost;

story! { needs require_fuse; required, best_effort }

/// A volume of three copies, and its driver.
struct Bed<'lab> {
    lab: &'lab Lab,
    name: &'static str,
    driver: Driver<'lab>,
}

impl<'lab> Bed<'lab> {
    fn start(labs: &'lab Labs, name: &'static str) -> Self {
        let lab = labs.plain();
        lab.start_volume(name, Kind::Replica3);
        Self { lab, name, driver: Driver::start(lab, name, &["--quota-wait", "3"]) }
    }

    /// More than the bricks' file system has.
    fn size(&self) -> i64 {
        let said = self.lab.host(0).shell("stat -f -c '%b %S' /mnt/bricks");
        let (blocks, block) = said.trim().split_once(' ').unwrap();
        blocks.parse::<i64>().unwrap() * block.parse::<i64>().unwrap() / 4096 * 4096 + (1 << 30)
    }

    fn create(&self, policy: &str) -> Result<Volume, tonic::Status> {
        let servers = self.lab.server_list();
        let parameters = [
            ("gluster_hosts", servers.as_str()),
            ("gluster_volname", self.name),
            ("quota", policy),
            ("overcommit", "9"),
        ];
        self.driver.block(self.driver.caller().create("pvc-1", self.size(), &parameters))
    }

    /// A refusal that is no end.
    #[track_caller]
    fn refused<T: std::fmt::Debug>(&self, outcome: Result<T, tonic::Status>, words: &[&str]) {
        let status = outcome.unwrap_err();
        eprintln!("{}", status.message());
        assert!(status.code() == Code::Unavailable && status.message().len() < 4200, "{status:?}");
        for word in words {
            assert!(status.message().contains(word), "{word:?} is not in: {}", status.message());
        }
    }

    fn brick(&self, n: usize) -> String {
        format!("/mnt/bricks/{}-{n}", self.name)
    }

    /// The path of the PV, and what its record asks for, as the first brick has it.
    fn pv(&self) -> (String, Asked) {
        let script = format!("cd {}/info && find . -name 'pvc-1.json'", self.brick(0));
        let path = self.lab.host(0).shell(&script);
        let path = path.trim().trim_start_matches("./").trim_end_matches(".json").to_owned();
        let text = self.lab.host(0).shell(&format!("cat {}/info/{path}.json", self.brick(0)));
        (path, record::asked(text.as_bytes()).unwrap().unwrap())
    }

    /// A quotad looks after this brick.
    fn daemon(&self, n: usize, problem: Option<Problem>) {
        let time = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        let daemon = Daemon { brick: self.lab.brick(self.name, n), version: "1".into(), time, problem };
        set(&self.lab.servers()[n], &self.brick(n), QUOTAD, &quota::write(&daemon).unwrap());
    }

    /// It says, on brick `n`, that the limit is in force on brick `of`.
    fn enforce_as(&self, n: usize, of: usize) {
        let (path, asked) = self.pv();
        let limits = Some(Share { data: 1, arbiter: false }.limits(&asked));
        let (brick, asked, time) = (self.lab.brick(self.name, of), Some(asked), String::new());
        let said = InForce { brick, asked, project: Some(7), limits, time, problem: None };
        let path = format!("{}/{path}", self.brick(n));
        set(&self.lab.servers()[n], &path, IN_FORCE, &quota::write(&said).unwrap());
    }

    fn enforce(&self, n: usize) {
        self.enforce_as(n, n);
    }

    fn health(&self, volume: &Volume) -> Option<String> {
        self.driver.health(volume, &["QuotaNotEnforced"])
    }
}

fn required(labs: &Labs) {
    let bed = Bed::start(labs, "csi-required");
    let names: Vec<_> = (0..3).map(|n| bed.lab.brick(bed.name, n)).collect();
    let words = [names[0].as_str(), &names[1], &names[2], "in force on 0 of 3", "has never looked after it"];
    bed.refused(bed.create("required"), &words);
    for n in 0..3 {
        bed.daemon(n, None);
    }
    bed.enforce(0);
    bed.enforce(1);
    bed.refused(bed.create("required"), &["on 2 of 3", &names[2], "has not set the limit yet"]);
    // As self-heal would copy it.
    bed.enforce_as(2, 0);
    bed.refused(bed.create("required"), &["on 2 of 3", "was copied from", &names[0]]);
    bed.daemon(2, Some(Problem::new(Lack::NoProjectQuota, "mounted without prjquota")));
    bed.refused(bed.create("required"), &["on 2 of 3", "mounted without prjquota"]);
    bed.daemon(2, None);
    bed.enforce(2);
    let volume = bed.create("required").unwrap();
    assert_eq!(bed.health(&volume), None);

    // The record states it on each brick, for those that cannot read what it says.
    let (path, asked) = bed.pv();
    for (n, server) in bed.lab.servers().iter().enumerate() {
        let record = format!("{}/info/{path}.json", bed.brick(n));
        let stated =
            server.shell(&format!("getfattr --absolute-names --only-values -n {} {record}", quota::ASKED));
        assert_eq!(quota::read::<Asked>(stated.as_bytes()), Some(asked.clone()));
    }

    let size = volume.capacity_bytes + (1 << 30);
    let grow = || bed.driver.block(bed.driver.caller().expand(&volume.volume_id, size));
    for _ in 0..2 {
        bed.refused(grow(), &["on 0 of 3", "has not followed the PV's record as it is now"]);
        assert_eq!(bed.pv().1.size as i64, size, "the record says it, for quotad to follow");
    }
    (0..3).for_each(|n| bed.enforce(n));
    assert_eq!(grow().unwrap(), size);

    // The same from a client without a driver.
    let host = MountHost::start(bed.lab.client(), "csi-required-client");
    let source = format!("{}:/{}", bed.lab.server_list(), bed.name);
    let said = host.kadalu(&["quota", &source, "--format", "json"]).expect(0);
    let report: Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!((&report["pvs"][0]["in_force"], &report["pvs"][0]["pv"]), (&true.into(), &"pvc-1".into()));
    bed.enforce_as(1, 2);
    let said = host.kadalu(&["quota", &source, "--pv", "pvc-1"]).expect(7).says(&["1 of 1 PVs"]);
    eprintln!("{}", said.text());
    assert!(said.text().contains("Copied") && said.text().contains(&names[1]), "{}", said.text());
    assert_eq!((host.mounts(), host.processes()), (Vec::new(), Vec::new()));

    bed.driver.block(bed.driver.caller().delete(&volume.volume_id)).unwrap();
}

fn best_effort(labs: &Labs) {
    let bed = Bed::start(labs, "csi-best-effort");
    let volume = bed.create("best-effort").unwrap();
    let sentence = bed.health(&volume).unwrap();
    assert!(sentence.contains("quotad does not look after every brick"), "{sentence}");
    assert_eq!(bed.driver.processes().len(), 1, "no brick is mounted for nothing");
    for n in 0..3 {
        bed.daemon(n, None);
        bed.enforce(n);
    }
    bed.enforce_as(1, 0);
    let sentence = bed.health(&volume).unwrap();
    assert!(sentence.contains(&format!("size: brick {}", bed.lab.brick(bed.name, 1))), "{sentence}");
    bed.enforce(1);
    assert_eq!(bed.health(&volume), None);
    bed.driver.block(bed.driver.caller().delete(&volume.volume_id)).unwrap();
}
