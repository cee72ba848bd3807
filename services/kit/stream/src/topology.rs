//! Streams and buckets as data, and the stream's epoch.
//!
//! [`apply`] creates what is missing and updates what it set itself. What it set is written into
//! each stream's metadata (`tgmesh.set.<field>`), as `kubectl apply` does: a value that differs
//! from the one written there was changed by an operator, and stays; a stream that has no such
//! entry was made by an operator, and keeps its limits. It never makes a limit smaller.
//!
//! # The epoch
//!
//! Sequences mean something only within one life of a stream. Its random id is kept in the
//! stream's metadata, so that it goes when the stream goes. Beside it stands the highest last
//! sequence that `apply` or a durable consumer's start has seen (`tgmesh.last_seq`); a stream whose
//! last sequence lies below it was restored or lost its end, and gets a new epoch. Running readers
//! compare with the last sequence they handed out, which is more exact, and renew the epoch too
//! (`ordered.rs`); where they may not, they wait until [`keep`] has done so in the archiver. The mark is not written per message: that would be a change of the
//! configuration each time, which a cluster takes through its metadata log.

mod epoch;
mod plan;

use std::fmt;
use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::response::Response;
use async_nats::jetstream::stream::{Config, Info};
use tgmesh_proto::subject;
use tokio_util::sync::CancellationToken;

use crate::mesh::Mesh;
use crate::settings::NatsConfig;
use crate::state::{self, StreamError};
use epoch::check_epoch;
pub(crate) use epoch::{EPOCH_KEY, renew_epoch, settle_epoch};
use plan::parts;

/// An order for history that nobody has touched for so long is forgotten.
const BACKFILLS_KEPT: Duration = Duration::from_hours(30 * 24);

/// The streams and buckets of a mesh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    /// Streams, in the order they are made.
    pub streams: Vec<StreamSpec>,
    /// Key-value buckets.
    pub buckets: Vec<BucketSpec>,
}

/// What a stream should be: on disk, limits, oldest out first, compressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamSpec {
    /// Name.
    pub name: &'static str,
    /// Subjects it stores.
    pub subject: &'static str,
    /// Longest age of a message; nothing = no limit.
    pub max_age: Option<Duration>,
    /// Largest size in bytes. The server sets this much of its disk aside.
    pub max_bytes: u64,
    /// Within it repeats of a message id are removed.
    pub duplicate_window: Duration,
    /// Copies in a cluster.
    pub replicas: usize,
    /// Whether its messages can be neither deleted nor purged.
    pub append_only: bool,
}

/// What a bucket should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketSpec {
    /// Name.
    pub name: &'static str,
    /// Values expire after this time; nothing = never.
    pub max_age: Option<Duration>,
    /// Copies in a cluster.
    pub replicas: usize,
}

/// A difference between what is and what should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Is missing; `apply` creates it.
    Create {
        /// `stream DETECTIONS`, `bucket tgmesh_leases`.
        what: String,
    },
    /// Has another value; `apply` sets it.
    Update {
        /// What.
        what: String,
        /// Which setting.
        field: &'static str,
        /// Value now.
        from: String,
        /// Value to be.
        to: String,
    },
    /// Has another value, and keeps it.
    Keep {
        /// What.
        what: String,
        /// Which setting.
        field: &'static str,
        /// Value now.
        is: String,
        /// Value that the settings ask for.
        asked: String,
        /// Why it stays.
        why: &'static str,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create { what } => write!(f, "+ {what}"),
            Self::Update { what, field, from, to } => write!(f, "~ {what}: {field} {from} -> {to}"),
            Self::Keep {
                what,
                field,
                is,
                asked,
                why,
            } => {
                write!(f, "= {what}: {field} stays {is}, not {asked} ({why})")
            }
        }
    }
}

/// Figures of an account that nobody listens with any more are forgotten.
const FIGURES_AGE: Duration = Duration::from_hours(1);

/// The topology that the settings ask for.
#[must_use]
pub fn desired(config: &NatsConfig) -> Topology {
    let stream = |name, subject| StreamSpec {
        name,
        subject,
        max_age: Some(config.max_age),
        // Side streams see a small part of what DETECTIONS sees.
        max_bytes: config.max_bytes / 8,
        duplicate_window: config.duplicate_window,
        replicas: config.replicas,
        append_only: false,
    };
    let bucket = |name| BucketSpec {
        name,
        max_age: None,
        replicas: config.replicas,
    };
    Topology {
        streams: vec![
            StreamSpec {
                max_bytes: config.max_bytes,
                ..stream(subject::DETECTIONS, subject::DETECTIONS_ALL)
            },
            stream(subject::MATCHES, subject::MATCHES_ALL),
            // What happened, and what could not be handled, is not forgotten by age.
            StreamSpec {
                max_age: None,
                append_only: true,
                ..stream(subject::AUDIT, subject::AUDIT_ALL)
            },
            StreamSpec {
                max_age: None,
                ..stream(subject::DEADLETTERS, subject::DEADLETTERS_ALL)
            },
        ],
        buckets: vec![
            BucketSpec {
                max_age: Some(config.lease_time),
                ..bucket(subject::LEASES)
            },
            bucket(subject::SESSIONS),
            bucket(subject::LEDGER),
            bucket(subject::ASSIGNMENTS),
            BucketSpec {
                max_age: Some(BACKFILLS_KEPT),
                ..bucket(subject::BACKFILLS)
            },
            BucketSpec {
                max_age: Some(FIGURES_AGE),
                ..bucket(subject::FIGURES)
            },
            bucket(subject::REVOCATIONS),
            bucket(subject::TRACING),
        ],
    }
}

/// Compares without changing anything.
///
/// # Errors
/// When `JetStream` does not answer.
pub async fn diff(mesh: &Mesh, topology: &Topology) -> Result<Vec<Change>, StreamError> {
    let mut changes = Vec::new();
    for part in parts(topology) {
        changes.extend(part.plan(find(mesh, &part.config.name).await?.as_ref()).changes);
    }
    Ok(changes)
}

/// Creates and updates, and tells what it did and what it left. A second call changes nothing.
///
/// # Errors
/// When `JetStream` does not answer or refuses; what was done before stays done.
pub async fn apply(mesh: &Mesh, topology: &Topology) -> Result<Vec<Change>, StreamError> {
    let mut changes = Vec::new();
    for part in parts(topology) {
        let found = find(mesh, &part.config.name).await?;
        let plan = part.plan(found.as_ref());
        if let Some(config) = plan.config {
            let verb = if found.is_some() { "UPDATE" } else { "CREATE" };
            write(mesh, verb, &config).await?;
        }
        changes.extend(plan.changes);
        if part.epoch {
            settle_epoch(mesh, &part.config.name).await?;
        }
    }
    Ok(changes)
}

/// Waits until every stream and bucket is there, and says what is missing. Services call it
/// before they do anything else; they never create streams.
pub async fn wait(mesh: &Mesh) {
    let mut pause = Duration::from_millis(200);
    loop {
        match missing(mesh).await {
            Ok(missing) if missing.is_empty() => match check_epoch(mesh, subject::DETECTIONS).await {
                Ok(_) => return,
                Err(error) => tracing::warn!(%error, "couldn't read the epoch of DETECTIONS, waiting"),
            },
            Ok(missing) => tracing::warn!(
                missing = missing.join(" "),
                "the topology is not complete, waiting: `tgmesh topology apply` creates it"
            ),
            Err(error) => tracing::warn!(%error, "couldn't read the topology, waiting"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(10));
    }
}

/// Looks after the epoch of DETECTIONS until `stop`: for a process that may change the stream, in
/// the place of those that only read it.
pub async fn keep(mesh: &Mesh, stop: &CancellationToken) {
    epoch::keep_epoch(mesh, subject::DETECTIONS, stop).await;
}

/// The epoch of DETECTIONS.
///
/// # Errors
/// When the stream does not exist or `JetStream` does not answer.
pub async fn epoch(mesh: &Mesh) -> Result<String, StreamError> {
    settle_epoch(mesh, subject::DETECTIONS).await
}

async fn missing(mesh: &Mesh) -> Result<Vec<String>, StreamError> {
    let names = [
        subject::DETECTIONS,
        subject::MATCHES,
        subject::AUDIT,
        subject::DEADLETTERS,
    ]
    .map(str::to_owned);
    let buckets = [
        subject::LEASES,
        subject::SESSIONS,
        subject::LEDGER,
        subject::ASSIGNMENTS,
        subject::BACKFILLS,
        subject::FIGURES,
        subject::REVOCATIONS,
        // Not TRACING: nobody has to wait for that.
    ];
    let mut missing = Vec::new();
    for name in names.into_iter().chain(buckets.map(|bucket| format!("KV_{bucket}"))) {
        if find(mesh, &name).await?.is_none() {
            missing.push(name);
        }
    }
    Ok(missing)
}

async fn find(mesh: &Mesh, stream: &str) -> Result<Option<Info>, StreamError> {
    match state::info(mesh, stream).await {
        Ok(info) => Ok(Some(info)),
        Err(StreamError::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn write(mesh: &Mesh, verb: &str, config: &Config) -> Result<(), StreamError> {
    let subject = format!("STREAM.{verb}.{}", config.name);
    match state::request::<_, Info>(mesh, &subject, config).await? {
        Response::Ok(_) => Ok(()),
        Response::Err { error } if is_too_large(error.error_code()) => Err(StreamError::Refused(format!(
            "{} with {} bytes ({error}): the server keeps all of a stream's STREAM_MAX_BYTES free on its disk. Lower \
             STREAM_MAX_BYTES, or raise the server's max_file_store (by default 75 % of the free disk)",
            config.name, config.max_bytes
        ))),
        Response::Err { error } => Err(state::refusal(&config.name, &error)),
    }
}

fn is_too_large(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::STORAGE_RESOURCES_EXCEEDED
            | ErrorCode::INSUFFICIENT_RESOURCES
            | ErrorCode::ACCOUNT_RESOURCES_EXCEEDED
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_subjects_are_the_contract_s() {
        let topology = desired(&NatsConfig::new("nats://127.0.0.1").unwrap());
        let streams: Vec<_> = topology
            .streams
            .iter()
            .map(|s| (s.name, s.subject, s.append_only))
            .collect();
        assert_eq!(
            streams,
            [
                ("DETECTIONS", "tgmesh.v1.detections.>", false),
                ("MATCHES", "tgmesh.v1.matches.>", false),
                ("AUDIT", "tgmesh.v1.audit.>", true),
                ("DEADLETTERS", "tgmesh.v1.deadletters.>", false),
            ]
        );
        let buckets: Vec<_> = topology.buckets.iter().map(|b| (b.name, b.max_age.is_some())).collect();
        assert_eq!(
            buckets,
            [
                ("tgmesh_leases", true),
                ("tgmesh_sessions", false),
                ("tgmesh_ledger", false),
                ("tgmesh_assignments", false),
                ("tgmesh_backfills", true),
                ("tgmesh_figures", true),
                ("tgmesh_revocations", false),
                ("tgmesh_tracing", false),
            ]
        );
    }
}
