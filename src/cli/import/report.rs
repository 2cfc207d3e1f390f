//! What became of each object, in words.

use std::fmt;

use crate::cli::{Exit, Failure};

/// Says of each object that is not printed why, and counts.
#[derive(Debug, Default)]
pub(super) struct Report {
    failed: usize,
}

impl Report {
    /// It is nothing of ours, or is covered already.
    pub(super) fn left_out(&self, kind: &str, name: &str, why: impl fmt::Display) {
        tracing::info!(target: "kadalu", "{kind} {} is left out: {why}", shown(name));
    }

    /// It should have been printed, and cannot be.
    pub(super) fn failed(&mut self, kind: &str, name: &str, why: impl fmt::Display) {
        self.failed += 1;
        tracing::error!(target: "kadalu", "{kind} {} is not imported: {why}", shown(name));
    }

    /// It is printed, and there is something that must be known of it.
    pub(super) fn warn(&self, name: &str, what: impl fmt::Display) {
        tracing::warn!(target: "kadalu", "PersistentVolume {}: {what}", shown(name));
    }

    /// How the command ends.
    pub(super) fn outcome(&self, printed: usize) -> Result<(), Failure> {
        match self.failed {
            0 => Ok(()),
            failed => Err(Failure::new(
                Exit::Other,
                format_args!("{failed} not imported, for the reasons above; {printed} printed"),
            )),
        }
    }
}

/// As much of what somebody wrote as is worth repeating, in quotes.
pub(super) fn shown(text: &str) -> String {
    const SHOWN: usize = 80;
    let short: String = text.chars().take(SHOWN).collect();
    let rest = if short.len() < text.len() { "…" } else { "" };
    format!("{short:?}{rest}")
}
