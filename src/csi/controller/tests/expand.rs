//! `ControllerExpandVolume`.

use tonic::{Code, Request, Status};

use super::bed::{Bed, Behaviour, MIB, block, failure, id, mounted};
use crate::{
    csi::generated::{
        CapacityRange, ControllerExpandVolumeRequest, VolumeCapability, controller_server::Controller as _,
    },
    mount::Reason,
};

async fn expand(bed: &Bed, volume_id: &str, required: i64, limit: i64) -> Result<i64, Status> {
    expand_as(bed, volume_id, required, limit, Some(mounted(5))).await
}

async fn expand_as(
    bed: &Bed,
    volume_id: &str,
    required: i64,
    limit: i64,
    volume_capability: Option<VolumeCapability>,
) -> Result<i64, Status> {
    let request = ControllerExpandVolumeRequest {
        volume_id: volume_id.to_owned(),
        capacity_range: Some(CapacityRange { required_bytes: required, limit_bytes: limit }),
        volume_capability,
        ..Default::default()
    };
    let reply = bed.controller.controller_expand_volume(Request::new(request)).await?.into_inner();
    assert!(!reply.node_expansion_required);
    Ok(reply.capacity_bytes)
}

#[tokio::test]
async fn a_pv_grows_and_never_shrinks() {
    let bed = Bed::start().await;
    let volume_id = bed.create("pvc-1", 2).await.volume_id;
    for (required, limit, size) in
        [(3 * MIB, 0, 3 * MIB), (3 * MIB, 0, 3 * MIB), (MIB, 0, 3 * MIB), (4 * MIB, 5 * MIB, 4 * MIB)]
    {
        assert_eq!(expand(&bed, &volume_id, required, limit).await.unwrap(), size, "{required} {limit}");
    }
    assert_eq!(bed.pool(1).get("pvc-1").unwrap().unwrap().size, 4 << 20);
    for (required, limit, code) in [
        (6 * MIB, 5 * MIB, Code::OutOfRange),
        (MIB, 2 * MIB, Code::OutOfRange),
        (-1, 0, Code::InvalidArgument),
        (1 << 60, 0, Code::ResourceExhausted),
    ] {
        assert_eq!(failure(expand(&bed, &volume_id, required, limit).await).0, code, "{required} {limit}");
    }
    let as_device = expand_as(&bed, &volume_id, MIB, 0, Some(block())).await;
    assert_eq!(failure(as_device).0, Code::InvalidArgument);
    assert_eq!(expand_as(&bed, &volume_id, MIB, 0, None).await.unwrap(), 4 * MIB);
}

#[tokio::test]
async fn a_pv_of_kadalu_grows_in_its_record() {
    let bed = Bed::start().await;
    bed.storage("pool-1", &bed.host(), "vol", "");
    bed.kadalu_pv(1, "d3/d3/pvc-1", MIB as u64);
    bed.storage("pool-2", &bed.host(), "other", "");
    bed.mounts.set("other", Some(Behaviour::Refuses(Reason::Bricks)));
    assert_eq!(failure(expand(&bed, "pvc-1", 2 * MIB, 0).await).0, Code::Unavailable);
    bed.mounts.set("other", None);
    assert_eq!(expand(&bed, "pvc-1", 2 * MIB, 0).await.unwrap(), 2 * MIB);
    let record = std::fs::read_to_string(bed.root(1).join("info/subvol/d3/d3/pvc-1.json")).unwrap();
    assert!(record.starts_with(r#"{"size":2097152,"path_prefix":"subvol/d3/d3""#), "{record}");
    assert_eq!(expand(&bed, &format!("{}/pvc-1", id(1)), 3 * MIB, 0).await.unwrap(), 3 * MIB);
}

#[tokio::test]
async fn more_than_there_is_takes_a_ratio_that_is_kept() {
    let bed = Bed::start().await;
    bed.create("pvc-0", 1).await;
    let total = bed.pool(1).capacity().unwrap().total as i64;
    assert_eq!(failure(bed.ask(bed.request("pvc-1", 2 * total / MIB, &[])).await).0, Code::ResourceExhausted);
    let request = bed.request("pvc-1", 2 * total / MIB, &[("overcommit", "4")]);
    let volume_id = bed.ask(request).await.unwrap().volume_id;
    let bed = bed.restart().await;
    expand(&bed, &volume_id, 3 * total, 0).await.unwrap();
    assert_eq!(failure(expand(&bed, &volume_id, 5 * total, 0).await).0, Code::ResourceExhausted);
}

#[tokio::test]
async fn the_size_of_what_others_have_made_is_theirs() {
    let bed = Bed::start().await;
    bed.create("pvc-1", 2).await;
    let by_hand = format!("{}:/vol/subvol/d3/d3/pvc-1", bed.host());
    assert_eq!(failure(expand(&bed, &by_hand, 3 * MIB, 0).await).0, Code::FailedPrecondition);
}
