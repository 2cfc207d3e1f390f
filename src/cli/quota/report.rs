//! What was seen, for people and for programs.

use std::time::SystemTime;

use glusterd_client::storage::{
    enforced::{DataBrick, Doubt, judge_nth, of_daemon},
    pool::{Gib, Pv, Seen, SeenPv},
    quota::{Asked, Daemon, Limits, Problem},
    record::QuotaPolicy,
};
use serde::Serialize;

use crate::cli::output::{columns, shown};

/// A volume and its PVs.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    volume: String,
    /// Why no size can be enforced on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<Problem>,
    bricks: Vec<OfBrick>,
    pub(super) pvs: Vec<OfPv>,
}

#[derive(Debug, Serialize)]
struct OfBrick {
    brick: String,
    /// Who looks after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    quotad: Option<Daemon>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<Lack>,
}

#[derive(Debug, Serialize)]
pub(super) struct OfPv {
    pv: String,
    path: String,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    quota: Option<QuotaPolicy>,
    /// None where no limit is to be set.
    asked: Option<Asked>,
    /// None where no limit is to be set.
    in_force: Option<bool>,
    bricks: Vec<PvOnBrick>,
}

#[derive(Debug, Serialize)]
struct PvOnBrick {
    brick: String,
    in_force: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    limits: Option<Limits>,
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<u32>,
    /// Bytes that its directory shows as used; of the whole file system where no limit is in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    used: Option<u64>,
    /// The size that its directory shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<Lack>,
}

/// What is wrong.
#[derive(Debug, Serialize)]
struct Lack {
    code: String,
    sentence: String,
}

impl From<Doubt> for Lack {
    fn from(doubt: Doubt) -> Self {
        Self { code: doubt.code(), sentence: doubt.to_string() }
    }
}

impl Report {
    /// `seen` is of each brick, with the PVs in their order, or why it could not be looked at.
    pub(super) fn new(
        volume: String,
        problem: Option<Problem>,
        bricks: &[DataBrick],
        seen: &[Result<Seen, String>],
        pvs: Vec<Pv>,
    ) -> Self {
        let now = SystemTime::now();
        let of_brick = |(brick, seen): (&DataBrick, &Result<Seen, String>)| {
            let name = brick.address.to_string();
            let (quotad, doubt) = match seen {
                Ok(Seen { daemon, .. }) => (daemon.clone(), of_daemon(&name, daemon.as_ref(), now)),
                Err(why) => (None, Some(Doubt::Unreachable(why.clone()))),
            };
            OfBrick { brick: name, quotad, problem: doubt.map(Lack::from) }
        };
        let of_pv = |(n, pv): (usize, Pv)| {
            let asked = pv.asked.clone();
            let on = |brick: &DataBrick, seen: &Result<Seen, String>| {
                let pv = seen.as_ref().ok().and_then(|seen| seen.pvs.get(n)?.as_ref().ok()?.as_ref());
                let seen = seen.as_ref().map_err(String::as_str);
                let doubt = asked.as_ref().and_then(|asked| judge_nth(brick, asked, seen, n, now).err());
                PvOnBrick::new(brick, asked.is_some(), pv, doubt)
            };
            let bricks: Vec<_> = bricks.iter().zip(seen).map(|(brick, seen)| on(brick, seen)).collect();
            let possible = problem.is_none() && !bricks.is_empty();
            let in_force = asked.as_ref().map(|_| possible && bricks.iter().all(|brick| brick.in_force));
            let Pv { component, path, size, quota, .. } = pv;
            OfPv { pv: component, path, size, quota, asked, in_force, bricks }
        };
        let pvs = pvs.into_iter().enumerate().map(of_pv).collect();
        let bricks = bricks.iter().zip(seen).map(of_brick).collect();
        Self { volume, problem, bricks, pvs }
    }

    /// How many PVs are not limited on every brick, and are to be.
    pub(super) fn lacking(&self) -> usize {
        self.pvs.iter().filter(|pv| pv.in_force == Some(false)).count()
    }

    /// A line a PV and brick, and one a brick, or the volume, that has a problem.
    pub(super) fn table(&self) -> String {
        let mut rows = vec![HEAD.map(str::to_owned)];
        for pv in &self.pvs {
            for brick in &pv.bricks {
                let gib = |bytes: Option<u64>| bytes.map_or_else(|| "-".to_owned(), |b| Gib(b).to_string());
                rows.push([
                    shown(&pv.pv),
                    Gib(pv.size).to_string(),
                    brick.brick.clone(),
                    match pv.asked {
                        Some(_) => if brick.in_force { "yes" } else { "NO" }.to_owned(),
                        None => "off".to_owned(),
                    },
                    gib(brick.used.filter(|_| brick.in_force)),
                    brick.problem.as_ref().map_or_else(String::new, |lack| lack.code.clone()),
                ]);
            }
        }
        columns(&rows).collect::<String>() + &self.sentences()
    }

    /// What is wrong, each thing once.
    fn sentences(&self) -> String {
        let of_volume = self.problem.iter().map(|problem| format!("{}: {}", self.volume, problem.sentence));
        let of_bricks = self
            .bricks
            .iter()
            .filter_map(|of| Some(format!("{}: {}", of.brick, of.problem.as_ref()?.sentence)));
        // What is wrong with a whole brick is said above.
        let is_known = |lack: &Lack| {
            self.bricks.iter().filter_map(|of| of.problem.as_ref()).any(|known| known.code == lack.code)
        };
        let of_pvs = self.pvs.iter().flat_map(|pv| {
            let lacks = pv.bricks.iter().filter_map(|on| Some((on, on.problem.as_ref()?)));
            lacks
                .filter(|(_, lack)| !is_known(lack))
                .map(|(on, lack)| format!("{} on {}: {}", shown(&pv.pv), on.brick, lack.sentence))
                .collect::<Vec<_>>()
        });
        of_volume.chain(of_bricks).chain(of_pvs).map(|line| format!("  {line}\n")).collect()
    }
}

const HEAD: [&str; 6] = ["PV", "SIZE", "BRICK", "IN FORCE", "USED", "PROBLEM"];

impl PvOnBrick {
    fn new(brick: &DataBrick, asked: bool, seen: Option<&SeenPv>, doubt: Option<Doubt>) -> Self {
        let name = brick.address.to_string();
        let said = seen.and_then(|seen| seen.in_force.as_ref()).filter(|said| said.brick == name);
        Self {
            in_force: asked && doubt.is_none(),
            limits: said.and_then(|said| said.limits),
            project: said.and_then(|said| said.project),
            used: seen.map(|seen| seen.used),
            total: seen.map(|seen| seen.total),
            problem: doubt.map(Lack::from),
            brick: name,
        }
    }
}

#[cfg(test)]
mod tests {
    use glusterd_client::{
        storage::{
            quota::{InForce, Share, generation},
            record::State,
        },
        volfile::Address,
    };

    use super::*;

    fn pv(name: &str, quota: Option<QuotaPolicy>) -> Pv {
        let asked = Asked { size: 1 << 30, soft_percent: None, inodes: None, generation: generation(b"") };
        Pv {
            component: name.into(),
            name: name.into(),
            path: format!("subvol/d3/d3/{name}"),
            size: 1 << 30,
            reclaim: None,
            quota,
            asked: (quota != Some(QuotaPolicy::Off)).then_some(asked),
            state: State::InUse,
            created: None,
        }
    }

    #[test]
    fn a_line_a_pv_and_brick_and_what_is_wrong_below() {
        let brick = |host: &str| DataBrick {
            address: Address { host: host.into(), path: "/b".into() },
            share: Share { data: 1, arbiter: false },
        };
        let bricks = [brick("g1"), brick("g2"), brick("g3")];
        let pvs = vec![pv("pvc-1", None), pv("pvc-2", Some(QuotaPolicy::Off))];
        let in_force = |host: &str| {
            let asked = pvs[0].asked.clone().unwrap();
            let limits = Some(bricks[0].share.limits(&asked));
            let (brick, time) = (format!("{host}:/b"), String::new());
            let said = InForce { brick, asked: Some(asked), project: Some(7), limits, time, problem: None };
            Ok(Some(SeenPv { in_force: Some(said), total: 1 << 30, used: 1 << 29, block: 4096 }))
        };
        let time = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        let daemon = |host: &str| {
            let (brick, version, time) = (format!("{host}:/b"), "1".to_owned(), time.clone());
            Some(Daemon { brick, version, time, problem: None })
        };
        let seen = [
            Ok(Seen { daemon: daemon("g1"), pvs: vec![in_force("g1"), Ok(None)] }),
            Ok(Seen { daemon: daemon("g2"), pvs: vec![in_force("g1"), Ok(None)] }),
            Err("it is down".to_owned()),
        ];
        let report = Report::new("vol".into(), None, &bricks, &seen, pvs.clone());
        assert_eq!((report.lacking(), report.pvs.len()), (1, 2));
        let expected = "\
PV     SIZE      BRICK  IN FORCE  USED      PROBLEM
pvc-1  1.00 GiB  g1:/b  yes       0.50 GiB
pvc-1  1.00 GiB  g2:/b  NO        -         Copied
pvc-1  1.00 GiB  g3:/b  NO        -         Unreachable
pvc-2  1.00 GiB  g1:/b  off       -
pvc-2  1.00 GiB  g2:/b  off       -
pvc-2  1.00 GiB  g3:/b  off       -
  g3:/b: it cannot be looked at: it is down
  pvc-1 on g2:/b: what stands there was copied from \"g1:/b\": its kadalu quotad has not set the limit yet
";
        assert_eq!(report.table(), expected);
        let json: serde_json::Value = serde_json::to_value(&report).unwrap();
        assert_eq!(json["pvs"][0]["bricks"][1]["problem"]["code"], "Copied");
        assert_eq!((&json["pvs"][0]["in_force"], &json["pvs"][1]["in_force"]), (&false.into(), &().into()));
        assert_eq!(json["bricks"][2]["problem"]["code"], "Unreachable");

        let none = Report::new("vol".into(), None, &bricks[..1], &seen[..1], pvs);
        assert_eq!(none.lacking(), 0);
    }
}
