//! Parsing and comparing volfiles of 3, 102 and 2,001 bricks (replica 3, as glusterd lays them out).
//!
//! `cargo bench --bench volfile`; bytes are those of the new volfile.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use glusterd_client::volfile::example::Example;
use glusterd_client::volfile::{Graph, Volfile, diff};
use std::hint::black_box;

fn volfile(c: &mut Criterion) {
    for bricks in [3, 102, 2_001] {
        let old = Example::with_bricks("vol", 3, bricks);
        let new = old.clone().option("protocol/client", "ping-timeout", "10");
        let [old, new] =
            [old, new].map(|example| example.volfile().render().expect("an example can be written"));
        let mut group = c.benchmark_group("volfile");
        group.throughput(Throughput::Bytes(new.len() as u64));
        group.bench_with_input(BenchmarkId::new("parse", bricks), &new, |b, text| {
            b.iter(|| Volfile::parse(black_box(text)).expect("a volfile").len());
        });
        let [old, new] = [&old, &new].map(|text| Volfile::parse(text).expect("a volfile"));
        group.bench_with_input(BenchmarkId::new("resolve", bricks), &new, |b, new| {
            b.iter(|| Graph::new(black_box(new)).expect("a graph").top().index());
        });
        let graphs = [&old, &new].map(|volfile| Graph::new(volfile).expect("a graph"));
        group.bench_with_input(BenchmarkId::new("validate", bricks), &graphs, |b, [_, new]| {
            b.iter(|| black_box(new).problems().len());
        });
        group.bench_with_input(BenchmarkId::new("diff", bricks), &graphs, |b, [old, new]| {
            b.iter(|| diff(black_box(old), black_box(new)).items.len());
        });
        group.finish();
    }
}

criterion_group!(benches, volfile);
criterion_main!(benches);
