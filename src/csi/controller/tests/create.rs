//! `CreateVolume`: sub-directories.

use std::{
    fs, io,
    sync::{Arc, Mutex},
    time::Duration,
};

use tonic::{Code, Request};

use super::bed::{Bed, Behaviour, MIB, block, failure, id, inner, mounted, replica};
use crate::{
    csi::generated::{
        CapacityRange, CreateVolumeRequest, GetCapacityRequest, ListVolumesRequest, VolumeCapability,
        VolumeContentSource,
        controller_server::Controller as _,
        volume_capability::{AccessType, MountVolume},
    },
    mount::Reason,
};

#[tokio::test]
async fn a_pv_lies_where_kadalu_would_have_put_it() {
    let bed = Bed::start().await;
    let volume = bed.create("pvc-1", 1).await;
    assert_eq!(volume.volume_id, format!("{}/pvc-1", id(1)));
    assert_eq!(volume.capacity_bytes, MIB);
    let context = &volume.volume_context;
    assert_eq!(context["path"], "subvol/d3/d3/pvc-1");
    assert_eq!(context["volume_uuid"], id(1));
    assert_eq!((context["gluster_volname"].as_str(), &context["gluster_hosts"]), ("vol", &bed.host()));
    assert!(!context.contains_key("options"));
    assert!(bed.root(1).join("subvol/d3/d3/pvc-1").is_dir());
    let record = fs::read_to_string(bed.root(1).join("info/subvol/d3/d3/pvc-1.json")).unwrap();
    assert!(record.starts_with(r#"{"size":1048576,"path_prefix":"subvol/d3/d3""#), "{record}");
    let mounted = bed.mounts.mounted();
    assert_eq!((mounted.len(), &*mounted[0].volume, mounted[0].subdirectory.is_empty()), (1, "vol", true));
    assert_eq!(mounted[0].target, bed.root(1).to_str().unwrap());
}

#[tokio::test]
async fn the_same_again_is_the_same_and_another_under_its_name_is_refused() {
    let bed = Bed::start().await;
    let first = bed.create("pvc-1", 2).await;
    assert_eq!(bed.create("pvc-1", 2).await, first);
    let within = |required, limit| CreateVolumeRequest {
        capacity_range: Some(CapacityRange { required_bytes: required * MIB, limit_bytes: limit * MIB }),
        ..bed.request("pvc-1", 0, &[])
    };
    // Compatible: the size that is there is what is asked for.
    assert_eq!(bed.ask(within(1, 4)).await.unwrap(), first);
    for incompatible in [within(3, 0), within(1, 1), bed.request("pvc-1", 2, &[("reclaim", "retain")])] {
        assert_eq!(failure(bed.ask(incompatible).await).0, Code::AlreadyExists);
    }
    // Another mount of it is not another volume.
    assert_eq!(
        bed.ask(bed.request("pvc-1", 2, &[("options", "acl")])).await.unwrap().volume_id,
        first.volume_id
    );
}

#[tokio::test]
async fn a_size_that_is_not_asked_for_is_one_gibibyte() {
    let bed = Bed::start().await;
    let request = CreateVolumeRequest { capacity_range: None, ..bed.request("pvc-1", 0, &[]) };
    assert_eq!(bed.ask(request).await.unwrap().capacity_bytes, 1 << 30);
    assert_eq!(bed.create("pvc-2", 0).await.capacity_bytes, 1 << 30);
    for (required, limit, code) in [
        (2, 1, Code::OutOfRange),
        (-1, 0, Code::InvalidArgument),
        (0, -1, Code::InvalidArgument),
        (i64::MAX, 0, Code::ResourceExhausted),
    ] {
        let range = CapacityRange { required_bytes: required, limit_bytes: limit };
        let request = CreateVolumeRequest { capacity_range: Some(range), ..bed.request("pvc-3", 0, &[]) };
        assert_eq!(failure(bed.ask(request).await).0, code, "{required} {limit}");
    }
    assert!(bed.pool(1).get("pvc-3").unwrap().is_none());
}

#[tokio::test]
async fn every_mode_of_a_mount_is_possible_and_nothing_else() {
    let bed = Bed::start().await;
    let all = (1..=7).map(mounted).collect();
    bed.ask(CreateVolumeRequest { volume_capabilities: all, ..bed.request("pvc-1", 1, &[]) }).await.unwrap();
    let flags = |flag: &str| VolumeCapability {
        access_type: Some(AccessType::Mount(MountVolume {
            mount_flags: vec![flag.to_owned()],
            ..Default::default()
        })),
        ..mounted(1)
    };
    for (capability, word) in [
        (block(), "Filesystem"),
        (VolumeCapability { access_mode: None, ..mounted(1) }, "access_mode"),
        (VolumeCapability { access_type: None, ..mounted(1) }, "access_type"),
        (mounted(0), "access_mode"),
        (mounted(42), "access_mode"),
        (flags("frobnicate"), "frobnicate"),
    ] {
        let capabilities = vec![mounted(1), capability];
        let request =
            CreateVolumeRequest { volume_capabilities: capabilities, ..bed.request("pvc-2", 1, &[]) };
        let (code, sentence) = failure(bed.ask(request).await);
        assert!(code == Code::InvalidArgument && sentence.contains(word), "{code:?} {sentence}");
    }
    let source = Some(VolumeContentSource::default());
    let request = CreateVolumeRequest { volume_content_source: source, ..bed.request("pvc-2", 1, &[]) };
    assert_eq!(failure(bed.ask(request).await).0, Code::InvalidArgument);
    let mutable = [("a".to_owned(), "b".to_owned())].into();
    let request = CreateVolumeRequest { mutable_parameters: mutable, ..bed.request("pvc-2", 1, &[]) };
    assert_eq!(failure(bed.ask(request).await).0, Code::InvalidArgument);
}

#[tokio::test]
async fn a_volume_that_defeats_limits_is_refused_unless_it_is_allowed() {
    let bed = Bed::start().await;
    for (volume, word, number) in [("dist", "distribute", 3), ("shard", "shard", 4)] {
        let with = |allow: &'static str| {
            let all = [("gluster_volname", volume), ("allow", allow)];
            bed.ask(bed.request("pvc-1", 1, &all))
        };
        let (code, sentence) = failure(with("").await);
        assert_eq!(code, Code::FailedPrecondition);
        assert!(sentence.contains(&format!("allow={word}")), "{sentence}");
        assert!(!bed.root(number).exists());
        with("distribute,shard").await.unwrap();
    }
}

#[tokio::test]
async fn what_stands_in_the_way_of_a_pool_is_told() {
    let bed = Bed::start().await;
    let of = |pairs: &[(&str, &str)]| bed.ask(bed.request("pvc-1", 1, pairs));
    let dead = format!("unix:{}/nobody.sock", bed.dir.path().display());
    for (pairs, code, word) in [
        (&[("gluster_volname", "absent")][..], Code::FailedPrecondition, "no such volume"),
        (&[("gluster_volname", "anonymous")], Code::FailedPrecondition, "id"),
        (&[("gluster_hosts", dead.as_str())], Code::Unavailable, "nobody.sock"),
        (&[("storage_name", "absent")], Code::FailedPrecondition, "--storages"),
    ] {
        let (found, sentence) = failure(of(pairs).await);
        assert!(found == code && sentence.contains(word), "{pairs:?}: {found:?} {sentence}");
    }
    for (reason, code) in [
        (Reason::Bricks, Code::Unavailable),
        (Reason::NoHost, Code::Unavailable),
        (Reason::Machine, Code::FailedPrecondition),
        (Reason::Stopped, Code::FailedPrecondition),
        (Reason::TimedOut, Code::DeadlineExceeded),
    ] {
        bed.mounts.set("vol", Some(Behaviour::Refuses(reason)));
        assert_eq!(failure(of(&[]).await).0, code, "{reason:?}");
    }
    bed.mounts.set("vol", Some(Behaviour::IsAnother));
    let (code, sentence) = failure(of(&[]).await);
    assert!(code == Code::FailedPrecondition && sentence.contains("taken its name"), "{sentence}");
    bed.mounts.set("vol", None);
    bed.mounts.conflict("vol");
    of(&[]).await.unwrap();
}

#[tokio::test]
async fn a_pool_is_known_by_its_id_and_not_by_its_hosts() {
    let bed = Bed::start().await;
    let first = bed.create("pvc-1", 1).await;
    // By another list of servers, of which the first is dead.
    let hosts = format!("unix:{}/nobody.sock,{}", bed.dir.path().display(), bed.host());
    let again = bed.ask(bed.request("pvc-1", 1, &[("gluster_hosts", &hosts)])).await.unwrap();
    assert_eq!(again.volume_id, first.volume_id);
    assert_eq!(bed.mounts.asked(), 1);
    // A volume that was made anew under the old name is another pool.
    bed.cluster.publish("vol", replica("vol", 7).volfile().render().unwrap()).unwrap();
    let bed = bed.restart().await;
    bed.cluster.publish("vol", replica("vol", 7).volfile().render().unwrap()).unwrap();
    assert_eq!(bed.create("pvc-1", 1).await.volume_id, format!("{}/pvc-1", id(7)));
}

#[tokio::test]
async fn a_storage_whose_volume_was_made_anew_gets_no_pv_on_the_other_until_that_is_accepted() {
    let bed = Bed::start().await;
    let settled = |number| {
        let more = format!(r#", "gluster_volume_id": "{}""#, id(number));
        bed.storage("pool-1", &bed.host(), "vol", &more);
    };
    settled(7);
    let by_name = |name: &str| CreateVolumeRequest {
        parameters: [("storage_name".to_owned(), "pool-1".to_owned())].into(),
        ..bed.request(name, 1, &[])
    };
    for request in [by_name("pvc-1"), bed.request("pvc-1", 1, &[])] {
        let (code, sentence) = failure(bed.ask(request).await);
        assert_eq!(code, Code::FailedPrecondition);
        let expected = format!("another volume, {}, has taken the name vol of {}", id(1), id(7));
        assert!(sentence.contains(&expected), "{sentence}");
    }
    let capacity = GetCapacityRequest { parameters: by_name("").parameters, ..Default::default() };
    let capacity = bed.controller.get_capacity(Request::new(capacity)).await;
    assert_eq!(failure(inner(capacity)).0, Code::FailedPrecondition);
    // Nor are PVs of kadalu's looked for on it: that they are not there says nothing.
    assert_eq!(failure(bed.delete("pvc-1").await).0, Code::Unavailable);
    assert_eq!(bed.mounts.asked(), 0);
    settled(1);
    assert_eq!(bed.ask(by_name("pvc-1")).await.unwrap().volume_id, format!("{}/pvc-1", id(1)));
    // While no server answers it is the pool of that id or none.
    settled(7);
    let bed = bed.restart().await;
    for volume in bed.cluster.volumes() {
        bed.cluster.withdraw(&volume);
    }
    fs::remove_file(bed.dir.path().join("g.sock")).unwrap();
    assert_eq!(failure(bed.ask(bed.request("pvc-2", 1, &[])).await).0, Code::Unavailable);
}

/// So many seconds later.
async fn pass(seconds: u64) {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(seconds)).await;
    tokio::time::resume();
}

#[tokio::test]
async fn the_volume_that_has_the_name_is_not_unmounted_for_the_one_that_had_it() {
    let bed = Bed::start().await;
    let old = bed.create("pvc-1", 1).await.volume_id;
    bed.cluster.publish("vol", replica("vol", 7).volfile().render().unwrap()).unwrap();
    // No storage says which volume is meant: the one that has the name.
    pass(61).await;
    assert_eq!(bed.create("pvc-1", 1).await.volume_id, format!("{}/pvc-1", id(7)));
    failure(bed.delete(&old).await);
    let roots: Vec<_> = bed.mounts.mounted().into_iter().map(|request| request.target).collect();
    assert_eq!(roots, [bed.root(7).display().to_string()]);
    assert!(bed.pool(1).get("pvc-1").unwrap().is_some(), "nothing was done where it was mounted");
}

#[tokio::test]
async fn what_was_accepted_in_the_place_of_a_mounted_volume_takes_its_place_at_once() {
    let bed = Bed::start().await;
    let settled = |number| {
        let more = format!(r#", "gluster_volume_id": "{}""#, id(number));
        bed.storage("pool-1", &bed.host(), "vol", &more);
    };
    settled(1);
    let old = bed.create("pvc-1", 1).await.volume_id;
    bed.ask(bed.request("pvc-1", 1, &[("gluster_volname", "other")])).await.unwrap();
    bed.cluster.publish("vol", replica("vol", 7).volfile().render().unwrap()).unwrap();
    settled(7);
    // What is believed of the time before does not count, nor does what is mounted of it.
    pass(5).await;
    assert_eq!(bed.create("pvc-1", 1).await.volume_id, format!("{}/pvc-1", id(7)));
    let mut roots: Vec<_> = bed.mounts.mounted().into_iter().map(|request| request.target).collect();
    roots.sort_unstable();
    assert_eq!(roots, [bed.root(2), bed.root(7)].map(|root| root.display().to_string()));
    // The old one is mounted no more: its PVs are neither deleted nor listed, and keep no others from the list.
    let (code, sentence) = failure(bed.delete(&old).await);
    assert!(code == Code::FailedPrecondition && sentence.contains(&id(7)), "{sentence}");
    let listed =
        inner(bed.controller.list_volumes(Request::new(ListVolumesRequest::default())).await).unwrap();
    let listed = listed.entries.into_iter().map(|entry| entry.volume.unwrap().volume_id);
    assert_eq!(listed.collect::<Vec<_>>(), [2, 7].map(|number| format!("{}/pvc-1", id(number))));
    assert_eq!(bed.mounts.mounted().len(), 2);
    // A storage alone takes nothing away: it may say what is not so.
    settled(9);
    bed.delete(&format!("{}/pvc-1", id(7))).await.unwrap();
}

#[tokio::test]
async fn a_pool_that_was_used_serves_on_while_all_its_glusterds_are_down() {
    let bed = Bed::start().await;
    bed.create("pvc-1", 1).await;
    let bed = bed.restart().await;
    for volume in bed.cluster.volumes() {
        bed.cluster.withdraw(&volume);
    }
    fs::remove_file(bed.dir.path().join("g.sock")).unwrap();
    bed.create("pvc-2", 1).await;
    bed.delete(&format!("{}/pvc-1", id(1))).await.unwrap();
}

#[tokio::test]
async fn a_storage_of_kadalu_says_what_its_class_does_not() {
    let bed = Bed::start().await;
    bed.storage("pool-1", &bed.host(), "vol", r#", "pvReclaimPolicy": "archive", "gluster_options": "acl""#);
    let parameters = [("storage_name".to_owned(), "pool-1".to_owned())].into();
    let request = CreateVolumeRequest { parameters, ..bed.request("pvc-1", 1, &[]) };
    let volume = bed.ask(request).await.unwrap();
    assert_eq!(volume.volume_context["options"], "acl");
    assert_eq!(volume.volume_context["gluster_hosts"], bed.host());
    let pv = bed.pool(1).get("pvc-1").unwrap().unwrap();
    assert_eq!(pv.reclaim.unwrap().to_string(), "archive");
    bed.delete(&volume.volume_id).await.unwrap();
    assert!(bed.root(1).join("subvol/d3/d3/archived-pvc-1").is_dir());
}

/// What is said in the log, on this thread.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// What is told of a new pool, by the number of its volume.
    fn told(&self, number: u8) -> usize {
        let pool = format!("pool={}", id(number));
        self.text().lines().filter(|line| line.contains("a new pool: ") && line.contains(&pool)).count()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }

    /// Waits until as much is told of it.
    async fn tells(&self, number: u8, times: usize) {
        let told = async {
            while self.told(number) < times {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), told).await.expect("a pool is looked at");
    }
}

/// None of the three bricks of a volume can be reached, which is told.
const BRICKS: usize = 3;

#[tokio::test]
async fn a_new_pool_is_looked_at_once_also_where_its_capacity_was_asked_before() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    // Where there is but one, what a thread without it has met first is never told.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let bed = Bed::start().await;
    let class = bed.request("pvc-1", 1, &[]).parameters;
    let capacity = GetCapacityRequest { parameters: class, ..Default::default() };
    for _ in 0..2 {
        inner(bed.controller.get_capacity(Request::new(capacity.clone())).await).unwrap();
    }
    assert_eq!(log.told(1), 0);
    bed.create("pvc-1", 1).await;
    log.tells(1, BRICKS).await;
    bed.create("pvc-2", 1).await;
    let bed = bed.restart().await;
    inner(bed.controller.get_capacity(Request::new(capacity)).await).unwrap();
    bed.create("pvc-3", 1).await;
    // Had the first been looked at again, it would be told before this one.
    // By the glusterfs of the mount host, which is older now than the servers.
    bed.mounts.has("6.1");
    bed.ask(bed.request("pvc-4", 1, &[("gluster_volname", "other")])).await.unwrap();
    log.tells(2, BRICKS + 1).await;
    assert_eq!((log.told(1), log.told(2)), (BRICKS, BRICKS + 1));
    assert!(
        log.text().contains("glusterfs 6.1 is older than the servers, Gluster 9 or later"),
        "{}",
        log.text()
    );
}
