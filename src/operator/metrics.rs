//! How the storages are, for Prometheus and for probes.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, text::encode},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};
use tokio::sync::watch;

use super::{crd::Truth, plan::Look, troubles::Troubles, world::Object};
use crate::{
    mount::metrics::{Labels, http},
    storage::check::{Outcome, Report},
};

/// What is shown of a storage.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Shown {
    storage: String,
    /// By type: 1 where it is True, 0 where it is False.
    conditions: Vec<(String, f64)>,
    /// Volume and check: the worst of its findings.
    assumptions: BTreeMap<(String, &'static str), f64>,
}

impl Shown {
    pub(super) fn of(object: &Object, looks: &[Look], reports: &BTreeMap<String, Arc<Report>>) -> Self {
        let conditions = object.status.conditions.iter().filter_map(|condition| match condition.status {
            Truth::True => Some((condition.type_.clone(), 1.0)),
            Truth::False => Some((condition.type_.clone(), 0.0)),
            Truth::Unknown => None,
        });
        let mut assumptions = BTreeMap::new();
        for report in looks.iter().filter_map(|look| reports.get(&look.target.to_string())) {
            for finding in &report.findings {
                let value = match finding.outcome {
                    Outcome::Ok => 1.0,
                    Outcome::Warning => 0.5,
                    Outcome::Failed => 0.0,
                    Outcome::Unknown => continue,
                };
                let worst = assumptions.entry((report.volume.clone(), finding.code)).or_insert(value);
                *worst = f64::min(*worst, value);
            }
        }
        Self { storage: object.key(), conditions: conditions.collect(), assumptions }
    }
}

/// The figures of an operator.
#[derive(Debug, Clone)]
pub(super) struct Figures {
    leader: watch::Receiver<bool>,
    troubles: Troubles,
    reconciled: Arc<AtomicU64>,
    shown: Arc<Mutex<Vec<Shown>>>,
}

impl Figures {
    pub(super) fn new(leader: watch::Receiver<bool>, troubles: Troubles) -> Self {
        Self { leader, troubles, reconciled: Arc::default(), shown: Arc::default() }
    }

    /// How the storages are now.
    pub(super) fn show(&self, shown: Vec<Shown>) {
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = shown;
    }

    /// Something was done for a storage.
    pub(super) fn reconciled(&self) {
        self.reconciled.fetch_add(1, Ordering::Relaxed);
    }

    /// In the text format of OpenMetrics.
    fn text(&self) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self.clone()));
        let mut text = String::new();
        // To write to a string cannot fail.
        let _ = encode(&mut text, &registry);
        text
    }
}

impl http::Pages for Figures {
    async fn metrics(&self) -> Result<String, String> {
        Ok(self.text())
    }

    async fn unhealthy(&self) -> Result<Vec<String>, String> {
        Ok(self.troubles.lines())
    }
}

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let leader = f64::from(u8::from(*self.leader.borrow()));
        gauges(&mut encoder, "kadalu_operator_leader", "Whether this one works", [(Labels::new(), leader)])?;
        for (name, help, number) in [
            (
                "kadalu_operator_reconciles",
                "Times that something had to be done for a storage, and was",
                self.reconciled.load(Ordering::Relaxed),
            ),
            ("kadalu_operator_errors", "Calls of the API that have failed", self.troubles.counted()),
        ] {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            ConstCounter::new(number).encode(family.encode_family(&Labels::new())?)?;
        }
        let conditions = shown.iter().flat_map(|one| {
            let labels =
                |condition: &String| vec![("storage", one.storage.clone()), ("condition", condition.clone())];
            one.conditions.iter().map(move |(condition, value)| (labels(condition), *value))
        });
        gauges(
            &mut encoder,
            "kadalu_storage_condition",
            "Whether a condition of a storage holds",
            conditions,
        )?;
        let assumptions = shown.iter().flat_map(|one| {
            let labels = |volume: &String, check: &str| {
                vec![
                    ("storage", one.storage.clone()),
                    ("volume", volume.clone()),
                    ("check", check.to_owned()),
                ]
            };
            one.assumptions.iter().map(move |((volume, check), value)| (labels(volume, check), *value))
        });
        let help = "Whether an assumption about a volume is met: 1, 0, or 0.5 for a warning";
        gauges(&mut encoder, "kadalu_assumption", help, assumptions)
    }
}

fn gauges(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    of: impl IntoIterator<Item = (Labels, f64)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    of.into_iter()
        .try_for_each(|(labels, value)| ConstGauge::new(value).encode(family.encode_family(&labels)?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        operator::{probe::Depth, world::Target},
        storage::{
            check::{Facts, Finding},
            parameters::{Allow, PvKind},
            record::QuotaPolicy,
        },
    };

    #[test]
    fn a_scrape_says_what_is_met_and_who_leads() {
        let object = json!({
            "apiVersion": "v", "kind": "k", "metadata": { "name": "s", "namespace": "ns" }, "spec": {},
            "status": { "conditions": [
                { "type": "Ready", "status": "True", "reason": "r", "message": "m", "lastTransitionTime": "t" },
                { "type": "Drifted", "status": "False", "reason": "r", "message": "m", "lastTransitionTime": "t" },
                { "type": "QuotaEnforced", "status": "Unknown", "reason": "r", "message": "m", "lastTransitionTime": "t" },
            ] },
        });
        let object = Object::read(&serde_json::from_value(object).unwrap());
        let target = Target {
            servers: Vec::new(),
            volume: "vol".to_owned(),
            kind: PvKind::Subdirectory,
            allow: Allow::default(),
            quota: QuotaPolicy::default(),
            check: None,
        };
        let finding = |code, outcome| Finding {
            code,
            outcome,
            subject: None,
            message: String::new(),
            advice: None,
            micros: None,
        };
        let findings = vec![
            finding("server", Outcome::Ok),
            finding("server", Outcome::Failed),
            finding("layout", Outcome::Warning),
            finding("tls", Outcome::Ok),
            finding("file-system", Outcome::Unknown),
        ];
        let report = Report { volume: "vol".to_owned(), findings, facts: Facts::default() };
        let reports = BTreeMap::from([(target.to_string(), Arc::new(report))]);
        let (leader, leads) = watch::channel(false);
        let troubles = Troubles::default();
        let figures = Figures::new(leads, troubles.clone());
        let look = Look { target: target.clone(), depth: Depth::Cheap };
        let shown = Shown::of(&object, &[look], &reports);
        // A volume of the same name, in another cluster: two series.
        let other = Target { check: Some("other".to_owned()), ..target };
        let well = Report {
            volume: "vol".to_owned(),
            findings: vec![finding("server", Outcome::Ok)],
            facts: Facts::default(),
        };
        let reports = BTreeMap::from([(other.to_string(), Arc::new(well))]);
        let object = Object { name: "t".to_owned(), ..object };
        let other = Shown::of(&object, &[Look { target: other, depth: Depth::Cheap }], &reports);
        figures.show(vec![shown, other]);
        leader.send_replace(true);
        figures.reconciled();
        troubles.set("storages", Some("no such resource".to_owned()));
        let text = figures.text();
        for line in [
            "kadalu_operator_leader{} 1.0",
            "kadalu_operator_reconciles_total{} 1",
            "kadalu_operator_errors_total{} 1",
            r#"kadalu_storage_condition{storage="ns/s",condition="Ready"} 1.0"#,
            r#"kadalu_storage_condition{storage="ns/s",condition="Drifted"} 0.0"#,
            r#"kadalu_assumption{storage="ns/s",volume="vol",check="server"} 0.0"#,
            r#"kadalu_assumption{storage="ns/t",volume="vol",check="server"} 1.0"#,
            r#"kadalu_assumption{storage="ns/s",volume="vol",check="layout"} 0.5"#,
            r#"kadalu_assumption{storage="ns/s",volume="vol",check="tls"} 1.0"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line:?} is not in\n{text}");
        }
        assert!(!text.contains("file-system") && !text.contains("QuotaEnforced"), "{text}");
        assert_eq!(troubles.lines(), ["storages: no such resource"]);
        troubles.set("storages", None);
        assert_eq!((troubles.lines(), troubles.counted()), (Vec::new(), 1));
    }
}
