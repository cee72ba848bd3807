//! `tgmesh erase`: takes a person or a chat out of the database, and tells the audit log.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Context as _;
use secrecy::ExposeSecret as _;
use tgmesh_lifecycle::settings::Faults;
use tgmesh_lifecycle::{clock, trace};
use tgmesh_proto::audit::AuditEvent;
use tgmesh_proto::id::EventId;
use tgmesh_proto::{SCHEMA_VERSION, codec, subject};
use tgmesh_store::{DbConfig, Erased, Store, Subject};
use tgmesh_stream::publish::{self, Outgoing};
use tgmesh_stream::{Mesh, NatsArgs};

use crate::cli::{Failure, Outcome};

/// What `tgmesh erase` takes.
///
/// The database is given by the variable `DATABASE_URL`, or by `DATABASE_URL_FILE`, the path of a
/// file that holds it; its user must be the tables' owner.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("whom").required(true))]
pub struct Args {
    /// Everything that this sender posted up to now, and what others forwarded of it
    #[arg(long, value_name = "ID", group = "whom", allow_negative_numbers = true)]
    sender: Option<i64>,
    /// Everything that was posted in this chat up to now, and what others forwarded of it
    #[arg(long, value_name = "ID", group = "whom", allow_negative_numbers = true)]
    chat: Option<i64>,
    #[command(flatten)]
    nats: NatsArgs,
}

pub(crate) async fn run(args: Args) -> Outcome {
    let mut faults = Faults::default();
    let nats = faults.absorb(args.nats.read());
    let database = faults.required_secret("DATABASE_URL", |url| DbConfig::parse(url.expose_secret()));
    // One of them is there, or clap would have said so.
    let whom = args.sender.map(Subject::Sender).or(args.chat.map(Subject::Chat));
    let (Some(nats), Some(database), Some(whom)) = (nats, database, whom) else {
        return Err(Failure::Usage(faults));
    };
    let mesh = Mesh::connect(&nats, "tgmesh-erase").await?;
    let store = Store::connect(&database, 1).await?;
    // Nothing is erased that nobody could learn of.
    let asked = note(&mesh, "erase", whom, BTreeMap::new()).await;
    asked.context("the audit log did not take it, nothing was erased")?;
    let erased = store
        .erase(whom)
        .await
        .context("couldn't erase everything, run it again")?;
    note(&mesh, "erased", whom, counts(&erased))
        .await
        .context("it is erased, but the audit log did not take that")?;
    println!(
        "erased {whom}: {} detections, {} matches, {} forwards by others",
        erased.detections, erased.matches, erased.forwards
    );
    Ok(ExitCode::SUCCESS)
}

fn counts(erased: &Erased) -> BTreeMap<String, String> {
    let counts = [
        ("detections", erased.detections),
        ("matches", erased.matches),
        ("forwards", erased.forwards),
    ];
    counts.map(|(name, count)| (name.to_owned(), count.to_string())).into()
}

/// Tells the audit log, and waits until it is stored.
async fn note(mesh: &Mesh, event: &str, whom: Subject, detail: BTreeMap<String, String>) -> anyhow::Result<()> {
    let entry = AuditEvent {
        schema_version: SCHEMA_VERSION.to_owned(),
        id: EventId::from_bytes([0; 16]),
        service: "tgmesh".to_owned(),
        event: event.to_owned(),
        at_us: clock::now_us(),
        instance: format!("cli-{}", std::process::id()),
        actor: Some(std::env::var("USER").unwrap_or_else(|_| "unknown".to_owned())),
        target: Some(whom.to_string()),
        detail,
    }
    .with_id();
    let outgoing = Outgoing {
        subject: subject::audit(&entry.service, event),
        id: entry.id,
        traceparent: trace::root(|| tracing::info_span!("audit")).1.to_string(),
        payload: codec::encode_audit(&entry)?.into(),
    };
    publish::publish_one(mesh, &outgoing).await?;
    Ok(())
}
