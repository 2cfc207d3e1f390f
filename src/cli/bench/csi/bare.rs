//! The least that must be done for each call, by system calls on the same mount.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
    time::{Duration, Instant},
};

use rustix::mount::{UnmountFlags, mount_bind, unmount};

use super::{super::stats::Times, life::Call};
use crate::cli::Failure;

pub(super) struct Bare {
    times: [(Call, Times); 4],
}

impl Bare {
    /// `count` times on the mounted root of the pool, with targets below `dir`.
    pub(super) fn measure(root: &Path, dir: &Path, count: usize) -> Result<Self, Failure> {
        let place = root.join(format!(".kadalu-bench-{}", std::process::id()));
        let measured = fs::create_dir(&place).and_then(|()| {
            let rounds: io::Result<Vec<_>> = (0..count).map(|n| round(&place, dir, n)).collect();
            fs::remove_dir(&place)?;
            rounds
        });
        let rounds = measured.map_err(|error| Failure::other("the bare system calls", error))?;
        let times = |at: usize| Times::new(rounds.iter().map(|round: &[Duration; 4]| round[at]).collect());
        let times = [
            (Call::Create, times(0)),
            (Call::Publish, times(1)),
            (Call::Unpublish, times(2)),
            (Call::Delete, times(3)),
        ];
        Ok(Self { times })
    }

    pub(super) fn of(&self, call: Call) -> Option<&Times> {
        self.times.iter().find(|(of, _)| *of == call).map(|(_, times)| times)
    }
}

fn round(place: &Path, dir: &Path, n: usize) -> io::Result<[Duration; 4]> {
    let (pv, record, target) =
        (place.join(format!("pv-{n}")), place.join(format!("{n}.json")), dir.join(format!("bare-{n}")));
    let mut last = Instant::now();
    let mut lap = || {
        let now = Instant::now();
        now - std::mem::replace(&mut last, now)
    };
    let mut file = File::create_new(&record)?;
    file.write_all(br#"{"size": 1048576, "path_prefix": "subvol/aa/bb"}"#)?;
    file.sync_all()?;
    drop(file);
    fs::create_dir(&pv)?;
    let create = lap();
    fs::create_dir(&target)?;
    mount_bind(&pv, &target)?;
    let publish = lap();
    unmount(&target, UnmountFlags::NOFOLLOW)?;
    fs::remove_dir(&target)?;
    let unpublish = lap();
    fs::remove_dir(&pv)?;
    fs::remove_file(&record)?;
    Ok([create, publish, unpublish, lap()])
}
