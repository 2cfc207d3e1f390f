//! What is written is bounded, whatever servers, objects and people say.

use super::*;
use crate::{operator::world::shown, transport::MAX_SERVERS};

/// What no line of a status may have, and more of it than anybody reads.
fn hostile() -> String {
    "\u{1b}[2J\r\n\u{7}é".repeat(100)
}

/// Every text in a value.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        Value::Object(fields) => {
            fields.iter().flat_map(|(key, value)| [vec![key.as_str()], texts(value)].concat()).collect()
        }
        _ => Vec::new(),
    }
}

#[test]
fn a_status_is_bounded_whatever_servers_say() {
    let mut sim = Sim::new();
    let words = |code, how| Finding {
        subject: Some(hostile()),
        message: hostile(),
        advice: Some(hostile()),
        ..finding(code, how)
    };
    let mut found = report("vol", ID);
    for how in [How::Failed, How::Warning] {
        found.findings.extend(std::iter::repeat_with(|| words("layout", how)).take(100));
        found.findings.extend(std::iter::repeat_with(|| words("server", how)).take(100));
    }
    found.facts.servers = (0..2 * MAX_SERVERS).map(|n| format!("h{n}:24007")).collect();
    sim.clusters.insert("vol".to_owned(), found);
    sim.create("ns", rfc());
    sim.settle();
    assert_eq!(sim.condition("AssumptionsMet"), "False Layout");
    let status = sim.status();
    assert_eq!((status.findings.len(), status.servers.len()), (64, MAX_SERVERS));
    for finding in &status.findings {
        let lengths = [&finding.message, finding.subject.as_ref().unwrap(), finding.advice.as_ref().unwrap()];
        assert!(lengths.iter().all(|text| (100..=512 + 3).contains(&text.len())), "{finding:?}");
    }
    for condition in &status.conditions {
        assert!(condition.message.len() <= 2048 + 3, "{}", condition.message.len());
    }
    assert!(sim.message("Reachable").len() > 2000, "nothing had to be cut");
    let status = serde_json::to_value(status).unwrap();
    for text in texts(&status) {
        assert!(!text.chars().any(char::is_control), "{text:?}");
    }
}

/// The id of a volume is a server's word, and stands in what one is told to type.
#[test]
fn annotations_are_bounded() {
    let mut sim = Sim::with(rfc());
    let wide = "\u{1b}é".repeat(5000);
    sim.object("ns")["metadata"]["annotations"] = json!({ CHECK: wide, ACCEPT: wide });
    sim.settle();
    assert_eq!(sim.read()[0].check.as_ref().unwrap().chars().count(), 64);
    let status = sim.object("ns")["status"].clone();
    assert!(
        texts(&status).iter().all(|text| text.len() < 1024 && !text.chars().any(char::is_control)),
        "{status:#}"
    );
    assert_eq!(
        (sim.condition("Ready").as_str(), sim.status().volume_id.as_deref()),
        ("True Ready", Some(ID))
    );
}

#[test]
fn a_status_that_somebody_has_spoiled_counts_as_none() {
    for status in
        [json!("x"), json!([]), json!({ "conditions": "x" }), json!({ "inForce": { "type": ["External"] } })]
    {
        let mut sim = Sim::with(rfc());
        sim.object("ns")["status"] = status.clone();
        sim.settle();
        assert_eq!(sim.condition("Ready"), "True Ready", "{status}");
        assert_eq!(sim.names(), "kadalu.external.s kadalu.s");
    }
}

#[test]
fn a_text_is_cut_between_letters() {
    assert_eq!(shown("a\nb", 3), "a b");
    assert_eq!(shown("a\tb", 4), "a\\tb");
    assert_eq!(shown("aéb", 2), "a…");
    assert_eq!(shown("aéb", 4), "aéb");
}
