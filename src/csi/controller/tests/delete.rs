//! `DeleteVolume`.

use std::{fs, time::Duration};

use tonic::Code;

use super::bed::{Bed, Behaviour, MIB, failure, id};
use crate::{
    mount::Reason,
    storage::{self, pool::Pool},
};

/// Waits for what is done in the background.
async fn soon(is_so: impl Fn() -> bool) {
    for _ in 0..500 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it has not come to be within 5 s");
}

#[tokio::test]
async fn a_deleted_pv_is_gone_and_its_trash_soon_too() {
    let bed = Bed::start().await;
    let volume_id = bed.create("pvc-1", 1).await.volume_id;
    let directory = bed.root(1).join("subvol/d3/d3/pvc-1");
    fs::create_dir_all(directory.join("a/b")).unwrap();
    fs::write(directory.join("a/b/c"), "data").unwrap();
    bed.delete(&volume_id).await.unwrap();
    assert!(!directory.exists() && !bed.root(1).join("info/subvol/d3/d3/pvc-1.json").exists());
    let trash = bed.root(1).join(".kadalu-trash");
    soon(|| fs::read_dir(&trash).map_or(true, |mut entries| entries.next().is_none())).await;
    for _ in 0..2 {
        bed.delete(&volume_id).await.unwrap();
    }
    assert_eq!(bed.create("pvc-1", 2).await.capacity_bytes, 2 * MIB);
}

#[tokio::test]
async fn the_policy_is_that_of_the_creation() {
    let bed = Bed::start().await;
    for (name, policy) in [("pvc-1", "archive"), ("pvc-2", "retain")] {
        let volume = bed.ask(bed.request(name, 1, &[("reclaim", policy)])).await.unwrap();
        fs::write(bed.root(1).join(&volume.volume_context["path"]).join("data"), "data").unwrap();
        for _ in 0..2 {
            bed.delete(&volume.volume_id).await.unwrap();
        }
    }
    assert!(bed.root(1).join("subvol/d3/d3/archived-pvc-1/data").exists());
    let retained = bed.pool(1).get("pvc-2").unwrap().unwrap();
    assert!(bed.root(1).join(retained.path).join("data").exists());
}

#[tokio::test]
async fn what_was_left_in_the_trash_by_an_earlier_run_goes_at_the_start() {
    let bed = Bed::start().await;
    bed.create("pvc-1", 1).await;
    let left = bed.root(1).join(".kadalu-trash/pvc-9.1700000000000/a/b");
    fs::create_dir_all(&left).unwrap();
    let bed = bed.restart().await;
    soon(|| !bed.root(1).join(".kadalu-trash/pvc-9.1700000000000").exists()).await;
}

#[tokio::test]
async fn a_pv_of_kadalu_is_deleted_wherever_it_is() {
    let bed = Bed::start().await;
    bed.storage("pool-1", &bed.host(), "vol", "");
    bed.storage("pool-2", &bed.host(), "other", r#", "pvReclaimPolicy": "archive""#);
    bed.kadalu_pv(1, "d3/d3/pvc-1", MIB as u64);
    let other = "pvc-cab174b3-d77c-41f5-83e7-bc84ac75606c";
    bed.kadalu_pv(2, &format!("a6/bf/{other}"), MIB as u64);
    bed.delete("pvc-1").await.unwrap();
    assert!(!bed.root(1).join("subvol/d3/d3/pvc-1").exists());
    bed.delete(other).await.unwrap();
    assert!(bed.root(2).join(format!("subvol/a6/bf/archived-{other}")).exists());
    bed.delete("pvc-1").await.unwrap();
}

#[tokio::test]
async fn a_pool_that_does_not_answer_may_have_it() {
    let bed = Bed::start().await;
    bed.storage("pool-1", &bed.host(), "vol", "");
    bed.storage("pool-2", &bed.host(), "other", "");
    bed.kadalu_pv(1, "d3/d3/pvc-1", MIB as u64);
    bed.mounts.set("other", Some(Behaviour::Refuses(Reason::Bricks)));
    let (code, sentence) = failure(bed.delete("pvc-2").await);
    assert!(code == Code::Unavailable && sentence.contains("pool-2 (volume other)"), "{sentence}");
    // It is here, and the one that is meant may be there.
    let (code, sentence) = failure(bed.delete("pvc-1").await);
    assert!(code == Code::Unavailable && sentence.contains("pool-2 (volume other)"), "{sentence}");
    assert!(bed.root(1).join("subvol/d3/d3/pvc-1").exists());
    bed.mounts.set("other", None);
    for name in ["pvc-1", "pvc-2"] {
        bed.delete(name).await.unwrap();
    }
    assert!(!bed.root(1).join("subvol/d3/d3/pvc-1").exists());
}

#[tokio::test]
async fn storages_that_cannot_be_read_may_have_it() {
    let bed = Bed::start().await;
    bed.delete("pvc-1").await.unwrap();
    let (storages, away) = (bed.dir.path().join("storages"), bed.dir.path().join("away"));
    fs::write(storages.join("pool-1.info"), "{").unwrap();
    let (code, sentence) = failure(bed.delete("pvc-1").await);
    assert!(code == Code::Unavailable && sentence.contains("pool-1.info"), "{sentence}");
    fs::remove_file(storages.join("pool-1.info")).unwrap();
    fs::rename(&storages, &away).unwrap();
    assert_eq!(failure(bed.delete("pvc-1").await).0, Code::Unavailable);
    fs::rename(&away, &storages).unwrap();
    bed.delete("pvc-1").await.unwrap();
}

#[tokio::test]
async fn a_pv_of_kadalu_is_not_deleted_while_nothing_says_so() {
    let bed = Bed::start().await;
    // Its class has learned the pool; no storage is of it.
    bed.create("pvc-0", 1).await;
    bed.kadalu_pv(1, "d3/d3/pvc-1", MIB as u64);
    let volume_id = format!("{}/pvc-1", id(1));
    let stays = async |word: &str| {
        for volume_id in ["pvc-1", &volume_id] {
            let (code, sentence) = failure(bed.delete(volume_id).await);
            assert!(code == Code::Unavailable && sentence.contains(word), "{sentence}");
        }
        assert!(bed.root(1).join("subvol/d3/d3/pvc-1").exists());
    };
    stays("no storage").await;
    fs::write(bed.dir.path().join("storages/pool-1.info"), "{").unwrap();
    stays("pool-1.info").await;
    bed.storage("pool-1", "unix:/nobody.sock", "vol", "");
    stays("nobody.sock").await;
    // By another address than the class has, which is told by the volume's id.
    fs::hard_link(bed.dir.path().join("g.sock"), bed.dir.path().join("g2.sock")).unwrap();
    let host = format!("unix:{}", bed.dir.path().join("g2.sock").display());
    bed.storage("pool-1", &host, "vol", r#", "pvReclaimPolicy": "archive""#);
    bed.delete("pvc-1").await.unwrap();
    assert!(bed.root(1).join("subvol/d3/d3/archived-pvc-1").exists());
}

#[tokio::test]
async fn only_a_root_that_is_gone_is_mounted_anew() {
    let bed = Bed::start().await;
    bed.create("pvc-1", 1).await;
    let pool = id(1).parse().unwrap();
    for (reason, mounts) in [(storage::Reason::Unavailable, 1), (storage::Reason::Gone, 2)] {
        let fails = move |_: &Pool| Err::<(), _>(storage::Error::new(reason, "the volume is being emptied"));
        let (code, _) = failure(bed.controller.pools.run(&pool, fails).await);
        assert_eq!(code, Code::Unavailable);
        bed.controller.pools.run(&pool, |_| Ok(())).await.unwrap();
        assert_eq!(bed.mounts.asked(), mounts, "{reason:?}");
    }
}

#[tokio::test]
async fn two_pools_with_one_name_are_told_apart_by_their_ids() {
    let bed = Bed::start().await;
    bed.storage("pool-1", &bed.host(), "vol", "");
    bed.storage("pool-2", &bed.host(), "other", "");
    bed.kadalu_pv(1, "d3/d3/pvc-1", MIB as u64);
    bed.kadalu_pv(2, "d3/d3/pvc-1", MIB as u64);
    assert_eq!(failure(bed.delete("pvc-1").await).0, Code::FailedPrecondition);
    bed.delete(&format!("{}/pvc-1", id(2))).await.unwrap();
    assert!(bed.root(1).join("subvol/d3/d3/pvc-1").exists());
    assert!(!bed.root(2).join("subvol/d3/d3/pvc-1").exists());
}

#[tokio::test]
async fn what_this_driver_has_not_made_it_does_not_delete() {
    let bed = Bed::start().await;
    let volume_id = bed.create("pvc-1", 1).await.volume_id;
    let by_hand = format!("{}:/vol/subvol/d3/d3/pvc-1", bed.host());
    assert_eq!(failure(bed.delete(&by_hand).await).0, Code::FailedPrecondition);
    // A directory without a record is somebody's.
    fs::remove_file(bed.root(1).join("info/subvol/d3/d3/pvc-1.json")).unwrap();
    assert_eq!(failure(bed.delete(&volume_id).await).0, Code::FailedPrecondition);
    assert!(bed.root(1).join("subvol/d3/d3/pvc-1").exists());
}
