//! What the gateway writes into AUDIT: who came in, who watched what, who was refused, what an
//! operator did.
//!
//! Entries are queued and published in their order. The queue is bounded: when NATS is away for
//! long, further entries are counted and lost rather than held against the clients.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tgmesh_lifecycle::clock;
use tgmesh_lifecycle::metrics::Counter;
use tgmesh_lifecycle::trace::TraceParent;
use tgmesh_proto::audit::AuditEvent;
use tgmesh_stream::Mesh;
use tgmesh_stream::publish::{Limits, Outgoing, Publisher};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const SERVICE: &str = "gateway";
/// Entries that wait for NATS.
const QUEUE: usize = 4096;
/// Refusals and limits a second that are written; an attacker may cause any number.
const REFUSALS_PER_SECOND: u32 = 10;
/// How long the last entries may take, at the end.
const LAST_ENTRIES: Duration = Duration::from_secs(2);

/// Writes entries.
#[derive(Debug, Clone)]
pub struct Audit {
    instance: Arc<str>,
    queue: mpsc::Sender<AuditEvent>,
    lost: Counter,
    refusals: Arc<Mutex<(Option<Instant>, u32)>>,
}

/// Entries on their way to NATS.
#[derive(Debug)]
pub struct Entries(mpsc::Receiver<AuditEvent>);

impl Audit {
    /// A log and the entries to publish from it.
    #[must_use]
    pub fn new(instance: &str, lost: Counter) -> (Self, Entries) {
        let (queue, entries) = mpsc::channel(QUEUE);
        let audit = Self {
            instance: instance.into(),
            queue,
            lost,
            refusals: Arc::default(),
        };
        (audit, Entries(entries))
    }

    /// Notes what happened: who did it, to what, and what else is to be known.
    pub fn note<'a>(
        &self,
        event: &str,
        actor: Option<&str>,
        target: Option<&str>,
        detail: impl IntoIterator<Item = (&'a str, String)>,
    ) {
        let process = (SERVICE, &*self.instance);
        let entry = AuditEvent::new(process, event, clock::now_us(), actor, target, detail);
        if self.queue.try_send(entry).is_err() {
            self.lost.inc();
        }
    }

    /// Notes a refused token, up to so many a second.
    pub fn note_refusal(&self, reason: &str) {
        if self.may_note() {
            self.note("refused", None, None, [("reason", reason.to_owned())]);
        }
    }

    /// Notes a limit that a client met, up to so many a second.
    pub fn note_limit(&self, limit: &str, subject: Option<&str>, address: &str) {
        if self.may_note() {
            let detail = [("limit", limit.to_owned()), ("address", address.to_owned())];
            self.note("limited", subject, None, detail);
        }
    }

    /// Whether another entry of those that an attacker can cause has room in this second.
    fn may_note(&self) -> bool {
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if refusals.0.is_none_or(|since| now.duration_since(since).as_secs() >= 1) {
            *refusals = (Some(now), 0);
        }
        refusals.1 += 1;
        if refusals.1 > REFUSALS_PER_SECOND {
            self.lost.inc();
        }
        refusals.1 <= REFUSALS_PER_SECOND
    }
}

impl Entries {
    /// Publishes entries until the process stops; what is queued then is still published.
    pub async fn publish(mut self, mesh: Mesh, until: CancellationToken) {
        let publisher = Publisher::new(&mesh, Limits::default());
        loop {
            let entry = tokio::select! {
                biased;
                entry = self.0.recv() => entry,
                () = until.cancelled() => self.0.try_recv().ok(),
            };
            let Some(entry) = entry else {
                publisher.drain(LAST_ENTRIES).await;
                break;
            };
            let traceparent = TraceParent::unrelated().to_string();
            match Outgoing::audit(&entry, traceparent) {
                // The publisher keeps it until it is stored.
                Ok(outgoing) => drop(publisher.publish(outgoing).await),
                Err(error) => tracing::error!(%error, "an audit entry cannot be written"),
            }
        }
    }
}
