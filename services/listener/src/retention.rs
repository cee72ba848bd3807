//! What the stream's limits throw out before it is archived is fetched again.
//!
//! The ledger knows roughly which messages' events lie where in DETECTIONS (`ledger/marks.rs`).
//! When the stream begins behind the place up to which the archiver has acked, the messages whose
//! events lay between are opened again: they are asked for like any others that are missing, and
//! what they held is told anew, under the same ids.
//!
//! Two things are waited for. An id that the stream knew a while ago it takes for a repeat, though
//! the message is gone: so nothing is opened before the duplicate window of its first publishing is
//! over. And while the archiver is behind, storing more would only throw out more: so there must
//! be room again. Where nobody archives, nothing is lost to the archive and nothing is opened.
//!
//! An event that was taken away by a deletion cannot be told again: its message is no more.

use std::collections::HashMap;
use std::sync::PoisonError;
use std::time::Duration;

use tgmesh_lifecycle::clock;
use tgmesh_lifecycle::trace::TraceParent;
use tgmesh_proto::audit::AuditEvent;
use tgmesh_proto::subject;
use tgmesh_stream::StreamError;
use tgmesh_stream::consume::{Retention, retention};
use tgmesh_stream::publish::{Outgoing, publish_one};
use tokio::time::MissedTickBehavior;

use crate::account::Shared;
use crate::edits::Key;
use crate::ledger::{Look, Named, OWN, Reopened};

/// The consumer that archives.
const ARCHIVER: &str = "archiver";
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Ids that an account opens at one look, and no more than half of what the stream holds, unless
/// that is next to nothing: what is told anew must not throw out what was not archived.
const MOST_AT_ONCE: u64 = 1_000;
const FEW: u64 = 100;
/// The server's clock and ours.
const CLOCKS_S: i64 = 2;

/// Looks until the process is told to stop.
pub async fn watch(shared: Shared) {
    let soft = shared.process.shutdown.soft();
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // By the number of the account. What was thrown out while nobody looked counts as never
    // archived.
    let mut before = HashMap::new();
    while soft.run_until_cancelled(ticks.tick()).await.is_some() {
        match soft.run_until_cancelled(look(&shared, &mut before)).await {
            None => return,
            Some(Ok(())) => {}
            Some(Err(error)) => tracing::debug!(%error, "couldn't look at what DETECTIONS holds"),
        }
    }
}

/// How far the archiver was at the last look.
struct Place {
    epoch: String,
    archived: u64,
    delivered: u64,
    deliveries: u64,
}

async fn look(shared: &Shared, before: &mut HashMap<u32, Place>) -> Result<(), StreamError> {
    let found = retention(&shared.mesh, subject::DETECTIONS, ARCHIVER).await?;
    let mut look = Look {
        epoch: found.epoch.clone(),
        first_seq: found.first_seq,
        archived: found.acked,
        archived_before: 0,
        repeats_s: i64::try_from(found.duplicate_window.as_secs()).unwrap_or(i64::MAX) + CLOCKS_S,
        has_room: has_room(&found),
        now_s: clock::now_us() / 1_000_000,
    };
    let at_once = MOST_AT_ONCE.min((held(&found) / 2).max(FEW));
    for named in shared.ledgers.all() {
        let here = Place {
            epoch: found.epoch.clone(),
            archived: found.acked.unwrap_or(0),
            delivered: found.delivered,
            deliveries: found.deliveries,
        };
        let earlier = before.insert(named.account_no, here);
        look.archived_before = earlier.map_or(0, |place| place.archived_before(&found));
        let reopened = named
            .ledger
            .review(&look, at_once, |reopened| lose(shared, &named, reopened));
        if !reopened.is_empty() {
            tell(shared, &named, &look.epoch, &reopened).await;
        }
    }
    Ok(())
}

impl Place {
    /// Up to where the archiver had everything that is gone by now, and was not skipped by it.
    fn archived_before(&self, found: &Retention) -> u64 {
        if self.epoch != found.epoch {
            return 0;
        }
        // Each delivery moves both by one: whoever went further was not given what lay between.
        let steps = found.delivered.saturating_sub(self.delivered);
        if steps > found.deliveries.saturating_sub(self.deliveries) {
            self.archived
        } else {
            found.acked.unwrap_or(0)
        }
    }
}

fn held(found: &Retention) -> u64 {
    (found.last_seq + 1).saturating_sub(found.first_seq)
}

/// Whether the archiver is near enough to the end that what is stored will be archived: it is in
/// what the stream holds, and past its middle.
fn has_room(found: &Retention) -> bool {
    found.acked.is_some_and(|acked| {
        acked + 1 >= found.first_seq && found.last_seq.saturating_sub(acked).saturating_mul(2) <= held(found)
    })
}

/// What is told of these messages is no longer in the stream.
fn lose(shared: &Shared, named: &Named, reopened: &Reopened) {
    let mut edits = shared.edits.lock().unwrap_or_else(PoisonError::into_inner);
    for id in reopened.ids.0..=reopened.ids.1 {
        let id = i64::from(id);
        edits.lose(if reopened.chat == OWN {
            Key::of_account(named.account_no, id)
        } else {
            Key::of_channel(reopened.chat, id)
        });
    }
}

/// Says so, in the log and in AUDIT.
async fn tell(shared: &Shared, named: &Named, epoch: &str, reopened: &[Reopened]) {
    let ids: u64 = reopened.iter().map(|reopened| reopened.count).sum();
    let from = reopened.iter().map(|reopened| reopened.seqs.0).min().unwrap_or(0);
    let to = reopened.iter().map(|reopened| reopened.seqs.1).max().unwrap_or(0);
    tracing::warn!(
        account = %named.account, chats = reopened.len(), ids, from_seq = from, to_seq = to,
        "DETECTIONS dropped events before they were archived: their messages are fetched again"
    );
    let detail = [
        ("epoch", epoch.to_owned()),
        ("from", from.to_string()),
        ("to", to.to_string()),
        ("chats", reopened.len().to_string()),
        ("ids", ids.to_string()),
    ];
    let process = ("listener", &*shared.process.instance);
    let target = format!("stream:{}", subject::DETECTIONS);
    let entry = AuditEvent::new(
        process,
        "reopened",
        clock::now_us(),
        Some(&named.account),
        Some(&target),
        detail,
    );
    let traceparent = TraceParent::unrelated().to_string();
    let Ok(outgoing) = Outgoing::audit(&entry, traceparent) else {
        // Some short strings.
        return;
    };
    if let Err(error) = publish_one(&shared.mesh, &outgoing).await {
        tracing::warn!(%error, "couldn't write to AUDIT which messages are fetched again");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(first_seq: u64, last_seq: u64, acked: Option<u64>) -> Retention {
        Retention {
            epoch: "e".to_owned(),
            first_seq,
            last_seq,
            duplicate_window: Duration::from_mins(10),
            acked,
            delivered: acked.unwrap_or(0),
            deliveries: acked.unwrap_or(0),
        }
    }

    #[test]
    fn what_the_archiver_skipped_is_told_from_what_it_had() {
        let place = Place {
            epoch: "e".to_owned(),
            archived: 100,
            delivered: 100,
            deliveries: 120,
        };
        let mut now = found(201, 400, Some(300));
        (now.delivered, now.deliveries) = (300, 320);
        assert_eq!(place.archived_before(&now), 300, "all of it was delivered");
        now.deliveries = 220;
        assert_eq!(place.archived_before(&now), 100, "half of it was skipped");
        now.epoch = "f".to_owned();
        assert_eq!(place.archived_before(&now), 0);
    }

    #[test]
    fn there_is_room_when_the_archiver_is_in_the_newer_half() {
        assert!(!has_room(&found(101, 200, None)));
        assert!(!has_room(&found(101, 200, Some(80))), "it is still losing");
        assert!(!has_room(&found(101, 200, Some(149))));
        assert!(has_room(&found(101, 200, Some(150))));
        assert!(has_room(&found(201, 200, Some(200))), "an empty stream");
        assert!(has_room(&found(1, 0, Some(0))));
    }
}
