//! Whatever happens, in whatever order.

use proptest::prelude::*;

use super::*;

/// Something that happens beside the operator.
#[derive(Debug, Clone, Copy)]
enum Event {
    Seen,
    DriverAnswers,
    Restart,
    ClassDeleted,
    ClassChanged,
    EntryLost,
    Volume,
    Options,
    Annotated,
}

impl Event {
    fn happen(self, sim: &mut Sim) {
        match self {
            Self::Seen => drop(sim.clusters.insert("vol".to_owned(), report("vol", ID))),
            Self::DriverAnswers => {
                let asked = Arc::new(BTreeSet::from([format!("{ID}/pvc-1")]));
                let limits = asked.iter().map(|handle| (handle.clone(), Limit::Enforced)).collect();
                let of = Identity { volume: Some("vol".to_owned()), id: Some(ID.to_owned()) };
                let home = Home::Known { of, available: Some(9) };
                sim.driver = DriverView::Seen { limits: Arc::new(limits), asked, home };
            }
            Self::Restart => sim.reports.clear(),
            Self::ClassDeleted => drop(sim.classes.remove(RFC)),
            Self::ClassChanged => {
                if let Some(class) = sim.classes.get_mut("kadalu.s") {
                    class.value["parameters"] = json!({ "storage_name": "t" });
                }
            }
            Self::EntryLost => sim.entries.clear(),
            Self::Volume => sim.volume("pvc-1"),
            Self::Options => {
                sim.edit(spec(json!({ "gluster_hosts": ["g2", "g3"], "gluster_volname": "vol", "gluster_options": "acl" })));
            }
            Self::Annotated => sim.object("ns")["metadata"]["annotations"] = json!({ ACCEPT: OTHER }),
        }
    }
}

const EVENTS: [Event; 9] = [
    Event::Seen,
    Event::DriverAnswers,
    Event::Restart,
    Event::ClassDeleted,
    Event::ClassChanged,
    Event::EntryLost,
    Event::Volume,
    Event::Options,
    Event::Annotated,
];

/// A storage whose volume is not seen yet.
fn begun() -> Sim {
    let mut sim = Sim::new();
    sim.clusters.clear();
    sim.driver = DriverView::NotAsked;
    sim.create("ns", rfc());
    sim
}

/// What else happens, and does not end in the same state in any order: what is in force has a history.
#[derive(Debug, Clone, Copy)]
enum Turn {
    Simple(Event),
    /// Another volume has the name.
    Replaced,
    /// The first one is back.
    Back,
    Accepted(&'static str),
    NothingAccepted,
    OtherVolume,
    OtherServers,
    Whole,
    Senseless,
    AsAtFirst,
    PvGone,
    DriverFails,
    Ill(&'static str),
    Rival(&'static str),
    RivalGone,
    /// Somebody puts back what we put back.
    Contested(bool),
}

impl Turn {
    fn happen(self, sim: &mut Sim) {
        let single = |mut spec: Value| {
            spec["single_pv_per_pool"] = json!(true);
            spec
        };
        match self {
            Self::Simple(event) => event.happen(sim),
            Self::Replaced => drop(sim.clusters.insert("vol".to_owned(), report("vol", OTHER))),
            Self::Back => drop(sim.clusters.insert("vol".to_owned(), report("vol", ID))),
            Self::Accepted(id) => sim.object("ns")["metadata"]["annotations"] = json!({ ACCEPT: id }),
            Self::NothingAccepted => sim.object("ns")["metadata"]["annotations"] = json!({}),
            Self::OtherVolume => sim.edit(spec(json!({ "gluster_hosts": ["g1"], "gluster_volname": "new" }))),
            Self::OtherServers => {
                sim.edit(spec(json!({ "gluster_hosts": ["g2", "g3"], "gluster_volname": "vol" })))
            }
            Self::Whole => sim.edit(single(rfc())),
            Self::Senseless => sim.edit(json!({ "type": "External", "detail": 1 })),
            Self::AsAtFirst => sim.edit(rfc()),
            Self::PvGone => sim.volumes.clear(),
            Self::DriverFails => sim.driver = down(),
            Self::Ill(code) => drop(sim.clusters.insert("vol".to_owned(), ill("vol", code))),
            Self::Rival(volume) => {
                if sim.objects.contains_key("a-first/s") {
                    return;
                }
                sim.create("a-first", spec(json!({ "gluster_hosts": "g1", "gluster_volname": volume })));
                sim.object("a-first")["metadata"]["creationTimestamp"] = json!("2025-01-01T00:00:00Z");
            }
            Self::RivalGone => sim.gone("a-first"),
            Self::Contested(is) => sim.may_put_back = !is,
        }
    }
}

fn turns() -> impl Strategy<Value = Turn> {
    use proptest::sample::select;
    prop_oneof![
        4 => select(EVENTS.to_vec()).prop_map(Turn::Simple),
        1 => select(vec![Turn::Replaced, Turn::Back]),
        1 => select(vec![Turn::Accepted(ID), Turn::Accepted(OTHER), Turn::NothingAccepted]),
        2 => select(vec![Turn::OtherVolume, Turn::OtherServers, Turn::Whole, Turn::Senseless, Turn::AsAtFirst]),
        1 => select(vec![Turn::PvGone, Turn::DriverFails]),
        1 => select(vec![Turn::Ill("layout"), Turn::Ill("server"), Turn::Ill("op-version")]),
        1 => select(vec![Turn::Rival("vol"), Turn::Rival("new"), Turn::RivalGone]),
        1 => any::<bool>().prop_map(Turn::Contested),
    ]
}

/// What holds of each pass, whatever was before: PVs keep their classes and their entry, which stays of their volume, and
/// another volume is taken only where somebody has accepted it.
fn kept(before: &Sim, after: &Sim) -> Result<(), TestCaseError> {
    if !after.volumes.is_empty() {
        for class in before.classes.keys() {
            prop_assert!(after.classes.contains_key(class), "{class} is gone");
        }
        if let Some(entry) = before.entries.get("s") {
            let volume =
                |entry: &str| serde_json::from_str::<Value>(entry).unwrap()["gluster_volname"].clone();
            prop_assert!(after.entries.contains_key("s"), "the entry is gone");
            prop_assert_eq!(volume(entry), volume(&after.entries["s"]));
        }
    }
    let (was, is) = (before.status(), after.status());
    if was.volume_id.is_some() && was.volume == is.volume && was.volume_id != is.volume_id {
        let objects = after.read();
        let object = objects.iter().find(|object| object.namespace == "ns").unwrap();
        prop_assert_eq!(&object.accept, &is.volume_id, "nobody has accepted it");
    }
    Ok(())
}

proptest! {
    #[test]
    fn whatever_happens_pvs_lose_nothing_and_all_is_well_when_all_is_well_again(
        turns in proptest::collection::vec((turns(), 0..3_usize), 0..24),
    ) {
        let mut sim = begun();
        let pass = |sim: &mut Sim| {
            let before = sim.clone();
            let done = sim.pass();
            kept(&before, sim).map(|()| done)
        };
        for (turn, passes) in turns {
            turn.happen(&mut sim);
            for _ in 0..passes {
                pass(&mut sim)?;
            }
        }
        // Planned again after it is done, nothing is left to do; and a restart is no news.
        let mut passes = 0;
        while pass(&mut sim)? + pass(&mut sim)? > 0 {
            passes += 1;
            prop_assert!(passes < 10, "it does not end");
        }
        let (objects, told) = (sim.objects.clone(), sim.told.len());
        sim.restart();
        sim.settle();
        prop_assert_eq!((&sim.objects, sim.told.len()), (&objects, told));
        // All is well again.
        sim.may_put_back = true;
        for turn in [Turn::PvGone, Turn::RivalGone, Turn::Back, Turn::AsAtFirst, Turn::Accepted(ID)] {
            turn.happen(&mut sim);
            sim.settle();
        }
        Event::DriverAnswers.happen(&mut sim);
        sim.settle();
        let expected = Sim { objects: BTreeMap::new(), ..Sim::with(rfc()) };
        prop_assert_eq!(sim.objects.keys().collect::<Vec<_>>(), ["ns/s"]);
        prop_assert_eq!((sim.condition("Ready"), sim.condition("Drifted")), ("True Ready".to_owned(), "False InSync".to_owned()));
        prop_assert_eq!((sim.names(), sim.info()), (expected.names(), expected.info()));
        prop_assert_eq!(sim.status().volume_id, Some(ID.to_owned()));
    }

    #[test]
    fn any_order_of_events_ends_in_the_same_state(
        events in Just(EVENTS.to_vec()).prop_shuffle(),
        passes in proptest::collection::vec(0..3_usize, EVENTS.len()),
    ) {
        let mut expected = begun();
        EVENTS.iter().for_each(|event| event.happen(&mut expected));
        expected.settle();
        let mut sim = begun();
        for (event, passes) in events.into_iter().zip(passes) {
            for _ in 0..passes {
                sim.pass();
            }
            event.happen(&mut sim);
        }
        sim.settle();
        prop_assert_eq!(sim.state(), expected.state());
        prop_assert_eq!(sim.condition("Ready"), "True Ready");
    }

    #[test]
    fn what_is_done_is_done_and_a_restart_changes_nothing(
        events in proptest::collection::vec((0..EVENTS.len(), 0..3_usize), 0..12),
        wrong in prop_oneof![Just(None), Just(Some("layout")), Just(Some("server"))],
        deleted in any::<bool>(),
    ) {
        let mut sim = begun();
        for (event, passes) in events {
            EVENTS[event].happen(&mut sim);
            for _ in 0..passes {
                sim.pass();
            }
        }
        if let Some(code) = wrong {
            sim.clusters.insert("vol".to_owned(), ill("vol", code));
        }
        if deleted {
            sim.delete();
        }
        sim.settle();
        let (state, told) = (sim.objects.clone(), sim.told.len());
        prop_assert_eq!(sim.pass(), 0);
        sim.restart();
        sim.settle();
        prop_assert_eq!((sim.objects, sim.told.len()), (state, told));
    }
}
