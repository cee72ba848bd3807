//! `tgmesh replay`: a window of DETECTIONS again, to standard output or into a stream of its own.

use std::process::ExitCode;

use anyhow::Context as _;
use tgmesh_lifecycle::clock;
use tgmesh_lifecycle::settings::{self, Faults};
use tgmesh_proto::subject;
use tgmesh_stream::{Mesh, NatsArgs, NatsConfig, replay, window};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{Failure, Outcome};
use crate::tail;

/// What `tgmesh replay` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// From what the stream stored this long ago
    #[arg(long, value_name = "DURATION", conflicts_with = "from")]
    since: Option<String>,
    /// From this sequence
    #[arg(long, value_name = "SEQ")]
    from: Option<String>,
    /// Into the stream `REPLAY_<NAME>`, subjects `tgmesh.v1.replay.<NAME>.>`, instead of to standard output
    #[arg(long, value_name = "NAME")]
    to: Option<String>,
    #[command(flatten)]
    nats: NatsArgs,
}

enum Start {
    /// Stored at or after, µs since the epoch.
    At(u64),
    Seq(u64),
}

pub(crate) async fn run(args: Args) -> Outcome {
    let mut faults = Faults::default();
    let since = faults.optional("--since", args.since.as_deref(), settings::duration);
    let from = faults.optional("--from", args.from.as_deref(), settings::count(1..=u64::MAX));
    let to = faults.optional("--to", args.to.as_deref(), |name| {
        let fits = replay::is_name(name).then(|| name.to_owned());
        fits.ok_or_else(|| "must be 1 to 32 letters, digits, - or _".to_owned())
    });
    if args.since.is_none() && args.from.is_none() {
        faults.add("--since", "is required, or --from");
    }
    let config = faults.absorb(args.nats.read());
    let (Some(since), Some(from), Some(to), Some(config), true) = (since, from, to, config, faults.is_empty()) else {
        return Err(Failure::Usage(faults));
    };
    let start = match (from, since) {
        (Some(seq), _) => Start::Seq(seq),
        (None, since) => {
            let us = u64::try_from(since.unwrap_or_default().as_micros()).unwrap_or(u64::MAX);
            Start::At(clock::now_us().unsigned_abs().saturating_sub(us))
        }
    };
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        result = read(&config, &start, to.as_deref()) => result,
        _ = tokio::signal::ctrl_c() => Ok(ExitCode::from(130)),
        _ = terminate.recv() => Ok(ExitCode::from(143)),
    }
}

async fn read(config: &NatsConfig, start: &Start, to: Option<&str>) -> Outcome {
    let mesh = Mesh::connect(config, "tgmesh-replay").await?;
    let from = match *start {
        Start::Seq(seq) => seq,
        Start::At(us) => window::start_at(&mesh, subject::DETECTIONS, us)
            .await
            .context("couldn't find where to begin in DETECTIONS")?,
    };
    let mut window = window::read(&mesh, subject::DETECTIONS, from, None, &[])
        .await
        .context("couldn't read DETECTIONS")?;
    let first = window.state().first_seq;
    if matches!(start, Start::Seq(seq) if *seq < first) {
        eprintln!("tgmesh: DETECTIONS begins with {first}: what is before is gone");
    }
    if let Some(name) = to {
        let stored = replay::copy(&mesh, config, name, &mut window)
            .await
            .with_context(|| format!("couldn't copy into {}", replay::stream_name(name)))?;
        println!("{stored} messages into {}", replay::stream_name(name));
        return Ok(ExitCode::SUCCESS);
    }
    while let Some(delivery) = window.next().await.context("couldn't read DETECTIONS to the end")? {
        tail::print(&delivery)?;
    }
    Ok(ExitCode::SUCCESS)
}
