use std::{
    future::pending,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::timeout,
};

use super::*;
use crate::{
    mount::{
        Reason,
        fake::{Fake, example},
        generated::{ListReply, MountRequest, Mounted},
    },
    transport::Listener,
};

/// How long anything may take on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(30);

/// A fake host behind a socket in a directory of its own.
struct Behind {
    directory: tempfile::TempDir,
    fake: Fake,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<Result<(), Error>>,
}

impl Behind {
    fn start(list: ListReply) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let fake = Fake::new(list);
        let listener = Listener::unix(&directory.path().join("s")).unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(serve(fake.clone(), listener, async { drop(stopped.await) }));
        Self { directory, fake, stop: Some(stop), serving }
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("s")
    }

    async fn client(&self) -> Client {
        Client::connect(&self.socket()).await.unwrap()
    }

    /// Stops, and waits until it has.
    async fn stop(&mut self) {
        drop(self.stop.take());
        timeout(PATIENCE, &mut self.serving).await.unwrap().unwrap().unwrap();
    }
}

fn request(volume: &str) -> MountRequest {
    MountRequest { volume: volume.into(), target: "/mnt".into(), ..MountRequest::default() }
}

async fn mount(client: &Client, volume: &str) -> (Result<Mounted, Error>, Vec<String>) {
    let (progress, mut lines) = mpsc::unbounded_channel();
    let outcome = timeout(PATIENCE, client.mount(request(volume), progress)).await.unwrap();
    (outcome, std::iter::from_fn(|| lines.try_recv().ok()).collect())
}

#[tokio::test]
async fn each_call_comes_to_the_host_and_its_answer_back() {
    let behind = Behind::start(example());
    assert_eq!(std::fs::metadata(behind.socket()).unwrap().mode() & 0o7777, 0o600);
    let client = behind.client().await;

    let (mounted, progress) = mount(&client, "vol").await;
    assert_eq!(progress, ["step 1", "step 2", "step 3"]);
    let mounted = mounted.unwrap();
    assert_eq!((mounted.target.as_str(), mounted.kind.as_str()), ("/mnt", "replicate 3"));
    assert_eq!(mounted.warnings, ["it is old"]);
    // Progress is dropped rather than held for a slow reader, the end never.
    let (mounted, progress) = mount(&client, "chatty").await;
    assert!(mounted.is_ok() && progress[0] == "line 0" && progress.len() <= 1000);

    client.unmount(Path::new("/mnt"), true).await.unwrap();
    assert_eq!(client.list().await.unwrap(), example());
    for (target, trouble) in [("/a", ""), ("/c", "no answer within 1.5s")] {
        let usage = client.usage(Path::new(target), Duration::from_millis(1500)).await.unwrap();
        assert_eq!((usage.bytes.is_some(), &*usage.trouble), (target == "/a", trouble));
        assert_eq!(usage.volume.as_ref(), example().volumes.first());
    }
    assert_eq!(client.replace(Path::new("/mnt")).await.unwrap(), 4711);
    assert_eq!(client.accept_replaced("vol").await.unwrap(), "id of vol");
}

#[tokio::test]
async fn errors_keep_their_reason_and_their_sentence() {
    let behind = Behind::start(ListReply::default());
    let client = behind.client().await;
    let said = |error: Error| (error.reason(), error.to_string());
    let (none, _) = mount(&client, "nope").await;
    assert_eq!(said(none.unwrap_err()), (Reason::NoSuchVolume, "nope: no such volume".to_owned()));
    let busy = client.unmount(Path::new("/mnt/€"), false).await.unwrap_err();
    assert_eq!(said(busy), (Reason::Busy, "/mnt/€: files are open".to_owned()));
    let not = client.replace(Path::new("/else")).await.unwrap_err();
    assert_eq!(said(not), (Reason::NotMounted, "not mounted".to_owned()));
    // More than a header can hold.
    let (verbose, _) = mount(&client, "verbose").await;
    let (reason, message) = said(verbose.unwrap_err());
    assert!(reason == Reason::Bricks && message.starts_with("brick\nbrick\n"), "{message}");
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_no_half_mount() {
    let behind = Behind::start(ListReply::default());
    let mut slow = behind.fake.slow.subscribe();
    let client = behind.client().await;
    let waiting = tokio::spawn(async move { mount(&client, "slow").await.0 });
    timeout(PATIENCE, slow.wait_for(|(begun, _)| *begun == 1)).await.unwrap().unwrap();
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    // Whatever the host makes of the connection's end has happened when it answers another.
    behind.client().await.list().await.unwrap();
    behind.fake.release.notify_one();
    timeout(PATIENCE, slow.wait_for(|(_, ended)| *ended == 1)).await.unwrap().unwrap();
}

#[tokio::test]
async fn it_stops_though_calls_and_connections_are_open() {
    let mut behind = Behind::start(ListReply::default());
    let mut slow = behind.fake.slow.subscribe();
    let client = behind.client().await;
    let silent = UnixStream::connect(behind.socket()).await.unwrap();
    let waiting = tokio::spawn(async move { mount(&client, "slow").await.0 });
    timeout(PATIENCE, slow.wait_for(|(begun, _)| *begun == 1)).await.unwrap().unwrap();
    behind.stop().await;
    assert!(!behind.socket().exists());
    // What was begun goes on.
    behind.fake.release.notify_one();
    timeout(PATIENCE, slow.wait_for(|(_, ended)| *ended == 1)).await.unwrap().unwrap();
    drop((silent, waiting));
}

#[tokio::test]
async fn there_is_no_host() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let absent = format!("no mount host at {}: start `kadalu mountd`, or give --socket", path.display());
    let error = Client::connect(&path).await.unwrap_err();
    assert_eq!((error.reason(), error.to_string()), (Reason::NoHost, absent.clone()));
    // One that was killed leaves its socket.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let error = Client::connect(&path).await.unwrap_err();
    assert_eq!((error.reason(), error.to_string()), (Reason::NoHost, absent));
}

#[tokio::test]
async fn a_host_that_ends_is_missed_and_one_that_comes_back_is_found() {
    let mut behind = Behind::start(example());
    let client = behind.client().await;
    assert!(client.list().await.is_ok());
    behind.stop().await;
    let error = client.list().await.unwrap_err();
    assert_eq!(error.reason(), Reason::NoHost, "{error}");
    let listener = Listener::unix(&behind.socket()).unwrap();
    tokio::spawn(serve(behind.fake.clone(), listener, pending()));
    assert_eq!(client.list().await.unwrap(), example());
}

#[tokio::test]
async fn something_else_listens_there() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let listener = Listener::unix(&path).unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"220 mail.example.net ESMTP\r\n").await;
        }
    });
    let listed = async { Client::connect(&path).await?.list().await };
    let error = timeout(PATIENCE, listed).await.unwrap().unwrap_err();
    assert_eq!(error.reason(), Reason::NoHost, "{error}");
    assert!(error.to_string().contains("is gone, hangs or is no mount host"), "{error}");
}

/// The client's connection preface and an empty SETTINGS frame (RFC 9113 §3.4, §6.5).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";

/// A frame: its kind, flags and stream (RFC 9113 §4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

#[tokio::test]
async fn hostile_bytes_end_a_connection_and_nothing_else() {
    let behind = Behind::start(example());
    let client = behind.client().await;
    // A header block of 1 MiB, in CONTINUATION frames without end.
    let first = frame(1, 0, 1, &[0x40]);
    let endless = [first, frame(9, 0, 1, &[b'a'; 16_000]).repeat(64)].concat();
    for bytes in [
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0xff; 100_000],
        [PREFACE, &[0xff; 100_000]].concat(),
        [PREFACE, &frame(0, 1, 1, b"data of a stream that is not open")].concat(),
        [PREFACE, b"\xff\xff\xff\x00\x00\x00\x00\x00\x01"].concat(),
        [PREFACE, &endless].concat(),
    ] {
        let mut stream = UnixStream::connect(behind.socket()).await.unwrap();
        // It may be closed before all is written.
        let _ = stream.write_all(&bytes).await;
        let mut answer = Vec::new();
        let ended = timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
        assert!(ended.is_ok(), "still open after {:?}…", &bytes[..60.min(bytes.len())]);
        assert!(client.list().await.is_ok());
    }
}

#[tokio::test]
async fn a_request_has_its_bound() {
    let behind = Behind::start(ListReply::default());
    let client = behind.client().await;
    let error = client.accept_replaced(&"v".repeat(1024 * 1024)).await.unwrap_err();
    assert!(error.to_string().contains("too large"), "{error}");
    assert_eq!(client.accept_replaced("vol").await.unwrap(), "id of vol");
}
