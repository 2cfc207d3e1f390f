//! How PVs are on bricks, for people.

use std::collections::BTreeMap;

use glusterd_client::{
    quota::{BrickStatus, PvStatus, report::is_in_force},
    storage::quota::{Code, Limits, Problem},
};

use crate::cli::output::{columns, shown};

const HEAD: [&str; 7] = ["PV", "BRICK", "ASKED", "IN FORCE", "USED", "PROJECT", "PROBLEM"];

/// A line a PV and brick, by PV; below them what is wrong, each thing once, and how many PVs are well.
pub(super) fn table(bricks: &[BrickStatus]) -> String {
    let mut pvs =
        bricks.iter().flat_map(|brick| brick.pvs.iter().map(move |pv| (brick, pv))).collect::<Vec<_>>();
    pvs.sort_by_key(|(brick, pv)| (&brick.volume, &pv.path, &brick.brick));
    let rows = pvs.iter().map(|(brick, pv)| row(brick, pv));
    let rows = [HEAD.map(str::to_owned)].into_iter().chain(rows).collect::<Vec<_>>();
    let remarks = remarks(bricks).into_iter().map(|remark| format!("  {remark}\n"));
    columns(&rows).chain(remarks).collect()
}

fn row(brick: &BrickStatus, pv: &PvStatus) -> [String; 7] {
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let said = &pv.in_force;
    [
        shown(pv.path.rsplit('/').next().unwrap_or_default()),
        shown(&brick.brick),
        or_none(said.asked.as_ref().map(|asked| bytes(asked.size))),
        or_none(said.limits.map(limits)),
        or_none(pv.used.map(bytes)),
        or_none(said.project.map(|project| project.to_string())),
        or_none(said.problem.as_ref().map(|problem| problem.code.to_string())),
    ]
}

fn limits(limits: Limits) -> String {
    let soft = limits.soft.map(|soft| format!(", soft {}", bytes(soft)));
    let inodes = limits.inodes.map(|inodes| format!(", {inodes} files"));
    bytes(limits.bytes) + &soft.unwrap_or_default() + &inodes.unwrap_or_default()
}

/// What is wrong, in sentences.
fn remarks(bricks: &[BrickStatus]) -> Vec<String> {
    let mut remarks = Vec::new();
    // Many PVs may have the same said of them.
    let mut said = BTreeMap::<(Code, &str), usize>::new();
    for brick in bricks {
        remarks.extend(brick.problem.as_ref().map(|problem| remark(problem.code, &problem.sentence, 1)));
        remarks.extend(brick.skipped.iter().map(|sentence| format!("skipped: {}", shown(sentence))));
        let problems = brick.pvs.iter().map(|pv| &pv.in_force.problem);
        // What is said of the brick is not said again of each of its PVs.
        for Problem { code, sentence } in problems.filter(|problem| **problem != brick.problem).flatten() {
            *said.entry((*code, sentence)).or_default() += 1;
        }
    }
    remarks.extend(said.into_iter().map(|((code, sentence), times)| remark(code, sentence, times)));
    let pvs = || bricks.iter().flat_map(|brick| &brick.pvs);
    let well = pvs().filter(|pv| is_in_force(pv)).count();
    remarks.push(format!("in force as asked: {well} of {}", pvs().count()));
    remarks
}

fn remark(code: Code, sentence: &str, times: usize) -> String {
    let times = if times > 1 { format!(" ({times} times)") } else { String::new() };
    format!("{code}{times}: {}", shown(sentence))
}

/// With a unit that leaves one to four digits before the point.
fn bytes(bytes: u64) -> String {
    let unit =
        ["KiB", "MiB", "GiB", "TiB", "PiB"].iter().zip(1..6_u32).rev().find(|(_, n)| bytes >> (10 * n) > 0);
    match unit {
        None => format!("{bytes} B"),
        Some((unit, n)) => format!("{:.2} {unit}", bytes as f64 / (1_u64 << (10 * n)) as f64),
    }
}

#[cfg(test)]
mod tests {
    use glusterd_client::storage::quota::{Asked, InForce};

    use super::*;

    fn pv(path: &str, size: u64, limits: Option<Limits>, problem: Option<Problem>) -> PvStatus {
        let asked = Asked { size, soft_percent: None, inodes: None, generation: String::new() };
        let project = limits.map(|_| 1_073_741_824);
        let (brick, time) = (String::new(), String::new());
        let in_force = InForce { brick, asked: Some(asked), project, limits, time, problem };
        PvStatus { path: path.to_owned(), in_force, used: Some(1234), used_inodes: None, changed: false }
    }

    fn brick(name: &str, pvs: Vec<PvStatus>) -> BrickStatus {
        let (brick, volume) = (name.to_owned(), "vol".to_owned());
        BrickStatus { brick, volume, problem: None, pvs, skipped: Vec::new() }
    }

    #[test]
    fn a_line_a_pv_and_brick_and_below_what_is_wrong() {
        let full = Limits { bytes: 1 << 30, soft: None, inodes: None };
        let counted = Limits { soft: Some(800 << 20), inodes: Some(262_144), ..full };
        let problem = || Some(Problem::new(Code::NoProject, "no project\u{1b}is free"));
        let one = brick(
            "g1:/b",
            vec![pv("subvol/d3/d3/pvc-1", 1 << 30, Some(counted), None), pv("p\n", 5, None, problem())],
        );
        let mut two = brick(
            "g2:/b",
            vec![pv("subvol/d3/d3/pvc-1", 1 << 30, Some(full), None), pv("p\n", 5, None, problem())],
        );
        two.skipped.push("info/x: no record".to_owned());
        let three = BrickStatus {
            problem: Some(Problem::new(Code::NotXfs, "g3:/b is on ext4")),
            ..brick("g3:/b", vec![pv("z/q", 5, None, Some(Problem::new(Code::NotXfs, "g3:/b is on ext4")))])
        };
        let expected = "\
PV     BRICK  ASKED     IN FORCE                                 USED      PROJECT     PROBLEM
p\\n    g1:/b  5 B       -                                        1.21 KiB  -           NoProject
p\\n    g2:/b  5 B       -                                        1.21 KiB  -           NoProject
pvc-1  g1:/b  1.00 GiB  1.00 GiB, soft 800.00 MiB, 262144 files  1.21 KiB  1073741824  -
pvc-1  g2:/b  1.00 GiB  1.00 GiB                                 1.21 KiB  1073741824  -
q      g3:/b  5 B       -                                        1.21 KiB  -           NotXfs
  skipped: info/x: no record
  NotXfs: g3:/b is on ext4
  NoProject (2 times): no project\\u{1b}is free
  in force as asked: 2 of 5
";
        assert_eq!(table(&[two, one, three]), expected);
    }

    #[test]
    fn sizes_as_people_read_them() {
        for (size, shown) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.00 KiB"),
            (357_914_112, "341.33 MiB"),
            (u64::MAX, "16384.00 PiB"),
        ] {
            assert_eq!(bytes(size), shown);
        }
    }
}
