//! Where the consumer stands in its stream: the figures that alerts need, and the loss that
//! nobody else can see.
//!
//! A stream that reaches its limits discards its oldest messages, acked or not. What it discards
//! before the archiver had it is lost to the database, so it is counted and its range is told in
//! AUDIT. All archivers look; which of them tells is decided by the stream: an event is stored
//! only behind the last one that its writer had read.
//!
//! A sequence counts as lost when the consumer went past it without a delivery. Each first
//! delivery moves both of the consumer's positions by one, so the difference of their steps is what
//! was skipped. Two cases are out of its reach: repeated deliveries in the same second hide as many
//! losses, and what was delivered to an archiver that was killed, and then discarded before it
//! could come again, is not seen.

use std::sync::Arc;
use std::time::Duration;

use tgmesh_lifecycle::clock;
use tgmesh_lifecycle::metrics::{Counter, Gauge, Metrics};
use tgmesh_lifecycle::trace::TraceParent;
use tgmesh_proto::audit::AuditEvent;
use tgmesh_proto::codec::{self, EncodeError};
use tgmesh_proto::subject;
use tgmesh_stream::consume::{self, Counts, Standing};
use tgmesh_stream::publish::{self, Outgoing};
use tgmesh_stream::{Mesh, StreamError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::CONSUMER;

const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Finding the oldest unacked message's time fetches that message.
const AGE_EVERY: Duration = Duration::from_secs(5);
const SERVICE: &str = "archiver";

/// Watches one stream.
pub(crate) struct Watch {
    mesh: Mesh,
    stream: &'static str,
    instance: Arc<str>,
    counts: Arc<Counts>,
    figures: Figures,
    /// What of the stream is accounted for; nothing before the first look.
    base: Option<Base>,
    aged: Option<Instant>,
}

struct Figures {
    unacked: Gauge,
    oldest_unacked: Gauge,
    headroom: Gauge,
    expired: Counter,
}

/// Up to here every message was delivered, or told as lost.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Base {
    epoch: String,
    seq: u64,
    deliveries: u64,
}

/// Messages that were discarded before they were delivered.
#[derive(Debug, PartialEq, Eq)]
struct Lost {
    from: u64,
    to: u64,
    messages: u64,
}

impl Watch {
    pub(crate) fn new(
        mesh: Mesh,
        stream: &'static str,
        prefix: &str,
        instance: Arc<str>,
        metrics: &Metrics,
        counts: Arc<Counts>,
    ) -> Self {
        let gauge = |name: &str, help| metrics.gauge(&format!("{prefix}{name}"), help);
        Self {
            figures: Figures {
                unacked: gauge("unacked_messages", "Messages in the stream that are not acked"),
                oldest_unacked: gauge("oldest_unacked_seconds", "Age of the oldest message that is not acked"),
                headroom: gauge(
                    "headroom_ratio",
                    "How far the oldest unacked message is from being discarded: 1 far, 0 now",
                ),
                expired: metrics.counter(
                    &format!("{prefix}expired_total"),
                    "Messages that the stream's limits discarded before they were archived",
                ),
            },
            mesh,
            stream,
            instance,
            counts,
            base: None,
            aged: None,
        }
    }

    /// Looks once, before anything is fetched: what was lost while nobody was here.
    pub(crate) async fn begin(&mut self) {
        self.figures.headroom.set(1.0);
        if let Err(error) = self.look().await {
            tracing::debug!(stream = self.stream, %error, "couldn't look at the consumer");
        }
    }

    /// Looks until the process is told to stop.
    pub(crate) async fn run(mut self, soft: CancellationToken) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while soft.run_until_cancelled(ticks.tick()).await.is_some() {
            match soft.run_until_cancelled(self.look()).await {
                None => return,
                Some(Ok(())) => {}
                Some(Err(error)) => tracing::debug!(stream = self.stream, %error, "couldn't look at the consumer"),
            }
        }
    }

    async fn look(&mut self) -> Result<(), StreamError> {
        let Some(standing) = consume::standing(&self.mesh, self.stream, CONSUMER).await? else {
            self.base = None;
            return Ok(());
        };
        self.counts.correct_pending(standing.pending);
        self.account(&standing).await?;
        self.measure(&standing).await
    }

    async fn measure(&mut self, standing: &Standing) -> Result<(), StreamError> {
        let unacked = standing.unacked();
        self.figures.unacked.set(unacked as f64);
        if unacked == 0 {
            self.figures.oldest_unacked.set(0.0);
            self.figures.headroom.set(1.0);
            self.aged = None;
            return Ok(());
        }
        if self.aged.is_some_and(|aged| aged.elapsed() < AGE_EVERY) {
            return Ok(());
        }
        self.aged = Some(Instant::now());
        let oldest = consume::stored_at(&self.mesh, self.stream, standing.acked + 1).await?;
        let now_us = clock::now_us().unsigned_abs();
        let age = oldest.map_or(Duration::ZERO, |us| Duration::from_micros(now_us.saturating_sub(us)));
        self.figures.oldest_unacked.set(age.as_secs_f64());
        self.figures.headroom.set(headroom(standing, age));
        Ok(())
    }

    async fn account(&mut self, standing: &Standing) -> Result<(), StreamError> {
        let subject = subject::audit(SERVICE, &self.event());
        let base = match self.base.take() {
            Some(base) if base.epoch == standing.epoch && base.deliveries <= standing.deliveries => base,
            _ => {
                let told = self.last_told(&subject).await?.1;
                first_base(standing, told)
            }
        };
        let (lost, next) = step(&base, standing);
        let Some(lost) = lost else {
            self.base = Some(next);
            return Ok(());
        };
        let (last_seq, told) = match self.last_told(&subject).await {
            Ok(told) => told,
            Err(error) => {
                self.base = Some(base);
                return Err(error);
            }
        };
        if let Some(told) = told.filter(|told| told.epoch == base.epoch && told.seq > base.seq) {
            // Another archiver has told a part of it. The next look finds out what is left.
            self.base = Some(told);
            return Ok(());
        }
        let Ok(outgoing) = self.outgoing(&lost, &next) else {
            // Some short strings.
            return Ok(());
        };
        match publish::publish_after(&self.mesh, &outgoing, last_seq).await {
            Ok(Some(_)) => {
                self.figures.expired.add(lost.messages);
                tracing::error!(
                    stream = self.stream,
                    from_seq = lost.from,
                    to_seq = lost.to,
                    messages = lost.messages,
                    "the stream's limits discarded messages before they were archived: they are lost to the database"
                );
                self.base = Some(next);
                Ok(())
            }
            // Another archiver was first.
            Ok(None) => {
                self.base = Some(base);
                Ok(())
            }
            Err(error) => {
                self.base = Some(base);
                Err(error)
            }
        }
    }

    fn event(&self) -> String {
        format!("expired_{}", self.stream.to_ascii_lowercase())
    }

    /// The last event of this kind: its sequence in AUDIT (0 = none), and how far it accounts.
    async fn last_told(&self, subject: &str) -> Result<(u64, Option<Base>), StreamError> {
        let Some((seq, payload)) = publish::last_on(&self.mesh, subject::AUDIT, subject).await? else {
            return Ok((0, None));
        };
        let base = codec::decode_audit(&payload).ok().and_then(|event| {
            let number = |key: &str| event.detail.get(key)?.parse().ok();
            Some(Base {
                epoch: event.detail.get("epoch")?.clone(),
                seq: number("accounted_seq")?,
                deliveries: number("deliveries")?,
            })
        });
        Ok((seq, base))
    }

    fn outgoing(&self, lost: &Lost, next: &Base) -> Result<Outgoing, EncodeError> {
        let detail = [
            ("epoch", next.epoch.clone()),
            ("from", lost.from.to_string()),
            ("to", lost.to.to_string()),
            ("messages", lost.messages.to_string()),
            // For whoever goes on from here.
            ("accounted_seq", next.seq.to_string()),
            ("deliveries", next.deliveries.to_string()),
        ];
        let target = format!("stream:{}", self.stream);
        let process = (SERVICE, &*self.instance);
        let event = AuditEvent::new(process, &self.event(), clock::now_us(), None, Some(&target), detail);
        // It belongs to no trace; nobody samples it.
        let traceparent = TraceParent::unrelated().to_string();
        Outgoing::audit(&event, traceparent)
    }
}

/// Where accounting begins: where the last one ended, if nothing was delivered since; else now,
/// with whatever was skipped before this look and not told by anybody.
fn first_base(standing: &Standing, told: Option<Base>) -> Base {
    let here = Base {
        epoch: standing.epoch.clone(),
        seq: standing.delivered,
        deliveries: standing.deliveries,
    };
    match told {
        Some(told) if told.epoch == here.epoch && told.deliveries == here.deliveries && told.seq > here.seq => told,
        _ => here,
    }
}

/// What was lost since `base`, and the base after it.
fn step(base: &Base, standing: &Standing) -> (Option<Lost>, Base) {
    let discarded = standing.first_seq.saturating_sub(1);
    let passed = standing.delivered.max(base.seq);
    // Nothing will deliver what is gone and was not delivered: it is passed as well.
    let passed = if standing.still { passed.max(discarded) } else { passed };
    let next = Base {
        epoch: base.epoch.clone(),
        seq: passed,
        deliveries: standing.deliveries,
    };
    let steps = passed - base.seq;
    let deliveries = standing.deliveries.saturating_sub(base.deliveries);
    let messages = steps.saturating_sub(deliveries);
    if messages == 0 || discarded <= base.seq {
        return (None, next);
    }
    let lost = Lost {
        from: base.seq + 1,
        to: passed.min(discarded),
        messages: messages.min(discarded - base.seq),
    };
    (Some(lost), next)
}

/// 1 = the oldest unacked message is far from being discarded, 0 = it is next. The nearer of the
/// stream's limits counts, age or bytes.
fn headroom(standing: &Standing, oldest: Duration) -> f64 {
    let by_age = standing
        .max_age
        .map_or(0.0, |most| oldest.as_secs_f64() / most.as_secs_f64());
    let messages = standing.last_seq.saturating_sub(standing.first_seq) + 1;
    let share = standing.unacked() as f64 / messages as f64;
    let by_bytes = standing
        .max_bytes
        .map_or(0.0, |most| share * standing.bytes as f64 / most as f64);
    (1.0 - by_age.max(by_bytes)).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(first_seq: u64, delivered: u64, deliveries: u64, still: bool) -> Standing {
        Standing {
            epoch: "e".to_owned(),
            first_seq,
            last_seq: 10_000,
            bytes: 1 << 20,
            max_bytes: Some(2 << 20),
            max_age: Some(Duration::from_secs(1000)),
            delivered,
            deliveries,
            acked: 0,
            pending: 0,
            still,
        }
    }

    fn base(seq: u64, deliveries: u64) -> Base {
        Base {
            epoch: "e".to_owned(),
            seq,
            deliveries,
        }
    }

    fn lost(from: u64, to: u64, messages: u64) -> Lost {
        Lost { from, to, messages }
    }

    #[test]
    fn while_the_consumer_stands_still_the_loss_is_exact_and_told_once() {
        let (first, next) = step(&base(100, 120), &standing(151, 100, 120, true));
        assert_eq!((first, &next), (Some(lost(101, 150, 50)), &base(150, 120)));
        assert_eq!(step(&next, &standing(151, 100, 120, true)), (None, next.clone()));
        let (second, next) = step(&next, &standing(161, 100, 120, true));
        assert_eq!((second, &next), (Some(lost(151, 160, 10)), &base(160, 120)));
        // It goes on with 161: nothing more is lost.
        assert_eq!(step(&next, &standing(161, 180, 140, false)), (None, base(180, 140)));
    }

    #[test]
    fn a_consumer_that_falls_behind_shows_it_by_its_steps() {
        // 60 delivered, 100 passed, and the stream begins behind where it was.
        let (first, next) = step(&base(100, 100), &standing(190, 200, 160, false));
        assert_eq!((first, next), (Some(lost(101, 189, 40)), base(200, 160)));
    }

    #[test]
    fn what_an_operator_deleted_within_the_stream_is_no_loss_by_its_limits() {
        assert_eq!(step(&base(100, 100), &standing(50, 200, 190, true)).0, None);
    }

    #[test]
    fn repeats_are_no_losses() {
        assert_eq!(step(&base(100, 100), &standing(150, 200, 230, true)).0, None);
    }

    #[test]
    fn a_new_archiver_goes_on_where_the_last_one_told() {
        let now = standing(151, 100, 120, true);
        assert_eq!(first_base(&now, None), base(100, 120));
        assert_eq!(first_base(&now, Some(base(150, 120))), base(150, 120));
        assert_eq!(first_base(&now, Some(base(90, 80))), base(100, 120));
        let other = Base {
            epoch: "x".to_owned(),
            ..base(150, 120)
        };
        assert_eq!(first_base(&now, Some(other)), base(100, 120));
    }

    #[test]
    fn headroom_is_that_of_the_nearer_limit() {
        let half_full = standing(1, 0, 0, true);
        assert!((headroom(&half_full, Duration::from_secs(10)) - 0.5).abs() < 0.01);
        assert!((headroom(&half_full, Duration::from_mins(15)) - 0.1).abs() < 0.01);
        assert!(headroom(&half_full, Duration::from_mins(150)).abs() < f64::EPSILON);
    }
}
