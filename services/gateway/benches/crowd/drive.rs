//! The parts of the benchmark.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::{Value, json};

use crate::scale;
use crate::servers::{CHATS, FLOODED, Fanout, Servers, chat};

const RATE: u32 = 1_000;
/// Before anything is measured: caches, lazily made buffers, the clients' first positions.
const WARM_UP: Duration = Duration::from_secs(2);

/// Runs a part and prints its figures.
pub async fn run(part: &str, quick: bool) -> Result<()> {
    let length = Duration::from_secs(if quick { 5 } else { 30 });
    let figures = match part {
        "live-1000" => live(1_000, length, |n| json!({"chats": [chat(n % CHATS)]})).await?,
        "live-10" => live(10, length, |_| json!({})).await?,
        "stalled" => stalled(quick).await?,
        "herd" => herd(quick).await?,
        "idle" => scale::idle(Fanout::Gateway, quick).await?,
        "idle-tls" => scale::idle(Fanout::GatewayWithTls, quick).await?,
        "all-10000" => scale::all(Fanout::Gateway, quick).await?,
        "fan-out" => scale::fan_out(Fanout::Gateway, quick).await?,
        "fan-out-ws" => scale::fan_out(Fanout::Ws, quick).await?,
        "fan-out-socket.io" => scale::fan_out(Fanout::SocketIo, quick).await?,
        "idle-ws" => scale::idle(Fanout::Ws, quick).await?,
        "idle-socket.io" => scale::idle(Fanout::SocketIo, quick).await?,
        "restart" => scale::restart(quick).await?,
        "churn" => scale::churn(quick).await?,
        _ => bail!("no such part: {part}"),
    };
    println!("{figures}");
    Ok(())
}

/// Publish to frame with so many clients.
async fn live(clients: usize, length: Duration, filter: impl Fn(u64) -> Value) -> Result<Value> {
    let mut servers = Servers::start().await?;
    servers.connect("live", clients, clients > 10, filter).await?;
    servers.load.publish(RATE, WARM_UP).await;
    let mut figures = measured(&mut servers, RATE, length).await?;
    figures["clients"] = json!(clients);
    figures["events_per_s"] = json!(RATE);
    servers.end().await;
    Ok(figures)
}

/// Publishes and measures for so long.
pub async fn measured(servers: &mut Servers, rate: u32, length: Duration) -> Result<Value> {
    let before = servers.cpu();
    let begun = Instant::now();
    servers.ask(&json!({"order": "measure"})).await?;
    servers.load.publish(rate, length).await;
    // What is under way arrives.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut figures = servers.ask(&json!({"order": "report"})).await?;
    let took_s = begun.elapsed().as_secs_f64();
    for ((name, after), (_, before)) in servers.cpu().into_iter().zip(before) {
        figures["cpus"][name] = json!((after - before) / took_s);
    }
    figures["gateway_mib"] = json!(servers.gateway_kib() / 1024.0);
    Ok(figures)
}

/// 200 of 2,000 stop reading while more comes for them than their sockets hold: what the others
/// notice, in alternating pairs of runs with those 200 and without them.
async fn stalled(quick: bool) -> Result<Value> {
    let (pairs, length, others) = if quick { (1, 5, 1_800) } else { (5, 10, 1_800) };
    let mut runs = Vec::new();
    for pair in 0..pairs {
        // The second of a pair finds a warmer machine: so they take turns in being it.
        for stops in [pair % 2 == 0, pair % 2 != 0] {
            let mut servers = Servers::start().await?;
            servers
                .connect("others", others, true, |n| json!({"chats": [chat(n % CHATS)]}))
                .await?;
            if stops {
                servers
                    .connect("stalled", 200, false, |n| json!({"chats": [chat(n % CHATS), FLOODED]}))
                    .await?;
                servers
                    .ask(&json!({"order": "read", "group": "stalled", "reads": false}))
                    .await?;
            }
            // In both, so that the stream and the gateway's memory hold the same.
            servers.load.flood(3_000).await;
            servers.load.publish(RATE, WARM_UP * 2).await;
            let mut figures = measured(&mut servers, RATE, Duration::from_secs(length)).await?;
            figures["stops"] = json!(stops);
            servers.end().await;
            runs.push(figures);
        }
    }
    let median = |stops: bool, name: &str| {
        let mut values: Vec<f64> = runs
            .iter()
            .filter(|run| run["stops"] == stops)
            .filter_map(|run| run["others"][name].as_f64())
            .collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    };
    let (with, without) = (median(true, "p99_ms"), median(false, "p99_ms"));
    Ok(json!({
        "pairs": pairs, "with_p50_ms": median(true, "p50_ms"), "without_p50_ms": median(false, "p50_ms"),
        "with_p99_ms": with, "without_p99_ms": without, "p99_change": with / without - 1.0, "runs": runs,
    }))
}

/// 5,000 are dropped at once and come back by their positions, while 200 others are there.
async fn herd(quick: bool) -> Result<Value> {
    let (count, away_ms) = if quick { (2_000, 1_000) } else { (5_000, 2_000) };
    let mut servers = Servers::start().await?;
    servers
        .connect("live", 200, true, |n| json!({"chats": [chat(n % CHATS)]}))
        .await?;
    servers
        .connect("herd", count, true, |n| json!({"chats": [chat(n % CHATS)]}))
        .await?;
    servers.load.publish(RATE, WARM_UP).await;
    let before = measured(&mut servers, RATE, Duration::from_secs(5)).await?;
    let idle_mib = servers.gateway_kib() / 1024.0;
    servers.ask(&json!({"order": "measure"})).await?;
    servers
        .order(&json!({"order": "drop", "group": "herd", "away_ms": away_ms}))
        .await?;
    let mut most_mib = idle_mib;
    let cpu = servers.cpu();
    let begun = Instant::now();
    let back = loop {
        // The answer comes while publishing goes on.
        servers.load.publish(RATE, Duration::from_millis(100)).await;
        most_mib = most_mib.max(servers.gateway_kib() / 1024.0);
        match tokio::time::timeout(Duration::ZERO, servers.answer()).await {
            Ok(answer) => break answer?,
            Err(_) if begun.elapsed() > Duration::from_mins(2) => bail!("they do not all come back"),
            Err(_) => {}
        }
    };
    let took_s = begun.elapsed().as_secs_f64();
    let meanwhile = servers.ask(&json!({"order": "report"})).await?;
    let mut figures = json!({
        "dropped": count, "away_s": f64::from(away_ms) / 1000.0, "whole_p50_s": back["whole_p50_s"],
        "whole_all_s": back["whole_all_s"], "live_before": before["live"], "live_meanwhile": meanwhile["live"],
        "herd_meanwhile": meanwhile["herd"], "gateway_mib_before": idle_mib, "gateway_mib_most": most_mib,
    });
    for ((name, after), (_, before)) in servers.cpu().into_iter().zip(cpu) {
        figures["cpus"][name] = json!((after - before) / took_s);
    }
    servers.end().await;
    Ok(figures)
}
