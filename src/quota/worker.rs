//! A brick looked after by a thread of its own, until it is told to end.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, SystemTime},
};

use super::{BrickStatus, LocalBrick, Mode, Options, crawl, xfs::Kernel};

/// A brick that is looked after. Dropped, it is no more; its limits stay.
#[derive(Debug)]
pub struct Worker {
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
    /// Whether each change of a record is noticed at once; else by the next look at everything.
    pub watched: bool,
    /// PVs whose files are being put into their projects.
    pub marking: usize,
}

#[derive(Debug, Default)]
struct Shared {
    stopped: AtomicBool,
    status: Mutex<Option<BrickStatus>>,
    figures: Mutex<Figures>,
    lags: Mutex<Vec<Duration>>,
}

impl Worker {
    /// Begins to look after a brick.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(brick: LocalBrick, options: Options, kernel: Arc<dyn Kernel>) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let of = shared.clone();
        let run = move || {
            let status = crawl::look(&brick, &options, Mode::Apply, &*kernel);
            *of.status.lock().unwrap_or_else(PoisonError::into_inner) = Some(status);
            while !of.stopped.load(Ordering::Relaxed) {
                std::thread::park_timeout(options.crawl_interval);
            }
        };
        let thread = std::thread::Builder::new().name("quotad-brick".to_owned()).spawn(run)?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// How the brick was found; none before the first look.
    pub fn status(&self) -> Option<BrickStatus> {
        self.shared.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How the work goes.
    pub fn figures(&self) -> Figures {
        self.shared.figures.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How long each limit took, from the event of its record until it was in force, since this was asked last.
    pub fn take_lags(&self) -> Vec<Duration> {
        std::mem::take(&mut self.shared.lags.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Ends the work, and waits for that; as dropping does.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It has nothing to say any more.
            let _ = thread.join();
        }
    }
}
