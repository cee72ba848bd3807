//! What a run shows, as a table and as JSON.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use serde::Serialize;

use super::drive::Plan;
use super::hops::{Hop, Quantiles};
use super::ledger::{Difference, Findings, Ledger, Missing, Span};
use super::usage::ProcessUsage;

/// A stage that falls behind the one before it by more than this share holds it up.
const BEHIND: f64 = 0.97;

/// The result of a run.
#[derive(Serialize)]
pub struct Report {
    /// Messages a second that were asked for; nothing for as fast as it goes.
    pub rate: Option<f64>,
    /// Messages sent.
    pub messages: u64,
    /// Detections in them.
    pub expected: u64,
    /// Chats they were sent in.
    pub chats: u32,
    /// WebSocket clients.
    pub ws_clients: usize,
    /// Processors of the machine.
    pub cpus: usize,
    /// From the first message sent to the last row committed and the last frame received, seconds.
    pub took_s: f64,
    /// Rows and frames that are not there: the sum over Postgres and all clients.
    pub lost: u64,
    /// Rows and frames that are there again.
    pub duplicated: u64,
    /// The same by where it was looked for.
    by_place: BTreeMap<&'static str, Difference>,
    /// Frames that came after one with a higher sequence.
    pub out_of_order: u64,
    /// Detections a second, by stage; `deliveries` counts each client's frames.
    throughput: BTreeMap<&'static str, f64>,
    /// Latencies.
    hops: BTreeMap<Hop, Quantiles>,
    /// CPU and memory.
    processes: Vec<ProcessUsage>,
    /// The first of what was lost on the way to Postgres.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing: Vec<Missing>,
    /// The stage that limits the throughput; `rate` where all keep up with what was asked for.
    pub limit: &'static str,
}

impl Report {
    pub(super) fn of(plan: &Plan, ledger: &Ledger, processes: Vec<ProcessUsage>) -> Self {
        let findings = ledger.compare();
        let end_us = findings.committed.last_us.max(findings.received.last_us);
        let took_s = (end_us - findings.sent.first_us).max(0) as f64 / 1e6;
        let rates = rates(&findings, plan.ws_clients);
        let mut throughput: BTreeMap<_, _> = rates.iter().copied().collect();
        if took_s > 0.0 {
            throughput.insert("end_to_end", findings.expected as f64 / took_s);
        }
        let delivering_s = (findings.received.last_us - findings.received.first_us) as f64 / 1e6;
        if delivering_s > 0.0 {
            throughput.insert("deliveries", findings.frames as f64 / delivering_s);
        }
        Self {
            rate: plan.rate,
            messages: findings.messages,
            expected: findings.expected,
            chats: plan.chats,
            ws_clients: plan.ws_clients,
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            took_s,
            lost: findings.rows.lost + findings.clients.lost,
            duplicated: findings.rows.duplicated + findings.clients.duplicated,
            by_place: [
                ("stream", findings.stream),
                ("rows", findings.rows),
                ("clients", findings.clients),
            ]
            .into(),
            out_of_order: findings.out_of_order,
            throughput,
            hops: findings.hops.quantiles(),
            processes,
            missing: findings.missing,
            limit: limit(&rates, plan.rate),
        }
    }

    /// Whether everything arrived, once and in order, and nothing else.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let strange: u64 = self.by_place.values().map(|place| place.unknown).sum();
        self.expected > 0 && self.lost == 0 && self.duplicated == 0 && self.out_of_order == 0 && strange == 0
    }
}

/// Detections a second of each stage, in the order of the way.
fn rates(findings: &Findings, ws_clients: usize) -> Vec<(&'static str, f64)> {
    let mut stages: Vec<(&str, Span)> = vec![
        ("simulator", findings.sent),
        ("listener", findings.stored),
        ("archiver", findings.committed),
    ];
    if ws_clients > 0 {
        stages.push(("gateway", findings.received));
    }
    stages.into_iter().map(|(name, span)| (name, span.rate())).collect()
}

/// The first stage as slow as the slowest: those behind it only get what it lets through.
fn limit(rates: &[(&'static str, f64)], asked: Option<f64>) -> &'static str {
    let slowest = rates.iter().map(|(_, rate)| *rate).fold(f64::INFINITY, f64::min);
    let first = rates
        .iter()
        .find(|(_, rate)| rate * BEHIND <= slowest)
        .map_or("simulator", |(name, _)| *name);
    match asked {
        Some(asked) if slowest >= asked * BEHIND => "rate",
        _ => first,
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pace = self
            .rate
            .map_or_else(|| "as fast as it goes".to_owned(), |rate| format!("{rate}/s"));
        writeln!(
            f,
            "{} messages, {pace}, {} chats, {} WebSocket clients, {} CPUs",
            self.messages, self.chats, self.ws_clients, self.cpus
        )?;
        writeln!(
            f,
            "{} detections in {:.2} s; {}",
            self.expected,
            self.took_s,
            self.verdict()
        )?;
        writeln!(f)?;
        writeln!(f, "{:<28}{:>14}", "stage", "detections/s")?;
        for name in [
            "simulator",
            "listener",
            "archiver",
            "gateway",
            "end_to_end",
            "deliveries",
        ] {
            if let Some(rate) = self.throughput.get(name) {
                writeln!(f, "{:<28}{rate:>14.0}", name.replace('_', " "))?;
            }
        }
        writeln!(f, "{:<28}{:>14}", "limited by", self.limit)?;
        writeln!(f)?;
        writeln!(f, "{:<28}{:>10}{:>10}{:>10}{:>10}", "ms", "p50", "p99", "p99.9", "max")?;
        for (hop, at) in &self.hops {
            write!(
                f,
                "{:<28}{:>10.2}{:>10.2}{:>10.2}{:>10.2}",
                hop.label(),
                at.p50_ms,
                at.p99_ms,
                at.p999_ms,
                at.max_ms
            )?;
            writeln!(
                f,
                "{}",
                if at.negative > 0 {
                    format!("  {} negative", at.negative)
                } else {
                    String::new()
                }
            )?;
        }
        writeln!(f)?;
        writeln!(f, "{:<28}{:>10}{:>10}{:>14}", "process", "CPU s", "CPUs", "peak MiB")?;
        for process in &self.processes {
            let cpus = if self.took_s > 0.0 {
                process.cpu_s / self.took_s
            } else {
                0.0
            };
            let mib = process.peak_rss_bytes as f64 / f64::from(1 << 20);
            writeln!(f, "{:<28}{:>10.2}{cpus:>10.2}{mib:>14.1}", process.name, process.cpu_s)?;
        }
        Ok(())
    }
}

impl Report {
    fn verdict(&self) -> String {
        let mut text = format!("{} lost, {} duplicated", self.lost, self.duplicated);
        for (place, difference) in &self.by_place {
            if *difference != Difference::default() {
                let Difference {
                    lost,
                    duplicated,
                    unknown,
                } = difference;
                // Writing to a string cannot fail.
                let _ = write!(
                    text,
                    "; {place}: {lost} lost, {duplicated} duplicated, {unknown} never sent"
                );
            }
        }
        if self.out_of_order > 0 {
            let _ = write!(text, "; {} frames out of order", self.out_of_order);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_the_slow_ones_limits() {
        let rates = [
            ("simulator", 900.0),
            ("listener", 500.0),
            ("archiver", 499.0),
            ("gateway", 505.0),
        ];
        assert_eq!(limit(&rates, None), "listener");
        assert_eq!(limit(&rates, Some(1000.0)), "listener");
        assert_eq!(limit(&rates, Some(500.0)), "rate");
        let rates = [("simulator", 500.0), ("listener", 500.0), ("archiver", 300.0)];
        assert_eq!(limit(&rates, None), "archiver");
        assert_eq!(limit(&[("simulator", 100.0), ("listener", 101.0)], None), "simulator");
    }
}
