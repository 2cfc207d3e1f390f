//! The loop: what is seen, planned and done.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::{StreamExt, future, stream};
use tokio::{
    sync::{Semaphore, watch},
    task::JoinSet,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    Options,
    asking::{Answer, Ask, Asking, Said},
    driver::{Driver, Refusal},
    expected::Expected,
    hands::{Hands, Written},
    lease::jittered,
    metrics::{Figures, Shown},
    plan::{Action, Look, plan},
    probe::{Prober, completed, depth_of},
    put_back::PutBack,
    seen::Seen,
    stores::Stores,
    troubles::Troubles,
    world::{DriverView, Home, Object, World},
};
use crate::storage::{check::Report, config::ClassStyle};

/// Changes come in bursts: of our own writes, and of whoever applies many files.
const QUIET: Duration = Duration::from_millis(20);

/// Volumes that are looked at at one time.
const LOOKS: usize = 4;

/// Storages that the driver is asked of at one time.
const AT_ONCE: usize = 8;

/// What looks are among the troubles.
const LOOK: &str = "a look";

/// The first and the longest pause after an error of the API.
const RETRY: Duration = Duration::from_millis(500);
const LONGEST_RETRY: Duration = Duration::from_secs(60);

/// The first pause before something is put back again, but no longer than an interval.
const PUT_BACK: Duration = Duration::from_secs(60);

/// One volume that is looked at again and again.
#[derive(Debug, Default)]
struct Looked {
    report: Option<Arc<Report>>,
    /// None while it is looked at.
    due: Option<Instant>,
    /// How often.
    looks: u64,
}

/// Something that was waited for.
enum Done {
    Looked(String, Box<Report>),
    Asked(Answer),
}

/// After errors.
#[derive(Debug)]
struct Retry {
    pause: Duration,
    at: Instant,
}

pub(super) struct Controller<P, D> {
    options: Options,
    stores: Stores,
    hands: Hands,
    prober: Arc<P>,
    driver: Option<Arc<D>>,
    troubles: Troubles,
    figures: Figures,
    looked: HashMap<String, Looked>,
    places: Arc<Semaphore>,
    asking: Asking,
    /// PVs that the driver sees otherwise than before: their volumes are looked at.
    stirred: BTreeSet<String>,
    retries: BTreeMap<String, Retry>,
    put_back: PutBack,
    /// By storage, what was written for it and not seen yet.
    expected: BTreeMap<String, Vec<Expected>>,
    work: JoinSet<Done>,
}

impl<P: Prober, D: Driver> Controller<P, D> {
    pub(super) fn new(
        options: Options,
        stores: Stores,
        hands: Hands,
        prober: P,
        driver: Option<D>,
        troubles: Troubles,
        figures: Figures,
    ) -> Self {
        Self {
            put_back: PutBack::new(PUT_BACK.min(options.check_interval)),
            asking: Asking::new(options.check_interval),
            options,
            stores,
            hands,
            prober: Arc::new(prober),
            driver: driver.map(Arc::new),
            troubles,
            figures,
            looked: HashMap::new(),
            places: Arc::new(Semaphore::new(LOOKS)),
            stirred: BTreeSet::new(),
            retries: BTreeMap::new(),
            expected: BTreeMap::new(),
            work: JoinSet::new(),
        }
    }

    /// Until `stop`; works while `leader` says so.
    pub(super) async fn run(mut self, mut leader: watch::Receiver<bool>, stop: CancellationToken) {
        tokio::select! {
            () = self.stores.ready() => {}
            () = stop.cancelled() => return,
        }
        let mut led = false;
        loop {
            let leads = *leader.borrow_and_update();
            if std::mem::replace(&mut led, leads) != leads {
                self.forget();
            }
            if leads {
                tokio::select! {
                    () = self.pass() => {}
                    // What was begun is done by the next who leads.
                    () = stop.cancelled() => return,
                    _ = leader.changed() => continue,
                }
            }
            // Who does not lead begins nothing, so nothing of that is due.
            let due = if leads { self.due() } else { Instant::now() + self.options.check_interval };
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.stores.changed() => tokio::time::sleep(QUIET).await,
                Some(done) = self.work.join_next() => match done {
                    Ok(done) => {
                        self.troubles.set(LOOK, None);
                        self.done(done);
                    }
                    // A panic, which ends the process of a release.
                    Err(error) => self.troubles.set(LOOK, Some(error.to_string())),
                },
                () = tokio::time::sleep_until(due) => {}
                // The other end is the task of the lease, which ends with us.
                _ = leader.changed() => {}
            }
        }
    }

    /// What is known from the time before: another has led since, or will.
    fn forget(&mut self) {
        self.work = JoinSet::new();
        self.looked.clear();
        self.asking.forget();
        self.stirred.clear();
        self.retries.clear();
        self.put_back.keep(|_| false);
        self.expected.clear();
        self.troubles.keep(|what| !what.contains('/'));
        self.figures.show(Vec::new());
    }

    /// When something is to be done again.
    fn due(&self) -> Instant {
        let looks = self.looked.values().filter_map(|looked| looked.due);
        let retries = self.retries.values().map(|retry| retry.at);
        let ask = self.asking.due().filter(|_| self.driver.is_some());
        let expected = self.expected.values().flatten().map(|expected| expected.until);
        let first = looks.chain(retries).chain(ask).chain(expected).chain(self.put_back.ends()).min();
        first.unwrap_or_else(|| Instant::now() + self.options.check_interval)
    }

    fn done(&mut self, done: Done) {
        match done {
            Done::Looked(target, report) => {
                if let Some(looked) = self.looked.get_mut(&target) {
                    looked.report = Some(completed(*report, looked.report.as_deref()));
                    looked.due = Some(Instant::now() + jittered(self.options.check_interval));
                }
            }
            Done::Asked(said) => self.stirred.extend(self.asking.answered(said)),
        }
    }

    /// Sees, plans and does.
    async fn pass(&mut self) {
        let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        let objects = self.stores.storages.state();
        let mut objects = objects.iter().map(|object| Object::read(object)).collect::<Vec<_>>();
        objects.sort_by_key(Object::key);
        let seen = Seen::new(&self.stores, &objects);
        let reports =
            self.looked.iter().filter_map(|(target, looked)| Some((target.clone(), looked.report.clone()?)));
        let reports = reports.collect::<BTreeMap<_, _>>();
        let (mut looks, mut subjects, mut shown) = (Vec::new(), BTreeSet::new(), Vec::new());
        let mut plans = Vec::new();
        for object in &objects {
            let driver = self.driver.as_ref().map_or(DriverView::Absent, |_| self.asking.view(&object.name));
            let may_put_back = self.put_back.may(&object.key());
            let world = seen.world(&self.options.settings, &objects, object, &reports, driver, &now);
            let world = World { may_put_back, ..world };
            let stirred = !world.users.handles.is_disjoint(&self.stirred);
            subjects.extend(world.users.handles.iter().cloned());
            subjects.extend(object.status.in_force.as_ref().map(|_| object.name.clone()));
            let outcome = plan(&world);
            if !object.is_foreign() {
                shown.push(Shown::of(object, &outcome.looks, &reports));
            }
            looks.extend(outcome.looks.into_iter().map(|look| (look, stirred)));
            plans.push((object, outcome.actions, outcome.puts_back));
        }
        // What it holds need not be copied where it changes meanwhile.
        drop(seen);
        self.figures.show(shown);
        self.stirred.clear();
        self.look(looks);
        self.ask_driver(&objects, subjects);
        let keys = objects.iter().map(Object::key).collect::<BTreeSet<_>>();
        self.retries.retain(|key, _| keys.contains(key));
        self.put_back.keep(|key| keys.contains(key));
        let stores = &self.stores;
        self.expected.retain(|key, expected| {
            let namespace = key.split('/').next().unwrap_or_default();
            expected.retain(|one| !one.is_over(stores.version(namespace, &one.written).as_deref()));
            !expected.is_empty()
        });
        self.troubles.keep(|what| !what.contains('/') || keys.contains(what));
        for (object, actions, puts_back) in plans {
            self.act(object, actions, puts_back).await;
        }
    }

    async fn act(&mut self, object: &Object, actions: Vec<Action>, puts_back: bool) {
        let key = object.key();
        if self.expected.contains_key(&key) {
            return;
        }
        if actions.is_empty() {
            self.retries.remove(&key);
            return self.troubles.set(&key, None);
        }
        if self.retries.get(&key).is_some_and(|retry| Instant::now() < retry.at) {
            return;
        }
        let (written, done) = self.hands.act(object, actions).await;
        let expect = |written: Written| {
            let seen = self.stores.version(&object.namespace, &written);
            Expected::new(written, seen)
        };
        let expected = written.into_iter().map(expect).collect::<Vec<_>>();
        if !expected.is_empty() {
            self.expected.insert(key.clone(), expected);
        }
        let failed = match done {
            Ok(()) => {
                self.figures.reconciled();
                self.retries.remove(&key);
                if puts_back {
                    self.put_back.done(&key);
                }
                return self.troubles.set(&key, None);
            }
            Err(error) => error,
        };
        // Somebody was faster: what he has written comes, and is planned with.
        let conflict = matches!(&failed, kube::Error::Api(status) if status.code == 409);
        if !conflict {
            self.troubles.set(&key, Some(failed.to_string()));
        }
        let pause = self.retries.get(&key).map_or(RETRY, |retry| (retry.pause * 2).min(LONGEST_RETRY));
        self.retries.insert(key, Retry { pause, at: Instant::now() + jittered(pause) });
    }

    /// Begins the looks that are due, or wanted now, and forgets those that nobody wants any more.
    fn look(&mut self, looks: Vec<(Look, bool)>) {
        let wanted = looks.iter().map(|(look, _)| look.target.to_string()).collect::<BTreeSet<_>>();
        self.looked.retain(|target, _| wanted.contains(target));
        for (Look { target, depth }, now) in looks {
            let name = target.to_string();
            let looked = self.looked.entry(name.clone()).or_default();
            let is_due = looked.looks == 0 || looked.due.is_some_and(|due| now || due <= Instant::now());
            if !is_due {
                continue;
            }
            looked.due = None;
            looked.looks += 1;
            let depth = depth_of(depth, looked.report.as_deref(), looked.looks);
            let (prober, places) = (self.prober.clone(), self.places.clone());
            self.work.spawn(async move {
                // It is never closed.
                let _place = places.acquire().await;
                Done::Looked(name, Box::new(prober.look(target, depth).await))
            });
        }
    }

    /// Asks the driver where its time has come, or there is something else to ask of.
    fn ask_driver(&mut self, objects: &[Object], subjects: BTreeSet<String>) {
        let Some(driver) = self.driver.clone() else { return };
        let storages = objects.iter().filter(|object| !object.deleting);
        let storages =
            storages.filter_map(|object| Some((object.name.clone(), (object, object.identity()?))));
        let storages = storages.collect::<BTreeMap<_, _>>();
        let identities =
            storages.iter().map(|(name, (_, identity))| (name.clone(), identity.clone())).collect();
        let Some(ask) = self.asking.begin(subjects, &identities) else { return };
        let questions = storages.into_iter().filter(|(name, _)| ask.has(name));
        let questions = questions.filter_map(|(name, (object, identity))| {
            let config = object.in_force()?;
            let class = config.storage_class(&config.class_name(), ClassStyle::ByName);
            let pairs = class["parameters"].as_object().into_iter().flatten();
            let pairs = pairs.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
            // It may know the storage as it was.
            let volume = config.parameters.volume.map(|volume| ("gluster_volname".to_owned(), volume));
            Some((name, identity, pairs.chain(volume).collect::<BTreeMap<_, _>>()))
        });
        let questions = questions.collect::<Vec<_>>();
        let asked = Arc::new(self.asking.subjects());
        self.work.spawn(async move {
            let said = async {
                match ask {
                    Ask::All => {
                        let limits = driver.limits().await;
                        Some(limits.map(|limits| Said { limits: Arc::new(limits), asked }))
                    }
                    Ask::Storages(_) => None,
                }
            };
            let homes = questions.into_iter().map(async |(storage, of, class)| {
                let home = match driver.available(class).await {
                    Ok(bytes) => Home::Known { of, available: Some(bytes) },
                    // One volume that does not answer says nothing of the others.
                    Err(Refusal::Trouble(_)) => Home::Known { of, available: None },
                    Err(Refusal::NotKnown(why)) => Home::NotKnown(why),
                    Err(Refusal::Silent(_)) => return None,
                };
                Some((storage, home))
            });
            // One that hangs keeps nobody else waiting.
            let homes = stream::iter(homes).buffer_unordered(AT_ONCE).filter_map(future::ready).collect();
            let (said, homes) = tokio::join!(said, homes);
            Done::Asked(Answer { said, homes })
        });
    }
}
