//! `gluster`, wherever it runs, and the changes that are made with it.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::cli::{Exit, Failure};

/// How to run `gluster` for one volume.
pub(super) struct Admin<'a> {
    /// The prefix, such as `ssh g1 gluster`.
    pub(super) command: &'a str,
    pub(super) volume: &'a str,
}

/// Runs a shell command to its end; its output.
pub(super) fn shell(command: &str) -> Result<String, Failure> {
    let failed = |why: &dyn std::fmt::Display| Failure::other(format_args!("{command:?}"), why);
    let output = Command::new("sh").args(["-c", command]).stdin(Stdio::null()).output();
    let output = output.map_err(|error| failed(&error))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    match output.status.success() {
        true => Ok(said),
        false => {
            let complaint = String::from_utf8_lossy(&output.stderr);
            Err(failed(&format_args!("{}: {} {}", output.status, said.trim(), complaint.trim())))
        }
    }
}

/// A change, as the words behind `gluster volume`.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) words: String,
    /// It makes glusterfs build another graph; else it is taken over in place.
    pub(super) graph: bool,
}

/// Taken over in place; each with two values that are not the default.
const OPTIONS: [(&str, [&str; 2]); 3] = [
    ("network.ping-timeout", ["30", "35"]),
    ("performance.cache-size", ["64MB", "48MB"]),
    ("client.event-threads", ["3", "4"]),
];

const TRANSLATORS: [&str; 6] = [
    "performance.read-ahead",
    "performance.io-cache",
    "performance.quick-read",
    "performance.open-behind",
    "performance.write-behind",
    "performance.stat-prefetch",
];

/// How long the cluster's lock may be another's, and a brick's data on its way.
const PATIENCE: Duration = Duration::from_secs(120);

impl Admin<'_> {
    /// Runs `gluster volume WORDS`; waits while the cluster's lock is held.
    pub(super) fn gluster(&self, words: &str) -> Result<String, Failure> {
        let command = format!("{} --mode=script volume {words}", self.command);
        let begun = Instant::now();
        loop {
            match shell(&command) {
                Err(failure)
                    if begun.elapsed() < PATIENCE
                        && ["Another transaction is in progress", "Locking failed"]
                            .iter()
                            .any(|lock| failure.message.contains(lock)) =>
                {
                    std::thread::sleep(Duration::from_millis(200));
                }
                outcome => return outcome,
            }
        }
    }

    /// The value of an option.
    fn get(&self, option: &str) -> Result<String, Failure> {
        let said = self.gluster(&format!("get {} {option}", self.volume))?;
        let row = said.lines().rev().find_map(|line| line.trim().strip_prefix(option));
        // Newer ones say behind it where it comes from: `on (DEFAULT)`.
        let value = row.and_then(|row| row.split_whitespace().next()).map(str::to_owned);
        value.ok_or_else(|| Failure::other(format_args!("the value of {option}"), said.trim()))
    }

    /// A translator goes, or comes, and comes back or goes: two changes.
    pub(super) fn toggle(&self, translator: &str) -> Result<[Change; 2], Failure> {
        let now = self.get(translator)?;
        let other = if matches!(now.as_str(), "on" | "enable" | "yes" | "true" | "1") { "off" } else { "on" };
        Ok([other, &now].map(|value| self.set(translator, value, true)))
    }

    fn set(&self, option: &str, value: &str, graph: bool) -> Change {
        Change { words: format!("set {} {option} {value}", self.volume), graph }
    }

    /// Options and translators; at the end all is as it was.
    pub(super) fn options(&self) -> Result<Vec<Change>, Failure> {
        let mut changes = Vec::new();
        for (option, values) in OPTIONS {
            let now = self.get(option)?;
            changes.extend(values.map(|value| self.set(option, value, false)));
            changes.push(self.set(option, &now, false));
        }
        for translator in TRANSLATORS {
            changes.extend(self.toggle(translator)?);
        }
        Ok(changes)
    }

    /// A brick comes and goes: another copy where there are copies, else more room.
    pub(super) fn brick(&self, brick: &str) -> Result<[Change; 2], Failure> {
        let info = self.gluster(&format!("info {}", self.volume))?;
        let volume = self.volume;
        let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let bricks = field("Number of Bricks:").unwrap_or_default();
        let change = |words: String| Change { words, graph: true };
        match (field("Type:"), copies(bricks)) {
            (Some("Replicate"), Some(copies)) => Ok([
                change(format!("add-brick {volume} replica {} {brick} force", copies + 1)),
                change(format!("remove-brick {volume} replica {copies} {brick} force")),
            ]),
            (Some("Distribute"), _) => Ok([
                change(format!("add-brick {volume} {brick} force")),
                change(format!("remove-brick {volume} {brick} start")),
            ]),
            (kind, _) => {
                let kind = kind.unwrap_or("of an unknown kind");
                let message =
                    format!("--brick: {volume} is {kind}; replicate (one set) or distribute is wanted");
                Err(Failure::new(Exit::Usage, message))
            }
        }
    }

    /// Waits until what a `remove-brick … start` moves has moved, and ends it.
    pub(super) fn commit(&self, change: &Change) -> Result<(), Failure> {
        let Some(words) = change.words.strip_suffix(" start") else { return Ok(()) };
        let begun = Instant::now();
        loop {
            let status = self.gluster(&format!("{words} status"))?;
            if status.contains("completed") && !status.contains("in progress") {
                return self.gluster(&format!("{words} commit")).map(drop);
            }
            if status.contains("failed") || begun.elapsed() > PATIENCE {
                return Err(Failure::other("remove-brick", status.trim()));
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

/// Of `1 x 3 = 3` or `1 x (2 + 1) = 3`: three.
fn copies(bricks: &str) -> Option<u32> {
    bricks.strip_prefix("1 x ")?.rsplit("= ").next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A `gluster` that answers from a shell script.
    fn admin(script: &str) -> Admin<'_> {
        Admin { command: script, volume: "vol" }
    }

    #[test]
    fn a_translator_is_put_back() {
        for (said, other) in [("on", "off"), ("off", "on"), ("on                      (DEFAULT)", "off")] {
            let script =
                format!("printf 'Option  Value\\n------  -----\\nperformance.read-ahead    {said}\\n'; true");
            let words = admin(&script).toggle("performance.read-ahead").unwrap().map(|change| change.words);
            let now = said.split(' ').next().unwrap();
            assert_eq!(words, [other, now].map(|value| format!("set vol performance.read-ahead {value}")));
        }
    }

    #[test]
    fn a_brick_comes_and_goes() {
        let words = |kind: &str, bricks: &str| {
            let script = format!("printf 'Type: {kind}\\nNumber of Bricks: {bricks}\\n'; true");
            admin(&script).brick("g1:/b").map(|changes| changes.map(|change| change.words))
        };
        let replica = ["add-brick vol replica 4 g1:/b force", "remove-brick vol replica 3 g1:/b force"];
        assert_eq!(words("Replicate", "1 x 3 = 3").unwrap(), replica);
        let plain = ["add-brick vol g1:/b force", "remove-brick vol g1:/b start"];
        assert_eq!(words("Distribute", "3").unwrap(), plain);
        assert_eq!(words("Disperse", "1 x (3 + 1) = 4").unwrap_err().exit, Exit::Usage);
    }

    #[test]
    fn what_failed_is_shown() {
        let said = shell("echo no; echo why >&2; exit 3").unwrap_err().message;
        assert!(said.contains("exit status: 3") && said.contains("no why"), "{said}");
    }
}
