//! Copies of our mounts in other mount namespaces: those of containers whose propagation is private, and whatever else
//! somebody has bound elsewhere. What happens to a target does not reach them, so after the end of its process they
//! would be dead for as long as the container runs.

use std::{
    collections::{BTreeMap, HashSet},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{sync::Semaphore, task::JoinSet};
use tracing::{info, warn};

use super::{
    file::read_bounded,
    helper::{Helper, MAX_TABLE, Placed, Rebind, Rebound},
};

/// For what is done in one namespace; a path there can lead over a file system that hangs.
const NAMESPACE: Duration = Duration::from_secs(20);

/// Namespaces at a time.
const AT_ONCE: usize = 4;

/// Processes with a root of their own that are looked at in one namespace.
const MAX_VIEWS: usize = 16;

/// A mount namespace by its number; the numbers of processes that have it and see a mount that was looked for.
type Found = BTreeMap<u64, Vec<i32>>;

/// What `/proc` shows of the mount namespaces of this machine.
#[derive(Debug, Default, PartialEq, Eq)]
struct Scan {
    found: Found,
    /// Of the file systems that were looked for, those that are mounted anywhere.
    seen: HashSet<(u32, u32)>,
    /// Of this process.
    own: u64,
    namespaces: usize,
    /// Processes whose namespace may not be looked at.
    denied: usize,
}

/// What a round through all namespaces has come to.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Which of the file systems were mounted anywhere; none where nobody can say.
    pub(super) seen: Option<HashSet<(u32, u32)>>,
    /// Mounts that were replaced.
    pub(super) rebound: u64,
    /// What is left as it was, a sentence each.
    pub(super) left: HashSet<String>,
}

/// What a round is to do.
#[derive(Debug)]
pub(super) struct Round {
    /// Of the pool, for the log.
    pub(super) pool: String,
    pub(super) helper: Helper,
    /// With no process yet; what is excepted is so in the host's own namespace.
    pub(super) rebind: Rebind,
    /// What was left before, which is not said again.
    pub(super) known: HashSet<String>,
}

impl Round {
    /// Goes through all namespaces, our own first: what is shared with others reaches them from there.
    pub(super) async fn run(self) -> Outcome {
        let devices = self.rebind.earlier.iter().map(|earlier| earlier.device).collect::<Vec<_>>();
        let Ok(Ok(mut scan)) = tokio::task::spawn_blocking(move || scan(&devices)).await else {
            return Outcome { left: self.known, ..Outcome::default() };
        };
        let mut outcome = Outcome { seen: Some(std::mem::take(&mut scan.seen)), ..Outcome::default() };
        let this = Arc::new(self);
        if let Some(views) = scan.found.remove(&scan.own) {
            let (rebound, left) = this.namespace(scan.own, views, this.rebind.except.clone()).await;
            outcome.add(rebound, left);
        }
        let limit = Arc::new(Semaphore::new(AT_ONCE));
        let mut running = JoinSet::new();
        for (namespace, views) in scan.found {
            let (this, limit) = (this.clone(), limit.clone());
            running.spawn(async move {
                // It is never closed.
                let _permit = limit.acquire().await;
                this.namespace(namespace, views, Vec::new()).await
            });
        }
        while let Some(ended) = running.join_next().await {
            if let Ok((rebound, left)) = ended {
                outcome.add(rebound, left);
            }
        }
        outcome
    }

    /// One namespace, by each process that sees another part of it.
    async fn namespace(&self, namespace: u64, views: Vec<i32>, except: Vec<PathBuf>) -> (u64, Vec<String>) {
        let (mut rebound, mut left) = (0, Vec::new());
        for pid in views {
            let rebind = Rebind { pid, namespace, except: except.clone(), ..self.rebind.clone() };
            let (mounts, result) = self.helper.rebind(&rebind, NAMESPACE).await;
            for Rebound { mount_point, result } in mounts {
                match result {
                    Ok(placed) => {
                        rebound += 1;
                        let locked = placed == Placed::Over;
                        info!(target: "kadalu", pool = self.pool, pid, mount_point, locked, "mounted anew in a container");
                    }
                    Err(reason) => self.leave(&mut left, pid, namespace, &mount_point, &reason),
                }
            }
            if let Err(failed) = result {
                self.leave(&mut left, pid, namespace, "", &failed.to_string());
            }
        }
        (rebound, left)
    }

    fn leave(&self, left: &mut Vec<String>, pid: i32, namespace: u64, mount_point: &str, reason: &str) {
        let sentence = format!("{namespace} {mount_point}: {reason}");
        if !self.known.contains(&sentence) {
            warn!(target: "kadalu", pool = self.pool, pid, mount_point, reason, "a mount in a container is left on an earlier glusterfs");
        }
        left.push(sentence);
    }
}

impl Outcome {
    fn add(&mut self, rebound: u64, left: Vec<String>) {
        self.rebound += rebound;
        self.left.extend(left);
    }
}

/// Says what of other namespaces can be reached, and what to set where that is nothing.
pub(super) async fn announce() {
    let scan = match tokio::task::spawn_blocking(|| scan(&[])).await {
        Ok(Ok(scan)) => scan,
        Ok(Err(error)) => {
            return warn!(target: "kadalu", %error, "mounts in containers are not healed: /proc cannot be read");
        }
        // The end of the runtime.
        Err(_) => return,
    };
    let (namespaces, denied) = (scan.namespaces, scan.denied);
    if denied > 0 {
        warn!(
            target: "kadalu", namespaces, denied,
            "mounts in the containers of some processes are not healed, as their namespaces may not be looked at. Set \
             privileged: true in the security context of the mount host, or give it CAP_SYS_ADMIN, CAP_SYS_CHROOT and \
             CAP_SYS_PTRACE"
        );
    } else if namespaces < 2 {
        warn!(
            target: "kadalu",
            "mounts in containers are not healed, as /proc shows no mount namespace but our own. Set hostPID: true in the \
             pod of the mount host (with docker or podman: --pid=host), or run it outside of containers"
        );
    } else {
        info!(target: "kadalu", namespaces, "mounts in containers are healed too");
    }
}

/// Looks at the mounts of every namespace that a process has. Only `/proc` is read, so this does not hang.
fn scan(devices: &[(u32, u32)]) -> io::Result<Scan> {
    let own = namespace_of(Path::new("/proc/self"))?;
    let mut scan = Scan { own, ..Scan::default() };
    let mut roots = BTreeMap::<u64, HashSet<_>>::new();
    let wanted =
        devices.iter().map(|(major, minor)| (format!("{major}:{minor}").into_bytes(), (*major, *minor)));
    let wanted = wanted.collect::<Vec<_>>();
    for entry in fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let process = entry.path();
        let namespace = match namespace_of(&process) {
            Ok(namespace) => namespace,
            Err(error) => {
                // Others have ended meanwhile.
                scan.denied += usize::from(error.kind() == io::ErrorKind::PermissionDenied);
                continue;
            }
        };
        // A process sees what is below its root; most have that of their namespace.
        let views = roots.entry(namespace).or_default();
        let Ok(root) = fs::read_link(process.join("root")) else { continue };
        if views.len() >= MAX_VIEWS || !views.insert(root) || wanted.is_empty() {
            continue;
        }
        let table = read_bounded(&process.join("mountinfo"), MAX_TABLE).unwrap_or_default();
        let shown = shown(&table, &wanted);
        if !shown.is_empty() {
            scan.found.entry(namespace).or_default().push(pid);
        }
        scan.seen.extend(shown);
    }
    scan.namespaces = roots.len();
    Ok(scan)
}

/// The number in a link such as `mnt:[4026531841]`.
fn namespace_of(process: &Path) -> io::Result<u64> {
    let link = fs::read_link(process.join("ns/mnt"))?;
    let number = link.to_str().and_then(|link| link.strip_prefix("mnt:[")?.strip_suffix(']')?.parse().ok());
    number.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Which file systems a mountinfo file names; its third field is the number.
fn shown(table: &[u8], wanted: &[(Vec<u8>, (u32, u32))]) -> HashSet<(u32, u32)> {
    let devices =
        table.split(|byte| *byte == b'\n').filter_map(|line| line.split(|byte| *byte == b' ').nth(2));
    devices
        .filter_map(|device| wanted.iter().find(|(text, _)| text == device).map(|(_, number)| *number))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mount::helper::Earlier;

    #[test]
    fn file_systems_are_found_by_their_number_alone() {
        let table =
            b"5 4 0:50 / /data rw - fuse.glusterfs 0:51 rw\n6 4 0:500 / /0:52 rw - t s o\n7 4 0:53\n\n8";
        let wanted = [50, 51, 52, 53].map(|minor| (format!("0:{minor}").into_bytes(), (0, minor)));
        assert_eq!(shown(table, &wanted), HashSet::from([(0, 50), (0, 53)]));
        assert_eq!(shown(b"", &wanted), HashSet::new());
    }

    #[test]
    fn our_own_namespace_is_found_and_only_what_was_looked_for() {
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let of_proc = table.lines().find(|line| line.contains(" /proc ")).unwrap();
        let (major, minor) = of_proc.split(' ').nth(2).unwrap().split_once(':').unwrap();
        let device = (major.parse().unwrap(), minor.parse().unwrap());
        let found = scan(&[device, (4095, 1)]).unwrap();
        assert_eq!(found.own, namespace_of(Path::new("/proc/self")).unwrap());
        assert!((1..=MAX_VIEWS).contains(&found.found[&found.own].len()));
        assert_eq!(found.seen, HashSet::from([device]));
        assert!(found.namespaces >= 1);

        let nothing = scan(&[]).unwrap();
        assert_eq!((nothing.found, nothing.seen), Default::default());
    }

    #[tokio::test]
    async fn a_round_without_such_mounts_asks_no_helper() {
        let helper = Helper { program: "/nonexistent".into(), arguments: Vec::new() };
        let rebind = Rebind {
            pid: 0,
            namespace: 0,
            mount: PathBuf::from("/mnt"),
            earlier: vec![Earlier {
                device: (4095, 1),
                source: "s".into(),
                place: "pool/1".into(),
                ended: true,
            }],
            roots: vec!["/".into()],
            except: Vec::new(),
            staging: PathBuf::from("/nonexistent"),
        };
        let known = HashSet::from(["what was left before".to_owned()]);
        let outcome = Round { pool: "pool".into(), helper, rebind, known }.run().await;
        assert_eq!((outcome.seen, outcome.rebound, outcome.left), (Some(HashSet::new()), 0, HashSet::new()));
    }
}
