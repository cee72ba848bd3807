//! `tgmesh-archiver deadletters`: what could not be handled, for the person who deals with it.
//! These commands end by themselves, have no admin port, and need no database.

mod print;

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use tgmesh_lifecycle::clock;
use tgmesh_lifecycle::settings::{self, EXIT_USAGE, Faults};
use tgmesh_lifecycle::trace::TraceParent;
use tgmesh_proto::audit::AuditEvent;
use tgmesh_proto::id::EventId;
use tgmesh_proto::{SCHEMA_VERSION, codec, subject};
use tgmesh_stream::deadletter::{self, Letter};
use tgmesh_stream::publish::{self, Outgoing};
use tgmesh_stream::{Mesh, NatsArgs};

/// What can be done with dead letters.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// Print one line for each letter, oldest first
    List {
        /// Only those of this consumer
        #[arg(long, value_name = "NAME")]
        consumer: Option<String>,
        /// At most so many
        #[arg(long, value_name = "N", default_value = "100")]
        limit: String,
        /// As JSON lines, with headers and payload
        #[arg(long)]
        json: bool,
        /// Where the streams are
        #[command(flatten)]
        nats: NatsArgs,
    },
    /// Print everything about one letter
    Show {
        /// Its number, as `list` prints it
        seq: u64,
        /// Its bytes alone, as they are, into a pipe or a file
        #[arg(long)]
        raw: bool,
        /// Where the streams are
        #[command(flatten)]
        nats: NatsArgs,
    },
    /// Publish letters to their stream again, and remove them
    Retry(Chosen),
    /// Remove letters for good
    Drop(Chosen),
}

/// Which letters.
#[derive(Debug, Clone, clap::Args)]
pub struct Chosen {
    /// Their numbers, as `list` prints them
    #[arg(required_unless_present = "all")]
    seqs: Vec<u64>,
    /// All that are there now
    #[arg(long, conflicts_with = "seqs")]
    all: bool,
    /// With --all: only those of this consumer
    #[arg(long, value_name = "NAME", requires = "all")]
    consumer: Option<String>,
    #[command(flatten)]
    nats: NatsArgs,
}

/// Runs a command to its exit code: 0, 1 for a failure, 64 for bad settings.
#[must_use]
pub fn main(command: &Command) -> ExitCode {
    let nats = match command {
        Command::List { nats, .. } | Command::Show { nats, .. } => nats,
        Command::Retry(chosen) | Command::Drop(chosen) => &chosen.nats,
    };
    let mut faults = Faults::default();
    let limit = match command {
        Command::List { limit, .. } => faults.value("--limit", limit, settings::count(1..=1_000_000)),
        _ => Some(u64::MAX),
    };
    let (Some(config), Some(limit), true) = (faults.absorb(nats.read()), limit, faults.is_empty()) else {
        for line in faults.lines() {
            eprintln!("tgmesh-archiver: {line}");
        }
        return ExitCode::from(EXIT_USAGE);
    };
    let done = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("couldn't start the runtime")
        .and_then(|runtime| {
            runtime.block_on(async {
                let work = async {
                    let mesh = Mesh::connect(&config, "tgmesh-archiver deadletters").await?;
                    execute(command, &mesh, limit).await
                };
                tokio::select! {
                    done = work => done,
                    _ = tokio::signal::ctrl_c() => bail!("interrupted"),
                }
            })
        });
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) if is_closed_output(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tgmesh-archiver: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// `deadletters list | head`: the reader has seen enough.
fn is_closed_output(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<std::io::Error>();
    error.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

/// Whether everything that was asked for was done.
async fn execute(command: &Command, mesh: &Mesh, limit: u64) -> anyhow::Result<bool> {
    match command {
        Command::List { consumer, json, .. } => list(mesh, consumer.as_deref(), limit, *json).await,
        Command::Show { seq, raw, .. } => show(mesh, *seq, *raw).await,
        Command::Retry(chosen) => each(mesh, chosen, Deed::Retry).await,
        Command::Drop(chosen) => each(mesh, chosen, Deed::Drop).await,
    }
}

async fn list(mesh: &Mesh, consumer: Option<&str>, limit: u64, json: bool) -> anyhow::Result<bool> {
    let mut shelf = deadletter::open(mesh).await?;
    let mut out = std::io::stdout().lock();
    let mut listed = 0;
    while let Some(letter) = shelf.next().await? {
        if consumer.is_some_and(|consumer| letter.consumer != consumer) {
            continue;
        }
        if listed == limit {
            eprintln!("tgmesh-archiver: there are more; see --limit");
            break;
        }
        if listed == 0 && !json {
            writeln!(out, "{}", print::HEADING)?;
        }
        listed += 1;
        let line = if json {
            print::json(&letter)
        } else {
            print::line(&letter)
        };
        writeln!(out, "{line}")?;
    }
    if listed == 0 {
        eprintln!("tgmesh-archiver: no dead letters");
    }
    Ok(true)
}

async fn show(mesh: &Mesh, seq: u64, raw: bool) -> anyhow::Result<bool> {
    let Some(letter) = deadletter::find(mesh, seq).await? else {
        bail!("there is no dead letter {seq}");
    };
    let mut out = std::io::stdout().lock();
    if !raw {
        write!(out, "{}", print::page(&letter))?;
    } else if out.is_terminal() {
        bail!("the bytes of a dead letter are not for a terminal: send them into a file");
    } else {
        out.write_all(&letter.payload)?;
    }
    Ok(true)
}

#[derive(Clone, Copy)]
enum Deed {
    Retry,
    Drop,
}

async fn each(mesh: &Mesh, chosen: &Chosen, deed: Deed) -> anyhow::Result<bool> {
    let mut done: BTreeMap<u64, Letter> = BTreeMap::new();
    let mut failed = 0;
    let mut report = |seq, result: anyhow::Result<Letter>| match result {
        Ok(letter) => {
            done.insert(seq, letter);
        }
        Err(error) => {
            eprintln!(
                "tgmesh-archiver: dead letter {seq}: {}",
                print::printable(&format!("{error:#}"))
            );
            failed += 1;
        }
    };
    if chosen.all {
        let mut shelf = deadletter::open(mesh).await?;
        while let Some(letter) = shelf.next().await? {
            if chosen.consumer.as_ref().is_none_or(|name| *name == letter.consumer) {
                report(letter.seq, deal_with(mesh, letter, deed).await);
            }
        }
    } else {
        for &seq in &chosen.seqs {
            let found = deadletter::find(mesh, seq).await?;
            let result = match found {
                Some(letter) => deal_with(mesh, letter, deed).await,
                None => Err(anyhow::anyhow!("there is none of this number")),
            };
            report(seq, result);
        }
    }
    let (event, words) = match deed {
        Deed::Retry => ("deadletters_retried", "sent back"),
        Deed::Drop => ("deadletters_dropped", "dropped"),
    };
    if !done.is_empty() {
        audit(mesh, event, &done)
            .await
            .context("it is done, but AUDIT couldn't be told")?;
    }
    println!("{} {words}", done.len());
    Ok(failed == 0)
}

async fn deal_with(mesh: &Mesh, letter: Letter, deed: Deed) -> anyhow::Result<Letter> {
    match deed {
        Deed::Retry => drop(deadletter::retry(mesh, &letter).await?),
        Deed::Drop if deadletter::remove(mesh, letter.seq).await? => {}
        Deed::Drop => bail!("somebody else removed it"),
    }
    Ok(letter)
}

/// Tells AUDIT who did what to which letters.
async fn audit(mesh: &Mesh, event: &str, letters: &BTreeMap<u64, Letter>) -> anyhow::Result<()> {
    // The first hundred: enough to find them, and within an event's bounds.
    let seqs: Vec<String> = letters.keys().take(100).map(u64::to_string).collect();
    let detail = [("letters", letters.len().to_string()), ("seqs", seqs.join(" "))];
    let event = AuditEvent {
        schema_version: SCHEMA_VERSION.to_owned(),
        id: EventId::from_bytes([0; 16]),
        service: "archiver".to_owned(),
        event: event.to_owned(),
        at_us: clock::now_us(),
        instance: format!("tgmesh-{}", std::process::id()),
        actor: std::env::var("USER").ok().filter(|user| !user.is_empty()),
        target: Some(format!("stream:{}", subject::DEADLETTERS)),
        detail: BTreeMap::from(detail.map(|(key, value)| (key.to_owned(), value))),
    }
    .with_id();
    let message = Outgoing {
        subject: subject::audit("archiver", &event.event),
        id: event.id,
        traceparent: TraceParent::unrelated().to_string(),
        payload: Bytes::from(codec::encode_audit(&event)?),
    };
    publish::publish_one(mesh, &message).await?;
    Ok(())
}
