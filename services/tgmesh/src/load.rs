//! `tgmesh load`: the whole way from a Telegram message to a client and a row, measured.
//!
//! It starts a fresh mesh of its own, of the very binaries that run in production, lets the
//! simulator post, and then compares four records that are made independently of each other: what
//! the simulator posted, what the stream holds, what Postgres committed, and what each WebSocket
//! client received. Everything runs on one machine, so that one clock stamps all of it.

pub mod clients;
pub mod drive;
mod hops;
mod ledger;
mod report;
mod usage;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use tgmesh_lifecycle::settings::{self, Faults};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{Failure, Outcome};
use drive::{Drive, Plan};

pub use report::Report;

/// How long nothing may arrive anywhere before what is missing counts as lost.
const PATIENCE: Duration = Duration::from_secs(20);

/// What `tgmesh load` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Messages a second; without it as fast as it goes
    #[arg(long, value_name = "N")]
    rate: Option<String>,
    /// How many messages
    #[arg(long, value_name = "N")]
    messages: Option<String>,
    /// How long, with --rate
    #[arg(long, value_name = "D", default_value = "30s")]
    duration: String,
    /// In how many chats
    #[arg(long, value_name = "N", default_value = "50")]
    chats: String,
    /// WebSocket clients, each of which gets everything
    #[arg(long, value_name = "N", default_value = "10")]
    ws_clients: String,
    /// Also write the report to this file, as JSON
    #[arg(long, value_name = "OUT")]
    json: Option<PathBuf>,
}

pub(crate) async fn run(args: Args) -> Outcome {
    let mut faults = Faults::default();
    let plan = read(&args, &mut faults);
    let (Some(plan), true) = (plan, faults.is_empty()) else {
        return Err(Failure::Usage(faults));
    };
    let mut terminate = signal(SignalKind::terminate())?;
    let report = tokio::select! {
        report = measure(&plan) => report?,
        // What was started ends with the values that are dropped here.
        _ = tokio::signal::ctrl_c() => return Ok(ExitCode::from(130)),
        _ = terminate.recv() => return Ok(ExitCode::from(143)),
    };
    print!("{report}");
    if let Some(path) = &args.json {
        let json = serde_json::to_string_pretty(&report)? + "\n";
        std::fs::write(path, json).with_context(|| format!("couldn't write {}", path.display()))?;
    }
    Ok(if report.is_clean() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn measure(plan: &Plan) -> anyhow::Result<Report> {
    eprintln!(
        "tgmesh: starting a fresh mesh and {} WebSocket clients",
        plan.ws_clients
    );
    let mut drive = Drive::start(plan).await?;
    eprintln!("tgmesh: sending {}", plan.describe());
    drive.send().await?;
    drive.drained(PATIENCE).await?;
    eprintln!("tgmesh: comparing what was sent with what arrived");
    drive.finish().await
}

fn read(args: &Args, faults: &mut Faults) -> Option<Plan> {
    let rate = faults.optional("--rate", args.rate.as_deref(), |raw| {
        let number = raw
            .parse::<f64>()
            .ok()
            .filter(|rate| *rate > 0.0 && *rate <= 1_000_000.0);
        number.ok_or_else(|| "must be a number above 0".to_owned())
    });
    let messages = faults.optional("--messages", args.messages.as_deref(), settings::count(1..=100_000_000));
    let duration = faults.value("--duration", &args.duration, settings::positive_duration);
    let chats = faults.value("--chats", &args.chats, settings::count(1..=10_000));
    let ws_clients = faults.value("--ws-clients", &args.ws_clients, settings::count(0..=10_000));
    let (rate, messages) = (rate?, messages?);
    if rate.is_none() && messages.is_none() {
        faults.add("--rate", "is required, or --messages");
        return None;
    }
    let in_time = |rate: f64| (rate * duration.unwrap_or_default().as_secs_f64()).ceil() as u64;
    Some(Plan {
        rate,
        messages: messages.or(rate.map(in_time))?,
        chats: chats? as u32,
        ws_clients: ws_clients? as usize,
        env: Vec::new(),
    })
}
