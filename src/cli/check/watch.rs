//! `--watch`: what costs the cluster nothing, again and again.

use std::time::{Duration, SystemTime};

use glusterd_client::storage::check::{Finding, Report, check_again, is_once};
use tokio::time::sleep;

use super::{Subject, table, table::lines};
use crate::cli::{
    Failure,
    output::{self, Format, shown},
};

/// Prints what was found, and from then on what is new.
pub(super) async fn run(
    subjects: &[Subject],
    mut reports: Vec<Report>,
    period: Duration,
    format: Format,
) -> Result<(), Failure> {
    for (subject, report) in subjects.iter().zip(&reports) {
        match format {
            Format::Table => output::print(table(subject.name(), report).as_bytes())?,
            Format::Json => line(subject, report)?,
        }
    }
    loop {
        sleep(period).await;
        for (subject, report) in subjects.iter().zip(&mut reports) {
            let next = check_again(&subject.servers, &subject.volume, &subject.options).await;
            let news = merge(report, next);
            match format {
                _ if news.is_empty() => {}
                Format::Json => line(subject, report)?,
                Format::Table => {
                    let time = humantime::format_rfc3339_seconds(SystemTime::now());
                    let news: String = news.iter().map(lines).collect();
                    output::print(format!("{time} {}\n{news}", shown(subject.name())).as_bytes())?;
                }
            }
        }
    }
}

fn line(subject: &Subject, report: &Report) -> Result<(), Failure> {
    let line = serde_json::to_string(&subject.shown(report));
    let line = line.map_err(|error| Failure::other("cannot write JSON", error))?;
    output::print(format!("{line}\n").as_bytes())
}

/// Brings a report up to date; returns what it did not say before. What is looked at once stays as it was.
fn merge(report: &mut Report, mut next: Report) -> Vec<Finding> {
    let news = |finding: &&Finding| !report.findings.iter().any(|known| known.is_same(finding));
    let news: Vec<_> = next.findings.iter().filter(news).cloned().collect();
    next.replace(report.findings.iter().filter(|known| is_once(known.code)).cloned().collect());
    next.facts.capacity = report.facts.capacity;
    *report = next;
    news
}
