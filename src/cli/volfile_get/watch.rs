use std::{path::Path, time::SystemTime};

use glusterd_client::{
    client::{Cluster, Event, Generation, NoVolfile},
    volfile::Change,
};
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};
use tracing::warn;

use super::{Failure, Format, cannot_begin, output};

/// One line of `--watch --format json`. Fields that do not apply are absent.
#[derive(Debug, Serialize)]
struct Line<'a> {
    event: &'static str,
    time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<String>,
    volume: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<&'a Change>,
    /// Why a connection ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    /// Why a volfile was rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    reasons: Option<&'a [String]>,
}

/// Prints each event, and keeps `file` at the current volfile, until a signal comes.
pub(super) async fn run(
    cluster: &Cluster,
    volume: &str,
    key: &str,
    format: Format,
    file: Option<&Path>,
) -> Result<(), Failure> {
    let mut watch = cluster.watch(key);
    let mut terminate =
        signal(SignalKind::terminate()).map_err(|error| Failure::other("cannot wait for SIGTERM", error))?;
    loop {
        let event = tokio::select! {
            event = watch.next() => event,
            _ = terminate.recv() => return Ok(()),
            _ = tokio::signal::ctrl_c() => return Ok(()),
        };
        let line = match line(volume, &event) {
            Ok(line) => line,
            Err(error) => match cannot_begin(error) {
                Some(failure) if watch.current().is_none() => return Err(failure),
                _ => {
                    warn!(target: "kadalu", %error, "trying again");
                    continue;
                }
            },
        };
        let text = match format {
            Format::Json => {
                serde_json::to_string(&line).map_err(|error| Failure::other("cannot print", error))? + "\n"
            }
            _ => words(&line),
        };
        // Before its line, so that who reads the line finds the file.
        if let (Some(file), Event::Initial(generation) | Event::Changed { generation, .. }) = (file, &event) {
            output::replace(file, &generation.text)?;
        }
        output::print(text.as_bytes())?;
    }
}

/// An event as data; that there is no volfile to be had at the moment is a matter of words.
fn line<'a>(volume: &'a str, event: &'a Event) -> Result<Line<'a>, &'a NoVolfile> {
    let time = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
    let blank = Line {
        event: "",
        time,
        server: None,
        volume,
        generation: None,
        digest: None,
        change: None,
        reason: None,
        reasons: None,
    };
    let of = |name, generation: &'a Generation, blank| Line {
        event: name,
        server: Some(generation.server.to_string()),
        generation: Some(generation.number),
        digest: Some(&generation.digest),
        ..blank
    };
    Ok(match event {
        Event::Initial(generation) => of("initial", generation, blank),
        Event::Unchanged(generation) => of("unchanged", generation, blank),
        Event::Changed { generation, change } => {
            Line { change: Some(change), ..of("changed", generation, blank) }
        }
        Event::Connected(server) => Line { event: "connected", server: Some(server.to_string()), ..blank },
        Event::Disconnected { server, reason } => {
            Line { event: "disconnected", server: Some(server.to_string()), reason: Some(reason), ..blank }
        }
        Event::Gone(server) => Line { event: "gone", server: Some(server.to_string()), ..blank },
        Event::Rejected(rejection) => Line {
            event: "rejected",
            server: Some(rejection.server.to_string()),
            digest: Some(&rejection.digest),
            reasons: Some(&rejection.reasons),
            ..blank
        },
        Event::Unavailable(error) => return Err(error),
    })
}

/// The same for people: a line, and one more for each item.
fn words(line: &Line<'_>) -> String {
    let Line { event, time, volume, .. } = line;
    let mut text = format!("{time} {volume} {event}");
    if let Some(generation) = line.generation {
        text += &format!(" generation {generation}");
    }
    if let Some(change) = line.change {
        text += &format!(" ({})", change.class);
    }
    if let Some(server) = &line.server {
        text += &format!(" {server}");
    }
    if let Some(reason) = line.reason {
        text += &format!(" ({reason})");
    }
    text.push('\n');
    let items = line.change.iter().flat_map(|change| &change.items).map(ToString::to_string);
    for item in items.chain(line.reasons.into_iter().flatten().cloned()) {
        text += &format!("    {item}\n");
    }
    text
}
