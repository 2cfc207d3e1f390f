//! Volfiles: parse, resolve, judge, compare, draw and write whatever can be parsed; what is written reads as the same graph.
#![no_main]

use glusterd_client::volfile::{Class, Graph, Volfile, checks, diff, faults};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    // The comparison is defined for graphs without errors only; for others it must end.
    let class = |change: glusterd_client::volfile::Change| faults(input).is_empty().then_some(change.class);
    let volfile = match Volfile::parse(input) {
        Ok(volfile) => volfile,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let _ = volfile.redacted().to_string();
    let Some(graph) = Graph::new(&volfile) else { return };
    let _ = (graph.problems(), graph.kind().to_string(), checks(&graph), graph.canonical_bytes());
    let _ = (graph.tree().to_string(), graph.dot().to_string());
    assert!(matches!(class(diff(&graph, &graph)), None | Some(Class::None)));
    if let Ok(text) = volfile.render() {
        let again = Volfile::parse(&text).expect("what is rendered is a volfile");
        let again = Graph::new(&again).expect("with a top");
        assert!(matches!(class(diff(&graph, &again)), None | Some(Class::None)));
    }
});
