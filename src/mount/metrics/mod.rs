//! What is mounted and how it is, for Prometheus and for a load balancer's probe.
//!
//! Everything is made of a [`ListReply`] when somebody asks: there is nothing to keep up to date.

pub(crate) mod http;

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, text::encode},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};

use super::{
    control::Mounts,
    generated::{ListReply, Pool, Volume},
};
use crate::transport::Listener;

/// Answers `GET /metrics`, and `GET /healthz` with 200 where I/O goes through every pool and 503 with the others' names
/// where not. For ever; drop the future to stop listening.
pub async fn serve(listener: Listener, mounts: impl Mounts) {
    http::serve(listener, Hosted(mounts)).await;
}

/// What is answered of a mount host.
#[derive(Clone)]
struct Hosted<M>(M);

impl<M: Mounts> http::Pages for Hosted<M> {
    async fn metrics(&self) -> Result<String, String> {
        self.0.list().await.map(text).map_err(|error| error.to_string())
    }

    async fn unhealthy(&self) -> Result<Vec<String>, String> {
        self.0.list().await.map(|list| unhealthy(&list)).map_err(|error| error.to_string())
    }
}

/// Whether I/O goes through a pool: its state is `healthy` or `degraded`.
pub fn serves_io(pool: &Pool) -> bool {
    matches!(pool.state.as_str(), "healthy" | "degraded")
}

/// The metrics, in the text format of OpenMetrics.
pub fn text(list: ListReply) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Listed(list)));
    let mut text = String::new();
    // To write to a string cannot fail.
    let _ = encode(&mut text, &registry);
    text
}

/// Why I/O does not go through a pool, a line each; empty where all is well.
pub fn unhealthy(list: &ListReply) -> Vec<String> {
    let pools = list.volumes.iter().flat_map(|volume| volume.pools.iter().map(move |pool| (volume, pool)));
    let unhealthy = pools.filter(|(_, pool)| !serves_io(pool));
    let line = |(volume, pool): (&Volume, &Pool)| {
        let line = format!("{} of {}: {} {}", pool.id, volume.name, pool.state, pool.last_error);
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    unhealthy.map(line).collect()
}

/// A gauge: its name, what it says, and its value where there is one.
pub(crate) type Gauge<T> = (&'static str, &'static str, fn(&T) -> Option<f64>);

/// A counter: its name without `_total`, what it counts, and by what.
type Counts<T> = (&'static str, &'static str, fn(&T) -> Vec<(Option<(&'static str, String)>, u64)>);

const HOST_GAUGES: &[Gauge<ListReply>] =
    &[("kadalu_mountd_rss_bytes", "Resident memory of the mount host itself", |list| count(list.rss_bytes))];

const VOLUME_GAUGES: &[Gauge<Volume>] = &[
    ("kadalu_glusterd_up", "Whether the volume is watched through a server of its cluster", |volume| {
        truth(!volume.connected.is_empty())
    }),
    ("kadalu_volfile_generation", "Accepted volfiles since the mount host started", |volume| {
        count(volume.generation)
    }),
    ("kadalu_volfile_rejected", "Whether the cluster's volfile was not accepted", |volume| {
        truth(volume.rejected.is_some())
    }),
    ("kadalu_volume_replaced", "Whether another volume has taken the name", |volume| {
        truth(volume.rejected.as_ref().is_some_and(|rejected| !rejected.replaced_by.is_empty()))
    }),
];

const VOLUME_COUNTS: &[Counts<Volume>] = &[
    ("kadalu_glusterd_reconnects", "Connections to a cluster after the first", |volume| {
        vec![(None, volume.connects.saturating_sub(1))]
    }),
    ("kadalu_volfile_changes", "Accepted changes of the volfile", |volume| {
        [("options", volume.changes_options), ("topology", volume.changes_topology)]
            .map(|(class, changes)| (Some(("class", class.to_owned())), changes))
            .into()
    }),
];

const POOL_GAUGES: &[Gauge<Pool>] = &[
    ("kadalu_mount_up", "Whether I/O goes through", |pool| truth(serves_io(pool))),
    ("kadalu_mount_targets", "Targets that the process serves", |pool| size(pool.targets.len())),
    ("kadalu_mount_rss_bytes", "Resident memory of the glusterfs process", |pool| {
        count(pool.process.as_ref()?.rss_bytes)
    }),
    ("kadalu_mount_graphs", "Graphs that the process holds, the active one too", |pool| {
        Some(f64::from(pool.graphs))
    }),
    ("kadalu_mount_graph_drift", "Whether the active graph is not that of the wanted volfile", |pool| {
        truth(!pool.drift.is_empty())
    }),
    ("kadalu_mount_offline", "Whether it serves by brick addresses last seen", |pool| truth(pool.offline)),
    ("kadalu_mount_bricks_down", "Bricks of the active graph that are not connected", |pool| {
        size(pool.bricks_down.len())
    }),
    ("kadalu_mount_draining", "Replaced processes that still serve open files", |pool| {
        size(pool.draining.len())
    }),
    ("kadalu_container_mounts_left", "Mounts in containers that are left on an earlier process", |pool| {
        Some(f64::from(pool.container_mounts_left))
    }),
    (
        "kadalu_remount_interruption_seconds",
        "From a death or hang to I/O again at all targets, last time",
        |pool| seconds(pool.last_heal_seconds),
    ),
    ("kadalu_volfile_switch_seconds", "From a volfile's acceptance to its proof, last time", |pool| {
        seconds(pool.last_switch_seconds)
    }),
];

const POOL_COUNTS: &[Counts<Pool>] = &[
    ("kadalu_remounts", "Processes that were started in the place of another", |pool| {
        let restarts = pool.restarts.iter();
        restarts.map(|(reason, times)| (Some(("reason", reason.clone())), *times)).collect()
    }),
    ("kadalu_rebinds", "Targets that were mounted anew", |pool| vec![(None, pool.rebinds)]),
    ("kadalu_container_rebinds", "Mounts in containers that were mounted anew", |pool| {
        vec![(None, pool.container_rebinds)]
    }),
];

pub(crate) fn truth(whether: bool) -> Option<f64> {
    Some(f64::from(u8::from(whether)))
}

pub(crate) fn count(number: u64) -> Option<f64> {
    // Exact up to 9 petabytes.
    Some(number as f64)
}

pub(crate) fn size(number: usize) -> Option<f64> {
    Some(number as f64)
}

/// It has not happened yet where it took no time.
fn seconds(seconds: f64) -> Option<f64> {
    (seconds > 0.0).then_some(seconds)
}

/// The labels of a metric, and what they say.
pub(crate) type Labels = Vec<(&'static str, String)>;

/// What was listed, as it goes to Prometheus.
#[derive(Debug)]
struct Listed(ListReply);

impl Collector for Listed {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let list = &self.0;
        // Two clusters may have a volume of the same name.
        let of = |volume: &Volume| vec![("volume", volume.name.clone()), ("key", volume.key.clone())];
        let volumes = list.volumes.iter().map(|volume| (of(volume), volume)).collect::<Vec<_>>();
        let pools =
            list.volumes.iter().flat_map(|volume| volume.pools.iter().map(move |pool| (volume, pool)));
        let pools =
            pools.map(|(volume, pool)| ([of(volume), vec![("pool", pool.id.clone())]].concat(), pool));
        let pools = pools.collect::<Vec<_>>();

        gauges(&mut encoder, HOST_GAUGES, &[(Labels::new(), list)])?;
        gauges(&mut encoder, VOLUME_GAUGES, &volumes)?;
        counts(&mut encoder, VOLUME_COUNTS, &volumes)?;
        gauges(&mut encoder, POOL_GAUGES, &pools)?;
        counts(&mut encoder, POOL_COUNTS, &pools)?;

        let version = vec![("version", list.glusterfs_version.clone())];
        info(&mut encoder, "kadalu_glusterfs_info", "The glusterfs that is installed", [version])?;
        let accepted = volumes.iter().filter(|(_, volume)| !volume.digest.is_empty());
        let digests = accepted.map(|(labels, volume)| {
            let digest = volume.digest.trim_start_matches("sha256:");
            [labels.as_slice(), &[("sha256", digest.to_owned())]].concat()
        });
        info(&mut encoder, "kadalu_volfile_info", "The last accepted volfile", digests)
    }
}

/// Writes gauges of some subjects.
pub(crate) fn gauges<T>(
    encoder: &mut DescriptorEncoder<'_>,
    gauges: &[Gauge<T>],
    of: &[(Labels, &T)],
) -> fmt::Result {
    for (name, help, value) in gauges {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, subject) in of {
            if let Some(value) = value(subject) {
                ConstGauge::new(value).encode(family.encode_family(labels)?)?;
            }
        }
    }
    Ok(())
}

fn counts<T>(encoder: &mut DescriptorEncoder<'_>, counts: &[Counts<T>], of: &[(Labels, &T)]) -> fmt::Result {
    for (name, help, value) in counts {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, subject) in of {
            for (label, number) in value(subject) {
                let labels = labels.iter().cloned().chain(label).collect::<Labels>();
                ConstCounter::new(number).encode(family.encode_family(&labels)?)?;
            }
        }
    }
    Ok(())
}

/// A gauge that is always 1: its labels say something.
fn info(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    of: impl IntoIterator<Item = Labels>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    of.into_iter().try_for_each(|labels| ConstGauge::new(1_i64).encode(family.encode_family(&labels)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mount::fake::example;

    #[test]
    fn a_scrape_says_what_is_listed() {
        let text = text(example());
        let volume = r#"volume="vol",key="vol-1""#;
        for line in [
            "# TYPE kadalu_mount_up gauge".to_owned(),
            "# TYPE kadalu_remounts counter".to_owned(),
            "kadalu_mountd_rss_bytes{} 12000000.0".to_owned(),
            r#"kadalu_glusterfs_info{version="10.3"} 1"#.to_owned(),
            format!("kadalu_glusterd_up{{{volume}}} 1.0"),
            r#"kadalu_glusterd_up{volume="vol",key="vol-2"} 0.0"#.to_owned(),
            r#"kadalu_volume_replaced{volume="vol",key="vol-2"} 1.0"#.to_owned(),
            format!("kadalu_glusterd_reconnects_total{{{volume}}} 2"),
            r#"kadalu_glusterd_reconnects_total{volume="vol",key="vol-2"} 0"#.to_owned(),
            format!("kadalu_volfile_info{{{volume},sha256=\"abc\"}} 1"),
            format!("kadalu_volfile_changes_total{{{volume},class=\"options\"}} 2"),
            format!("kadalu_volfile_changes_total{{{volume},class=\"topology\"}} 1"),
            format!("kadalu_mount_up{{{volume},pool=\"vol-1\"}} 1.0"),
            format!("kadalu_mount_up{{{volume},pool=\"vol-2\"}} 0.0"),
            format!("kadalu_mount_graph_drift{{{volume},pool=\"vol-2\"}} 1.0"),
            format!("kadalu_mount_rss_bytes{{{volume},pool=\"vol-1\"}} 50000000.0"),
            format!("kadalu_mount_graphs{{{volume},pool=\"vol-1\"}} 2.0"),
            format!("kadalu_mount_bricks_down{{{volume},pool=\"vol-2\"}} 2.0"),
            format!("kadalu_mount_offline{{{volume},pool=\"vol-2\"}} 1.0"),
            format!("kadalu_mount_draining{{{volume},pool=\"vol-1\"}} 1.0"),
            format!("kadalu_remounts_total{{{volume},pool=\"vol-1\",reason=\"died\"}} 2"),
            format!("kadalu_remount_interruption_seconds{{{volume},pool=\"vol-1\"}} 1.5"),
            format!("kadalu_rebinds_total{{{volume},pool=\"vol-1\"}} 4"),
            format!("kadalu_container_rebinds_total{{{volume},pool=\"vol-1\"}} 3"),
            format!("kadalu_container_mounts_left{{{volume},pool=\"vol-1\"}} 1.0"),
        ] {
            assert!(text.lines().any(|found| found == line), "{line:?} is not in\n{text}");
        }
        // A process that is not there has no memory, and what did not happen took no time.
        for absent in ["rss_bytes", "interruption_seconds", "switch_seconds"] {
            let lines = text.lines().filter(|line| line.contains(absent) && line.contains("pool=\"vol-2\""));
            assert_eq!(lines.count(), 0, "{absent}: {text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn no_name_breaks_out_of_its_label() {
        let mut list = example();
        list.volumes[0].name = "a\"} 1\nforged 1\\".to_owned();
        let text = text(list);
        assert!(!text.lines().any(|line| line.starts_with("forged")), "{text}");
        assert!(text.contains(r#"volume="a\"} 1\nforged 1\\""#), "{text}");
    }

    #[test]
    fn only_pools_without_io_are_unhealthy() {
        let mut list = example();
        assert_eq!(unhealthy(&list), ["vol-2 of vol: hung 2026-01-01T00:00:00Z no answer within 5 s"]);
        list.volumes[0].pools[1].state = "degraded".to_owned();
        assert_eq!(unhealthy(&list), Vec::<String>::new());
        list.volumes[0].pools[0].state = "starting".to_owned();
        assert_eq!(unhealthy(&list), ["vol-1 of vol: starting"]);
        assert_eq!(unhealthy(&ListReply::default()), Vec::<String>::new());
    }
}
