//! From a received message to events under way: detect, compare with what is known, publish.

mod matching;
mod sending;

use std::sync::{Arc, Mutex, PoisonError};

use tgmesh_detect::rules::Scratch;
use tgmesh_detect::{Detector, Findings, Input};
use tgmesh_lifecycle::clock;
use tgmesh_lifecycle::trace::late::Recent;
use tgmesh_lifecycle::trace::{self, TraceParent};
use tgmesh_proto::detection::{EventKind, Times};
use tgmesh_proto::{codec, subject};
use tgmesh_stream::lease::Tenure;
use tgmesh_stream::publish::Publisher;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::backfill::{self, Page};
use crate::checkpoint::{Checkpoint, UnderWay};
use crate::edits::{self, Edits, Key, State};
use crate::event::{self, Origin, Subject};
use crate::finding::Finding;
use crate::journey::{Hop, Journey, Stages};
use crate::ledger;
use crate::masking;
use crate::matches::{Candidates, Matches};
use crate::peers::Peers;
use crate::queue::{Change, Entry, Receiver, Seen, Source};
use crate::races::Races;
use crate::rules;
use crate::seen;
use crate::stats::Stats;
use sending::Parcel;

/// The fewest bytes of a name that can hold an address.
const SHORTEST_NAME: usize = 30;

/// Entries that share one place in the checkpoint.
const BATCH: usize = 256;

/// The worker of one account: its messages are handled in the order of their arrival.
pub struct Worker {
    /// Names in the events.
    pub origin: Origin,
    /// Number of the account in this process.
    pub account_no: u32,
    /// Nothing is published once it is over.
    pub tenure: Tenure,
    /// Finds addresses.
    pub detector: Arc<Detector>,
    /// What messages held before.
    pub edits: Arc<Mutex<Edits>>,
    /// What was told of messages besides addresses.
    pub matches: Arc<Mutex<Matches>>,
    /// The watch rules.
    pub rules: rules::Current,
    /// Room for matching them.
    pub scratch: Scratch,
    /// Where addresses were seen before.
    pub seen: Arc<seen::Memory>,
    /// Who is first where several accounts watch a channel.
    pub races: Races,
    /// Names of chats and people.
    pub peers: Arc<Peers>,
    /// The way to the stream.
    pub publisher: Publisher,
    /// Where the account's place is moved.
    pub checkpoint: Checkpoint,
    /// Pages of the past; they wait for whatever is live.
    pub past: mpsc::Receiver<Page>,
    /// Hops of recent messages.
    pub hops: Arc<Recent<Hop>>,
    /// Figures.
    pub stats: Stats,
}

impl Worker {
    /// Works until the queue has ended or `stop` is cancelled. What is left then lies behind the
    /// account's place and is fetched again at the next start.
    pub async fn run(mut self, mut queue: Receiver, stop: CancellationToken) {
        let mut batch = Vec::with_capacity(BATCH);
        let mut found = Findings::default();
        let mut page = None;
        loop {
            let received = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                received = queue.receive(&mut batch, BATCH) => received,
                () = next_page(&mut self.past, &mut page) => {
                    if !self.tenure.holds() {
                        return;
                    }
                    self.piece(&mut page, &mut found).await;
                    continue;
                }
            };
            if received == 0 || !self.tenure.holds() {
                return;
            }
            let mut events = Vec::new();
            let mut reached = Vec::new();
            let mut accounts = Vec::with_capacity(received);
            for entry in batch.drain(..) {
                let size = entry.size();
                reached.extend(entry.reached);
                accounts.extend(entry.change.iter().flat_map(Change::accounts));
                self.handle(entry, &mut found, &mut events).await;
                queue.done(size);
            }
            self.checkpoint.note(events, accounts, reached);
        }
    }

    /// Handles a piece of a page.
    async fn piece(&mut self, page: &mut Option<Page>, found: &mut Findings) {
        let Some(current) = page else { return };
        let told = Arc::clone(&current.told);
        let received_us = current.received_us;
        let mut events = Vec::new();
        for seen in current.piece() {
            let finds = self.message(seen, received_us, Some(&*told), found, &mut events).await;
            current.tally.messages += 1;
            current.tally.finds += finds as u64;
        }
        current.tally.events += events.len() as u64;
        let settled = if current.is_done() { page.take() } else { None };
        self.checkpoint.note_past(events, settled.map(Page::into_settled));
    }

    async fn handle(&mut self, entry: Entry, found: &mut Findings, events: &mut Vec<UnderWay>) {
        match entry.change {
            None | Some(Change::Passed(_)) => {}
            Some(Change::Message(seen)) => {
                self.message(*seen, entry.received_us, None, found, events).await;
            }
            Some(Change::Deleted { chat_id, ids }) => {
                for id in ids {
                    self.deletion(chat_id, id, entry.received_us, events).await;
                }
            }
        }
    }

    /// Searches a message and tells what is new in it: against what is known, or, where it is one of
    /// the past, against what the streams hold as well. Gives the number of its finds.
    async fn message(
        &mut self,
        mut seen: Seen,
        received_us: i64,
        past: Option<&Mutex<backfill::Told>>,
        found: &mut Findings,
        events: &mut Vec<UnderWay>,
    ) -> usize {
        self.stats.messages.inc();
        if seen.is_edit {
            self.stats.edits.inc();
        }
        if seen.source == Source::Live && !seen.is_edit {
            self.observe_delay(received_us, seen.record.date_s);
            let (chat_id, id) = (seen.record.chat_id, i64::from(seen.record.id));
            self.races.received(chat_id, id, &self.origin.account, received_us);
        }
        let taken_us = clock::now_us();
        self.detect(&seen, found);
        masking::hide(&mut seen.record, found);
        let detected_us = clock::now_us();
        let found_count = found.finds.len();
        let matched = self.rules_of(&seen.record);
        let mut candidates = Candidates {
            rules: (matched.publish && found.finds.is_empty()).then(|| matched.names.clone()),
            ..Candidates::default()
        };
        candidates.take(found.unresolved.drain(..));
        let finds: Vec<_> = found.finds.drain(..).map(Finding::from).collect();
        let Some(changes) = self.compare(&seen, finds, received_us, past) else {
            return found_count;
        };
        let told = self.tell(&seen, &candidates, received_us, past);
        if changes.is_empty() && told.is_empty() {
            return found_count;
        }
        let sender = seen.record.sender.map(|id| self.peers.sender(id));
        let mut subject = Subject::of(&seen.record, sender, seen.source == Source::History, &self.peers);
        subject.is_ordered = past.is_some();
        let times = (received_us, detected_us);
        let context = trace::root();
        let stages = Stages {
            received_us,
            taken_us,
            detected_us,
        };
        let of = (seen.record.chat_id, i64::from(seen.record.id));
        let journey = Journey::begin(&self.hops, &context, of, stages, found_count);
        let trail = (&context, journey.as_ref());
        self.publish_matches(&subject, told, &matched.names, times, trail, events)
            .await;
        if !changes.is_empty() {
            if past.is_none() {
                let took = u64::try_from(detected_us - received_us).unwrap_or(0);
                self.stats.received_to_detected.observe_traced(took, Some(context));
            }
            self.publish(subject, changes, matched.names, times, trail, events)
                .await;
        }
        found_count
    }

    fn detect(&self, seen: &Seen, found: &mut Findings) {
        let record = &seen.record;
        // Most messages have no marks, buttons or links: then nothing is allocated here.
        let entities: Vec<_> = record.marks.iter().map(crate::message::Mark::to_detect).collect();
        let buttons: Vec<_> = record
            .buttons
            .iter()
            .filter_map(crate::message::Button::to_detect)
            .collect();
        let links: Vec<_> = record.links.iter().map(String::as_str).collect();
        // A name too short for any address is not worth a look.
        let name = |id: i64| self.peers.name(id).filter(|name| name.len() >= SHORTEST_NAME);
        let name = |id| name(id).map(masking::hidden_in_name);
        let sender = record.sender.filter(|&id| id != record.chat_id).and_then(name);
        let chat = name(record.chat_id);
        let names = [
            sender.as_deref().map(tgmesh_detect::Name::Sender),
            chat.as_deref().map(tgmesh_detect::Name::Chat),
        ];
        let names: Vec<_> = names.into_iter().flatten().collect();
        let input = Input {
            text: &record.text,
            entities: &entities,
            buttons: &buttons,
            links: &links,
            quote: record.quote.as_deref().unwrap_or_default(),
            names: &names,
            ..Input::default()
        };
        self.detector.find(&input, found);
    }

    /// What changed against the state that is known; nothing when this one is not newer.
    fn compare(
        &self,
        seen: &Seen,
        finds: Vec<Finding>,
        received_us: i64,
        past: Option<&Mutex<backfill::Told>>,
    ) -> Option<Vec<(EventKind, Finding)>> {
        let record = &seen.record;
        let (key, state) = self.state(seen);
        let sender = || record.sender.map(|id| self.peers.sender(id));
        let now_s = received_us / 1_000_000;
        let mut known = self.edits();
        let change = match past {
            Some(past) if !known.knows(key) => {
                // The far past is not remembered: it would crowd out what may be edited yet.
                if known.follows(state.date_s, now_s) {
                    let _ = known.message(key, state, finds.clone(), now_s, sender);
                }
                let mut past = past.lock().unwrap_or_else(PoisonError::into_inner);
                past.message(key, state, finds, now_s)
            }
            _ => known.message(key, state, finds, now_s, sender),
        };
        drop(known);
        match change {
            edits::Change::Finds(changes) => Some(changes),
            edits::Change::Stale => {
                self.stats.stale.inc();
                None
            }
            edits::Change::Forgotten => {
                self.stats.forgotten.inc();
                None
            }
        }
    }

    fn state(&self, seen: &Seen) -> (Key, State) {
        let record = &seen.record;
        // The chat itself knows its kind best; it decides whose numbering the id belongs to, as
        // the message does.
        let key = Key::new(record.chat_id, record.kind, self.account_no, i64::from(record.id));
        let state = State {
            chat_id: record.chat_id,
            kind: record.kind,
            date_s: i64::from(record.date_s),
            edit_date_s: i64::from(record.edit_date_s),
            pts: seen.pts,
            is_edit: seen.is_edit,
            edit_hidden: record.edit_hidden,
        };
        (key, state)
    }

    async fn deletion(&mut self, chat_id: Option<i64>, id: i32, received_us: i64, events: &mut Vec<UnderWay>) {
        self.stats.deletions.inc();
        let taken_us = clock::now_us();
        let key = match chat_id {
            Some(chat_id) => Key::of_channel(chat_id, i64::from(id)),
            None => Key::of_account(self.account_no, i64::from(id)),
        };
        let was_told = self.untell(key, received_us);
        let gone = self.edits().delete(key, received_us / 1_000_000);
        let Some((known, finds)) = gone else {
            if !was_told {
                self.stats.unknown_deletions.inc();
            }
            return;
        };
        let subject = Subject::gone(&known, i64::from(id), &self.peers);
        let changes = finds.into_iter().map(|find| (EventKind::Retracted, find)).collect();
        let detected_us = clock::now_us();
        let times = (received_us, detected_us);
        let context = trace::root();
        let stages = Stages {
            received_us,
            taken_us,
            detected_us,
        };
        let of = (known.chat_id, i64::from(id));
        let journey = Journey::begin(&self.hops, &context, of, stages, 0);
        self.publish(
            subject,
            changes,
            Vec::new(),
            times,
            (&context, journey.as_ref()),
            events,
        )
        .await;
    }

    async fn publish(
        &mut self,
        subject: Subject,
        changes: Vec<(EventKind, Finding)>,
        rules: Vec<String>,
        (received_us, detected_us): (i64, i64),
        (context, journey): (&TraceParent, Option<&Arc<Journey>>),
        events: &mut Vec<UnderWay>,
    ) {
        let is_ordered = subject.is_ordered;
        let mut changes = changes.into_iter().peekable();
        let mut subject = Some(subject);
        while let Some((kind, find)) = changes.next() {
            // The last event takes the message over.
            let of = if changes.peek().is_some() {
                subject.clone()
            } else {
                subject.take()
            };
            let Some(of) = of else { return };
            let times = Times {
                received_us,
                detected_us,
                published_us: clock::now_us(),
            };
            let mut event = event::detection(&self.origin, of, kind, find, rules.clone(), times);
            event.seen_before = self.seen.recall(&event, times.published_us / 1_000_000);
            self.stats.detections(event.family).inc();
            let context = context.child();
            let (family, kind) = (Some(event.family), event.event.as_str());
            let departure = journey.map(|journey| journey.depart(&context, event.id, family, kind, times.published_us));
            let parcel = Parcel {
                subject: subject::detection(event.chat.id, event.family),
                id: event.id,
                payload: codec::encode(&event),
                departure,
                received_us: (!is_ordered).then_some(received_us),
                detection_of: i32::try_from(event.message.id)
                    .ok()
                    .filter(|_| !is_ordered)
                    .map(|id| (ledger::chapter_of(event.chat.id, event.chat.kind), id)),
            };
            self.send(parcel, &context, events).await;
        }
    }

    fn observe_delay(&self, received_us: i64, date_s: i32) {
        match u64::try_from(received_us - i64::from(date_s) * 1_000_000) {
            Ok(delay_us) => self.stats.post_to_received.observe_us(delay_us),
            Err(_) => self.stats.post_to_received_negative.inc(),
        }
    }

    fn edits(&self) -> std::sync::MutexGuard<'_, Edits> {
        self.edits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits until there is a page to be handled. Safe to cancel.
async fn next_page(pages: &mut mpsc::Receiver<Page>, page: &mut Option<Page>) {
    if page.is_none() {
        *page = pages.recv().await;
    }
    if page.is_none() {
        // Nobody fetches any.
        std::future::pending::<()>().await;
    }
}
