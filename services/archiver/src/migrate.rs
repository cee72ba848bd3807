//! `tgmesh-archiver migrate`: the tables, by a user who may change them, where the service's may not.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use secrecy::ExposeSecret as _;
use tgmesh_lifecycle::settings::{EXIT_USAGE, Faults};
use tgmesh_store::{DbConfig, Store};

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Migrates, to its exit code: 0, 1 for a failure, 64 for bad settings. Waits for a server that is
/// away, and says why; one that refuses the user ends it, for whoever started it to try again.
#[must_use]
pub fn main() -> ExitCode {
    let mut faults = Faults::default();
    let database = faults.required_secret("DATABASE_URL", |url| DbConfig::parse(url.expose_secret()));
    let Some(database) = database else {
        for line in faults.lines() {
            eprintln!("tgmesh-archiver: {line}");
        }
        return ExitCode::from(EXIT_USAGE);
    };
    match migrate(&database) {
        Ok(()) => {
            println!("the tables of {database} are up to date");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("tgmesh-archiver: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn migrate(database: &DbConfig) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("couldn't start the runtime")?;
    runtime.block_on(async {
        let store = Store::new(database, 1)?;
        answered(database, &store).await?;
        store.migrate().await.context("couldn't migrate the database")
    })
}

/// Waits until the server answers. Each reason is told once: nobody reads a log of this command but
/// the one who wonders why it does not end.
async fn answered(database: &DbConfig, store: &Store) -> anyhow::Result<()> {
    let (mut wait, mut told) = (FIRST_WAIT, String::new());
    while let Err(error) = store.ping().await {
        if !error.is_transient() {
            return Err(error).with_context(|| format!("{database} does not let this user in"));
        }
        let reason = error.to_string();
        if told != reason {
            eprintln!("tgmesh-archiver: waiting for {database}: {reason}");
            told = reason;
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
    Ok(())
}
