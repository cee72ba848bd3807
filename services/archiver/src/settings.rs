//! The archiver's flags and variables.

use std::time::Duration;

use secrecy::ExposeSecret as _;
use tgmesh_lifecycle::settings::{self, CommonArgs, Faults, Settings};
use tgmesh_store::{DbConfig, Retention};
use tgmesh_stream::{NatsArgs, NatsConfig};

use crate::deadletters;

/// Archives detections: `JetStream` to Postgres.
///
/// The database is given by the variable `DATABASE_URL` (postgres://user:password@host:port/name),
/// or by `DATABASE_URL_FILE`, the path of a file that holds it.
#[derive(Debug, clap::Parser)]
#[command(name = "tgmesh-archiver", version, about)]
pub struct Args {
    /// What to do; without it the service runs
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Most rows in one batch
    // Larger ones gain nothing and commit later: 127 k rows/s with 500 and with 1,000.
    #[arg(long, env = "BATCH_MAX_ROWS", value_name = "N", default_value = "1000")]
    batch_max_rows: String,
    /// Longest wait for a batch to fill
    #[arg(long, env = "BATCH_MAX_AGE", value_name = "DURATION", default_value = "5ms")]
    batch_max_age: String,
    /// Drop detections and matches whose messages are older; by default they are kept for good
    #[arg(long, env = "DETECTION_RETENTION", value_name = "DURATION")]
    detection_retention: Option<String>,
    /// Take away the texts of messages that are older
    // Long enough to look at what led to a call, and no longer: texts are what people wrote.
    #[arg(long, env = "TEXT_RETENTION", value_name = "DURATION", default_value = "30d")]
    text_retention: String,
    #[command(flatten)]
    nats: NatsArgs,
    #[command(flatten)]
    common: CommonArgs,
}

/// What the binary does besides archiving.
#[derive(Debug, Clone, clap::Subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one of it, and it is read once")]
pub enum Command {
    /// Runs the service (the default)
    Run,
    /// Brings the tables up to date, as a user who may: the service's own need not
    Migrate,
    /// Looks after messages that could not be handled
    #[command(subcommand)]
    Deadletters(deadletters::Command),
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
    /// How long rows and texts are kept.
    pub retention: Retention,
}

impl Settings for Args {
    type Config = Config;

    fn common(&self) -> &CommonArgs {
        &self.common
    }

    fn read(self, faults: &mut Faults) -> Option<Config> {
        let batch_rows = faults.value("BATCH_MAX_ROWS", &self.batch_max_rows, settings::count(1..=10_000));
        let batch_age = faults.value("BATCH_MAX_AGE", &self.batch_max_age, batch_age);
        let rows = faults.optional("DETECTION_RETENTION", self.detection_retention.as_deref(), retention);
        let texts = faults.value("TEXT_RETENTION", &self.text_retention, retention);
        let database = faults.required_secret("DATABASE_URL", |url| DbConfig::parse(url.expose_secret()));
        let nats = faults.absorb(self.nats.read());
        Some(Config {
            database: database?,
            nats: nats?,
            batch_rows: usize::try_from(batch_rows?).ok()?,
            batch_age: batch_age?,
            retention: Retention {
                rows: rows?,
                texts: Some(texts?),
            },
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

/// At least a day: what is younger may not even have come yet.
fn retention(text: &str) -> Result<Duration, String> {
    let kept = settings::duration(text)?;
    if kept >= Duration::from_hours(24) {
        Ok(kept)
    } else {
        Err("is less than 1d".to_owned())
    }
}
