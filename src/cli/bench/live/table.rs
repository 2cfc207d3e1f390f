//! The two mounts side by side.

use std::{
    fmt::{self, Write},
    time::{Duration, Instant},
};

use serde_json::Value;

use super::super::stats::Times;

/// What was seen of one mount.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) report: Value,
    /// For each change that makes a new graph: from the command's start and from its end to the graph's use; none where
    /// it was not seen in time.
    pub(super) switches: Vec<Option<(Duration, Duration)>>,
    pub(super) connections: usize,
    /// Of glusterfs and, for ours, of the mount host, in KiB.
    pub(super) memory: (u64, Option<u64>),
    pub(super) graphs: usize,
}

impl Seen {
    /// Notes when the graph of a change was in use.
    pub(super) fn switch(&mut self, started: Instant, returned: Instant, active: Option<Instant>) {
        let since = |start| active.map(|active: Instant| active.saturating_duration_since(start));
        self.switches.push(since(started).zip(since(returned)));
    }

    /// Nothing failed, nothing is wrong, and every change came.
    pub(super) fn whole(&self) -> bool {
        self.report["failed"] == 0
            && self.report["bad_blocks"] == 0
            && self.switches.iter().all(Option::is_some)
    }

    fn times(&self, which: impl Fn(&(Duration, Duration)) -> Duration) -> Times {
        Times::new(self.switches.iter().flatten().map(which).collect())
    }
}

/// What a row says of a mount.
type Cell<'a> = &'a dyn Fn(&Seen) -> String;

/// Rows of both.
pub(super) struct Table {
    pub(super) ours: Seen,
    pub(super) stock: Seen,
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |name: &'static str| move |seen: &Seen| seen.report[name].to_string();
        let millis = |name: &'static str, unit: f64| {
            move |seen: &Seen| format!("{:.1} ms", seen.report[name].as_f64().unwrap_or(f64::NAN) / unit)
        };
        let seconds = |time: Duration| format!("{:.2} s", time.as_secs_f64());
        let megabytes = |kib: u64| format!("{:.1} MB", kib as f64 / 1024.0);
        let stall = |seen: &Seen| {
            let kind = seen.report["longest_stall_kind"].as_str().unwrap_or_default();
            let at = seen.report["kinds"][kind]["longest"]["at_seconds"].as_f64().unwrap_or(f64::NAN);
            format!("{kind} at {at:.1} s")
        };
        let rows: [(&str, Cell); 15] = [
            ("operations", &number("operations")),
            ("failed", &number("failed")),
            ("wrong blocks", &number("bad_blocks")),
            ("blocks verified at the end", &number("verified_blocks")),
            ("longest stall", &millis("longest_stall_ms", 1.0)),
            ("  which", &stall),
            ("p99", &millis("p99_us", 1e3)),
            ("new graphs seen", &|seen| {
                format!("{} of {}", seen.switches.iter().flatten().count(), seen.switches.len())
            }),
            ("  after the command's start, p50", &|seen| seconds(seen.times(|times| times.0).p50())),
            ("  most", &|seen| seconds(seen.times(|times| times.0).percentile(1.0))),
            ("  after its return, p50", &|seen| seconds(seen.times(|times| times.1).p50())),
            ("  most", &|seen| seconds(seen.times(|times| times.1).percentile(1.0))),
            ("connections to glusterds", &|seen| seen.connections.to_string()),
            ("memory: glusterfs + mountd", &|seen| match seen.memory {
                (glusterfs, Some(host)) => format!("{} + {}", megabytes(glusterfs), megabytes(host)),
                (glusterfs, None) => megabytes(glusterfs),
            }),
            ("graphs held", &|seen| seen.graphs.to_string()),
        ];
        let mut text = format!("{:<36}{:>20}{:>20}\n", "", "kadalu", "stock");
        for (name, value) in rows {
            writeln!(text, "{name:<36}{:>20}{:>20}", value(&self.ours), value(&self.stock))?;
        }
        f.write_str(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen() -> Seen {
        let report = serde_json::json!({
            "operations": 100, "failed": 0, "bad_blocks": 0, "verified_blocks": 7, "longest_stall_ms": 12.34, "p99_us": 1500.0,
            "longest_stall_kind": "fsync", "kinds": { "fsync": { "longest": { "at_seconds": 4.06 } } },
        });
        Seen { report, switches: Vec::new(), connections: 1, memory: (2048, None), graphs: 3 }
    }

    #[test]
    fn a_change_that_never_came_is_seen() {
        let (mut ours, mut stock) = (seen(), seen());
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        ours.switch(start, at(300), Some(at(500)));
        // Before the command returned.
        ours.switch(start, at(300), Some(at(100)));
        stock.switch(start, at(300), None);
        assert!(ours.whole() && !stock.whole());
        let text = Table { ours, stock }.to_string();
        let row = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap();
            line[name.len()..].split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect::<Vec<_>>()
        };
        assert_eq!(row("new graphs seen"), ["2 of 2", "0 of 1"]);
        assert_eq!(row("longest stall"), ["12.3 ms", "12.3 ms"]);
        assert_eq!(row("  which"), ["fsync at 4.1 s", "fsync at 4.1 s"]);
        assert_eq!(row("  most"), ["0.50 s", "0.00 s"]);
    }
}
