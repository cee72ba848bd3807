//! Measurements, not checks: `cargo test --release -p tgmesh-gateway --test it -- --ignored --nocapture`.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::socket::Socket;
use crate::world::{World, detection, now, token};

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .expect("it has memory");
    line.split_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse().ok())
        .expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn publish_to_frame_with_ten_clients_at_1000_a_second() {
    let world = World::start().await;
    let count = 10_000_usize;
    let mut clients = Vec::new();
    for _ in 0..10 {
        let (mut socket, _) = Socket::welcomed(world.port, &token(&json!({}))).await;
        socket.subscribe("live", json!({}), None).await;
        clients.push(tokio::spawn(async move {
            let mut latencies = Vec::with_capacity(count);
            while latencies.len() < count {
                let frame = socket.expect("detection").await;
                let published = frame["data"]["times"]["published_us"].as_u64().expect("a time");
                latencies.push((now().as_micros() as u64).saturating_sub(published));
            }
            latencies
        }));
    }
    let mut ticks = tokio::time::interval(Duration::from_millis(1));
    for _ in 0..count {
        ticks.tick().await;
        drop(world.send(&detection(-1)).await);
    }
    let mut all = Vec::new();
    for client in clients {
        all.extend(client.await.expect("it reads"));
    }
    all.sort_unstable();
    let at = |q: f64| all[((all.len() - 1) as f64 * q) as usize] as f64 / 1000.0;
    println!(
        "publish to frame, 10 clients, 1,000/s: p50 {:.2} ms, p99 {:.2} ms, p999 {:.2} ms",
        at(0.5),
        at(0.99),
        at(0.999)
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn memory_of_1000_idle_connections() {
    let world = World::start().await;
    let pid = world.gateway().pid();
    let mut sockets = Vec::new();
    let open = async |count: usize, sockets: &mut Vec<Socket>| {
        for _ in 0..count {
            let (mut socket, _) = Socket::welcomed(world.port, &token(&json!({}))).await;
            socket.subscribe("live", json!({"chats": [-1]}), None).await;
            sockets.push(socket);
        }
    };
    open(50, &mut sockets).await;
    let before = resident_kib(pid);
    let begun = Instant::now();
    open(1000, &mut sockets).await;
    println!("1,000 connections in {:?}", begun.elapsed());
    tokio::time::sleep(Duration::from_secs(5)).await;
    let idle = resident_kib(pid) - before;
    println!("idle: {:.1} KiB a connection", idle as f64 / 1000.0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn fan_out_to_1000_clients() {
    let world = World::start().await;
    let count = 500_usize;
    let mut clients = Vec::new();
    for _ in 0..1000 {
        let (mut socket, _) = Socket::welcomed(world.port, &token(&json!({}))).await;
        socket.subscribe("live", json!({}), None).await;
        clients.push(tokio::spawn(async move {
            use futures_util::StreamExt as _;
            let mut got = 0;
            while got < count {
                // Unread: the reader shares the machine with what it measures.
                got += usize::from(socket.stream.next().await.expect("open").expect("a frame").len() > 200);
            }
        }));
    }
    let begun = Instant::now();
    world.publish_many(count, -1).await;
    for client in clients {
        client.await.expect("it reads");
    }
    let rate = (count * 1000) as f64 / begun.elapsed().as_secs_f64();
    println!("fan-out to 1,000 clients, reader on the same machine: {rate:.0} deliveries/s");
}
