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

proptest! {
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
