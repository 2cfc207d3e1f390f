//! The bricks of this host, a worker for each, as their exports come and go.

use std::{
    collections::BTreeMap,
    fs::{File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard,
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime},
};

use prometheus_client::metrics::histogram::Histogram;
use tracing::{info, warn};

use super::{
    BrickStatus, Kernel, LocalBrick, Options, Worker,
    exports::Exports,
    metrics::lags,
    report::{self, faults},
    worker::Figures,
};
use crate::mount::lock;

/// Between looks whether glusterd's files have changed, which is a `stat` of three for each volume, and what workers did.
const POLL: Duration = Duration::from_secs(2);

/// glusterd's files are read anew even where none seems to have changed.
const READ: Duration = Duration::from_secs(60);

/// What one crawl may take beyond its time before its brick counts as hung.
const GRACE: Duration = Duration::from_secs(120);

/// What takes longer to end counts as hung.
const END: Duration = Duration::from_secs(10);

/// What is looked after, and how.
#[derive(Debug)]
pub struct Config {
    /// The directory of glusterd's state.
    pub glusterd: PathBuf,
    /// Of each brick.
    pub options: Options,
}

/// The exported bricks of this host, looked after by threads until it is stopped.
#[derive(Debug)]
pub struct Daemon {
    state: Watched,
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

/// What a daemon knows, for whoever asks.
#[derive(Debug, Clone, Default)]
pub struct Watched(Arc<Mutex<State>>);

/// How the bricks of a host are.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// By their names.
    pub bricks: BTreeMap<String, Seen>,
    /// What is wrong with glusterd's files and the lists, and which bricks of them cannot be looked after; a sentence each.
    pub faults: Vec<String>,
}

/// A brick, as it was a moment ago.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The name of its volume.
    pub volume: String,
    /// None until it was looked at for the first time.
    pub status: Option<Arc<BrickStatus>>,
    /// How the work goes.
    pub figures: Figures,
    /// How long limits took, from the change of their record on, in seconds.
    pub lags: Histogram,
    /// It counts as hung when nothing was looked at for so long.
    patience: Duration,
    since: SystemTime,
    /// Of the worker, when the status was taken over.
    changes: u64,
}

impl Daemon {
    /// Begins to look after the exported bricks of this host, and follows what is exported.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(config: Config, kernel: Arc<dyn Kernel>) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let mut bricks = Bricks::new(config, kernel);
        let state = bricks.state.clone();
        let run = move || bricks.follow(&stopped);
        let thread = thread::Builder::new().name("quotad".to_owned()).spawn(run)?;
        Ok(Self { state, stop, thread })
    }

    /// What it knows.
    pub fn watched(&self) -> Watched {
        self.state.clone()
    }

    /// Ends the work, and waits for that. Limits stay.
    pub fn stop(self) {
        drop(self.stop);
        // It has nothing to say any more.
        let _ = self.thread.join();
    }
}

impl Watched {
    /// How the bricks are.
    pub fn state(&self) -> State {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock::lock(&self.0)
    }
}

impl State {
    /// Why not every PV is known to be limited as was asked, a line each; empty where all is well.
    pub fn unhealthy(&self) -> Vec<String> {
        let of_brick = |(name, seen): (&String, &Seen)| match (&seen.status, seen.hangs()) {
            (Some(status), _) if status.problem.is_some() => faults(status),
            (_, Some(since)) => {
                vec![format!(
                    "{name}: nothing was looked at for {} s: its file system may hang",
                    since.as_secs()
                )]
            }
            (None, None) => vec![format!("{name}: it was not looked at yet")],
            (Some(status), None) => faults(status),
        };
        self.faults.iter().cloned().chain(self.bricks.iter().flat_map(of_brick)).collect()
    }

    /// In a line.
    pub fn summary(&self) -> String {
        let pvs =
            || self.bricks.values().filter_map(|seen| seen.status.as_ref()).flat_map(|status| &status.pvs);
        let ill = pvs().filter(|pv| !report::is_in_force(pv)).count();
        let bricks = self.bricks.values().filter_map(|seen| seen.status.as_ref()?.problem.as_ref()).count();
        let mut words = format!("bricks: {}, PVs: {}", self.bricks.len(), pvs().count());
        for (count, what) in [
            (ill, "PVs without what was asked"),
            (bricks, "bricks without limits"),
            (self.faults.len(), "faults in what is exported"),
        ] {
            if count > 0 {
                words += &format!(", {what}: {count}");
            }
        }
        words
    }
}

impl Seen {
    /// A brick that is to be looked at.
    pub(super) fn new(volume: &str, patience: Duration) -> Self {
        let (figures, since) = (Figures::default(), SystemTime::now());
        Self { volume: volume.to_owned(), status: None, figures, lags: lags(), patience, since, changes: 0 }
    }

    /// For how long nothing was looked at, where that is too long.
    fn hangs(&self) -> Option<Duration> {
        let since = self.figures.crawled.unwrap_or(self.since).elapsed().unwrap_or_default();
        (since > self.patience).then_some(since)
    }
}

/// What the daemon's thread has.
struct Bricks {
    config: Config,
    kernel: Arc<dyn Kernel>,
    state: Watched,
    /// None until glusterd's files could be read.
    exports: Option<Exports>,
    read: Instant,
    /// What is wrong with glusterd's files and the lists.
    faults: Vec<String>,
    workers: BTreeMap<String, (LocalBrick, Worker)>,
    /// What has looked after bricks, since when it is to end: it may hang in their file systems.
    ending: BTreeMap<String, (Instant, JoinHandle<()>)>,
}

impl Bricks {
    fn new(config: Config, kernel: Arc<dyn Kernel>) -> Self {
        let (state, faults) = (Watched::default(), Vec::new());
        let (workers, ending) = (BTreeMap::new(), BTreeMap::new());
        Self { config, kernel, state, exports: None, read: Instant::now(), faults, workers, ending }
    }

    /// Goes on until nobody can stop it any more.
    fn follow(&mut self, stopped: &Receiver<()>) {
        loop {
            self.turn();
            if stopped.recv_timeout(POLL) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    }

    /// Sees to it that what is exported now is looked after, and takes over how it is.
    fn turn(&mut self) {
        if self.exports.as_ref().is_none_or(Exports::changed) || self.read.elapsed() >= READ {
            self.read = Instant::now();
            let now = Exports::read(&self.config.glusterd);
            self.faults = now.as_ref().map_or_else(|why| vec![why.clone()], |now| now.faults.clone());
            // Where it is not known what is exported, what was is looked after further on.
            self.exports = now.ok().or(self.exports.take());
        }
        let bricks = self.exports.as_ref().map_or_else(Vec::new, |exports| exports.bricks.clone());
        let not_taken_up = self.take_up(&bricks);
        self.tell(self.faults.iter().cloned().chain(not_taken_up).collect());
        self.look();
    }

    /// Tells each fault once, for as long as it is there.
    fn tell(&self, faults: Vec<String>) {
        let mut state = self.state.lock();
        for fault in faults.iter().filter(|fault| !state.faults.contains(fault)) {
            warn!(target: "kadalu", "{fault}");
        }
        state.faults = faults;
    }

    /// Starts and stops workers, so that these bricks and no others are looked after; says which cannot be, and why.
    fn take_up(&mut self, bricks: &[LocalBrick]) -> Vec<String> {
        self.ending.retain(|_, (_, thread)| !thread.is_finished());
        let mut faults = Vec::new();
        let gone = |(brick, _): &(LocalBrick, Worker)| !bricks.contains(brick);
        for (name, (brick, worker)) in self.workers.extract_if(.., |_, looked_after| gone(looked_after)) {
            self.state.lock().bricks.remove(&name);
            info!(target: "kadalu", brick = name, volume = brick.volume, "no longer looked after; its limits stay");
            // Not waited for, or a brick that hangs would keep all others from being followed.
            self.ending.extend(worker.end().map(|thread| (name, (Instant::now(), thread))));
        }
        for brick in bricks.iter().filter(|brick| !self.workers.contains_key(&brick.name)).collect::<Vec<_>>()
        {
            let name = &brick.name;
            if let Some((since, _)) = self.ending.get(name) {
                // That is tried again at the next turn, too.
                if since.elapsed() >= END {
                    let why = "what has looked after it does not end: its file system may hang";
                    faults.push(format!("{name} cannot be looked after anew: {why}"));
                }
                continue;
            }
            match Worker::start(brick.clone(), self.config.options.clone(), self.kernel.clone()) {
                Ok(worker) => {
                    info!(target: "kadalu", brick = brick.name, volume = brick.volume, "looked after");
                    let seen = Seen::new(&brick.volume, self.patience(Duration::ZERO));
                    self.state.lock().bricks.insert(brick.name.clone(), seen);
                    self.workers.insert(brick.name.clone(), (brick.clone(), worker));
                }
                // It is tried again at the next turn.
                Err(error) => faults.push(format!(
                    "{name} cannot be looked after: {error}; see LimitNOFILE and TasksMax of quotad's unit"
                )),
            }
        }
        faults
    }

    /// How long a brick of which a look takes so long may go without one.
    fn patience(&self, took: Duration) -> Duration {
        self.config.options.interval(took).saturating_add(GRACE)
    }

    /// Takes over what the workers have done, and tells what is new.
    fn look(&self) {
        for (name, (_, worker)) in &self.workers {
            let (figures, lags) = (worker.figures(), worker.take_lags());
            let mut state = self.state.lock();
            let Some(seen) = state.bricks.get_mut(name) else { continue };
            lags.iter().for_each(|lag| seen.lags.observe(lag.as_secs_f64()));
            if let Some(why) = &figures.unwatched
                && seen.figures.unwatched.is_none()
            {
                warn!(target: "kadalu", brick = name, "{why}");
            }
            seen.patience = self.patience(figures.took);
            seen.figures = figures;
            // To take thousands of PVs over costs something. It changes at the first look, too.
            let changes = worker.changes();
            if changes == seen.changes {
                continue;
            }
            seen.changes = changes;
            let before = seen.status.replace(Arc::new(worker.status()));
            let now = seen.status.clone();
            drop(state);
            if let Some(now) = now {
                report::log(before.as_deref(), &now);
            }
        }
    }
}

/// Makes sure that no other quotad sets limits on this host, for as long as the file is open.
///
/// # Errors
/// A sentence.
pub fn lock(directory: &Path) -> Result<File, String> {
    let path = directory.join("lock");
    let failed = |error: io::Error| format!("cannot lock {}: {error}", path.display());
    let file = File::options().create(true).write(true).truncate(false).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(format!(
            "another quotad runs on this host ({}): stop it, or look with --check",
            path.display()
        )),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{
        quota::{Xfs, fake::Lab, xfs::Support},
        storage::quota::Code,
    };

    const NODE: &str = "c3a7e485-75b9-40f7-b497-1944fa4ac879";

    /// A node of a cluster with volumes of one brick each, of which nothing is there.
    fn node(volumes: &[&str]) -> (tempfile::TempDir, Bricks) {
        let directory = tempfile::tempdir().unwrap();
        let glusterd = directory.path().to_owned();
        fs::write(glusterd.join("glusterd.info"), format!("UUID={NODE}\n")).unwrap();
        for volume in volumes {
            let files = glusterd.join("vols").join(volume);
            fs::create_dir_all(files.join("bricks")).unwrap();
            let info = format!("count=1\nreplica_count=1\nvolume-id={NODE}\nbrick-0=g1:-nowhere-{volume}\n");
            fs::write(files.join("info"), info).unwrap();
            let brick = format!("uuid={NODE}\nhostname=g1\npath=/nowhere/{volume}\n");
            fs::write(files.join(format!("bricks/g1:-nowhere-{volume}")), brick).unwrap();
        }
        let options = Options { project_ids: 1..=9, crawl_interval: Duration::from_secs(60) };
        (directory, Bricks::new(Config { glusterd, options }, Arc::new(Xfs::default())))
    }

    /// Turns until each brick was looked at.
    fn look(bricks: &mut Bricks) -> State {
        loop {
            bricks.turn();
            let state = bricks.state.state();
            if state.bricks.values().all(|seen| seen.status.is_some()) {
                return state;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn names(state: &State) -> Vec<&str> {
        state.bricks.keys().map(String::as_str).collect()
    }

    #[test]
    fn workers_come_and_go_with_exports() {
        let (directory, mut bricks) = node(&["one", "two"]);
        assert_eq!(look(&mut bricks).summary(), "bricks: 0, PVs: 0");
        let list = directory.path().join("kadalustorage.info");
        fs::write(&list, "one\ntwo\nthree\n").unwrap();
        let state = look(&mut bricks);
        assert_eq!(names(&state), ["g1:/nowhere/one", "g1:/nowhere/two"]);
        let words = "bricks: 2, PVs: 0, bricks without limits: 2, faults in what is exported: 1";
        assert_eq!(state.summary(), words);
        let status = state.bricks["g1:/nowhere/one"].status.clone().unwrap();
        assert_eq!(status.problem.as_ref().unwrap().code, Code::NoBrick);
        let unhealthy = state.unhealthy();
        assert!(unhealthy[0].contains("there is no volume \"three\""), "{unhealthy:?}");
        assert!(unhealthy[1].starts_with("g1:/nowhere/one: NoBrick: "), "{unhealthy:?}");

        fs::write(&list, "two\n").unwrap();
        assert_eq!(names(&look(&mut bricks)), ["g1:/nowhere/two"]);
        // The same brick as an arbiter is another task.
        let info = directory.path().join("vols/two/info");
        let text = fs::read_to_string(&info).unwrap();
        fs::write(&info, format!("{text}arbiter_count=1\n")).unwrap();
        while !bricks.workers.get("g1:/nowhere/two").is_some_and(|(brick, _)| brick.share.arbiter) {
            bricks.turn();
        }
        // What cannot be read says nothing of what was exported.
        fs::remove_file(directory.path().join("glusterd.info")).unwrap();
        let state = look(&mut bricks);
        assert_eq!((names(&state).len(), state.faults.len()), (1, 1));
        fs::write(&list, "").unwrap();
        fs::write(directory.path().join("glusterd.info"), format!("UUID={NODE}\n")).unwrap();
        assert!(look(&mut bricks).bricks.is_empty() && bricks.workers.is_empty());
    }

    /// Has the brick of a laboratory be that of the volume `pool`, and exports it.
    fn export(lab: &Lab, directory: &Path) {
        let files = directory.join("vols/pool");
        let (info, brick) = (files.join("info"), files.join("bricks/g1:-nowhere-pool"));
        let id = "volume-id=07070707-0707-0707-0707-070707070707";
        fs::write(&info, fs::read_to_string(&info).unwrap().replace(&format!("volume-id={NODE}"), id))
            .unwrap();
        let path = lab.brick.path.display();
        fs::write(&brick, format!("uuid={NODE}\nhostname=g1\npath={path}\n")).unwrap();
        fs::write(directory.join("kadalustorage.info"), "pool").unwrap();
    }

    #[test]
    fn what_a_worker_does_is_seen() {
        let Some(lab) = Lab::new() else { return };
        let (directory, mut bricks) = node(&["pool"]);
        bricks.kernel = lab.kernel.clone();
        export(&lab, directory.path());
        let until = |bricks: &mut Bricks, pvs: &str| {
            while look(bricks).summary() != format!("bricks: 1, PVs: {pvs}") {
                thread::sleep(Duration::from_millis(10));
            }
        };
        until(&mut bricks, "0");
        lab.create("pvc-1", 1 << 20);
        until(&mut bricks, "1");
        assert_eq!(bricks.state.state().unhealthy(), [""; 0]);
        lab.kernel.use_bytes(1, 1 << 19);
        lab.create("pvc-1", 1 << 10);
        until(&mut bricks, "1, PVs without what was asked: 1");
        lab.kernel.set_support(Ok(Support::Off));
        lab.create("pvc-2", 1 << 20);
        until(&mut bricks, "2, PVs without what was asked: 2");
    }

    #[test]
    fn a_brick_that_hangs_is_named() {
        let (directory, mut bricks) = node(&["one"]);
        fs::write(directory.path().join("kadalustorage.info"), "one").unwrap();
        let mut state = look(&mut bricks);
        let seen = state.bricks.get_mut("g1:/nowhere/one").unwrap();
        let hour = Duration::from_secs(3600);
        (seen.status, seen.since) = (None, SystemTime::now() - hour);
        // Also where files are being put into projects: everything is looked at meanwhile.
        seen.figures.marking = 1;
        assert!(state.unhealthy()[0].contains("nothing was looked at for 36"), "{:?}", state.unhealthy());
        let seen = state.bricks.get_mut("g1:/nowhere/one").unwrap();
        seen.figures.crawled = Some(SystemTime::now());
        assert_eq!(state.unhealthy(), ["g1:/nowhere/one: it was not looked at yet"]);
    }

    #[test]
    fn a_brick_that_hangs_keeps_no_other_from_being_followed() {
        let Some(lab) = Lab::new() else { return };
        let (directory, mut bricks) = node(&["pool", "other"]);
        bricks.kernel = lab.kernel.clone();
        export(&lab, directory.path());
        let hangs = lab.kernel.hang();
        while lab.kernel.asked() == 0 {
            bricks.turn();
        }
        let list = directory.path().join("kadalustorage.info");
        fs::write(&list, "other").unwrap();
        while bricks.state.state().bricks.keys().all(|name| name != "g1:/nowhere/other") {
            bricks.turn();
        }
        assert_eq!(names(&bricks.state.state()), ["g1:/nowhere/other"]);
        // It is back, and is told until what hangs has ended.
        fs::write(&list, "pool").unwrap();
        while bricks.state.state().unhealthy().iter().all(|line| !line.contains("does not end")) {
            bricks.turn();
            assert!(bricks.workers.keys().all(|name| name == "g1:/nowhere/other"));
            for (since, _) in bricks.ending.values_mut() {
                *since = since.checked_sub(END).unwrap_or(*since);
            }
        }
        drop(hangs);
        while !bricks.state.state().faults.is_empty() || bricks.workers.len() != 1 {
            bricks.turn();
        }
    }

    #[test]
    fn a_look_that_took_long_is_not_excused_for_days() {
        let (_directory, mut bricks) = node(&[]);
        let [ms, minute] = [Duration::from_millis(1), Duration::from_secs(60)];
        let patience = |bricks: &Bricks, took| bricks.patience(took) - GRACE;
        assert_eq!(patience(&bricks, ms), minute);
        assert_eq!(patience(&bricks, 100 * ms), Duration::from_secs(200));
        assert_eq!(patience(&bricks, 100 * minute), 10 * minute);
        assert_eq!(patience(&bricks, Duration::MAX), 10 * minute);
        bricks.config.options.crawl_interval = 30 * minute;
        assert_eq!(patience(&bricks, 100 * minute), 30 * minute);
    }

    #[test]
    fn one_quotad_a_host() {
        let directory = tempfile::tempdir().unwrap();
        let held = lock(directory.path()).unwrap();
        let why = lock(directory.path()).unwrap_err();
        assert!(why.starts_with("another quotad runs on this host ("), "{why}");
        drop(held);
        lock(directory.path()).unwrap();
        assert!(lock(Path::new("/nowhere")).unwrap_err().starts_with("cannot lock /nowhere/lock: No such"));
    }

    #[test]
    fn it_ends_when_it_is_told_to() {
        let (directory, bricks) = node(&["one"]);
        fs::write(directory.path().join("kadalustorage.info"), "one").unwrap();
        let daemon = Daemon::start(bricks.config, bricks.kernel).unwrap();
        let watched = daemon.watched();
        daemon.stop();
        assert_eq!(names(&watched.state()), ["g1:/nowhere/one"]);
    }
}
