//! A brick looked after by a thread of its own, until it is told to end.

use std::{
    collections::{BTreeSet, HashSet, VecDeque},
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant, SystemTime},
};

use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll},
    io::Errno,
};

use super::{
    BrickStatus, LocalBrick, Mode, Options,
    brick::{attribute, directory, state},
    crawl::{Keeper, MAX_PVS, NoWatch, Told, Watching},
    mark::{Marker, Progress},
    pv::{Look, Next},
    records::{self, Recorded, Visitor},
    waiting::{Wait, Waiting},
    watch::Watch,
    xfs::Kernel,
};
use crate::mount::lock::lock;
use crate::storage::{
    layout::Place,
    quota::{self, Daemon, Problem, QUOTAD},
};

/// How long putting files into a project keeps others waiting.
const SLICE: Duration = Duration::from_millis(10);

/// The same for each PV while all are looked at: enough for a few files.
const CRAWL_SLICE: Duration = Duration::from_millis(1);

/// How often the brick says that it is looked after.
const STATE: Duration = Duration::from_secs(60);

/// How often the projects of PVs that have gone are looked at, until their files have gone too.
const LEAVING: Duration = Duration::from_secs(5);

/// How soon a brick that is not there is looked for again.
const ABSENT: Duration = Duration::from_secs(5);

/// How many PVs' files are put into projects in turn; others wait until one of them is done.
const MAX_MARKING: usize = 8;

/// How many lags are kept until somebody asks for them.
const MAX_LAGS: usize = 16_384;

/// A brick that is looked after. Dropped, it is no more; its limits stay.
#[derive(Debug)]
pub struct Worker {
    brick: LocalBrick,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// How the work goes.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// When all PVs were looked at last; none before the first time.
    pub crawled: Option<SystemTime>,
    /// How long that took.
    pub took: Duration,
    /// Why changes of records may be noticed only by the next look at everything; none where each is at once.
    pub unwatched: Option<String>,
    /// PVs whose files are being put into their projects.
    pub marking: usize,
    /// PVs whose directories are being waited for.
    pub waiting: usize,
}

#[derive(Debug)]
struct Shared {
    stopped: AtomicBool,
    /// Written to when it is stopped.
    wake: OwnedFd,
    told: Arc<Told>,
    figures: Mutex<Figures>,
    lags: Mutex<Vec<Duration>>,
}

impl Worker {
    /// Begins to look after a brick.
    ///
    /// # Errors
    /// There are too many threads or files.
    pub fn start(brick: LocalBrick, options: Options, kernel: Arc<dyn Kernel>) -> io::Result<Self> {
        let keeper = Keeper::new(brick.clone(), &options, Mode::Apply);
        let shared = Arc::new(Shared {
            stopped: AtomicBool::new(false),
            wake: eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?,
            told: keeper.told.clone(),
            figures: Mutex::default(),
            lags: Mutex::default(),
        });
        let work = Work::new(keeper, options, shared.clone());
        let thread =
            std::thread::Builder::new().name("quotad-brick".to_owned()).spawn(move || work.run(&*kernel))?;
        Ok(Self { brick, shared, thread: Some(thread) })
    }

    /// How the brick and its PVs are, as they were found last; no PVs before the first look.
    pub fn status(&self) -> BrickStatus {
        self.shared.told.status(&self.brick)
    }

    /// A number that is another one when the status may be: it costs nothing to ask for.
    pub fn changes(&self) -> u64 {
        self.shared.told.changes()
    }

    /// How the work goes.
    pub fn figures(&self) -> Figures {
        lock(&self.shared.figures).clone()
    }

    /// How long each limit took, from the event of its record until it was in force, since this was asked last.
    pub fn take_lags(&self) -> Vec<Duration> {
        std::mem::take(&mut lock(&self.shared.lags))
    }

    /// Ends the work, and waits for that; as dropping does.
    pub fn stop(self) {
        drop(self);
    }

    /// Has the work end, and hands out the thread, which has not ended yet: it may hang in the brick's file system.
    pub(super) fn end(mut self) -> Option<JoinHandle<()>> {
        self.tell_to_end();
        self.thread.take()
    }

    fn tell_to_end(&self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        // It can only fail where it was written to already.
        let _ = rustix::io::write(&self.shared.wake, &1_u64.to_ne_bytes());
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.tell_to_end();
        if let Some(thread) = self.thread.take() {
            // It has nothing to say any more.
            let _ = thread.join();
        }
    }
}

/// What the thread of a brick has to do.
struct Work {
    keeper: Keeper,
    options: Options,
    shared: Arc<Shared>,
    watch: Option<Watch>,
    /// When everything is looked at again, and when the brick says again that it is looked after.
    crawl: Instant,
    state: Instant,
    /// When projects that PVs have left are looked at again, while there are some.
    release: Instant,
    waiting: Waiting,
    /// PVs whose directories have got other attributes.
    touched: Waiting,
    /// PVs whose files are to be put into their projects, those for which that is done, in turn, and all of them.
    to_mark: VecDeque<ToMark>,
    marking: VecDeque<(ToMark, Marker)>,
    marked: HashSet<Place>,
}

/// A PV whose files are to be put into its project.
struct ToMark {
    place: Place,
    project: u32,
    since: Instant,
}

impl Work {
    fn new(keeper: Keeper, options: Options, shared: Arc<Shared>) -> Self {
        let now = Instant::now();
        Self {
            keeper,
            options,
            shared,
            watch: None,
            crawl: now,
            state: now,
            release: now,
            waiting: Waiting::default(),
            touched: Waiting::default(),
            to_mark: VecDeque::new(),
            marking: VecDeque::new(),
            marked: HashSet::new(),
        }
    }

    fn run(mut self, kernel: &dyn Kernel) {
        while !self.shared.stopped.load(Ordering::Relaxed) {
            self.events(kernel);
            let now = Instant::now();
            if now >= self.crawl {
                self.crawl(kernel);
            } else if now >= self.state {
                self.look(kernel, |_, _| {});
            } else if self.keeper.projects.are_leaving() && now >= self.release {
                self.release = now + LEAVING;
                self.look(kernel, |work, look| work.keeper.release_leaving(look));
            }
            self.retry(kernel);
            self.mark(kernel);
            self.tell();
            self.sleep();
        }
    }

    /// Waits until there is something to do.
    fn sleep(&self) {
        let busy = (!self.marked.is_empty()).then(Instant::now);
        let leaving = self.keeper.projects.are_leaving().then_some(self.release);
        let next =
            [Some(self.crawl), Some(self.state), self.waiting.first(), self.touched.first(), busy, leaving];
        let next = next.into_iter().flatten().min();
        let left = next.map_or(STATE, |next| next.saturating_duration_since(Instant::now()));
        let timeout = Timespec::try_from(left).ok();
        let mut fds = vec![PollFd::new(&self.shared.wake, PollFlags::IN)];
        fds.extend(self.watch.as_ref().map(|watch| PollFd::new(watch, PollFlags::IN)));
        // Interrupted, it is as if there were something to do.
        let _ = poll(&mut fds, timeout.as_ref());
    }

    /// Opens the brick, does something there, and says that it is looked after.
    fn look(&mut self, kernel: &dyn Kernel, work: impl FnOnce(&mut Self, &mut Look<'_>)) {
        let brick = self.keeper.brick.clone();
        let mut look = match Look::begin(&brick, Mode::Apply, kernel) {
            Ok(look) => look,
            Err(problem) => return self.absent(problem),
        };
        look.slice = Some(SLICE);
        if self.watch.as_ref().is_some_and(|watch| !watch.is_of(look.root.as_fd())) {
            // Another file system is mounted there by now.
            self.forget();
        }
        work(self, &mut look);
        let is_due = Instant::now() >= self.state;
        if is_due {
            self.state = Instant::now() + STATE;
        }
        if let Err(errno) = say(&look, is_due) {
            tracing::warn!(brick = brick.name, %errno, "cannot say on the brick that it is looked after");
        }
    }

    /// The brick is not there.
    fn absent(&mut self, problem: Problem) {
        self.keeper.fail(problem);
        self.forget();
        let soon = Instant::now() + ABSENT;
        (self.crawl, self.state) = (soon, soon);
    }

    /// Lets go all that was known of the brick, or keeps its file system from being unmounted.
    fn forget(&mut self) {
        (self.watch, self.waiting, self.touched) = (None, Waiting::default(), Waiting::default());
        self.to_mark.clear();
        self.marking.clear();
        self.marked.clear();
        self.crawl = Instant::now();
    }

    fn crawl(&mut self, kernel: &dyn Kernel) {
        let (began, used) = (Instant::now(), processor_time());
        // Where the brick is not there, another time is set.
        self.crawl = began;
        self.look(kernel, |work, look| {
            let mut watch = work.watch.take().map_or_else(|| Watch::start(look.root.as_fd()), Ok);
            let watching: &mut dyn Watching = match &mut watch {
                Ok(watch) => {
                    watch.renew();
                    watch
                }
                Err(_) => &mut NoWatch,
            };
            look.slice = Some(CRAWL_SLICE);
            let next = work.keeper.crawl(look, watching, &work.shared.stopped);
            for (place, next) in next {
                // What is waited for already is so further on, at its pace.
                let before = work.waiting.remove(&place);
                work.then(place, next, before.map_or(began, |before| before.since), before);
            }
            let failed = watch.as_ref().map_or_else(|errno| Some(*errno), Watch::failed);
            work.watch = watch.ok();
            let took = began.elapsed();
            // What it waited for, a disk or others, is no cost.
            let cost = processor_time().zip(used).map_or(took, |(now, before)| now.saturating_sub(before));
            work.crawl = Instant::now() + work.options.interval(cost);
            let mut figures = lock(&work.shared.figures);
            (figures.crawled, figures.took) = (Some(SystemTime::now()), took);
            figures.unwatched = failed.map(unwatched);
        });
    }

    /// What inotify has told.
    fn events(&mut self, kernel: &dyn Kernel) {
        let Some(watch) = &mut self.watch else { return };
        let changes = watch.changes();
        let came = Instant::now();
        if changes.lost {
            // The watches may be on directories that are elsewhere by now.
            self.forget();
            return;
        }
        changes.touched.into_iter().for_each(|place| self.touched.later(place, came));
        if changes.places.is_empty() && changes.directories.is_empty() && !changes.root {
            return;
        }
        self.look(kernel, |work, look| {
            let mut places = changes.places;
            for path in changes.directories {
                let mut new = New { places: &mut places, watch: work.watch.as_mut() };
                records::walk(look.root.as_fd(), &path, work.keeper.brick.share, &mut new);
            }
            for place in places {
                let before = work.waiting.remove(&place);
                // What was waited for begins anew, but has waited since then.
                let since = before.map_or(came, |before| before.since);
                work.one(look, place, since, None);
            }
        });
    }

    /// Looks at one PV, which was noticed at `since`.
    fn one(&mut self, look: &Look<'_>, place: Place, since: Instant, before: Option<Wait>) {
        if self.marked.contains(&place) {
            return;
        }
        let watching: &mut dyn Watching = match &mut self.watch {
            Some(watch) => watch,
            None => &mut NoWatch,
        };
        let next = self.keeper.one(look, &place, watching);
        if matches!(next, Next::Nothing) && self.keeper.is_new_in_force(&place) {
            let mut lags = lock(&self.shared.lags);
            if lags.len() < MAX_LAGS {
                lags.push(since.elapsed());
            }
        }
        self.then(place, next, since, before);
    }

    fn then(&mut self, place: Place, next: Next, since: Instant, before: Option<Wait>) {
        match next {
            Next::Nothing => {}
            Next::Again => self.waiting.add(place, since, before, Instant::now()),
            Next::Mark(project) => {
                if self.marked.insert(place.clone()) {
                    self.to_mark.push_back(ToMark { place, project, since });
                }
            }
        }
    }

    /// Looks again at PVs whose time has come.
    fn retry(&mut self, kernel: &dyn Kernel) {
        let now = Instant::now();
        let (due, touched) = (self.waiting.due(now), self.touched.due(now));
        if due.is_empty() && touched.is_empty() {
            return;
        }
        self.look(kernel, |work, look| {
            for place in due {
                let Some(before) = work.waiting.remove(&place) else { continue };
                work.one(look, place, before.since, Some(before));
            }
            for place in touched {
                let before = work.waiting.remove(&place);
                if let Some(Wait { since, .. }) = work.touched.remove(&place) {
                    work.one(look, place, since, before);
                }
            }
        });
    }

    /// Puts files into a PV's project for a while, the next time into that of another.
    fn mark(&mut self, kernel: &dyn Kernel) {
        if self.marking.len() < MAX_MARKING
            && let Some(to_mark) = self.to_mark.pop_front()
        {
            self.look(kernel, |work, look| {
                let opened = directory(&look.root, to_mark.place.to_string());
                match opened
                    .and_then(|opened| opened.map(|opened| Marker::new(opened, to_mark.project)).transpose())
                {
                    Ok(Some(marker)) => work.marking.push_front((to_mark, marker)),
                    // The next look at everything tells why.
                    _ => drop(work.marked.remove(&to_mark.place)),
                }
            });
        }
        let Some((to_mark, mut marker)) = self.marking.pop_front() else { return };
        let until = Instant::now() + SLICE;
        let Progress::Done(marked) = marker.run(kernel, &mut || Instant::now() < until) else {
            return self.marking.push_back((to_mark, marker));
        };
        let ToMark { place, project, since } = to_mark;
        self.marked.remove(&place);
        self.look(kernel, |work, look| {
            let tree = look.marked(&place, marked);
            work.keeper.projects.set_tree(project, tree);
            work.one(look, place, since, None);
        });
    }

    fn tell(&self) {
        let mut figures = lock(&self.shared.figures);
        (figures.marking, figures.waiting) = (self.marked.len(), self.waiting.len());
    }
}

/// Processor time that this thread has used; none where the kernel does not count it (`CONFIG_SCHED_INFO`).
fn processor_time() -> Option<Duration> {
    let counted = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    counted.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

/// Says on the brick that it is looked after: where that is due, is new, or was said by another brick's quotad, whose
/// attribute self-heal has copied.
fn say(look: &Look<'_>, is_due: bool) -> rustix::io::Result<()> {
    let problem = look.unlimited.clone().or_else(|| look.brick.problem.clone());
    let mut daemon = Daemon {
        brick: look.brick.name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        time: String::new(),
        problem,
    };
    let said = attribute(look.root.as_fd(), QUOTAD)?.and_then(|value| quota::read::<Daemon>(&value));
    if !is_due && said.is_some_and(|said| Daemon { time: String::new(), ..said } == daemon) {
        return Ok(());
    }
    daemon.time = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
    state(look.root.as_fd(), QUOTAD, &daemon)
}

/// Records that came with their directories.
struct New<'a> {
    places: &'a mut BTreeSet<Place>,
    watch: Option<&'a mut Watch>,
}

impl Visitor for New<'_> {
    fn enter(&mut self, path: &str, directory: BorrowedFd<'_>) {
        if let Some(watch) = &mut self.watch {
            watch.enter(path, directory);
        }
    }

    fn record(&mut self, place: Place, _recorded: Result<Recorded, Problem>) {
        self.places.insert(place);
    }

    // The next look at everything tells.
    fn skip(&mut self, _sentence: String) {}

    fn go_on(&self) -> bool {
        self.places.len() < MAX_PVS
    }
}

/// Why not all records are watched, and what to do.
fn unwatched(errno: Errno) -> String {
    let advice = match errno {
        Errno::NOSPC => "raise fs.inotify.max_user_watches: each PV takes up to four",
        Errno::MFILE => "raise fs.inotify.max_user_instances, or quotad's LimitNOFILE",
        _ => "see whether the brick's file system is well",
    };
    format!("changes are noticed only when everything is looked at: inotify says {errno}; {advice}")
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::MetadataExt};

    use super::*;
    use crate::{
        quota::{PvStatus, fake::Lab},
        storage::quota::{ASKED, Asked, Code, InForce, STATED},
    };

    const GIB: u64 = 1 << 30;

    fn start(lab: &Lab) -> Worker {
        Worker::start(lab.brick.clone(), lab.options.clone(), lab.kernel.clone()).unwrap()
    }

    /// Waits until something holds; what never does ends the test, however long that takes.
    fn until(worker: &Worker, what: &str, holds: impl Fn(&BrickStatus) -> bool) -> BrickStatus {
        for _ in 0..10_000 {
            let status = worker.status();
            if worker.figures().crawled.is_some() && holds(&status) {
                return status;
            }
            std::thread::sleep(Duration::from_millis(3));
        }
        panic!("{what} never came: {:?} {:?}", worker.status(), worker.figures());
    }

    fn limit(status: &BrickStatus, name: &str) -> Option<u64> {
        let pv = status.pvs.iter().find(|pv| pv.path.ends_with(name))?;
        pv.in_force.limits.filter(|_| pv.in_force.problem.is_none()).map(|limits| limits.bytes)
    }

    fn code(pv: &PvStatus) -> Option<Code> {
        pv.in_force.problem.as_ref().map(|problem| problem.code)
    }

    #[test]
    fn records_are_followed_as_they_come_change_and_go() {
        let Some(lab) = Lab::new() else { return };
        let worker = start(&lab);
        until(&worker, "the first look", |status| status.pvs.is_empty());
        // With all directories on its way, which nobody watched yet.
        lab.create("pvc-1", GIB);
        until(&worker, "the first PV", |status| limit(status, "pvc-1") == Some(GIB));
        lab.create("pvc-1", 2 * GIB);
        until(&worker, "its growth", |status| limit(status, "pvc-1") == Some(2 * GIB));
        // In place, as kadalu writes.
        fs::write(lab.record("pvc-1"), br#"{"size":4096}"#).unwrap();
        until(&worker, "what was written in place", |status| limit(status, "pvc-1") == Some(4096));
        let generation = quota::generation(br#"{"size":4096}"#);
        lab.ask("pvc-1", &Asked { size: GIB, soft_percent: None, inodes: None, generation });
        until(&worker, "what the attribute asks", |status| limit(status, "pvc-1") == Some(GIB));
        assert_eq!(worker.take_lags().len(), 4);
        fs::remove_file(lab.record("pvc-1")).unwrap();
        until(&worker, "its end", |status| status.pvs.is_empty());
        fs::remove_dir_all(lab.path("info")).unwrap();
        lab.create("pvc-2", GIB);
        until(&worker, "another in new directories", |status| limit(status, "pvc-2") == Some(GIB));
        assert_eq!(worker.figures().unwatched, None);
    }

    #[test]
    fn a_directory_that_comes_after_its_record_is_waited_for() {
        let Some(lab) = Lab::new() else { return };
        let worker = start(&lab);
        lab.write("pvc-1", br#"{"size":1073741824}"#);
        let missing = |status: &BrickStatus| status.pvs.iter().any(|pv| code(pv) == Some(Code::NoDirectory));
        until(&worker, "the record", missing);
        fs::create_dir_all(lab.pv("pvc-1")).unwrap();
        until(&worker, "the directory", |status| limit(status, "pvc-1") == Some(GIB));
        assert_eq!(worker.figures().waiting, 0);
    }

    #[test]
    fn what_is_stated_at_the_directory_of_records_is_followed() {
        let Some(lab) = Lab::new() else { return };
        let worker = start(&lab);
        lab.create("pvc-1", GIB);
        until(&worker, "the PV", |status| limit(status, "pvc-1") == Some(GIB));
        // As glusterfs does, by a name of the record that nobody watches.
        let elsewhere = lab.path("elsewhere");
        fs::hard_link(lab.record("pvc-1"), &elsewhere).unwrap();
        let set = |path: &std::path::Path, name, value: &[u8]| {
            rustix::fs::setxattr(path, name, value, rustix::fs::XattrFlags::empty()).unwrap();
        };
        let record = fs::read(lab.record("pvc-1")).unwrap();
        let asked =
            Asked { size: 2 * GIB, soft_percent: None, inodes: None, generation: quota::generation(&record) };
        set(&elsewhere, ASKED, &quota::write(&asked).unwrap());
        set(lab.record("pvc-1").parent().unwrap(), STATED, b"pvc-1.json");
        until(&worker, "what is stated", |status| limit(status, "pvc-1") == Some(2 * GIB));
    }

    #[test]
    fn what_self_heal_copies_over_a_word_of_ours_does_not_stay() {
        let Some(lab) = Lab::new() else { return };
        let worker = start(&lab);
        lab.create("pvc-1", GIB);
        until(&worker, "the PV", |status| limit(status, "pvc-1") == Some(GIB));
        let own = lab.said("pvc-1").unwrap();
        lab.say("pvc-1", &InForce { brick: "g2:/bricks/b".into(), ..own.clone() });
        until(&worker, "its own word again", |_| {
            lab.said("pvc-1").is_some_and(|said| said.brick == own.brick)
        });
    }

    #[test]
    fn the_cost_of_a_look_is_what_it_uses_of_a_processor() {
        let before = processor_time().unwrap();
        std::thread::sleep(Duration::from_millis(50));
        while processor_time().unwrap() == before {
            std::hint::spin_loop();
        }
        assert!(processor_time().unwrap() > before);
    }

    #[test]
    fn a_record_that_is_empty_at_first_is_read_again() {
        let Some(lab) = Lab::new() else { return };
        let worker = start(&lab);
        lab.create("pvc-1", GIB);
        let limited = until(&worker, "the PV", |status| limit(status, "pvc-1") == Some(GIB));
        lab.write("pvc-1", b"");
        until(&worker, "an empty record", |status| code(&status.pvs[0]) == Some(Code::RecordUnreadable));
        // In place, and by a name that nobody watches.
        let elsewhere = lab.path("elsewhere");
        fs::hard_link(lab.record("pvc-1"), &elsewhere).unwrap();
        fs::write(&elsewhere, br#"{"size":4096}"#).unwrap();
        until(&worker, "the record", |status| limit(status, "pvc-1") == Some(4096));
        assert_eq!(limited.pvs.len(), 1);
    }

    #[test]
    fn the_limit_of_a_pv_that_is_gone_goes_with_its_last_file() {
        let Some(lab) = Lab::new() else { return };
        let worker = start(&lab);
        lab.create("pvc-1", GIB);
        until(&worker, "the PV", |status| limit(status, "pvc-1") == Some(GIB));
        let project = lab.kernel.of(&lab.pv("pvc-1")).id;
        fs::remove_file(lab.record("pvc-1")).unwrap();
        until(&worker, "its end", |status| status.pvs.is_empty());
        assert_eq!(lab.kernel.limits(project).bytes, GIB);
        lab.kernel.forget(fs::metadata(lab.pv("pvc-1")).unwrap().ino());
        until(&worker, "the end of its limit", |_| lab.kernel.limits(project).bytes == 0);
    }

    #[test]
    fn the_brick_says_that_it_is_looked_after() {
        let Some(lab) = Lab::new() else { return };
        let worker = start(&lab);
        let said = || {
            let value = lab.attribute(&lab.path(""), QUOTAD)?;
            quota::read::<Daemon>(&value)
        };
        until(&worker, "its word", |_| said().is_some());
        let own = said().unwrap();
        assert_eq!((&*own.brick, own.problem.clone()), ("g1:/bricks/b", None));
        // Self-heal copies that of another brick.
        let other = quota::write(&Daemon { brick: "g2:/bricks/b".into(), ..own }).unwrap();
        rustix::fs::setxattr(lab.path(""), QUOTAD, &other, rustix::fs::XattrFlags::empty()).unwrap();
        until(&worker, "its own word again", |_| said().is_some_and(|said| said.brick == "g1:/bricks/b"));
    }

    #[test]
    fn a_brick_that_goes_comes_back() {
        let Some(lab) = Lab::new() else { return };
        lab.create("pvc-1", GIB);
        let away = lab.path("").with_extension("away");
        fs::rename(lab.path(""), &away).unwrap();
        let worker = start(&lab);
        let absent = |status: &BrickStatus| {
            status.problem.as_ref().is_some_and(|problem| problem.code == Code::NoBrick)
        };
        for _ in 0..10_000 {
            if absent(&worker.status()) {
                break;
            }
            std::thread::sleep(Duration::from_millis(3));
        }
        assert!(absent(&worker.status()) && worker.status().pvs.is_empty());
        fs::rename(&away, lab.path("")).unwrap();
        until(&worker, "the brick", |status| limit(status, "pvc-1") == Some(GIB));
        worker.stop();
        // Nothing of it is held.
        assert_eq!(Arc::strong_count(&lab.kernel), 1);
    }

    #[test]
    fn a_large_pv_is_marked_while_others_are_not_kept_waiting() {
        let Some(lab) = Lab::new() else { return };
        lab.create("large", GIB);
        for n in 0..20_000 {
            fs::write(lab.pv("large").join(n.to_string()), "").unwrap();
        }
        let worker = start(&lab);
        until(&worker, "the beginning", |status| {
            status.pvs.iter().any(|pv| code(pv) == Some(Code::Unmarked)) || limit(status, "large").is_some()
        });
        lab.create("small", GIB);
        until(&worker, "the small one", |status| limit(status, "small") == Some(GIB));
        until(&worker, "the large one", |status| limit(status, "large") == Some(GIB));
        assert_eq!(lab.said("large").unwrap().problem, None);
        assert_eq!(lab.kernel.limits(lab.said("large").unwrap().project.unwrap()).used_inodes, 20_001);
    }

    #[test]
    fn large_pvs_are_marked_in_turn() {
        let Some(lab) = Lab::new() else { return };
        // Each of the first alone takes longer than all of the last, which is looked at after them.
        let mut names = (0..2 * MAX_MARKING).map(|n| format!("pvc-{n}")).collect::<Vec<_>>();
        names.sort_by_key(|name| Place::of(name).unwrap());
        let last = names.split_off(MAX_MARKING - 1).swap_remove(0);
        for (name, size, files) in
            names.iter().map(|name| (name, GIB, 10_000)).chain([(&last, 2 * GIB, 2000)])
        {
            lab.create(name, size);
            for n in 0..files {
                fs::write(lab.pv(name).join(n.to_string()), "").unwrap();
            }
        }
        let worker = start(&lab);
        until(&worker, "the large ones", |status| names.iter().all(|name| limit(status, name) == Some(GIB)));
        until(&worker, "the last", |status| limit(status, &last) == Some(2 * GIB));
        let writes = lab.kernel.writes();
        let first = writes.iter().find(|write| write.starts_with("limit ")).unwrap();
        assert!(first.ends_with(&format!(" {}", 2 * GIB)), "{first}");
    }
}
