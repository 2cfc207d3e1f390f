//! A volume is deleted, and another one gets its name: neither the operator nor the driver makes anything on it until an admin
//! says that it may take the place of the other.

use glusterd_client::csi::generated::{ListVolumesRequest, Volume};
use serde_json::{Value, json};
use tonic::Code;

use crate::driver::{Called, GIB, again};
use crate::kubernetes::{Kubernetes, id, message, volume};
use crate::lab::{Host, Kind, Lab, Signal, eventually, require_fuse};
use crate::labs::Labs;
use crate::mounted::MountHost;

story! { needs require_fuse; replaced_and_accepted, accepted_by_the_controller }

const NAME: &str = "operator-replaced";

/// Of which the driver mounts the root itself, as in the pod of the controller.
const MOUNTED: &str = "operator-accepted";

/// Where the other volume lies on each server.
fn other(name: &str) -> String {
    format!("/mnt/bricks/{name}-other")
}

/// Another volume of the same name, on other bricks.
fn replace(lab: &Lab, name: &str) {
    let admin = lab.host(0);
    admin.gluster(&["volume", "stop", name]);
    admin.gluster(&["volume", "delete", name]);
    let bricks: Vec<(&Host, String)> = lab.servers().iter().map(|server| (server, other(name))).collect();
    lab.start_volume_at(name, Kind::Replica3, &bricks);
    admin.wait_online(name);
}

/// The files that somebody else than Gluster has made on the other volume.
fn on_the_other(lab: &Lab) -> String {
    lab.host(0).shell(&format!("find {} -mindepth 1 -name '.glusterfs*' -prune -o -print", other(NAME)))
}

/// Says that the volume with this id is the storage's from now on, and waits until it is.
fn accept(kubernetes: &mut Kubernetes<'_>, id: &str) {
    let accept = json!({ "metadata": { "annotations": { "kadalu-operator.storage/accept-volume-id": id } } });
    kubernetes.api.put(&kubernetes.storage(), accept);
    let is_new = |storage: &Value| (storage["status"]["volumeId"] == id).then_some(());
    kubernetes.wait("the other volume is the storage's", &kubernetes.storage(), is_new);
    kubernetes.wait_condition("Ready", "True Ready");
    assert_eq!(kubernetes.entry().expect("an entry")["gluster_volume_id"], id);
}

fn replaced_and_accepted(labs: &Labs) {
    let lab = labs.plain();
    volume(lab, NAME);
    // As on a node: the mounts of PVs are not the driver's.
    let host = MountHost::start(lab.client(), "operator-replaced-host");
    let mountd = format!("unix:{}", host.socket());
    let mut kubernetes = Kubernetes::start_with(lab, NAME, &["--mountd", &mountd]);
    kubernetes.apply("best-effort");
    let storage = kubernetes.wait_condition("Ready", "True Ready");
    let old = id(lab, NAME);
    assert_eq!(storage["status"]["volumeId"], old, "{storage:#}");
    let (pv, target) = kubernetes.driver.serve("pvc-old", &kubernetes.parameters());
    kubernetes.provisioned(&pv);
    lab.client().shell(&format!("echo old >{target}/file; sync {target}/file"));
    let served = (host.pid(&target), kubernetes.driver.mounts());
    let (entry, class) = (kubernetes.entry(), kubernetes.api.get(&kubernetes.class()));

    replace(lab, NAME);
    let new = id(lab, NAME);
    let storage = kubernetes.wait_condition("Ready", "False VolumeReplaced");
    let annotation = format!("kadalu-operator.storage/accept-volume-id={new}");
    for words in [old.as_str(), &new, &annotation] {
        assert!(message(&storage, "Ready").contains(words), "{words:?} is not in {storage:#}");
    }
    assert_eq!(storage["status"]["volumeId"], old, "{storage:#}");
    assert_eq!((kubernetes.entry(), kubernetes.api.get(&kubernetes.class())), (entry, class));
    // What the driver was told less than a minute ago it believes: nothing answers it.
    let refused = create(&kubernetes).expect_err("nothing is made on the other volume");
    assert!(again(&refused) || refused.code() == Code::FailedPrecondition, "{refused:?}");
    kubernetes.driver.end(Signal::Kill);
    kubernetes.driver.restart();
    let refused = create(&kubernetes).expect_err("nothing is made on the other volume");
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused:?}");
    for words in [old.as_str(), &new, NAME] {
        assert!(refused.message().contains(words), "{words:?} is not in {refused:?}");
    }
    assert_eq!(on_the_other(lab), "", "nothing was made there");
    let kept = lab.host(0).shell(&format!("cat /mnt/bricks/{NAME}-0/subvol/*/*/pvc-old/file"));
    assert_eq!(kept, "old\n");
    assert_eq!((host.pid(&target), kubernetes.driver.mounts()), served, "the PV is mounted as before");

    accept(&mut kubernetes, &new);
    // The mounts of PVs that are there are each host's, as README says, and so does who finds them in the way.
    let way_out = format!("`kadalu mounts --accept-replaced {NAME}`");
    eventually("it is said what is to be done", || {
        let refused = create(&kubernetes).expect_err("nothing is made on the other volume");
        (again(&refused) && refused.message().contains(&way_out)).then_some(())
    });
    assert_eq!(host.pid(&target), served.0, "the PV is mounted as before");
    host.kadalu(&["mounts", "--accept-replaced", NAME]).expect(0);
    let (other, place) = kubernetes.driver.serve("pvc-new", &kubernetes.parameters());
    assert_eq!(other.volume_id, format!("{new}/pvc-new"));
    lab.client().shell(&format!("echo new >{place}/file; sync {place}/file"));
    let there = on_the_other(lab);
    assert!(there.contains("pvc-new/file") && !there.contains("pvc-old"), "{there}");
    kubernetes.driver.end_of(&other, &place);
}

/// Where nothing but the controller has mounted the volume, nobody has to tell it the same a second time.
fn accepted_by_the_controller(labs: &Labs) {
    let lab = labs.plain();
    volume(lab, MOUNTED);
    let mut kubernetes = Kubernetes::start(lab, MOUNTED);
    kubernetes.apply("best-effort");
    kubernetes.wait_condition("Ready", "True Ready");
    create(&kubernetes).expect("a PV on the first volume");
    replace(lab, MOUNTED);
    kubernetes.wait_condition("Ready", "False VolumeReplaced");
    let new = id(lab, MOUNTED);
    accept(&mut kubernetes, &new);
    let made = eventually("the controller makes PVs on it", || create(&kubernetes).ok());
    assert_eq!(made.volume_id, format!("{new}/pvc-new"));
    let mut controller = kubernetes.driver.caller().controller();
    let listed = kubernetes.driver.block(controller.list_volumes(ListVolumesRequest::default()));
    let listed = listed.expect("a list").into_inner().entries.into_iter().filter_map(|entry| entry.volume);
    let listed: Vec<_> =
        listed.map(|volume| volume.volume_id).filter(|id| id.ends_with("/pvc-new")).collect();
    assert_eq!(
        listed,
        [made.volume_id],
        "those of the first volume are gone, and keep nobody from the others"
    );
}

fn create(kubernetes: &Kubernetes<'_>) -> Called<Volume> {
    let driver = &kubernetes.driver;
    driver.block(driver.caller().create("pvc-new", GIB, &kubernetes.parameters()))
}
