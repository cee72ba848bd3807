//! `tgmesh-archiver migrate`: the tables, by a user who may change them, where the service's may not.

use std::process::ExitCode;

use anyhow::Context as _;
use secrecy::ExposeSecret as _;
use tgmesh_lifecycle::settings::{EXIT_USAGE, Faults};
use tgmesh_store::{DbConfig, Store};

/// Migrates, to its exit code: 0, 1 for a failure, 64 for bad settings. Waits for a server that is
/// away.
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
        let store = Store::connect(database, 1).await?;
        store.migrate().await.context("couldn't migrate the database")
    })
}
