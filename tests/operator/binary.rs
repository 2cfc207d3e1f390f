//! `kadalu operator` as a process.

use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::process::Command;

use crate::{
    api::Api,
    bed::{LEASE, until},
};

fn command(kubeconfig: &std::path::Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kadalu"));
    command
        .arg("operator")
        .env_clear()
        .env("KUBECONFIG", kubeconfig)
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

#[tokio::test]
async fn it_leads_in_its_namespace_and_lets_go_at_sigterm() {
    let (api, directory) = (Api::start().await, tempfile::tempdir().unwrap());
    let kubeconfig = directory.path().join("kubeconfig");
    std::fs::write(&kubeconfig, api.kubeconfig()).unwrap();
    let child = command(&kubeconfig).args(["--metrics-address", "127.0.0.1:0"]).spawn().unwrap();
    let holder = || api.get(LEASE).map(|lease| lease["spec"]["holderIdentity"].clone());
    until("it leads", || holder().is_some_and(|holder| holder.is_string())).await;
    let pid = Pid::from_raw(child.id().unwrap() as i32).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    let output = child.wait_with_output().await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("following storages") && said.contains("SIGTERM"), "{said}");
    assert_eq!(holder(), Some(Value::Null));
}

#[tokio::test]
async fn without_a_way_to_the_api_it_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let output = command(&directory.path().join("missing")).output().await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(11), "{said}");
    assert!(said.contains("no way to the API of Kubernetes") && said.contains("KUBECONFIG"), "{said}");
}
