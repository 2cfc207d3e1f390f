//! The CSI driver: it comes up, says what is missing, and goes; no volume is mounted.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use glusterd_client::csi::generated::{
    GetCapacityRequest, GetPluginInfoRequest, ListVolumesRequest, NodeGetInfoRequest, ProbeRequest,
    controller_client::ControllerClient, identity_client::IdentityClient, node_client::NodeClient,
};
use tonic::Code;

use super::support::{Running, finish, kadalu, run};

/// `kadalu csi` in a directory of its own, without a mount host.
fn start(directory: &Path, arguments: &[&str]) -> (Running, String) {
    let mut command = kadalu(&["csi"]);
    let endpoint = format!("unix://{}", directory.join("csi/csi.sock").display());
    command.args(["--endpoint", &endpoint]).arg("--state-dir").arg(directory.join("state")).args(arguments);
    command.arg("--mountd").arg(format!("unix:{}", directory.join("mountd.sock").display()));
    let process = Running::stderr(command);
    process.line_with("listening");
    (process, endpoint)
}

/// The clients of the test are to notice meanwhile.
async fn ended(process: Running) -> Option<i32> {
    tokio::task::spawn_blocking(|| process.terminate()).await.expect("it ends")
}

#[tokio::test]
async fn it_serves_before_its_mount_host_does_and_says_what_is_missing() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let (process, endpoint) =
        start(directory.path(), &["--node-id", "n1", "--driver-name", "gluster.example.net"]);
    let socket = directory.path().join("csi/csi.sock");
    let mode = socket.metadata().expect("a socket").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut identity = IdentityClient::connect(endpoint.clone()).await.expect("it listens");
    let info = identity.get_plugin_info(GetPluginInfoRequest {}).await.expect("an answer").into_inner();
    assert_eq!(info.name, "gluster.example.net");
    let missing = identity.probe(ProbeRequest {}).await.expect_err("no mount host");
    assert_eq!(missing.code(), Code::FailedPrecondition);
    assert!(missing.message().starts_with("no mount host at "), "{missing}");
    let mut node = NodeClient::connect(endpoint.clone()).await.expect("it listens");
    let info = node.node_get_info(NodeGetInfoRequest {}).await.expect("an answer").into_inner();
    assert_eq!(info.node_id, "n1");
    let mut controller = ControllerClient::connect(endpoint).await.expect("it listens");
    let list = controller.list_volumes(ListVolumesRequest::default()).await.expect("an answer").into_inner();
    assert!(list.entries.is_empty());
    assert_eq!(ended(process).await, Some(0));
    assert!(!socket.exists());
}

#[tokio::test]
async fn storages_that_contradict_each_other_make_no_pv_and_are_told_once() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let storages = directory.path().join("storages");
    fs::create_dir(&storages).expect("made");
    let rfc = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/storages/rfc.yaml");
    let rfc = fs::read_to_string(rfc).expect("it is there");
    fs::write(storages.join("a.yaml"), &rfc).expect("written");
    fs::write(storages.join("b.yaml"), rfc.replace("volume_name", "another")).expect("written");
    let (process, endpoint) =
        start(directory.path(), &["--mode", "controller", "--storages", storages.to_str().expect("UTF-8")]);
    let mut controller = ControllerClient::connect(endpoint).await.expect("it listens");
    let parameters = [("storage_name".to_owned(), "ext-storage".to_owned())];
    let request = GetCapacityRequest { parameters: parameters.into(), ..Default::default() };
    for _ in 0..2 {
        let refused = controller.get_capacity(request.clone()).await.expect_err("nobody knows which");
        assert_eq!(refused.code(), Code::FailedPrecondition);
        for name in ["ext-storage", "a.yaml", "b.yaml"] {
            assert!(refused.message().contains(name), "{refused}");
        }
    }
    let lines = tokio::task::spawn_blocking(|| process.rest()).await.expect("it ends");
    let told = lines.iter().filter(|line| line.contains("two files of --storages"));
    assert_eq!(told.count(), 1, "{lines:?}");
}

#[tokio::test]
async fn storages_that_could_never_be_read_are_not_known() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let bad = directory.path().join("typo.yaml");
    fs::write(&bad, "kind: KadaluStorag\n").expect("written");
    for (path, expected) in [
        (bad, "a file of storages cannot be read: they are not known until it is mended"),
        (directory.path().join("none"), "cannot read the storages"),
    ] {
        let socket = tempfile::tempdir().expect("a temporary directory");
        let storages = path.to_str().expect("UTF-8");
        let (process, endpoint) = start(socket.path(), &["--mode", "controller", "--storages", storages]);
        let mut controller = ControllerClient::connect(endpoint).await.expect("it listens");
        let parameters = [("storage_name".to_owned(), "ext-storage".to_owned())];
        let request = GetCapacityRequest { parameters: parameters.into(), ..Default::default() };
        controller.get_capacity(request).await.expect_err("there is none");
        let lines = tokio::task::spawn_blocking(|| process.rest()).await.expect("it ends");
        assert!(lines.iter().any(|line| line.contains(expected)), "{expected}: {lines:?}");
        assert!(!lines.iter().any(|line| line.contains("what it said before")), "{lines:?}");
    }
}

#[tokio::test]
async fn it_serves_what_its_mode_says() {
    for (mode, arguments) in [("controller", &[][..]), ("node", &["--node-id", "n1"])] {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let (process, endpoint) = start(directory.path(), &[&["--mode", mode], arguments].concat());
        let mut node = NodeClient::connect(endpoint.clone()).await.expect("it listens");
        let mut controller = ControllerClient::connect(endpoint).await.expect("it listens");
        let node = node.node_get_info(NodeGetInfoRequest {}).await.map(drop);
        let controller = controller.list_volumes(ListVolumesRequest::default()).await.map(drop);
        let (served, absent) = if mode == "node" { (node, controller) } else { (controller, node) };
        served.expect("it is served");
        assert_eq!(absent.expect_err("it is not served").code(), Code::Unimplemented);
        assert_eq!(ended(process).await, Some(0));
    }
}

#[test]
fn what_is_missing_or_impossible_on_the_command_line_is_told() {
    for (arguments, expected) in [
        (&["--endpoint", "unix:///tmp/csi.sock"][..], "--node-id"),
        (&["--endpoint", "unix:///tmp/csi.sock", "--mode", "node"], "--node-id"),
        (&["--endpoint", "tcp://0.0.0.0:1", "--mode", "controller"], "unix:///DIRECTORY/NAME.sock"),
        (&["--mode", "controller"], "CSI_ENDPOINT"),
        (&["--mode", "controller", "--driver-name", "x-"], "no name of a driver"),
        (&["--mode", "controller", "--quota", "hard"], "best-effort"),
        (&["--mode", "controller", "--mountd", "s"], "an absolute path"),
    ] {
        let ran = run(&[&["csi"], arguments].concat());
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{}", ran.stderr);
        assert!(ran.stderr.contains(expected), "{expected}: {}", ran.stderr);
    }
    let mut command = kadalu(&["csi", "--mode", "controller"]);
    let ran = finish(command.env("CSI_ENDPOINT", "csi.sock"));
    assert!(ran.code == Some(2) && ran.stderr.contains("\"csi.sock\" is no endpoint"), "{}", ran.stderr);
}
