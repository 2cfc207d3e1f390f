//! What the stories of `kadalu check` share: one look at a volume, and what was found.

use std::fmt;

use glusterd_client::storage::check::CODES;
use serde_json::Value;

use crate::lab::Host;

/// As it should be.
pub(crate) const OK: &str = "ok";
/// Nobody could tell.
pub(crate) const UNKNOWN: &str = "unknown";
/// PVs work; somebody should know.
pub(crate) const WARNING: &str = "warning";
/// PVs do not work.
pub(crate) const FAILED: &str = "failed";

/// What findings about a server are about.
pub(crate) fn at(server: &Host) -> String {
    format!("{}:24007", server.name())
}

/// What was found of a volume.
pub(crate) struct Checked {
    pub(crate) findings: Vec<Value>,
    pub(crate) facts: Value,
}

impl Checked {
    /// Runs `kadalu check` on a host. Whatever it finds keeps to what scripts and people rely on, and its exit status
    /// is that of the worst.
    #[track_caller]
    pub(crate) fn run(host: &Host, source: &str, flags: &[&str]) -> Self {
        let args = [&["check", "--format", "json", source], flags].concat();
        let output = host.kadalu(&args);
        let report = serde_json::from_slice(&output.stdout);
        let report = report.unwrap_or_else(|error| panic!("{error}: {}\n{}", output.text(), output.stderr));
        let this = Self::read(&report);
        let failed = this.findings.iter().any(|finding| finding["outcome"] == FAILED);
        assert_eq!(output.status, Some(if failed { 7 } else { 0 }), "{this}\n{}", output.stderr);
        this
    }

    /// The one volume of a report.
    #[track_caller]
    pub(crate) fn read(report: &Value) -> Self {
        let findings = report["findings"].as_array().unwrap_or_else(|| panic!("no report: {report}")).clone();
        let this = Self { findings, facts: report["facts"].clone() };
        for finding in &this.findings {
            let text = |field: &str| finding[field].as_str().unwrap_or_default();
            assert!(CODES.iter().any(|known| known.code == text("code")), "no such code: {finding}");
            assert!([OK, UNKNOWN, WARNING, FAILED].contains(&text("outcome")), "no such outcome: {finding}");
            assert!(!text("message").is_empty() && text("message").len() < 700, "{finding}");
            let is_line = |text: &str| !text.chars().any(char::is_control);
            assert!(
                ["subject", "message", "advice"].into_iter().all(|field| is_line(text(field))),
                "{finding}"
            );
            let bad = [WARNING, FAILED].contains(&text("outcome"));
            assert!(!bad || text("advice").len() > 10, "nothing is to be done: {finding}");
        }
        this
    }

    /// What a code says, where it says one thing.
    #[track_caller]
    pub(crate) fn one(&self, code: &str) -> Found<'_> {
        let all: Vec<&Value> = self.findings.iter().filter(|finding| finding["code"] == code).collect();
        match all.as_slice() {
            [one] => Found(one),
            other => panic!("{code} was found {} times in\n{self}", other.len()),
        }
    }

    /// What a code says of a subject, once.
    #[track_caller]
    pub(crate) fn of(&self, code: &str, subject: &str) -> Found<'_> {
        let its = |finding: &&Value| finding["code"] == code && finding["subject"] == subject;
        let all: Vec<&Value> = self.findings.iter().filter(its).collect();
        match all.as_slice() {
            [one] => Found(one),
            other => panic!("{code} of {subject} was found {} times in\n{self}", other.len()),
        }
    }

    /// The codes of what is bad, each once, in alphabetical order.
    pub(crate) fn bad(&self) -> Vec<&str> {
        let bad = self
            .findings
            .iter()
            .filter(|finding| [WARNING, FAILED].iter().any(|is| finding["outcome"] == *is));
        let mut codes: Vec<&str> = bad.filter_map(|finding| finding["code"].as_str()).collect();
        codes.sort_unstable();
        codes.dedup();
        codes
    }

    /// Nothing else is bad: a trouble is told once, where it is.
    #[track_caller]
    pub(crate) fn only(&self, codes: &[&str]) -> &Self {
        assert_eq!(self.bad(), codes, "{self}");
        self
    }
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.findings.iter().try_for_each(|finding| writeln!(f, "{finding}"))
    }
}

/// One finding.
pub(crate) struct Found<'c>(&'c Value);

impl Found<'_> {
    /// Once it was seen to be so.
    #[track_caller]
    pub(crate) fn is(self, outcome: &str) -> Self {
        assert_eq!(self.0["outcome"], outcome, "{}", self.0);
        self
    }

    /// Once each of these words was seen in its message (in whatever case).
    #[track_caller]
    pub(crate) fn says(self, words: &[&str]) -> Self {
        self.has("message", words)
    }

    /// Once each of these words was seen in its advice (in whatever case).
    #[track_caller]
    pub(crate) fn advises(self, words: &[&str]) -> Self {
        self.has("advice", words)
    }

    #[track_caller]
    fn has(self, field: &str, words: &[&str]) -> Self {
        let text = self.0[field].as_str().unwrap_or_default().to_lowercase();
        for word in words {
            assert!(text.contains(&word.to_lowercase()), "{word:?} is not in the {field} of {}", self.0);
        }
        self
    }
}
