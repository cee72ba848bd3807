//! Stats reports over core NATS: no stream keeps them, since the next one replaces the last.

use std::time::Duration;

use futures_util::StreamExt;
use serde::Serialize;
use tgmesh_proto::stats::StatsReport;
use tgmesh_proto::subject;
use tokio::task::JoinHandle;

use crate::mesh::{Link, Mesh};
use crate::state::StreamError;

/// How often each process reports.
pub const EVERY: Duration = Duration::from_secs(5);
/// Largest report that is read: a process has some dozens of metrics of about a kilobyte.
const MAX_BYTES: usize = 1 << 20;

/// Sends one report: a [`StatsReport`], or whatever has its form. Nobody acks it.
///
/// # Errors
/// When the connection is closed or the report exceeds what the server takes.
pub async fn publish<R: Serialize>(mesh: &Mesh, service: &str, instance: &str, report: &R) -> Result<(), StreamError> {
    let payload = rmp_serde::to_vec_named(report).map_err(|error| StreamError::Refused(error.to_string()))?;
    mesh.client()
        .publish(subject::stats(service, instance), payload.into())
        .await
        .map_err(|error| StreamError::Unavailable(error.to_string()))
}

/// Sends `report()` every [`EVERY`] while the link is up, until the handle is aborted or the
/// runtime ends.
pub fn spawn_reporter<R: Serialize + Send + Sync>(
    mesh: &Mesh,
    service: &str,
    instance: &str,
    report: impl Fn() -> R + Send + 'static,
) -> JoinHandle<()> {
    let (mesh, service, instance) = (mesh.clone(), service.to_owned(), instance.to_owned());
    tokio::spawn(async move {
        let link = mesh.link();
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if *link.borrow() == Link::Down {
                continue;
            }
            let report = report();
            if let Err(error) = publish(&mesh, &service, &instance, &report).await {
                tracing::debug!(%error, "couldn't send a stats report");
            }
        }
    })
}

/// Reports of every process.
pub struct Feed {
    subscription: async_nats::Subscriber,
}

/// Follows the reports of every process.
///
/// # Errors
/// When the connection is closed.
pub async fn subscribe(mesh: &Mesh) -> Result<Feed, StreamError> {
    let subscription = mesh
        .client()
        .subscribe(subject::STATS_ALL)
        .await
        .map_err(|error| StreamError::Unavailable(error.to_string()))?;
    Ok(Feed { subscription })
}

impl Feed {
    /// The next report; nothing when the connection is closed for good. What cannot be read is
    /// left out. Safe to cancel.
    pub async fn next(&mut self) -> Option<StatsReport> {
        loop {
            let message = self.subscription.next().await?;
            if message.payload.len() > MAX_BYTES {
                tracing::debug!(subject = %message.subject, bytes = message.payload.len(), "ignored a huge stats report");
                continue;
            }
            match rmp_serde::from_slice(&message.payload) {
                Ok(report) => return Some(report),
                Err(error) => {
                    tracing::debug!(subject = %message.subject, %error, "ignored a malformed stats report");
                }
            }
        }
    }
}
