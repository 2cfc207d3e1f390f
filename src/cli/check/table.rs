//! A report for people.

use std::{fmt::Write as _, time::Duration};

use glusterd_client::storage::check::{CODES, Finding, Group, Outcome, Report};

use crate::cli::output::shown;

/// Columns of a line.
const WIDTH: usize = 100;

/// Servers or bricks that are named together.
const SUBJECTS: usize = 6;

/// Columns before the words: a mark, and the longest code.
const INDENT: usize = 21;

/// The volume, what was found under a head for each subject, and a sum.
pub(super) fn table(name: &str, report: &Report) -> String {
    let (facts, mut told) = (&report.facts, Vec::new());
    let kind = facts.kind.as_ref().map(|kind| format!(", {kind}"));
    let mut text = format!("{}{}\n", shown(name), kind.unwrap_or_default());
    for group in Group::ALL {
        let of_group =
            |finding: &&Finding| CODES.iter().any(|code| code.code == finding.code && code.group == group);
        let mut findings = report.findings.iter().filter(of_group).peekable();
        if findings.peek().is_some() {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "\n{}", group.name());
        }
        let findings: Vec<_> = findings.collect();
        let alike = findings.chunk_by(|one, other| says(one) == says(other));
        for line in alike.map(together) {
            text += &lines(&line);
            told.push(line.outcome);
        }
    }
    text + &sum(&told)
}

/// All but what it is about.
fn says(finding: &Finding) -> (&str, Outcome, &str, Option<&str>, Option<u64>) {
    let Finding { code, outcome, message, advice, micros, .. } = finding;
    (code, *outcome, message, advice.as_deref(), *micros)
}

/// What is said of several things, once.
fn together(alike: &[&Finding]) -> Finding {
    let subjects: Vec<_> = alike.iter().filter_map(|finding| finding.subject.as_deref()).collect();
    let subject = (!subjects.is_empty()).then(|| match subjects.len() {
        ..=SUBJECTS => subjects.join(", "),
        count => format!("{}, … ({count} in all)", subjects[..SUBJECTS].join(", ")),
    });
    Finding { subject, ..alike[0].clone() }
}

/// One finding: a line, and more where it is long or there is something to do.
pub(super) fn lines(finding: &Finding) -> String {
    let mark = match finding.outcome {
        Outcome::Ok => '✓',
        Outcome::Unknown => '–',
        Outcome::Warning => '!',
        Outcome::Failed => '✗',
    };
    let subject = finding.subject.iter().map(|subject| format!("{subject}: "));
    let took = finding.micros.iter().map(|micros| {
        let millis = Duration::from_micros(*micros).as_secs_f64() * 1e3;
        format!(", {millis:.1} ms")
    });
    let words = subject.chain([finding.message.clone()]).chain(took).collect::<String>();
    let mut text = format!("  {mark} {:<15}  ", finding.code);
    text += &wrapped(&words, "");
    if let Some(advice) = finding.advice.as_ref().filter(|_| finding.outcome != Outcome::Ok) {
        text += &" ".repeat(INDENT);
        text += &wrapped(&format!("→ {advice}"), "  ");
    }
    text
}

/// In lines, those after the first behind the indent and `more`.
fn wrapped(words: &str, more: &str) -> String {
    let (mut text, mut column) = (String::new(), INDENT);
    for word in words.split(' ') {
        let width = word.chars().count();
        if column > INDENT + more.len() && column + 1 + width > WIDTH {
            text += &format!("\n{}{more}", " ".repeat(INDENT));
            column = INDENT + more.len();
        } else if !text.is_empty() {
            text.push(' ');
            column += 1;
        }
        text += word;
        column += width;
    }
    text + "\n"
}

/// How many lines say what.
fn sum(told: &[Outcome]) -> String {
    let words = [
        (Outcome::Failed, "failed"),
        (Outcome::Warning, "to know of"),
        (Outcome::Unknown, "unknown"),
        (Outcome::Ok, "ok"),
    ];
    let counts = words.map(|(outcome, word)| (told.iter().filter(|told| **told == outcome).count(), word));
    let counts = counts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}"));
    format!("\n{}\n", counts.collect::<Vec<_>>().join(", "))
}
