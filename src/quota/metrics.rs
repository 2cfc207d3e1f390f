//! How the limits of this host are, for Prometheus and for a load balancer's probe.

use std::{collections::BTreeMap, fmt, time::SystemTime};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, text::encode},
    metrics::{MetricType, gauge::ConstGauge, histogram::Histogram},
    registry::Registry,
};

use super::{
    PvStatus,
    daemon::{Seen, State, Watched},
    report::is_in_force,
};
use crate::{
    mount::metrics::{Gauge, Labels, count, gauges, http, size, truth},
    storage::quota::Code,
    transport::Listener,
};

/// Answers `GET /metrics`, and `GET /healthz` with 200 where each PV is limited as was asked and 503 with what is wrong
/// where not. For ever; drop the future to stop listening.
pub async fn serve(listener: Listener, watched: Watched) {
    http::serve(listener, watched).await;
}

impl http::Pages for Watched {
    async fn metrics(&self) -> Result<String, String> {
        Ok(text(self.state()))
    }

    async fn unhealthy(&self) -> Result<Vec<String>, String> {
        Ok(self.state().unhealthy())
    }
}

/// Buckets from a look at a record in memory to one that had to wait for a crawl, in seconds.
pub(super) fn lags() -> Histogram {
    Histogram::new([0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 60.0])
}

/// The metrics, in the text format of OpenMetrics.
fn text(state: State) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Looked(state)));
    let mut text = String::new();
    // To write to a string cannot fail.
    let _ = encode(&mut text, &registry);
    text
}

const HOST: &[Gauge<State>] = &[
    ("kadalu_quota_bricks", "Bricks of this host that are looked after", |state| size(state.bricks.len())),
    (
        "kadalu_quota_export_faults",
        "Faults in glusterd's files and the lists of what is exported, and bricks that cannot be looked after",
        |state| size(state.faults.len()),
    ),
];

const BRICK: &[Gauge<Seen>] = &[
    ("kadalu_quota_brick_up", "Whether limits of PVs can be set on the brick", |seen| {
        truth(seen.status.as_ref().is_some_and(|status| status.problem.is_none()))
    }),
    ("kadalu_quota_limit_bytes", "The limits in force on the brick together", |seen| {
        sum(seen, |pv| pv.in_force.limits.map(|limits| limits.bytes))
    }),
    ("kadalu_quota_used_bytes", "What its PVs use of them", |seen| sum(seen, |pv| pv.used)),
    ("kadalu_quota_skipped", "Records and names that say nothing that can be followed", |seen| {
        size(seen.status.as_ref()?.skipped.len())
    }),
    ("kadalu_quota_watched", "Whether each change of a record is noticed at once", |seen| {
        truth(seen.figures.unwatched.is_none())
    }),
    ("kadalu_quota_marking", "PVs whose files are being put into their projects", |seen| {
        size(seen.figures.marking)
    }),
    ("kadalu_quota_waiting", "PVs whose directories are being waited for", |seen| size(seen.figures.waiting)),
    ("kadalu_quota_crawl_seconds", "How long the last look at all PVs took", |seen| {
        seen.figures.crawled.map(|_| seen.figures.took.as_secs_f64())
    }),
    ("kadalu_quota_crawled_timestamp_seconds", "When all PVs were looked at last", |seen| {
        Some(seen.figures.crawled?.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs_f64())
    }),
];

fn sum(seen: &Seen, of: fn(&PvStatus) -> Option<u64>) -> Option<f64> {
    let pvs = &seen.status.as_ref()?.pvs;
    count(pvs.iter().filter_map(of).fold(0, u64::saturating_add))
}

/// How many PVs of a brick there are in each state.
fn states(seen: &Seen) -> [(&'static str, usize); 2] {
    let pvs = seen.status.iter().flat_map(|status| &status.pvs);
    let (well, ill) = pvs.partition::<Vec<_>, _>(|pv| is_in_force(pv));
    [("in-force", well.len()), ("not-in-force", ill.len())]
}

/// What keeps how many PVs of a brick from being limited as was asked; the brick as a whole counts as one.
fn problems(seen: &Seen) -> BTreeMap<Code, usize> {
    let mut codes = BTreeMap::new();
    let of_brick = seen.status.iter().filter_map(|status| status.problem.as_ref());
    let pvs = seen.status.iter().flat_map(|status| &status.pvs);
    for problem in of_brick.chain(pvs.filter_map(|pv| pv.in_force.problem.as_ref())) {
        *codes.entry(problem.code).or_default() += 1;
    }
    codes
}

/// How the bricks are, as it goes to Prometheus.
#[derive(Debug)]
struct Looked(State);

impl Collector for Looked {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let state = &self.0;
        let of =
            |(name, seen): (&String, &Seen)| vec![("volume", seen.volume.clone()), ("brick", name.clone())];
        let bricks = state.bricks.iter().map(|brick| (of(brick), brick.1)).collect::<Vec<_>>();
        gauges(&mut encoder, HOST, &[(Labels::new(), state)])?;
        gauges(&mut encoder, BRICK, &bricks)?;

        let by_state = bricks.iter().flat_map(|(labels, seen)| {
            states(seen).map(|(state, pvs)| (with(labels, "state", state.to_owned()), pvs))
        });
        counted(&mut encoder, "kadalu_quota_pvs", "PVs, by whether what was asked is in force", by_state)?;
        let by_code = bricks.iter().flat_map(|(labels, seen)| {
            problems(seen).into_iter().map(|(code, times)| (with(labels, "code", code.to_string()), times))
        });
        counted(&mut encoder, "kadalu_quota_problems", "What keeps limits from being in force", by_code)?;

        let (name, help) = ("kadalu_quota_lag_seconds", "From the change of a record to its limit in force");
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
        bricks.iter().try_for_each(|(labels, seen)| seen.lags.encode(family.encode_family(labels)?))
    }
}

fn with(labels: &Labels, name: &'static str, value: String) -> Labels {
    labels.iter().cloned().chain([(name, value)]).collect()
}

fn counted(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    of: impl IntoIterator<Item = (Labels, usize)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    of.into_iter().try_for_each(|(labels, number)| {
        ConstGauge::new(number as i64).encode(family.encode_family(&labels)?)
    })
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::*;
    use crate::{
        quota::{
            BrickStatus,
            report::tests::{brick, pv},
        },
        storage::quota::Problem,
    };

    fn state() -> State {
        let pvs = vec![pv("a", 1000, None), pv("b", 24, None), pv("c", 10, Some(Code::InUse))];
        let well = Seen::example("vol", Some(BrickStatus { skipped: vec!["x".to_owned()], ..brick(pvs) }));
        [0.003, 0.03].iter().for_each(|lag| well.lags.observe(*lag));
        let problem = Some(Problem::new(Code::NotXfs, "ext4"));
        let ill = Seen::example("vol", Some(BrickStatus { problem, ..brick(Vec::new()) }));
        let bricks = [("g1:/b", well), ("g1:/c", ill), ("g1:/d", Seen::example("new", None))];
        let bricks = bricks.into_iter().map(|(name, seen)| (name.to_owned(), seen)).collect();
        State { bricks, faults: vec!["a list".to_owned()] }
    }

    #[test]
    fn a_scrape_says_how_limits_are() {
        let text = text(state());
        let b = r#"volume="vol",brick="g1:/b""#;
        for line in [
            "kadalu_quota_bricks{} 3.0".to_owned(),
            "kadalu_quota_export_faults{} 1.0".to_owned(),
            format!("kadalu_quota_brick_up{{{b}}} 1.0"),
            r#"kadalu_quota_brick_up{volume="vol",brick="g1:/c"} 0.0"#.to_owned(),
            r#"kadalu_quota_brick_up{volume="new",brick="g1:/d"} 0.0"#.to_owned(),
            format!("kadalu_quota_limit_bytes{{{b}}} 1034.0"),
            format!("kadalu_quota_used_bytes{{{b}}} 15.0"),
            format!("kadalu_quota_skipped{{{b}}} 1.0"),
            format!("kadalu_quota_crawl_seconds{{{b}}} 0.5"),
            format!("kadalu_quota_pvs{{{b},state=\"in-force\"}} 2"),
            format!("kadalu_quota_pvs{{{b},state=\"not-in-force\"}} 1"),
            format!("kadalu_quota_problems{{{b},code=\"InUse\"}} 1"),
            r#"kadalu_quota_problems{volume="vol",brick="g1:/c",code="NotXfs"} 1"#.to_owned(),
            "# TYPE kadalu_quota_lag_seconds histogram".to_owned(),
            format!("kadalu_quota_lag_seconds_count{{{b}}} 2"),
            format!("kadalu_quota_lag_seconds_bucket{{le=\"0.005\",{b}}} 1"),
        ] {
            assert!(text.lines().any(|found| found == line), "{line:?} is not in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn health_has_a_line_for_each_trouble() {
        let expected =
            ["a list", "g1:/b/c: InUse: why of c", "g1:/b: NotXfs: ext4", "g1:/d: it was not looked at yet"];
        assert_eq!(state().unhealthy(), expected);
    }

    impl Seen {
        fn example(volume: &str, status: Option<BrickStatus>) -> Self {
            let mut seen = Self::new(volume, Duration::MAX);
            let crawled = status.as_ref().map(|_| SystemTime::now());
            (seen.figures.crawled, seen.figures.took) = (crawled, Duration::from_millis(500));
            seen.status = status.map(Arc::new);
            seen
        }
    }
}
