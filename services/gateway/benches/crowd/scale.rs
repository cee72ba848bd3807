//! Ten thousand clients, and what a thousand can be sent.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};

use crate::drive::measured;
use crate::servers::{CHATS, Fanout, Servers, chat};

const WARM_UP: Duration = Duration::from_secs(2);
/// The allocator gives back what the handshakes took within ten seconds.
const SETTLE: Duration = Duration::from_secs(15);

fn of_chat(n: u64) -> Value {
    json!({"chats": [chat(n % CHATS)]})
}

/// Memory of a connection that is authenticated, has one subscription, and gets nothing.
pub async fn idle(kind: Fanout, quick: bool) -> Result<Value> {
    let count = if quick { 2_000 } else { 10_000 };
    let mut servers = Servers::with(kind, 1).await?;
    // What the first client of all needs is not what each needs.
    servers.connect("first", 10, false, of_chat).await?;
    servers.load.publish(100, WARM_UP).await;
    let before = servers.gateway_kib();
    let begun = Instant::now();
    servers.connect("idle", count, false, of_chat).await?;
    let connected_s = begun.elapsed().as_secs_f64();
    tokio::time::sleep(SETTLE).await;
    let after = servers.gateway_kib();
    servers.end().await;
    Ok(json!({
        "clients": count, "all_connected_s": connected_s, "kib_each": (after - before) / count as f64,
        "kib_before": before, "kib_after": after,
    }))
}

/// Ten thousand clients of everything: at twenty events a second, and at the rates above it until
/// the frames come too late.
pub async fn all(kind: Fanout, quick: bool) -> Result<Value> {
    let (count, length) = if quick { (2_000, 5) } else { (10_000, 20) };
    let mut servers = Servers::with(kind, 1).await?;
    let begun = Instant::now();
    servers.connect("all", count, false, |_| json!({})).await?;
    let connected_s = begun.elapsed().as_secs_f64();
    let runs = rising(
        &mut servers,
        "all",
        count,
        &[20, 24, 28, 32, 36, 40, 48, 56, 64],
        250.0,
        length,
    )
    .await?;
    servers.end().await;
    Ok(json!({"clients": count, "all_connected_s": connected_s, "runs": runs}))
}

/// A thousand clients of everything, at rising rates until the frames come too late.
pub async fn fan_out(kind: Fanout, quick: bool) -> Result<Value> {
    let length = if quick { 5 } else { 15 };
    let count = 1_000;
    let mut servers = Servers::with(kind, 1).await?;
    servers.connect("all", count, false, |_| json!({})).await?;
    let rates = [
        25, 50, 75, 100, 150, 200, 250, 300, 350, 400, 450, 500, 600, 800, 1_000, 1_200, 1_400, 1_700, 2_000,
    ];
    let runs = rising(&mut servers, "all", count, &rates, 25.0, length).await?;
    servers.end().await;
    Ok(json!({"clients": count, "runs": runs}))
}

/// Measures each rate until the p99 is above `most_ms`, or a tenth of the frames are missing.
async fn rising(
    servers: &mut Servers,
    group: &str,
    count: usize,
    rates: &[u32],
    most_ms: f64,
    length: u64,
) -> Result<Vec<Value>> {
    let mut runs = Vec::new();
    for &rate in rates {
        servers.load.publish(rate, WARM_UP).await;
        let begun = Instant::now();
        let figures = measured(servers, rate, Duration::from_secs(length)).await?;
        let deliveries = figures[group]["frames"].as_f64().unwrap_or(0.0);
        let cpu_s = figures["cpus"]["gateway"].as_f64().unwrap_or(0.0) * begun.elapsed().as_secs_f64();
        let p99_ms = figures[group]["p99_ms"].as_f64().unwrap_or(f64::INFINITY);
        let run = json!({
            "events_per_s": rate, "deliveries_per_s": deliveries / length as f64,
            "deliveries_per_cpu_s": deliveries / cpu_s, "p50_ms": figures[group]["p50_ms"], "p99_ms": p99_ms,
            "lost_or_doubled": figures[group]["lost_or_doubled"], "gaps": figures[group]["gaps"],
            "cpus": figures["cpus"], "gateway_mib": figures["gateway_mib"],
        });
        eprintln!("{run}");
        runs.push(run);
        if p99_ms > most_ms || deliveries < 0.9 * f64::from(rate) * count as f64 * length as f64 {
            break;
        }
        // What is left of this one is not the next one's.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Ok(runs)
}

/// Two gateways are replaced one after the other while 5,000 clients follow a chat each.
pub async fn restart(quick: bool) -> Result<Value> {
    let (count, rate, pause) = if quick { (1_000, 500, 2) } else { (5_000, 1_000, 5) };
    let mut servers = Servers::with(Fanout::Gateway, 2).await?;
    servers.connect("all", count, true, of_chat).await?;
    servers.load.publish(rate, WARM_UP).await;
    servers.ask(&json!({"order": "measure"})).await?;
    let begun = Instant::now();
    servers.restart_each(rate, Duration::from_secs(pause)).await?;
    let took_s = begun.elapsed().as_secs_f64();
    let order = json!({"order": "whole", "group": "all", "numbers": servers.load.numbers(), "within_ms": 30_000});
    let whole = servers.ask(&order).await?;
    let report = servers.ask(&json!({"order": "report"})).await?;
    servers.end().await;
    Ok(json!({
        "clients": count, "events_per_s": rate, "took_s": took_s, "behind": whole["behind"], "all": report["all"],
    }))
}

/// Clients come, stay some seconds and leave: what the gateway keeps of them.
pub async fn churn(quick: bool) -> Result<Value> {
    // A minute, or what TGMESH_SOAK_S says; an hour is what a soak takes.
    let (count, rate) = if quick { (500, 200) } else { (5_000, 1_000) };
    let length_s = std::env::var("TGMESH_SOAK_S").ok().and_then(|text| text.parse().ok());
    let length_s: u64 = length_s.unwrap_or(if quick { 20 } else { 60 });
    let mut servers = Servers::start().await?;
    let files_before = servers.gateway_files();
    servers
        .connect_for("all", count, true, of_chat, Some((5_000, 60_000)))
        .await?;
    let mut samples = Vec::new();
    let step = Duration::from_secs((length_s / 12).max(1));
    for _ in 0..12 {
        servers.load.publish(rate, step).await;
        samples.push(json!({"mib": servers.gateway_kib() / 1024.0, "files": servers.gateway_files()}));
    }
    let order = json!({"order": "whole", "group": "all", "numbers": servers.load.numbers(), "within_ms": 30_000});
    let whole = servers.ask(&order).await?;
    let report = servers.ask(&json!({"order": "report"})).await?;
    servers.ask(&json!({"order": "leave"})).await?;
    tokio::time::sleep(SETTLE).await;
    let left = json!({"mib": servers.gateway_kib() / 1024.0, "files": servers.gateway_files()});
    servers.end().await;
    Ok(json!({
        "clients": count, "events_per_s": rate, "seconds": length_s, "behind": whole["behind"], "all": report["all"],
        "samples": samples, "files_before": files_before, "when_all_left": left,
    }))
}
