//! A storage that is deleted while it has PVs: held until the driver has deleted the last of them, and then all is gone that was
//! made of it.

use crate::driver::{GIB, audit};
use crate::kubernetes::{Kubernetes, message, volume};
use crate::lab::{eventually, require_fuse};
use crate::labs::Labs;

story! { needs require_fuse; held_by_pvs }

const NAME: &str = "operator-held";

fn held_by_pvs(labs: &Labs) {
    let lab = labs.plain();
    volume(lab, NAME);
    let mut kubernetes = Kubernetes::start(lab, NAME);
    kubernetes.apply("best-effort");
    kubernetes.wait_condition("Ready", "True Ready");
    let (pv, target) = kubernetes.driver.serve("pvc-first", &kubernetes.parameters());
    let first = kubernetes.provisioned(&pv);
    let (entry, class) = (kubernetes.entry(), kubernetes.api.get(&kubernetes.class()));

    kubernetes.api.remove(&kubernetes.storage());
    let storage = kubernetes.wait_condition("Ready", "False HeldByVolumes");
    assert!(message(&storage, "Ready").contains("pvc-first"), "{storage:#}");
    assert!(!storage["metadata"]["deletionTimestamp"].is_null(), "{storage:#}");
    // Who has a PV of it has it, and who claims another one gets it.
    lab.client().shell(&format!("echo data >{target}/file; sync {target}/file"));
    let driver = &kubernetes.driver;
    let late = driver.block(driver.caller().create("pvc-second", GIB, &kubernetes.parameters()));
    let late = late.expect("a claim is served");
    let second = kubernetes.provisioned(&late);
    let both = |said: &str| said.contains("pvc-first") && said.contains("pvc-second");
    kubernetes
        .wait("both hold it", &kubernetes.storage(), |storage| both(message(storage, "Ready")).then_some(()));

    kubernetes.driver.end_of(&pv, &target);
    kubernetes.api.remove(&first);
    kubernetes.wait("one holds it", &kubernetes.storage(), |storage| {
        (!message(storage, "Ready").contains("pvc-first")).then_some(())
    });
    assert_eq!((kubernetes.entry(), kubernetes.api.get(&kubernetes.class())), (entry, class));
    let driver = &kubernetes.driver;
    driver.block(driver.caller().delete(&late.volume_id)).expect("it is deleted");
    kubernetes.api.remove(&second);
    kubernetes.wait_gone();

    let driver = &kubernetes.driver;
    let gone = driver.block(driver.caller().create("pvc-third", GIB, &kubernetes.parameters()));
    let gone = gone.expect_err("there is no such storage any more");
    assert!(gone.message().contains(NAME), "{gone:?}");
    eventually("nothing of the PVs is left on the volume", || {
        let audit = audit(lab.host(0), NAME);
        let left = [audit.records, audit.directories, audit.trash].concat();
        left.is_empty().then_some(())
    });
    lab.host(0).wait_online(NAME);
}
