//! How fast the detector is on one core: ordinary chat, a realistic mix, the slowest messages that
//! are known, and how their cost grows with their length. In CPU time: what else the machine does
//! takes its time away, but is not counted.
//!
//! `cargo bench -p tgmesh-detect`; `deploy/bench/detect.py` turns what it measures into figures.
#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

mod chat;
mod cpu;
mod hard;
#[path = "../../tests/it/make.rs"]
#[allow(dead_code, reason = "the tests use the rest of it")]
mod make;

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tgmesh_detect::{Detector, Entity, EntityKind, Findings, Input};

use chat::Message;
use cpu::Cpu;

/// So many that their text does not fit the first two caches.
const MESSAGES: usize = 8192;

/// Lengths for the growth: a message of full length, and eight times as much.
const GROWN: usize = hard::FULL * 8;

fn rates(criterion: &mut Criterion<Cpu>) {
    let mut group = criterion.benchmark_group("rate");
    for (name, messages) in [("ascii", chat::ascii(MESSAGES)), ("mix", chat::mix(MESSAGES))] {
        let entities: Vec<Vec<Entity<'_>>> = messages.iter().map(entities).collect();
        let inputs: Vec<Input<'_>> = messages
            .iter()
            .zip(&entities)
            .map(|(message, entities)| Input {
                text: &message.text,
                entities,
                ..Input::default()
            })
            .collect();
        let detector = Detector::new();
        let mut out = Findings::default();
        group.throughput(Throughput::Elements(MESSAGES as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                for input in &inputs {
                    out.clear();
                    detector.find(black_box(input), &mut out);
                }
            });
        });
    }
    group.finish();
}

fn entities(message: &Message) -> Vec<Entity<'_>> {
    message
        .hidden
        .iter()
        .map(|(offset, length, url)| Entity {
            kind: EntityKind::TextUrl,
            offset: *offset,
            length: *length,
            url: Some(url),
        })
        .collect()
}

fn worst(criterion: &mut Criterion<Cpu>) {
    let mut group = criterion.benchmark_group("worst");
    let detector = Detector::new();
    let mut out = Findings::default();
    for (name, piece) in hard::pieces() {
        for length in [hard::FULL, GROWN] {
            let text = hard::fill(&piece, length);
            group.bench_function(BenchmarkId::new(name, length), |bencher| {
                bencher.iter(|| {
                    out.clear();
                    detector.find(
                        &Input {
                            text: black_box(&text),
                            ..Input::default()
                        },
                        &mut out,
                    );
                });
            });
        }
    }
    for (name, text) in hard::found() {
        group.bench_function(BenchmarkId::new(name, hard::FULL), |bencher| {
            bencher.iter(|| {
                out.clear();
                detector.find(
                    &Input {
                        text: black_box(&text),
                        ..Input::default()
                    },
                    &mut out,
                );
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = slow;
    config = Criterion::default().with_measurement(Cpu).without_plots().sample_size(10).warm_up_time(Duration::from_millis(50)).measurement_time(Duration::from_millis(250));
    targets = worst
}
criterion_group! {
    name = fast;
    config = Criterion::default().with_measurement(Cpu).without_plots().sample_size(20).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(4));
    targets = rates
}
criterion_main!(fast, slow);
