//! Volfiles: parse, resolve, judge, compare, draw and write whatever can be parsed; what is written reads as the same graph.
#![no_main]

use glusterd_client::volfile::{Class, Graph, Volfile, checks, diff, faults};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let _ = faults(input);
    let volfile = match Volfile::parse(input) {
        Ok(volfile) => volfile,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let _ = volfile.redacted().to_string();
    let Some(graph) = Graph::new(&volfile) else { return };
    let _ = (graph.problems(), graph.kind().to_string(), checks(&graph), graph.canonical_bytes());
    let _ = (graph.tree().to_string(), graph.dot().to_string());
    assert_eq!(diff(&graph, &graph).class, Class::None);
    if let Ok(text) = volfile.render() {
        let again = Volfile::parse(&text).expect("what is rendered is a volfile");
        let again = Graph::new(&again).expect("with a top");
        assert_eq!(diff(&graph, &again).class, Class::None);
    }
});
