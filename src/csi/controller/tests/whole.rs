//! A volume as one PV.

use tonic::{Code, Request};

use super::bed::{Bed, MIB, failure, id, inner};
use crate::csi::generated::{
    CapacityRange, ControllerExpandVolumeRequest, CreateVolumeRequest, GetCapacityRequest,
    ListVolumesRequest, controller_server::Controller as _,
};

const WHOLE: (&str, &str) = ("single_pv_per_pool", "True");

fn whole(number: u8, name: &str) -> String {
    format!("{}:{name}", id(number))
}

#[tokio::test]
async fn it_is_given_once_with_its_real_size() {
    let bed = Bed::start().await;
    let volume = bed.ask(bed.request("pvc-1", 1, &[WHOLE])).await.unwrap();
    let total = bed.pool(1).capacity().unwrap().total as i64;
    assert_eq!((volume.volume_id.clone(), volume.capacity_bytes), (whole(1, "pvc-1"), total));
    assert!(!volume.volume_context.contains_key("path"));
    assert_eq!(bed.ask(bed.request("pvc-1", 1, &[WHOLE])).await.unwrap(), volume);
    let too_large = bed.ask(bed.request("pvc-1", 2 * total / MIB, &[WHOLE])).await;
    assert_eq!(failure(too_large).0, Code::AlreadyExists);
    for pairs in [&[WHOLE][..], &[]] {
        let (code, sentence) = failure(bed.ask(bed.request("pvc-2", 1, pairs)).await);
        let expected = if pairs.is_empty() { Code::FailedPrecondition } else { Code::ResourceExhausted };
        assert_eq!(code, expected, "{sentence}");
    }
    let listed =
        inner(bed.controller.list_volumes(Request::new(ListVolumesRequest::default())).await).unwrap();
    assert_eq!(listed.entries.len(), 1);
    assert_eq!(listed.entries[0].volume.as_ref().unwrap().volume_id, whole(1, "pvc-1"));
}

#[tokio::test]
async fn its_size_is_not_chosen() {
    let bed = Bed::start().await;
    bed.pool(1);
    let total = bed.pool(1).capacity().unwrap().total as i64;
    let within = |required, limit| CreateVolumeRequest {
        capacity_range: Some(CapacityRange { required_bytes: required, limit_bytes: limit }),
        ..bed.request("pvc-1", 0, &[WHOLE])
    };
    for range in [within(2 * total, 0), within(1, 2)] {
        assert_eq!(failure(bed.ask(range).await).0, Code::OutOfRange);
    }
    bed.ask(within(1, 2 * total)).await.unwrap();
    let expand = |required_bytes| {
        let request = ControllerExpandVolumeRequest {
            volume_id: whole(1, "pvc-1"),
            capacity_range: Some(CapacityRange { required_bytes, limit_bytes: 0 }),
            ..Default::default()
        };
        bed.controller.controller_expand_volume(Request::new(request))
    };
    assert_eq!(inner(expand(MIB).await).unwrap().capacity_bytes, total);
    let (code, sentence) = failure(inner(expand(2 * total).await));
    assert!(code == Code::OutOfRange && sentence.contains("add bricks"), "{sentence}");
}

#[tokio::test]
async fn it_is_empty_before_and_free_again_after() {
    let bed = Bed::start().await;
    let capacity = async |pairs: &[(&str, &str)]| {
        let parameters = bed.request("", 1, pairs).parameters;
        let request = GetCapacityRequest { parameters, ..Default::default() };
        inner(bed.controller.get_capacity(Request::new(request)).await).unwrap().available_capacity
    };
    assert!(capacity(&[WHOLE]).await > 0);
    let directory = bed.create("pvc-1", 1).await.volume_id;
    assert_eq!(capacity(&[WHOLE]).await, 0);
    assert_eq!(failure(bed.ask(bed.request("pvc-2", 1, &[WHOLE])).await).0, Code::FailedPrecondition);
    bed.delete(&directory).await.unwrap();
    let mut volume = Err(tonic::Status::unavailable(""));
    // The trash is emptied in the background.
    for _ in 0..100 {
        volume = bed.ask(bed.request("pvc-2", 1, &[WHOLE])).await;
        if volume.is_ok() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!((capacity(&[WHOLE]).await, capacity(&[]).await), (0, 0));
    std::fs::write(bed.root(1).join("data"), "data").unwrap();
    bed.delete(&volume.unwrap().volume_id).await.unwrap();
    // Once more, and for another that is gone: late calls do nothing to the next.
    for late in ["pvc-2", "pvc-1"] {
        bed.delete(&whole(1, late)).await.unwrap();
    }
    for _ in 0..100 {
        if bed.ask(bed.request("pvc-3", 1, &[WHOLE])).await.is_ok() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("the volume is not free again");
}
