//! Bringing a subscription from a position of the past to the head.
//!
//! The ring serves the recent past, [`windows`] of the stream the rest. Windows are short, shared, and
//! few are read at a time, each only when the client has room for it: a thousand clients that come
//! back at once take turns, in memory as well, and the live ones do not notice. A client that has no
//! more room holds on to nothing: it comes again for what is left.

mod told;
mod windows;

use std::sync::Arc;
use std::time::Duration;

use tgmesh_proto::frame::{Filter, MAX_LAST, Resume, ServerFrame};
use tgmesh_proto::subject;
use tgmesh_stream::{Mesh, State, StreamError, stream_state};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::event::Event;
use crate::figures::Figures;
use crate::filter::Matcher;
use crate::hub::{Advance, Hub, Place, Seen, Sub};
use crate::mailbox::Item;
use windows::{WINDOW, Window, Windows};

/// Events that are taken from the ring at a time: some ten microseconds.
const FROM_RING: usize = 256;
/// Clients that take events from the ring at a time. All others wait apart from the runtime's queue,
/// in which the live ones stand.
const IN_MEMORY_AT_ONCE: usize = 4;
/// Sequences before the ring that are searched for the `last` events.
const LAST_WITHIN: u64 = 5_000;
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// What resumes share.
#[derive(Debug, Clone)]
pub struct Past {
    hub: Arc<Hub>,
    mesh: Mesh,
    windows: Arc<Windows>,
    turns: Arc<Semaphore>,
}

/// Where a subscription comes from.
#[derive(Debug)]
pub enum From {
    /// It is new: it has to be told `subscribed` with this filter first.
    Client(Resume, Box<Filter>),
    /// It was put behind after this sequence.
    Cursor(u64),
}

/// The client is gone: nothing is left to do.
struct Gone;

impl Past {
    /// Resumes out of this hub and stream.
    #[must_use]
    pub fn new(hub: Arc<Hub>, mesh: Mesh, figures: Figures) -> Self {
        let windows = Windows::new(Arc::clone(&hub), mesh.clone(), figures);
        Self {
            hub,
            mesh,
            windows: Arc::new(windows),
            turns: Arc::new(Semaphore::new(IN_MEMORY_AT_ONCE)),
        }
    }

    /// Brings a subscription to the head and makes it live. Waits through outages; ends early only
    /// when the client is gone.
    pub async fn bring(self, sub: Arc<Sub>, from: From) {
        let cursor = match from {
            From::Cursor(cursor) => Ok(cursor),
            From::Client(Resume::After { epoch, after, since }, filter) => {
                self.after(&sub, &epoch, (since, after), *filter).await
            }
            From::Client(Resume::Last { last }, filter) => self.last(&sub, last.min(MAX_LAST) as usize, *filter).await,
        };
        if let Ok(cursor) = cursor {
            sub.mailbox.put(Item::Through(sub.key, cursor));
            // The error is the end of the client; who waits for this task has ended it.
            let _ = self.advance(&sub, cursor).await;
        }
    }

    /// Answers `{"epoch", "after"}`. Returns where to go on.
    async fn after(
        &self,
        sub: &Sub,
        epoch: &str,
        (since, after): (Option<u64>, u64),
        filter: Filter,
    ) -> Result<u64, Gone> {
        let place = self.place().await;
        let floor = self.hub.recent_floor();
        if *place.epoch == *epoch && (floor..=place.seq).contains(&after) {
            sub.mailbox.put(subscribed(sub, &place, filter, true, None));
            self.remember(sub, since, after).await?;
            return Ok(after);
        }
        let state = self.state(sub).await?;
        let last = state.last_seq.max(place.seq);
        let seq = Place {
            seq: last,
            ..place.clone()
        };
        let oldest = state.first_seq.max(1);
        let recovered = state.epoch == epoch && oldest - 1 <= after && after <= last;
        sub.mailbox
            .put(subscribed(sub, &seq, filter, recovered, (!recovered).then_some(oldest)));
        if recovered {
            self.remember(sub, since, after).await?;
            return Ok(after);
        }
        if state.epoch != epoch {
            // Nobody can tell what of the new epoch this client knows. It may ask for `oldest`.
            gap(sub, oldest, last);
            return Ok(last);
        }
        if after < oldest {
            gap(sub, after + 1, oldest - 1);
            return Ok(oldest - 1);
        }
        // It claims to have seen what the stream does not have.
        Ok(last)
    }

    /// Answers `{"last": N}`: the last N events that the filter lets pass.
    async fn last(&self, sub: &Sub, last: usize, filter: Filter) -> Result<u64, Gone> {
        let place = self.place().await;
        let matcher = sub.matcher();
        let turn = self.turn().await;
        let (ring, floor, head) = self.hub.recent();
        let mut events: Vec<_> = ring
            .into_iter()
            .rev()
            .filter(|event| wants(&matcher, event))
            .take(last)
            .collect();
        drop(turn);
        if events.len() < last && floor > 0 {
            let found = self.search(sub, &matcher, floor).await?;
            events.extend(found.into_iter().rev().take(last - events.len()));
        }
        sub.mailbox
            .put(subscribed(sub, &Place { seq: head, ..place }, filter, false, None));
        for event in events.into_iter().rev() {
            self.hand(sub, event).await?;
        }
        Ok(head)
    }

    /// Wanted events of the stream up to `to`, as far back as [`LAST_WITHIN`].
    async fn search(&self, sub: &Sub, matcher: &Matcher, to: u64) -> Result<Vec<Arc<Event>>, Gone> {
        let first = self.state(sub).await?.first_seq;
        let mut from = first.max(to.saturating_sub(LAST_WITHIN) + 1);
        let mut found = Vec::new();
        while from <= to {
            let end = to.min(from + WINDOW - 1);
            let window = self.window(sub, from, end, to).await?;
            found.extend(window.events.into_iter().filter(|event| wants(matcher, event)));
            // No more than can be asked for: the oldest go first.
            let extra = found.len().saturating_sub(MAX_LAST as usize);
            found.drain(..extra);
            from = window.through + 1;
        }
        Ok(found)
    }

    async fn advance(&self, sub: &Arc<Sub>, mut cursor: u64) -> Result<(), Gone> {
        // Repeats within the past that this process did not see itself.
        let mut seen = Seen::default();
        loop {
            let mut turn = self.turn().await;
            let mut window = match self.hub.advance(sub, cursor, FROM_RING) {
                Advance::Live => {
                    sub.mailbox.put(Item::Live(sub.key));
                    return Ok(());
                }
                Advance::Over => return Err(Gone),
                Advance::Events { events, holes, through } => Window { events, holes, through },
                Advance::Behind(floor) => {
                    drop(turn.take());
                    let mut window = self.window(sub, cursor + 1, floor.min(cursor + WINDOW), floor).await?;
                    // What was not handed over is read again, and is no repeat then.
                    window.events.retain(|event| {
                        let id = event.detection.id;
                        seen.insert(id, event.seq, event.published_us) || seen.first(&id) == Some(event.seq)
                    });
                    window
                }
            };
            let matcher = sub.matcher();
            // What is not wanted goes now, not when the client has room for the rest.
            window
                .events
                .retain(|event| matcher.wants(&event.detection, &event.address_key));
            let through = window.through;
            cursor = fill(sub, window, cursor);
            sub.mailbox.put(Item::Through(sub.key, cursor));
            drop(turn);
            if cursor < through && !sub.mailbox.room().await {
                return Err(Gone);
            }
        }
    }

    /// A turn in memory, one after the other as they asked. There always is one: the semaphore is
    /// never closed.
    async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.turns.acquire().await.ok()
    }

    async fn hand(&self, sub: &Sub, event: Arc<Event>) -> Result<(), Gone> {
        if !sub.mailbox.room().await {
            return Err(Gone);
        }
        sub.mailbox.put(Item::Event(sub.key, event));
        Ok(())
    }

    /// The hub's place; it has one when clients are let in.
    async fn place(&self) -> Place {
        loop {
            if let Some(place) = self.hub.place() {
                return place;
            }
            // A new epoch: this client is about to be sent away.
            tokio::time::sleep(FIRST_WAIT).await;
        }
    }

    async fn state(&self, sub: &Sub) -> Result<State, Gone> {
        self.patiently(sub, || stream_state(&self.mesh, subject::DETECTIONS))
            .await
    }

    /// See [`Windows::read`].
    async fn window(&self, sub: &Sub, from: u64, to: u64, end: u64) -> Result<Window, Gone> {
        self.patiently(sub, || self.windows.read(from, to, end)).await
    }

    /// Tries until it succeeds or the client is gone.
    async fn patiently<T, F>(&self, sub: &Sub, attempt: impl Fn() -> F) -> Result<T, Gone>
    where
        F: Future<Output = Result<T, StreamError>>,
    {
        let mut wait = FIRST_WAIT;
        loop {
            // Before any work: a client that cannot take more does not take a turn from others.
            if !sub.mailbox.room().await {
                return Err(Gone);
            }
            match attempt().await {
                Ok(value) => return Ok(value),
                Err(error) => tracing::debug!(%error, sub = sub.key, "couldn't read the past, trying again"),
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }
}

/// Hands over as much of a window, in order, as there is room for. Returns the place up to which the
/// subscription is complete.
fn fill(sub: &Sub, window: Window, mut cursor: u64) -> u64 {
    let mut holes = window.holes.into_iter().peekable();
    for event in window.events {
        let seq = event.seq;
        while let Some((from, to)) = holes.next_if(|&(_, to)| to < seq) {
            gap(sub, from.max(cursor + 1), to);
            cursor = to;
        }
        if !sub.mailbox.fill(sub, event) {
            return cursor;
        }
        cursor = seq;
    }
    for (from, to) in holes {
        gap(sub, from.max(cursor + 1), to);
    }
    window.through
}

fn gap(sub: &Sub, from: u64, to: u64) {
    if from <= to {
        sub.mailbox.put(Item::Gap { key: sub.key, from, to });
    }
}

fn wants(matcher: &Matcher, event: &Event) -> bool {
    matcher.wants(&event.detection, &event.address_key) && matcher.text_matches(&event.detection.message.text)
}

fn subscribed(sub: &Sub, place: &Place, filter: Filter, recovered: bool, oldest: Option<u64>) -> Item {
    let frame = ServerFrame::Subscribed {
        id: sub.id.to_string(),
        epoch: place.epoch.to_string(),
        seq: place.seq,
        filter,
        recovered,
        oldest,
    };
    Item::Frame(sub.key, Box::new(frame))
}
