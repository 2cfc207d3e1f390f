//! A report for people.

use std::{fmt::Write as _, time::Duration};

use glusterd_client::storage::check::{CODES, Finding, Group, Outcome, Report};

use crate::cli::output::shown;

/// Columns of a line.
const WIDTH: usize = 100;

/// Columns before the words: a mark, and the longest code.
const INDENT: usize = 21;

/// The volume, what was found under a head for each subject, and a sum.
pub(super) fn table(name: &str, report: &Report) -> String {
    let facts = &report.facts;
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
        text.extend(findings.map(lines));
    }
    text + &sum(&report.findings)
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

fn sum(findings: &[Finding]) -> String {
    let words = [
        (Outcome::Failed, "failed"),
        (Outcome::Warning, "to know of"),
        (Outcome::Unknown, "unknown"),
        (Outcome::Ok, "ok"),
    ];
    let counts = words
        .map(|(outcome, word)| (findings.iter().filter(|finding| finding.outcome == outcome).count(), word));
    let counts = counts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}"));
    format!("\n{}\n", counts.collect::<Vec<_>>().join(", "))
}
