//! `tgmesh erase`: takes a person or a chat out of the database, and tells the audit log.

use std::process::ExitCode;

use anyhow::Context as _;
use secrecy::ExposeSecret as _;
use tgmesh_lifecycle::settings::Faults;
use tgmesh_store::{DbConfig, Erased, Store, Subject};
use tgmesh_stream::{Mesh, NatsArgs};

use crate::audit::note;
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
    let asked = note(&mesh, "erase", &whom.to_string(), []).await;
    asked.context("the audit log did not take it, nothing was erased")?;
    let erased = store
        .erase(whom)
        .await
        .context("couldn't erase everything, run it again")?;
    note(&mesh, "erased", &whom.to_string(), counts(&erased))
        .await
        .context("it is erased, but the audit log did not take that")?;
    println!(
        "erased {whom}: {} detections, {} matches, {} forwards by others",
        erased.detections, erased.matches, erased.forwards
    );
    Ok(ExitCode::SUCCESS)
}

fn counts(erased: &Erased) -> [(&'static str, String); 3] {
    [
        ("detections", erased.detections.to_string()),
        ("matches", erased.matches.to_string()),
        ("forwards", erased.forwards.to_string()),
    ]
}
