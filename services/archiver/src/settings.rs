//! The archiver's flags and variables.

use std::time::Duration;

use secrecy::ExposeSecret as _;
use tgmesh_lifecycle::settings::{self, CommonArgs, Faults, Settings};
use tgmesh_store::DbConfig;
use tgmesh_stream::{NatsArgs, NatsConfig};

/// Archives detections: `JetStream` to Postgres.
///
/// The database is given by the variable `DATABASE_URL` (postgres://user:password@host:port/name),
/// or by `DATABASE_URL_FILE`, the path of a file that holds it.
#[derive(Debug, clap::Parser)]
#[command(name = "tgmesh-archiver", version, about)]
pub struct Args {
    /// Most rows in one batch
    // Larger ones gain nothing and commit later: 127 k rows/s with 500 and with 1,000.
    #[arg(long, env = "BATCH_MAX_ROWS", value_name = "N", default_value = "1000")]
    batch_max_rows: String,
    /// Longest wait for a batch to fill
    #[arg(long, env = "BATCH_MAX_AGE", value_name = "DURATION", default_value = "5ms")]
    batch_max_age: String,
    #[command(flatten)]
    nats: NatsArgs,
    #[command(flatten)]
    common: CommonArgs,
}

/// The archiver's settings, checked.
#[derive(Debug)]
pub struct Config {
    /// The database.
    pub database: DbConfig,
    /// The stream.
    pub nats: NatsConfig,
    /// Most rows in one batch.
    pub batch_rows: usize,
    /// Longest wait for a batch to fill.
    pub batch_age: Duration,
}

impl Settings for Args {
    type Config = Config;

    fn common(&self) -> &CommonArgs {
        &self.common
    }

    fn read(self, faults: &mut Faults) -> Option<Config> {
        let batch_rows = faults.value("BATCH_MAX_ROWS", &self.batch_max_rows, settings::count(1..=10_000));
        let batch_age = faults.value("BATCH_MAX_AGE", &self.batch_max_age, batch_age);
        let database = faults.required_secret("DATABASE_URL", |url| DbConfig::parse(url.expose_secret()));
        let nats = faults.absorb(self.nats.read());
        Some(Config {
            database: database?,
            nats: nats?,
            batch_rows: usize::try_from(batch_rows?).ok()?,
            batch_age: batch_age?,
        })
    }
}

/// Not longer than messages may be held before the server gives them to somebody else.
fn batch_age(text: &str) -> Result<Duration, String> {
    let age = settings::duration(text)?;
    if age <= Duration::from_secs(5) {
        Ok(age)
    } else {
        Err("is more than 5s".to_owned())
    }
}
