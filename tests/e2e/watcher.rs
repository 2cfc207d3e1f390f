//! `kadalu volfile-get … --watch --format json`, read as a program would read it.

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::lab::{Host, Lab, Running};

/// A watch that runs, and what it has said.
pub(crate) struct Watcher {
    running: Running,
    events: Vec<Value>,
}

impl Watcher {
    /// Starts watching and waits for the first volfile, which is the one that `expected` digests.
    #[track_caller]
    pub(crate) fn start(client: &Host, servers: &str, volume: &str, expected: &str) -> Self {
        Self::start_with(client, &[servers, volume], expected)
    }

    /// The same with flags of the caller's.
    #[track_caller]
    pub(crate) fn start_with(client: &Host, args: &[&str], expected: &str) -> Self {
        let mut all = vec!["volfile-get", "--watch", "--format", "json"];
        all.extend(args);
        let mut this = Self { running: client.spawn_kadalu(&all), events: Vec::new() };
        let initial = this.wait_for("the first volfile", |event| event["event"] == "initial");
        assert_eq!(initial["digest"], expected, "{initial}");
        this
    }

    /// Reads events until one that `wanted` accepts, and returns it.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let events = &mut self.events;
        self.running.wait_for(what, |line| {
            let event: Value =
                serde_json::from_str(line).unwrap_or_else(|e| panic!("not an object a line: {e}: {line}"));
            events.push(event.clone());
            wanted(&event).then_some(event)
        })
    }

    /// Reads until the volume is published as what `digest` digests, and returns the change.
    #[track_caller]
    pub(crate) fn reaches(&mut self, digest: &str) -> Value {
        self.wait_for(&format!("a change to {digest}"), |event| {
            event["event"] == "changed" && event["digest"] == digest
        })
    }

    /// Every event so far that published a volfile: the initial one and the changes. They must be real changes
    /// (each differs from the one before) with generations that count up by one.
    #[track_caller]
    pub(crate) fn published(&self) -> Vec<&Value> {
        let published: Vec<&Value> =
            self.events.iter().filter(|e| e["event"] == "initial" || e["event"] == "changed").collect();
        for pair in published.windows(2) {
            assert_ne!(pair[0]["digest"], pair[1]["digest"], "published twice: {} {}", pair[0], pair[1]);
            let next = pair[0]["generation"].as_u64().map(|generation| generation + 1);
            assert_eq!(pair[1]["generation"].as_u64(), next, "after {}: {}", pair[0], pair[1]);
        }
        published
    }

    /// The server that the watch is connected to, by the latest event that names one.
    #[track_caller]
    pub(crate) fn server<'lab>(&self, lab: &'lab Lab) -> &'lab Host {
        let named = self
            .events
            .iter()
            .rev()
            .find(|event| event["event"] != "disconnected" && event["server"].is_string());
        let named = named.and_then(|event| event["server"].as_str()).expect("an event that names its server");
        let found = lab.servers().iter().find(|server| {
            let port = ":24007";
            named == format!("{}{port}", server.name())
                || named == format!("{}{port}", server.address())
                || named == format!("[{}]{port}", server.address())
        });
        found.unwrap_or_else(|| panic!("which server is {named:?}?"))
    }

    /// Every event so far, read by [`Self::wait_for`].
    pub(crate) fn events(&self) -> &[Value] {
        &self.events
    }

    /// The program itself.
    pub(crate) fn running(&mut self) -> &mut Running {
        &mut self.running
    }
}

/// The digest of a volfile as `kadalu` writes it.
pub(crate) fn digest(volfile: &[u8]) -> String {
    let hex: String = Sha256::digest(volfile).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// The digest of the volfile that lies on a server now.
pub(crate) fn digest_on(server: &Host, volume: &str) -> String {
    digest(&server.read_volfile(volume))
}
