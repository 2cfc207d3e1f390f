//! What is mounted, for people.

use glusterd_client::mount::generated::{ListReply, Pool, Process, Target, Volume};

use crate::cli::output::{columns, shown};

const HEAD: [&str; 8] = ["TARGET", "VOLUME", "STATE", "PID", "MEMORY", "GENERATION", "GRAPHS", "SERVER"];

/// A line of the table, or a remark on the lines above it.
enum Line {
    Row([String; 8]),
    Remark(String),
}

/// A line a target; below those of a process what is to be said of it, and below those of a volume its last change.
pub(super) fn table(list: &ListReply) -> String {
    let mut lines = vec![Line::Row(HEAD.map(str::to_owned))];
    for volume in &list.volumes {
        if volume.pools.is_empty() {
            lines.push(Line::Row(row(volume, None, None)));
        }
        for pool in &volume.pools {
            if pool.targets.is_empty() {
                lines.push(Line::Row(row(volume, Some(pool), None)));
            }
            lines.extend(pool.targets.iter().map(|target| Line::Row(row(volume, Some(pool), Some(target)))));
            lines.extend(of_pool(pool).into_iter().map(Line::Remark));
        }
        lines.extend(of_volume(volume).into_iter().map(Line::Remark));
    }
    let rows =
        lines.iter().filter_map(|line| if let Line::Row(row) = line { Some(row.clone()) } else { None });
    let rows = rows.collect::<Vec<_>>();
    let mut rows = columns(&rows);
    let line = |line: &Line| match line {
        Line::Remark(remark) => format!("  {remark}\n"),
        Line::Row(_) => rows.next().unwrap_or_default(),
    };
    lines.iter().map(line).collect()
}

fn row(volume: &Volume, pool: Option<&Pool>, target: Option<&Target>) -> [String; 8] {
    let or_none = |text: String| if text.is_empty() { "-".to_owned() } else { text };
    let process = pool.and_then(|pool| pool.process.as_ref());
    [
        or_none(target.map_or_else(String::new, |target| {
            let read_only = if target.read_only { " (read-only)" } else { "" };
            shown(&target.path) + read_only
        })),
        match target.map(|target| shown(&target.subdirectory)) {
            Some(subdirectory) if !subdirectory.is_empty() => {
                format!("{}/{subdirectory}", shown(&volume.name))
            }
            _ => shown(&volume.name),
        },
        or_none(pool.map_or_else(String::new, |pool| shown(&pool.state))),
        or_none(process.map_or_else(String::new, |process| process.pid.to_string())),
        or_none(process.map_or_else(String::new, |process| memory(process.rss_bytes))),
        volume.generation.to_string(),
        or_none(pool.map_or_else(String::new, |pool| pool.graphs.to_string())),
        or_none(shown(&volume.connected)),
    ]
}

/// What is to be said of a process and its targets; nothing where all is well.
fn of_pool(pool: &Pool) -> Vec<String> {
    let mut remarks = Vec::new();
    if pool.offline {
        remarks.push("no server is reachable: it serves from the last good volfile on disk".to_owned());
    }
    if !pool.bricks_down.is_empty() {
        remarks.push(format!("not connected: {}", shown(&pool.bricks_down.join(", "))));
    }
    if !pool.drift.is_empty() {
        remarks.push(format!("not on the wanted volfile: {}", shown(&pool.drift)));
    }
    if pool.container_mounts_left > 0 {
        remarks.push(format!(
            "mounts in containers that are still on an earlier process: {}; the log says which, and why",
            pool.container_mounts_left
        ));
    }
    if !pool.last_error.is_empty() {
        remarks.push(format!("last error: {}", shown(&pool.last_error)));
    }
    let draining = |process: &Process| {
        let Process { pid, rss_bytes, .. } = process;
        format!("process {pid} was replaced and still serves open files ({})", memory(*rss_bytes))
    };
    remarks.extend(pool.draining.iter().map(draining));
    remarks
}

/// What is to be said of a volume: what is wrong with it, and its last change.
fn of_volume(volume: &Volume) -> Vec<String> {
    let mut remarks = Vec::new();
    if !volume.trouble.is_empty() {
        remarks.push(shown(&volume.trouble));
    }
    if let Some(rejected) = &volume.rejected {
        let (time, server) = (shown(&rejected.time), shown(&rejected.server));
        remarks.push(match rejected.replaced_by.as_str() {
            "" => format!("{time} a volfile of {server} is not used:"),
            id => format!(
                "{time} another volume has this name now, with id {}; to use it: kadalu mounts --accept-replaced {}",
                shown(id),
                shown(&volume.key)
            ),
        });
        remarks.extend(rejected.reasons.iter().map(|reason| format!("  {}", shown(reason))));
    }
    if let Some(change) = &volume.last_change {
        remarks.push(format!("{} changed ({}):", shown(&change.time), shown(&change.class)));
        remarks.extend(change.items.iter().map(|item| format!("  {}", shown(item))));
    }
    remarks
}

/// In the unit that people look at memory in.
fn memory(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1024 * 1024))
}

#[cfg(test)]
mod tests {
    use glusterd_client::mount::generated::{Change, Rejection};

    use super::*;

    #[test]
    fn a_line_a_target_and_below_it_what_is_wrong() {
        let process = |pid| Process { pid, rss_bytes: 50 * 1024 * 1024 - 1, ..Process::default() };
        let target = |path: &str, subdirectory: &str, read_only| Target {
            path: path.into(),
            subdirectory: subdirectory.into(),
            read_only,
        };
        let well = Pool {
            state: "healthy".into(),
            process: Some(process(1234)),
            targets: vec![target("/mnt", "", false), target("/home/me", "home/me", true)],
            graphs: 2,
            ..Pool::default()
        };
        let ill = Pool {
            state: "degraded".into(),
            targets: vec![target("/c", "", false)],
            offline: true,
            drift: "a child is\nmissing".into(),
            bricks_down: vec!["g1:/b".into(), "g2:/b".into()],
            container_mounts_left: 2,
            last_error: "it died".into(),
            draining: vec![process(9)],
            ..Pool::default()
        };
        let change = Change { time: "T1".into(), class: "options".into(), items: vec!["a = b".into()] };
        let volume = Volume {
            name: "vol".into(),
            connected: "g1:24007".into(),
            generation: 3,
            last_change: Some(change),
            pools: vec![well, ill, Pool { state: "starting".into(), ..Pool::default() }],
            ..Volume::default()
        };
        let rejected = |id: &str| Rejection {
            time: "T2".into(),
            server: "g2".into(),
            reasons: vec!["line 3: \u{1b}[2J".into()],
            replaced_by: id.into(),
            ..Rejection::default()
        };
        let refused = Volume {
            name: "bad".into(),
            trouble: "no server".into(),
            rejected: Some(rejected("")),
            ..Volume::default()
        };
        let replaced = Volume {
            name: "new".into(),
            key: "new-1".into(),
            rejected: Some(rejected("uuid")),
            ..Volume::default()
        };
        let list = ListReply { volumes: vec![volume, refused, replaced], ..ListReply::default() };
        let expected = "\
TARGET                VOLUME       STATE     PID   MEMORY  GENERATION  GRAPHS  SERVER
/mnt                  vol          healthy   1234  50 MiB  3           2       g1:24007
/home/me (read-only)  vol/home/me  healthy   1234  50 MiB  3           2       g1:24007
/c                    vol          degraded  -     -       3           0       g1:24007
  no server is reachable: it serves from the last good volfile on disk
  not connected: g1:/b, g2:/b
  not on the wanted volfile: a child is\\nmissing
  mounts in containers that are still on an earlier process: 2; the log says which, and why
  last error: it died
  process 9 was replaced and still serves open files (50 MiB)
-                     vol          starting  -     -       3           0       g1:24007
  T1 changed (options):
    a = b
-                     bad          -         -     -       0           -       -
  no server
  T2 a volfile of g2 is not used:
    line 3: \\u{1b}[2J
-                     new          -         -     -       0           -       -
  T2 another volume has this name now, with id uuid; to use it: kadalu mounts --accept-replaced new-1
    line 3: \\u{1b}[2J
";
        assert_eq!(table(&list), expected);
    }
}
