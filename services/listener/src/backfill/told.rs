//! What the streams hold of a chat's past.

use tgmesh_proto::detection::{ChatKind, EventKind};
use tgmesh_proto::{codec, subject};
use tgmesh_stream::{Delivery, Mesh, StreamError, window};

use super::order::Place;
use crate::edits::{Change, Edits, Key, State};
use crate::finding::Finding;
use crate::matches::{Candidates, Matches, Outcome};

/// The clocks of Telegram, of the server and of this host differ, and so do whole seconds.
const CLOCKS_S: i64 = 300;

/// What was told of one chat within the time of an order, and what its order has told since.
pub struct Told {
    edits: Edits,
    matches: Matches,
}

/// Which events are read.
struct Range<'a> {
    place: &'a Place,
    account_no: u32,
}

impl Told {
    /// Reads both streams. Nothing of what an order is about was stored before it was posted.
    ///
    /// # Errors
    /// When a stream does not answer.
    pub async fn load(mesh: &Mesh, since_s: i64, place: &Place, account_no: u32) -> Result<Self, StreamError> {
        let mut told = Self {
            edits: Edits::unbounded_in_time(),
            matches: Matches::unbounded_in_time(),
        };
        let range = Range { place, account_no };
        let filter = subject::detections_of(place.chat_id);
        read(mesh, subject::DETECTIONS, &filter, since_s, |delivery| {
            if let Ok(event) = codec::decode(&delivery.payload)
                && let Some(key) = range.key(event.chat.kind, event.message.id, &event.listener.account)
            {
                told.edits.replay(key, event, stored_s(delivery));
            }
        })
        .await?;
        let filter = subject::matches(place.chat_id);
        read(mesh, subject::MATCHES, &filter, since_s, |delivery| {
            if let Ok(event) = codec::decode_match(&delivery.payload)
                && let Some(key) = range.key(event.chat.kind, event.message.id, &event.listener.account)
            {
                told.matches.replay(key, &event, stored_s(delivery));
            }
        })
        .await?;
        Ok(told)
    }

    /// Notes a message, and says what of its finds is new.
    pub fn message(&mut self, key: Key, state: State, finds: Vec<Finding>, now_s: i64) -> Change {
        match self.edits.message(key, state, finds, now_s, || None) {
            // Nobody has edited it: what is found now and was not then, or the other way round, is
            // the doing of another version of the detector. It takes nothing back.
            Change::Finds(mut changes) if state.edit_date_s == 0 => {
                changes.retain(|(kind, _)| *kind != EventKind::Retracted);
                for (kind, _) in &mut changes {
                    *kind = EventKind::Called;
                }
                Change::Finds(changes)
            }
            change => change,
        }
    }

    /// Notes what else a message has to tell, and says what of that is new.
    pub fn candidates(&mut self, key: Key, state: State, candidates: &Candidates, now_s: i64) -> Outcome {
        self.matches.message(key, state, candidates, now_s)
    }
}

impl Range<'_> {
    /// Names the message, if it is one of those that are to be fetched.
    fn key(&self, kind: ChatKind, message_id: i64, account: &str) -> Option<Key> {
        let ids = i64::from(self.place.from) + 1..=i64::from(self.place.to);
        let is_of_another = kind.numbers_per_account() && account != self.place.account;
        if is_of_another || !ids.contains(&message_id) {
            return None;
        }
        Some(Key::new(self.place.chat_id, kind, self.account_no, message_id))
    }
}

async fn read(
    mesh: &Mesh,
    stream: &str,
    filter: &str,
    since_s: i64,
    mut take: impl FnMut(&Delivery),
) -> Result<(), StreamError> {
    let first_us = u64::try_from(since_s.saturating_sub(CLOCKS_S).saturating_mul(1_000_000)).unwrap_or(0);
    let from = window::start_at(mesh, stream, first_us).await?;
    let mut window = window::read(mesh, stream, from, None, &[filter]).await?;
    while let Some(delivery) = window.next().await? {
        take(&delivery);
    }
    Ok(())
}

fn stored_s(delivery: &Delivery) -> i64 {
    (delivery.published_us / 1_000_000) as i64
}
