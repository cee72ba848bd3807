//! Watch rules and lost links: what a message gives besides addresses.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tgmesh_detect::rules::{Matched, Place};
use tgmesh_lifecycle::clock;
use tgmesh_lifecycle::trace::TraceParent;
use tgmesh_proto::detection::Times;
use tgmesh_proto::{codec, subject};

use super::Worker;
use super::sending::Parcel;
use crate::backfill;
use crate::checkpoint::UnderWay;
use crate::edits::Key;
use crate::event::Subject;
use crate::journey::Journey;
use crate::matches::{self, Candidates, Matches, Outcome, Told};
use crate::message::{Record, Target};
use crate::queue::Seen;

impl Worker {
    /// The rules that match a message, whose secrets are masked.
    pub(super) fn rules_of(&mut self, record: &Record) -> Matched {
        let rules = self.rules.borrow();
        if rules.is_empty() {
            return Matched::default();
        }
        let username = rules
            .needs_username()
            .then(|| self.peers.chat(record.chat_id, record.kind).username)
            .flatten();
        let place = Place {
            chat_id: record.chat_id,
            username: username.as_deref(),
        };
        rules.find(place, parts(record), &mut self.scratch)
    }

    /// What of a message is to be told.
    pub(super) fn tell(
        &self,
        seen: &Seen,
        candidates: &Candidates,
        received_us: i64,
        past: Option<&Mutex<backfill::Told>>,
    ) -> Vec<Told> {
        let (key, state) = self.state(seen);
        let now_s = received_us / 1_000_000;
        let mut known = self.matches();
        let outcome = match past {
            Some(past) if !known.knows(key) => {
                let mut past = past.lock().unwrap_or_else(PoisonError::into_inner);
                let outcome = past.candidates(key, state, candidates, now_s);
                if known.follows(state.date_s, now_s) {
                    let _ = known.message(key, state, candidates, now_s);
                }
                outcome
            }
            _ => known.message(key, state, candidates, now_s),
        };
        drop(known);
        match outcome {
            Outcome::Tell(told) => told,
            Outcome::Stale => {
                self.stats.stale.inc();
                Vec::new()
            }
            Outcome::Forgotten => {
                self.stats.forgotten.inc();
                Vec::new()
            }
        }
    }

    /// Notes a deletion. Whether something was told of the message.
    pub(super) fn untell(&self, key: Key, received_us: i64) -> bool {
        self.matches().delete(key, received_us / 1_000_000)
    }

    fn matches(&self) -> MutexGuard<'_, Matches> {
        self.matches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Publishes what is to be told of a message.
    pub(super) async fn publish_matches(
        &mut self,
        subject: &Subject,
        told: Vec<Told>,
        rules: &[String],
        (received_us, detected_us): (i64, i64),
        (context, journey): (&TraceParent, Option<&Arc<Journey>>),
        events: &mut Vec<UnderWay>,
    ) {
        for told in told {
            let times = Times {
                received_us,
                detected_us,
                published_us: clock::now_us(),
            };
            let event = matches::event(&self.origin, subject.clone(), told, rules.to_vec(), times);
            self.stats.matches(event.event).inc();
            let context = context.child();
            let departure = journey
                .map(|journey| journey.depart(&context, event.id, None, event.event.as_str(), times.published_us));
            let parcel = Parcel {
                subject: subject::matches(event.chat.id),
                id: event.id,
                payload: codec::encode_match(&event),
                departure,
                received_us: (!subject.is_ordered).then_some(received_us),
                detection_of: None,
            };
            self.send(parcel, &context, events).await;
        }
    }
}

/// Everything of a message that a rule may match.
fn parts(record: &Record) -> impl Iterator<Item = &str> {
    let hidden = record.marks.iter().filter_map(|mark| mark.url.as_deref());
    let labels = record.buttons.iter().map(|button| button.label.as_str());
    let targets = record.buttons.iter().filter_map(|button| match &button.target {
        Target::Url(text) | Target::Copy(text) => Some(text.as_str()),
        Target::Other => None,
    });
    let previews = record.links.iter().map(String::as_str);
    std::iter::once(record.text.as_str())
        .chain(hidden)
        .chain(labels)
        .chain(targets)
        .chain(previews)
}
