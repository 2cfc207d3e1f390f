//! Whether this node reaches the servers and the bricks of the volumes that it uses.

use std::{collections::HashMap, time::Duration};

use tokio::{
    sync::Mutex,
    task::JoinSet,
    time::{Instant, timeout},
};

use crate::{
    client,
    csi::server::Deadline,
    mount::generated::{ListReply, Volume},
    storage::check::{self, Finding, Outcome, check_near},
    transport::ServerAddress,
};

/// For so long what was seen is believed.
const BELIEVED: Duration = Duration::from_secs(60);

/// For all volumes to be looked at; the bricks are never asked for their state.
const WITHIN: Duration = Duration::from_secs(15);

/// Volumes that are looked at, and those at a time.
const MAX_VOLUMES: usize = 1024;
const AT_ONCE: usize = 16;

/// What was seen last, by volume.
#[derive(Debug, Default)]
pub(super) struct Near(Mutex<HashMap<Key, Seen>>);

/// Its servers and its name.
type Key = (Vec<String>, String);

#[derive(Debug)]
struct Seen {
    at: Instant,
    wrong: Vec<Finding>,
}

impl Near {
    /// What is wrong with the way to each volume, by its name: looked at now, or no longer ago than a minute.
    pub(super) async fn look(
        &self,
        list: &ListReply,
        client: &client::Options,
        deadline: Deadline,
    ) -> Vec<(String, Finding)> {
        let looking = async {
            let mut seen = self.0.lock().await;
            let wanted: Vec<_> = list.volumes.iter().filter_map(key).take(MAX_VOLUMES).collect();
            seen.retain(|key, _| wanted.contains(key));
            let is_old = |key: &&Key| seen.get(key).is_none_or(|seen| seen.at.elapsed() >= BELIEVED);
            let old: Vec<_> = wanted.iter().filter(is_old).cloned().collect();
            for key in &old {
                // Whoever is cut short has looked too: a way that hangs is not tried by every call.
                let at = Instant::now();
                seen.entry(key.clone())
                    .and_modify(|seen| seen.at = at)
                    .or_insert(Seen { at, wrong: Vec::new() });
            }
            for keys in old.chunks(AT_ONCE) {
                let looks = keys.iter().cloned().map(|key| look(key, client.clone())).collect::<JoinSet<_>>();
                for (key, wrong) in looks.join_all().await {
                    seen.insert(key, Seen { at: Instant::now(), wrong });
                }
            }
        };
        // What was not seen in time is not known, and nothing is said of it.
        let _ = timeout(deadline.left().min(WITHIN), looking).await;
        let Ok(seen) = self.0.try_lock() else { return Vec::new() };
        let of = |((_, name), seen): (&Key, &Seen)| {
            seen.wrong.iter().map(|finding| (name.clone(), finding.clone())).collect::<Vec<_>>()
        };
        seen.iter().flat_map(of).collect()
    }
}

fn key(volume: &Volume) -> Option<Key> {
    (!volume.servers.is_empty()).then(|| (volume.servers.clone(), volume.name.clone()))
}

async fn look(key: Key, client: client::Options) -> (Key, Vec<Finding>) {
    let servers: Vec<ServerAddress> = key.0.iter().filter_map(|server| server.parse().ok()).collect();
    let options = check::Options { client, ..check::Options::default() };
    let report = check_near(&servers, &key.1, &options).await;
    let is_wrong = |finding: &Finding| finding.outcome >= Outcome::Warning;
    (key, report.findings.into_iter().filter(is_wrong).collect())
}
