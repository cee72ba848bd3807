//! Bringing a subscription from a position of the past to the head.
//!
//! The ring serves the recent past, windows of the stream the rest. Windows are short, and at most
//! [`WINDOWS_AT_ONCE`] are read at a time, each only when the client has room for it: a thousand
//! clients that come back at once take turns, and the live ones do not notice.

mod told;

use std::sync::Arc;
use std::time::Duration;

use tgmesh_lifecycle::trace::TraceParent;
use tgmesh_proto::frame::{Filter, MAX_LAST, Resume, ServerFrame};
use tgmesh_proto::{headers, subject};
use tgmesh_stream::{Mesh, State, StreamError, stream_state, window};
use tokio::sync::Semaphore;

use crate::event::Event;
use crate::figures::Figures;
use crate::filter::Matcher;
use crate::hub::{Advance, Hub, Place, Seen, Sub};
use crate::mailbox::Item;

/// Windows that are read at a time in this process.
const WINDOWS_AT_ONCE: usize = 8;
/// Sequences of a window: about half a megabyte, a few milliseconds.
const WINDOW: u64 = 512;
/// Events that are taken from the ring at a time.
const FROM_RING: usize = 256;
/// Sequences before the ring that are searched for the `last` events.
const LAST_WITHIN: u64 = 5_000;
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// What resumes share.
#[derive(Debug, Clone)]
pub struct Past {
    hub: Arc<Hub>,
    mesh: Mesh,
    turns: Arc<Semaphore>,
    figures: Figures,
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
        Self {
            hub,
            mesh,
            turns: Arc::new(Semaphore::new(WINDOWS_AT_ONCE)),
            figures,
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
        let (ring, floor, head) = self.hub.recent();
        let mut events: Vec<_> = ring
            .into_iter()
            .rev()
            .filter(|event| wants(&matcher, event))
            .take(last)
            .collect();
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
            let (events, through) = match self.hub.advance(sub, cursor, FROM_RING) {
                Advance::Live => {
                    sub.mailbox.put(Item::Live(sub.key));
                    return Ok(());
                }
                Advance::Over => return Err(Gone),
                Advance::Events(events, through) => (events, through),
                Advance::Behind(floor) => {
                    let window = self.window(sub, cursor + 1, floor.min(cursor + WINDOW), floor).await?;
                    for (from, to) in window.holes {
                        gap(sub, from, to);
                    }
                    let new = |event: &Arc<Event>| seen.insert(event.detection.id, event.seq, event.published_us);
                    (window.events.into_iter().filter(new).collect(), window.through)
                }
            };
            let matcher = sub.matcher();
            // What is not wanted goes now, not when the client has room for the rest.
            let wanted = |event: &Arc<Event>| matcher.wants(&event.detection, &event.address_key);
            let events: Vec<_> = events.into_iter().filter(wanted).collect();
            for event in events {
                self.hand(sub, event).await?;
            }
            sub.mailbox.put(Item::Through(sub.key, through));
            cursor = through;
        }
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

    /// Reads `from..=to`; where the stream holds nothing of it any more, goes on to what is left
    /// of `from..=end`.
    async fn window(&self, sub: &Sub, from: u64, to: u64, end: u64) -> Result<Window, Gone> {
        self.patiently(sub, || async {
            // The semaphore is never closed.
            let _turn = self.turns.acquire().await;
            self.figures.windows.inc();
            let mut reader = window::read(&self.mesh, subject::DETECTIONS, from, Some(to), &[]).await?;
            if self
                .hub
                .place()
                .is_none_or(|place| *place.epoch != *reader.state().epoch)
            {
                return Err(StreamError::Unavailable("the stream has a new epoch".to_owned()));
            }
            let oldest = reader.state().first_seq;
            let through = if oldest > to { end.min(oldest - 1) } else { to };
            let mut window = Window {
                events: Vec::new(),
                holes: Vec::new(),
                through,
            };
            let mut next = from;
            while let Some(delivery) = reader.next().await? {
                if delivery.seq > next {
                    window.holes.push((next, delivery.seq - 1));
                }
                next = delivery.seq + 1;
                let trace = delivery.header(headers::TRACEPARENT).and_then(TraceParent::parse);
                // What cannot be read was counted and told when it was live.
                if let Ok(event) = Event::read(delivery.seq, delivery.published_us, &delivery.payload, trace) {
                    window.events.push(Arc::new(event));
                }
            }
            if next <= through {
                window.holes.push((next, through));
            }
            let ids: Vec<_> = window
                .events
                .iter()
                .map(|event| (event.seq, event.detection.id))
                .collect();
            let repeats = self.hub.repeats(&ids);
            window.events.retain(|event| !repeats.contains(&event.seq));
            Ok(window)
        })
        .await
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

/// Events of a range, and the parts of the range that the stream does not have any more.
struct Window {
    events: Vec<Arc<Event>>,
    holes: Vec<(u64, u64)>,
    /// Where it ends.
    through: u64,
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
