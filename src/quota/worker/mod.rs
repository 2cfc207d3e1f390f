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
mod tests;
