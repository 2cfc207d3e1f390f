//! GETSPEC over loopback to our own server: a raw socket (the floor: bytes made beforehand, blocking calls), then the
//! client on a held connection, then on a fresh one.

use std::{
    hint::black_box,
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use bytes::Buf;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use glusterd_client::{
    client::Client,
    glusterd::{
        OpVersions, Procedure,
        handshake::{Getspec, getspec},
    },
    rpc::{Limits, Peer},
    server::{self, Server},
    transport::{ConnectOptions, Listener, ServerAddress},
    volfile::example::Example,
};
use tokio::runtime::{Builder, Runtime};

const PATIENCE: Duration = Duration::from_secs(10);

/// A server in a thread of its own; its port and the size of its volfile.
fn serve() -> (u16, usize) {
    let volfile = Example::with_bricks("vol", 3, 3).volfile().render().expect("an example renders");
    let size = volfile.len();
    let server = Server::new(server::Limits::default());
    server.publish("vol", volfile).expect("an example is valid");
    let (send, port) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        runtime().block_on(async move {
            let listener = Listener::tcp(([127, 0, 0, 1], 0).into()).expect("loopback listens");
            send.send(listener.local_addr().expect("it is TCP").port()).expect("the bench waits");
            server.serve(listener).await;
        });
    });
    (port.recv().expect("the server starts"), size)
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn request() -> Vec<u8> {
    let mut peer = Peer::<()>::new(Limits::default());
    let xdata = OpVersions::ANY.to_dict();
    peer.notify((Getspec::PROGRAM, Getspec::NUMBER), &getspec("vol", &xdata)).expect("it encodes");
    let len = peer.waiting();
    peer.transmit().copy_to_bytes(len).to_vec()
}

fn round_trips(c: &mut Criterion) {
    let (port, size) = serve();
    let address = ServerAddress::tcp("127.0.0.1", port).expect("loopback");
    let mut group = c.benchmark_group("getspec");
    group.throughput(Throughput::Bytes(size as u64));

    let request = request();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the server listens");
    stream.set_nodelay(true).expect("a TCP socket");
    let mut buffer = vec![0; 64 << 10];
    group.bench_function("raw socket", |b| {
        b.iter(|| {
            stream.write_all(&request).expect("it is read");
            let (mut have, mut want) = (0, 4);
            while have < want {
                have += stream.read(&mut buffer[have..]).expect("it answers");
                want = 4 + (u32::from_be_bytes([buffer[0] & 0x7f, buffer[1], buffer[2], buffer[3]]) as usize);
            }
            black_box(have)
        });
    });

    // A task of the runtime, as in an async program: to wake the future of `block_on` costs a system call more.
    let runtime = runtime();
    let options = ConnectOptions::default();
    let client = runtime.block_on(Client::connect(&address, &options)).expect("it listens");
    group.bench_function("held connection", |b| {
        b.iter_custom(|count| {
            let client = client.clone();
            let run = async move {
                let start = std::time::Instant::now();
                for _ in 0..count {
                    let fetched = client.getspec("vol", OpVersions::ANY, PATIENCE).await.expect("it serves");
                    assert_eq!(fetched.text.len(), size);
                }
                start.elapsed()
            };
            runtime.block_on(async { tokio::spawn(run).await }).expect("no panic")
        });
    });
    group.bench_function("fresh connection", |b| {
        b.iter(|| {
            runtime.block_on(async {
                let client = Client::connect(&address, &options).await.expect("it listens");
                client.getspec("vol", OpVersions::ANY, PATIENCE).await.expect("it serves").text.len()
            })
        });
    });
    group.finish();
}

criterion_group!(benches, round_trips);
criterion_main!(benches);
