//! What is promised of sizes, and what is said of those that nobody enforces. The bricks are directories, in which what
//! `kadalu quotad` would say is written by hand.

use std::{
    path::Path,
    time::{Duration, SystemTime},
};

use tonic::{Code, Request, Status};

use super::bed::{Bed, Behaviour, MIB, failure, id, inner};
use crate::{
    csi::{
        controller::quota::FRESH,
        generated::{
            CapacityRange, ControllerExpandVolumeRequest, ControllerGetVolumeHealthRequest,
            ControllerListVolumeHealthRequest, ListVolumesRequest, Volume,
            controller_server::Controller as _,
        },
    },
    mount::Reason,
    storage::quota::{self, Asked, Code as Lack, Daemon, IN_FORCE, InForce, Problem, QUOTAD, Share},
    volfile::example::Example,
};

/// For one question.
const ONE: Duration = Duration::from_secs(10);

const SHARE: Share = Share { data: 1, arbiter: false };

/// False, said aloud, where nobody can have such attributes.
fn set(path: &Path, name: &str, value: &impl serde::Serialize) -> bool {
    std::fs::create_dir_all(path).unwrap();
    let value = quota::write(value).unwrap();
    let set = rustix::fs::setxattr(path, name, &value, rustix::fs::XattrFlags::empty());
    if let Err(error) = set {
        eprintln!("SKIPPED: no trusted attributes here: {error}; run as root on ext4, XFS or tmpfs");
    }
    set.is_ok()
}

fn now() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

fn daemon(brick: &str, problem: Option<Problem>) -> Daemon {
    Daemon { brick: brick.to_owned(), version: "1".to_owned(), time: now(), problem }
}

fn in_force(brick: &str, asked: &Asked) -> InForce {
    let limits = Some(SHARE.limits(asked));
    let asked = Some(asked.clone());
    InForce { brick: brick.to_owned(), asked, project: Some(7), limits, time: now(), problem: None }
}

/// A size that a PV can have and the file system of the test has not, as if its limit were that of the file system.
fn large(bed: &Bed) -> i64 {
    bed.pool(1).capacity().unwrap().total as i64 / MIB + 1024
}

fn request(bed: &Bed, quota: &str) -> crate::csi::generated::CreateVolumeRequest {
    bed.request("pvc-1", large(bed), &[("quota", quota), ("overcommit", "9")])
}

/// The path of the PV, and what its record asks for.
fn pv(bed: &Bed) -> (String, Asked) {
    let pv = bed.pool(1).get("pvc-1").unwrap().unwrap();
    (pv.path, pv.asked.unwrap())
}

/// What quotad would have done on this brick.
fn enforce(bed: &Bed, n: usize) {
    let ((root, name), (path, asked)) = (bed.brick(n), pv(bed));
    set(&root.join(path), IN_FORCE, &in_force(&name, &asked));
}

async fn expand(bed: &Bed, volume: &Volume, bytes: i64) -> Result<i64, Status> {
    let request = ControllerExpandVolumeRequest {
        volume_id: volume.volume_id.clone(),
        capacity_range: Some(CapacityRange { required_bytes: bytes, limit_bytes: 0 }),
        ..Default::default()
    };
    Ok(inner(bed.controller.controller_expand_volume(Request::new(request)).await)?.capacity_bytes)
}

/// What is wrong with the only PV, asked for alone and in a list, but for what the mount host says.
async fn health(bed: &Bed, volume: &Volume) -> Option<String> {
    health_of(bed, volume).await.map(|(reason, message)| {
        assert_eq!(reason, "QuotaNotEnforced");
        message
    })
}

/// The same with its reason.
async fn health_of(bed: &Bed, volume: &Volume) -> Option<(String, String)> {
    let volume_id = volume.volume_id.clone();
    let request = Request::new(ControllerGetVolumeHealthRequest { volume_id, ..Default::default() });
    let one = inner(bed.controller.controller_get_volume_health(request).await).unwrap();
    let list = Request::new(ControllerListVolumeHealthRequest::default());
    let list = inner(bed.controller.controller_list_volume_health(list).await).unwrap();
    let statuses = one.volume_health.unwrap().health_statuses;
    let listed = list.entries.into_iter().next().map(|entry| entry.health_statuses);
    assert_eq!(listed.unwrap_or_default(), statuses);
    statuses.into_iter().next().map(|status| (status.reason, status.message))
}

#[tokio::test]
async fn what_is_required_is_given_out_when_every_brick_enforces_it() {
    let bed = Bed::start().await;
    let required = || bed.ask(request(&bed, "required"));
    let (code, sentence) = failure(required().await);
    assert!(code == Code::Unavailable && sentence.contains("in force on 0 of 3 bricks"), "{sentence}");
    assert!(sentence.contains("bricks server-0.example.net:/bricks/vol/brick-0, server-1"), "{sentence}");
    assert!(sentence.contains("quotad has never looked after it"), "{sentence}");
    let (root, name) = bed.brick(2);
    if !set(&root, QUOTAD, &daemon(&name, None)) {
        return;
    }
    enforce(&bed, 0);
    enforce(&bed, 1);
    let (path, asked) = pv(&bed);
    let ack = |said: &InForce| set(&root.join(&path), IN_FORCE, said);
    let third = async |said: &str| {
        let (code, sentence) = failure(required().await);
        assert!(
            code == Code::Unavailable && sentence.contains("in force on 2 of 3 bricks: brick server-2"),
            "{sentence}"
        );
        assert!(sentence.contains(said), "{said}: {sentence}");
    };
    third("has no directory there").await;
    // As self-heal copies it.
    ack(&in_force(&bed.brick(0).1, &asked));
    third("was copied from \"server-0").await;
    ack(&in_force(&name, &Asked { generation: "0".repeat(16), ..asked.clone() }));
    third("has not followed the PV's record as it is now").await;
    ack(&InForce { problem: Some(Problem::new(Lack::InUse, "it has more data")), ..in_force(&name, &asked) });
    third("it has more data").await;
    set(&root, QUOTAD, &daemon(&name, Some(Problem::new(Lack::NoProjectQuota, "mounted without prjquota"))));
    rustix::fs::removexattr(root.join(&path), IN_FORCE).unwrap();
    third("mounted without prjquota").await;
    enforce(&bed, 2);
    third("mounted without prjquota").await;
    set(&root, QUOTAD, &daemon(&name, None));
    let volume = required().await.unwrap();
    assert_eq!(volume.volume_id, format!("{}/pvc-1", id(1)));
    assert_eq!(health(&bed, &volume).await, None);
    assert_eq!(required().await.unwrap(), volume);

    // The new size is another record, and the call again does not grow it once more.
    let size = volume.capacity_bytes + 8 * MIB;
    for _ in 0..2 {
        let (code, sentence) = failure(expand(&bed, &volume, size).await);
        assert!(code == Code::Unavailable && sentence.contains("on 0 of 3"), "{sentence}");
        assert_eq!(pv(&bed).1.size as i64, size);
    }
    (0..3).for_each(|n| enforce(&bed, n));
    assert_eq!(expand(&bed, &volume, size).await.unwrap(), size);
}

#[tokio::test]
async fn a_size_that_the_brick_does_not_show_is_not_believed() {
    let bed = Bed::start().await;
    let volume = bed.create("pvc-1", 8).await;
    if !set(&bed.root(1), QUOTAD, &daemon("any", None)) {
        return;
    }
    (0..3).for_each(|n| enforce(&bed, n));
    let sentence = health(&bed, &volume).await.unwrap();
    assert!(sentence.contains("the PV's directory there has a size of"), "{sentence}");
}

#[tokio::test]
async fn best_effort_gives_it_out_and_says_what_is_not_enforced() {
    let bed = Bed::start().await;
    let volume = bed.ask(request(&bed, "best-effort")).await.unwrap();
    let sentence = health(&bed, &volume).await.unwrap();
    assert!(
        sentence.contains("size: kadalu quotad does not") && sentence.contains("of server-0.example"),
        "{sentence}"
    );
    // Where nobody looks after any brick, none is mounted to see that.
    assert_eq!(bed.mounts.mounted().len(), 1);

    let volume = {
        if !set(&bed.root(1), QUOTAD, &daemon(&bed.brick(0).1, None)) {
            return;
        }
        enforce(&bed, 0);
        enforce(&bed, 1);
        let (_, name) = bed.brick(2);
        bed.mounts.set(&format!("brick={name}"), Some(Behaviour::Refuses(Reason::Bricks)));
        volume
    };
    // The view is believed for a while: another controller has none.
    let bed = bed
        .restart_with(
            &format!("brick={}", "server-2.example.net:/bricks/vol/brick-2"),
            Behaviour::Refuses(Reason::Bricks),
        )
        .await;
    let (reason, sentence) = health_of(&bed, &volume).await.unwrap();
    // It may enforce the size, or not.
    assert_eq!(reason, "QuotaUnknown");
    assert!(
        sentence.contains("size: brick server-2.example.net:/bricks/vol/brick-2: it cannot be looked at"),
        "{sentence}"
    );
    assert!(sentence.contains("the mount host refuses"), "{sentence}");
    // One that says that it does not is worse than one that says nothing.
    let third = format!("brick={}", bed.brick(2).1);
    let bed = bed.restart_with(&third, Behaviour::Refuses(Reason::Bricks)).await;
    rustix::fs::removexattr(bed.brick(1).0.join(pv(&bed).0), IN_FORCE).unwrap();
    let sentence = health(&bed, &volume).await.unwrap();
    assert!(sentence.contains("brick server-1") && sentence.contains("brick server-2"), "{sentence}");
    enforce(&bed, 1);
    let bed = bed.restart().await;
    enforce(&bed, 2);
    assert_eq!(health(&bed, &volume).await, None);
    let options: Vec<_> = bed.mounts.mounted().into_iter().flat_map(|request| request.options).collect();
    assert_eq!(options.iter().filter(|option| option.starts_with("brick=server-")).count(), 3, "{options:?}");
}

#[tokio::test]
async fn best_effort_waits_where_every_quotad_sets_limits() {
    let bed = Bed::start().await;
    bed.create("pvc-0", 1).await;
    let pool = id(1).parse().unwrap();
    for n in 0..3 {
        let (root, name) = bed.brick(n);
        if !set(&root, QUOTAD, &daemon(&name, None)) || !set(&bed.root(1), QUOTAD, &daemon(&name, None)) {
            return;
        }
    }
    // What was seen before is believed for a while.
    let bed = bed.restart().await;
    while !bed.controller.is_alive(&pool) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Nobody sets the limit: it is given out all the same.
    let volume = bed.ask(request(&bed, "best-effort")).await.unwrap();
    let sentence = health(&bed, &volume).await.unwrap();
    assert!(sentence.contains("has no directory there"), "{sentence}");
    // Somebody does so while it grows.
    (0..3).for_each(|n| enforce(&bed, n));
    let size = volume.capacity_bytes + MIB;
    let quotad = async {
        while pv(&bed).1.size as i64 != size {
            tokio::task::yield_now().await;
        }
        (0..3).for_each(|n| enforce(&bed, n));
    };
    let (grown, ()) = tokio::join!(expand(&bed, &volume, size), quotad);
    assert_eq!(grown.unwrap(), size);
    assert_eq!(bed.controller.lack(&pool, &bed.pool(1).get("pvc-1").unwrap().unwrap(), ONE).await, None);
}

#[tokio::test]
async fn policies_are_kept_in_the_record() {
    let bed = Bed::start().await;
    bed.ask(bed.request("pvc-1", 1, &[("quota", "best-effort"), ("soft_limit", "80"), ("inodes", "7")]))
        .await
        .unwrap();
    let volume = bed.ask(bed.request("pvc-2", 1, &[("quota", "off")])).await.unwrap();
    for (name, quota) in [("pvc-1", "best-effort"), ("pvc-2", "off")] {
        assert_eq!(bed.pool(1).get(name).unwrap().unwrap().quota.unwrap().to_string(), quota);
    }
    let asked = pv(&bed).1;
    assert_eq!((asked.soft_percent, asked.inodes), (Some(80), Some(7)));
    bed.delete(&format!("{}/pvc-1", id(1))).await.unwrap();
    assert_eq!(health(&bed, &volume).await, None);
    // What has no limit has none to require.
    let (code, _) = failure(bed.ask(bed.request("pvc-2", 1, &[("quota", "required")])).await);
    assert_eq!(code, Code::FailedPrecondition);
    // A whole volume is as large as it is.
    let whole = [("quota", "required"), ("single_pv_per_pool", "true"), ("gluster_volname", "other")];
    assert_eq!(bed.ask(bed.request("pvc-3", 1, &whole)).await.unwrap().volume_id, format!("{}:pvc-3", id(2)));
}

#[tokio::test]
async fn what_no_brick_can_keep_is_not_promised() {
    let bed = Bed::start().await;
    for (volume, word) in [("dist", "distribute"), ("shard", "shard")] {
        let with = |quota| [("quota", quota), ("gluster_volname", volume), ("allow", word)];
        let (code, sentence) = failure(bed.ask(bed.request("pvc-1", 1, &with("required"))).await);
        assert!(code == Code::FailedPrecondition && sentence.contains("best-effort"), "{sentence}");
        assert!(bed.mounts.mounted().iter().all(|request| request.volume != volume));
        bed.ask(bed.request("pvc-1", 1, &with("best-effort"))).await.unwrap();
    }
}

#[tokio::test]
async fn what_was_promised_once_is_refused_for_good_no_more() {
    let bed = Bed::start().await;
    let create = || bed.ask(bed.request("pvc-1", 1, &[("quota", "required")]));
    assert_eq!(failure(create().await).0, Code::Unavailable);
    let size = pv(&bed).1.size as i64;
    let volume = Volume { volume_id: format!("{}/pvc-1", id(1)), ..Default::default() };
    // Nobody limits what is distributed: neither of the PVs that are to come is made, and neither is this one larger.
    let distributed = Example::with_bricks("vol", 3, 6).option("cluster/replicate", "volume-id", &id(1));
    bed.cluster.publish("vol", distributed.volfile().render().unwrap()).unwrap();
    tokio::time::sleep(FRESH).await;
    let (code, sentence) = failure(expand(&bed, &volume, size + MIB).await);
    assert!(code == Code::FailedPrecondition && sentence.contains("cannot be kept"), "{sentence}");
    assert_eq!(pv(&bed).1.size as i64, size);
    // What exists may be enforced again: who gave up would leave it behind.
    for status in [create().await.map(drop), expand(&bed, &volume, size).await.map(drop)] {
        let (code, sentence) = failure(status);
        assert!(code == Code::Unavailable && sentence.contains("pvc-1 exists"), "{sentence}");
    }
    let (code, _) = failure(bed.ask(bed.request("pvc-2", 1, &[("quota", "required")])).await);
    assert_eq!((code, bed.pool(1).get("pvc-2").unwrap()), (Code::FailedPrecondition, None));
}

/// Until the quotads were looked at and this was said of them in the log, and this of all PVs.
async fn told(bed: &Bed, quotads: &str, all: Option<&str>) {
    let expected = [Some(quotads), all].map(|told| told.map(str::to_owned));
    while bed.controller.told(&id(1).parse().unwrap()) != expected {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn best_effort_says_in_the_log_what_nobody_asks_for() {
    let bed = Bed::start().await;
    bed.create("pvc-1", 1).await;
    told(&bed, "NoQuotad", None).await;
    if !set(&bed.root(1), QUOTAD, &daemon("any", None)) {
        return;
    }
    let bed = bed.restart().await;
    for n in 0..2 {
        let (root, name) = bed.brick(n);
        set(&root, QUOTAD, &daemon(&name, None));
    }
    bed.create("pvc-2", 1).await;
    told(&bed, "server-2.example.net:/bricks/vol/brick-2 NoQuotad", None).await;
}

#[tokio::test]
async fn a_page_says_nothing_of_the_whole_pool() {
    let bed = Bed::start().await;
    for name in ["pvc-1", "pvc-2"] {
        bed.create(name, 1).await;
    }
    for n in 0..3 {
        let (root, name) = bed.brick(n);
        if !set(&root, QUOTAD, &daemon(&name, None)) || !set(&bed.root(1), QUOTAD, &daemon(&name, None)) {
            return;
        }
    }
    let bed = bed.restart().await;
    let list = async |starting_token: &str| {
        let starting_token = starting_token.to_owned();
        let request = Request::new(ListVolumesRequest { max_entries: 1, starting_token });
        inner(bed.controller.list_volumes(request).await).unwrap()
    };
    // After a restart, somebody goes on with what another has begun.
    let last = format!("{}/pvc-1", id(1));
    assert_eq!(list(&last).await.entries.len(), 1);
    told(&bed, "", None).await;
    list("").await;
    let each = |n: usize| format!("server-{n}.example.net:/bricks/vol/brick-{n} NoDirectory");
    told(&bed, "", Some(&[0, 1, 2].map(each).join(", "))).await;
}

#[tokio::test]
async fn a_volume_that_hangs_costs_a_list_no_more_than_its_time() {
    let bed = Bed::start().await;
    bed.create("pvc-1", 1).await;
    let pool = id(1).parse().unwrap();
    if !set(&bed.root(1), QUOTAD, &daemon("any", None)) {
        return;
    }
    let pv = bed.pool(1).get("pvc-1").unwrap().unwrap();
    for n in 0..3 {
        bed.mounts.set(&format!("brick={}", bed.brick(n).1), Some(Behaviour::Hangs));
    }
    let lack = bed.controller.lack(&pool, &pv, Duration::from_millis(50)).await.unwrap();
    assert!(lack.to_string().contains("has not answered within 50.0ms"), "{lack}");
    assert_eq!(lack.trouble().reason, "QuotaUnknown");
}
