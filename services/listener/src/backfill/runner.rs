//! Carries orders out with one account, over its connection.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use grammers_tl_types::functions::messages::GetHistory;
use grammers_tl_types::{enums, types};
use tgmesh_lifecycle::clock;
use tgmesh_proto::detection::ChatKind;
use tgmesh_stream::Mesh;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::figures::Figures;
use super::order::{Order, Owner, Place, State};
use super::orders::{Kept, Orders};
use super::pace::Pace;
use super::page::{Page, Tally};
use super::told::Told;
use crate::assignments::{Assignments, Duties};
use crate::connection::{CallError, Calls};
use crate::message::Record;
use crate::peers::{self, Peers};
use crate::pump::{self, History};
use crate::queue::{Seen, Source};
use crate::session::MemorySession;
use crate::slots::Slots;
use crate::watch::Watch;

/// Between two looks when nothing is heard: what depends on time and on duties alone.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// After something that may pass, and at most after it came again and again.
const RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_mins(5);
/// Messages of one answer: Telegram gives no more.
const PAGE: i32 = 100;

/// Fetches the past with one account, for as long as it is held.
pub struct Runner {
    /// Name of the account.
    pub account: Arc<str>,
    /// Its number in this process.
    pub account_no: u32,
    /// Name of the process.
    pub instance: Arc<str>,
    /// Epoch of the account's lease.
    pub epoch: u64,
    /// The broker.
    pub mesh: Mesh,
    /// What is to be fetched.
    pub orders: Orders,
    /// Who lives.
    pub slots: Slots,
    /// Who sees which channel.
    pub assignments: Assignments,
    /// The account's session.
    pub session: Arc<MemorySession>,
    /// What it knows of chats and people.
    pub peers: Arc<Peers>,
    /// Which chats are wanted.
    pub watch: Arc<Watch>,
    /// Which of the channels among them are the account's to watch.
    pub duties: Arc<Duties>,
    /// The way to the account's worker.
    pub worker: mpsc::Sender<Page>,
    /// Permits for pages.
    pub pages: Arc<Semaphore>,
    /// Figures.
    pub figures: Figures,
    /// How often history is asked for.
    pub pace: Pace,
    /// What the streams hold, by the order that it was read for.
    pub told: Option<(String, Arc<Mutex<Told>>)>,
    /// Failures in a row.
    pub failures: u32,
}

/// Why an order is let be for now.
enum Halt {
    /// It is no longer this account's, or over.
    Gone,
    /// Something that may pass.
    Later(String),
    /// This account cannot read the chat.
    Refused(String),
}

/// An order that is being carried out.
struct Work {
    id: String,
    kept: Kept,
    chat_id: i64,
}

impl Runner {
    /// Carries out one order after the other. Safe to cancel: what was under way is looked at again.
    pub async fn work(&mut self, calls: &Calls) -> Infallible {
        let mut changes = self.orders.changes();
        loop {
            changes.mark_unchanged();
            let Some(work) = self.next() else {
                let _ = timeout(LOOK_EVERY, changes.changed()).await;
                continue;
            };
            let id = work.id.clone();
            match self.carry_out(calls, work).await {
                Ok(()) | Err(Halt::Gone) => self.failures = 0,
                Err(Halt::Later(why)) => {
                    let wait = RETRY * 2_u32.saturating_pow(self.failures.min(10));
                    let wait = wait.min(LONGEST_RETRY);
                    self.failures += 1;
                    tracing::info!(account = %self.account, order = id, why, retry_ms = wait.as_millis() as u64, "couldn't go on with the history, trying again");
                    sleep(wait).await;
                }
                Err(Halt::Refused(why)) => self.refuse(&id, &why).await,
            }
        }
    }

    /// The oldest order that this account is to carry out.
    fn next(&self) -> Option<Work> {
        let open = self
            .orders
            .all()
            .into_iter()
            .filter(|(_, kept)| !kept.order.state.is_over());
        let mut open: Vec<_> = open.collect();
        open.sort_by_key(|(_, kept)| kept.order.asked_ms);
        open.into_iter().find_map(|(id, kept)| {
            let chat_id = self.chat_of(&kept.order)?;
            Some(Work { id, kept, chat_id })
        })
    }

    /// The chat of an order that is this account's to carry out.
    fn chat_of(&self, order: &Order) -> Option<i64> {
        let is_refused = order.refused.iter().any(|account| **account == *self.account);
        let is_for_another = order.only.as_deref().is_some_and(|only| only != &*self.account);
        let is_with_another = order.owner.as_ref().is_some_and(|owner| {
            owner.account != *self.account && self.slots.living(std::time::Instant::now()).contains(&owner.account)
        });
        if is_refused || is_for_another || is_with_another {
            return None;
        }
        let chat_id = match &order.place {
            Some(place) => place.chat_id,
            None => self.resolved(&order.chat)?,
        };
        let is_in = || self.watch.has(chat_id) && self.watch.dialogs().is_some_and(|chats| chats.contains(&chat_id));
        let is_mine = match (peers::channel_id(chat_id), &order.only, &order.place) {
            (Some(_), None, _) => self.duties.has(chat_id),
            (Some(_), Some(_), _) | (None, _, None) => is_in(),
            // Its message ids are of one account.
            (None, _, Some(place)) => place.account == *self.account,
        };
        is_mine.then_some(chat_id)
    }

    fn resolved(&self, chat: &str) -> Option<i64> {
        match chat.strip_prefix('@') {
            Some(name) => self.peers.id_of_name(name),
            None => chat.parse().ok(),
        }
    }

    async fn carry_out(&mut self, calls: &Calls, mut work: Work) -> Result<(), Halt> {
        self.claim(&mut work).await?;
        let peer = self.peer(calls, work.chat_id).await?;
        let mut place = match work.kept.order.place.clone() {
            Some(place) => place,
            None => self.find_place(calls, &mut work, &peer).await?,
        };
        let told = self.told(&work, &place).await?;
        let mut limit = PAGE;
        while place.at < place.to {
            let answer = self.ask(calls, &mut work, above(&peer, place.at, limit)).await;
            let history = match answer {
                Ok(history) => history,
                Err(Ask::Unreadable) if limit > 1 => {
                    limit = (limit / 2).max(1);
                    continue;
                }
                Err(Ask::Unreadable) => {
                    place.at += 1;
                    work.kept.order.unreadable += 1;
                    self.save_place(&mut work, &place, Tally::default()).await?;
                    continue;
                }
                Err(Ask::Halt(halt)) => return Err(halt),
            };
            limit = (limit * 2).min(PAGE);
            self.failures = 0;
            let Some((last, last_s, seen)) = self.messages(history, &work.kept.order, &place) else {
                // Nothing comes after this.
                break;
            };
            let tally = self.hand_on(seen, &told).await;
            self.figures.page(tally);
            place.at = last.min(place.to);
            place.at_s = last_s;
            self.save_place(&mut work, &place, tally).await?;
        }
        place.at = place.to;
        work.kept.order.place = Some(place);
        self.end(&mut work).await
    }

    /// Takes the order, if it is not this account's already.
    async fn claim(&mut self, work: &mut Work) -> Result<(), Halt> {
        let owner = Owner {
            account: self.account.to_string(),
            instance: self.instance.to_string(),
            epoch: self.epoch,
        };
        let order = &work.kept.order;
        if order.state == State::Running && order.owner.as_ref() == Some(&owner) {
            return Ok(());
        }
        let mut order = order.clone();
        tracing::info!(account = %self.account, order = work.id, chat_id = work.chat_id, "fetches a chat's history");
        order.state = State::Running;
        order.owner = Some(owner);
        order.began_ms.get_or_insert_with(clock::now_ms);
        // Whoever had it meanwhile has told of it.
        self.told = None;
        self.replace(work, order).await
    }

    /// The chat, as requests name it.
    async fn peer(&self, calls: &Calls, chat_id: i64) -> Result<enums::InputPeer, Halt> {
        if let Some(channel_id) = peers::channel_id(chat_id) {
            let hash = self.peers.channel_hash(channel_id);
            let access_hash = hash.ok_or_else(|| Halt::Later("the channel is not known yet".to_owned()))?;
            let peer = types::InputPeerChannel {
                channel_id,
                access_hash,
            };
            return Ok(peer.into());
        }
        let dialogs = pump::read_dialogs(calls).await;
        let dialogs = dialogs.map_err(|error| Halt::Later(error.to_string()))?;
        let peer = pump::input_peer(chat_id, &dialogs.chats, &dialogs.users);
        peer.ok_or_else(|| Halt::Refused("the account is not in the chat".to_owned()))
    }

    /// Finds the messages that the order begins and ends with.
    async fn find_place(&mut self, calls: &Calls, work: &mut Work, peer: &enums::InputPeer) -> Result<Place, Halt> {
        let mut found = [0; 2];
        for (id, date_s) in found.iter_mut().zip([work.kept.order.since_s, work.kept.order.until_s]) {
            let newest = match self.ask(calls, work, before(peer, date_s)).await {
                Ok(history) => history.messages.iter().map(pump::message_id).max(),
                Err(Ask::Unreadable) => return Err(Halt::Refused("the answer cannot be read".to_owned())),
                Err(Ask::Halt(halt)) => return Err(halt),
            };
            *id = newest.unwrap_or(0);
        }
        let [from, to] = found;
        let kind = match work.chat_id {
            1.. => ChatKind::User,
            id if peers::channel_id(id).is_some() => ChatKind::Supergroup,
            _ => ChatKind::Group,
        };
        let chat = self.peers.chat(work.chat_id, kind);
        let place = Place {
            chat_id: work.chat_id,
            kind: chat.kind,
            title: chat.title,
            account: self.account.to_string(),
            from,
            to: to.max(from),
            at: from,
            at_s: work.kept.order.since_s,
        };
        self.save_place(work, &place, Tally::default()).await?;
        Ok(place)
    }

    /// What the streams hold of the chat, read once for an order.
    async fn told(&mut self, work: &Work, place: &Place) -> Result<Arc<Mutex<Told>>, Halt> {
        if let Some((id, told)) = &self.told
            && *id == work.id
        {
            return Ok(Arc::clone(told));
        }
        let (mesh, since_s, place, number) = (
            self.mesh.clone(),
            work.kept.order.since_s,
            place.clone(),
            self.account_no,
        );
        // Apart from the account's own task, which has live messages to take.
        let loading = tokio::spawn(async move { Told::load(&mesh, since_s, &place, number).await });
        let told = match AbortOnDropHandle::new(loading).await {
            Ok(told) => told.map_err(|error| Halt::Later(error.to_string()))?,
            Err(error) => return Err(Halt::Later(error.to_string())),
        };
        let told = Arc::new(Mutex::new(told));
        self.told = Some((work.id.clone(), Arc::clone(&told)));
        Ok(told)
    }

    /// Asks for history when it is time to; `work` is looked at meanwhile.
    async fn ask(&mut self, calls: &Calls, work: &mut Work, request: GetHistory) -> Result<History, Ask> {
        loop {
            self.still_mine(work)?;
            if timeout(LOOK_EVERY, self.pace.turn()).await.is_err() {
                continue;
            }
            self.figures.requests.inc();
            work.kept.order.requests += 1;
            match calls.call_in_spare_time(&request).await {
                Ok(answer) => {
                    work.kept.order.waits_until_ms = None;
                    return Ok(pump::history_of(answer));
                }
                Err(CallError::Flood(wait)) => {
                    self.pace.closed_for(wait);
                    let mut order = work.kept.order.clone();
                    order.waits_until_ms =
                        Some(clock::now_ms() + i64::try_from(wait.as_millis()).unwrap_or(i64::MAX / 2));
                    self.replace(work, order).await?;
                }
                Err(error) if error.is_unreadable() => return Err(Ask::Unreadable),
                Err(CallError::Refused { code: 500.., name }) => return Err(Halt::Later(name).into()),
                Err(error @ CallError::Refused { .. }) => return Err(Halt::Refused(error.to_string()).into()),
                Err(error) => return Err(Halt::Later(error.to_string()).into()),
            }
        }
    }

    /// The order as others see it: it may have been taken back, or have become another's.
    fn still_mine(&self, work: &mut Work) -> Result<(), Halt> {
        let now = self.orders.get(&work.id).ok_or(Halt::Gone)?;
        if now.revision != work.kept.revision || self.chat_of(&work.kept.order) != Some(work.chat_id) {
            return Err(Halt::Gone);
        }
        Ok(())
    }

    /// The last message of a page and its date, and those that are wanted, oldest first; nothing
    /// when the page has none behind the place.
    fn messages(&self, history: History, order: &Order, place: &Place) -> Option<(i32, i64, Vec<Seen>)> {
        if self.peers.learn(history.chats, history.users, &self.watch) {
            self.session.save_channels(self.peers.channels());
        }
        let mut messages = history.messages;
        messages.retain(|message| pump::message_id(message) > place.at);
        messages.sort_unstable_by_key(pump::message_id);
        let last = pump::message_id(messages.last()?);
        let mut last_s = place.at_s;
        let self_id = self.session.user_id();
        let mut seen = Vec::with_capacity(messages.len());
        for message in messages {
            if pump::message_id(&message) > place.to {
                break;
            }
            let Some(record) = Record::of(message, self_id) else {
                continue;
            };
            let date_s = i64::from(record.date_s);
            last_s = last_s.max(date_s);
            if record.chat_id != place.chat_id || !(order.since_s..order.until_s).contains(&date_s) {
                continue;
            }
            seen.push(Seen {
                record,
                is_edit: false,
                pts: 0,
                source: Source::History,
            });
        }
        Some((last, last_s, seen))
    }

    /// Gives messages to the worker and waits until what they tell is in the streams.
    async fn hand_on(&self, messages: Vec<Seen>, told: &Arc<Mutex<Told>>) -> Tally {
        if messages.is_empty() {
            return Tally::default();
        }
        // It is never closed.
        let _permit = self.pages.acquire().await;
        let (page, settled) = Page::new(messages, Arc::clone(told), clock::now_us());
        let is_sent = self.worker.send(page).await.is_ok();
        match settled.await {
            Ok(tally) if is_sent => tally,
            // The account is being let go.
            _ => std::future::pending().await,
        }
    }

    async fn save_place(&self, work: &mut Work, place: &Place, tally: Tally) -> Result<(), Halt> {
        let mut order = work.kept.order.clone();
        order.place = Some(place.clone());
        order.messages += tally.messages;
        order.finds += tally.finds;
        order.events += tally.events;
        self.replace(work, order).await
    }

    async fn end(&mut self, work: &mut Work) -> Result<(), Halt> {
        let mut order = work.kept.order.clone();
        order.state = State::Done;
        order.waits_until_ms = None;
        self.replace(work, order).await?;
        self.told = None;
        self.figures.ended(State::Done);
        let order = &work.kept.order;
        tracing::info!(
            account = %self.account, order = work.id, chat_id = work.chat_id, messages = order.messages,
            finds = order.finds, events = order.events, requests = order.requests, "fetched a chat's history"
        );
        Ok(())
    }

    /// Writes the order, however long that takes; not when somebody else has changed it.
    async fn replace(&self, work: &mut Work, mut order: Order) -> Result<(), Halt> {
        order.changed_ms = clock::now_ms();
        let replaced = self.orders.replace(&work.id, work.kept.revision, order.clone()).await;
        match replaced {
            Ok(Some(kept)) => {
                work.kept = kept;
                Ok(())
            }
            Ok(None) => Err(Halt::Gone),
            // It may have been written: whoever looks next finds out.
            Err(error) => Err(Halt::Later(error.to_string())),
        }
    }

    /// Leaves an order to other accounts, or ends it where none is left.
    async fn refuse(&mut self, id: &str, why: &str) {
        self.told = None;
        let Ok(Some(kept)) = self.orders.load(id).await else {
            return sleep(RETRY).await;
        };
        let mut order = kept.order;
        let Some(chat_id) = self.chat_of(&order) else { return };
        order.refuse(&self.account);
        order.owner = None;
        let others = self
            .assignments
            .row(chat_id)
            .map(|row| row.assignment.seen_by)
            .unwrap_or_default();
        let is_last = order.only.is_some() || others.iter().all(|account| order.refused.contains(account));
        order.state = if is_last { State::Failed } else { State::Waiting };
        order.why = Some(format!("{}: {why}", self.account));
        order.changed_ms = clock::now_ms();
        tracing::warn!(account = %self.account, order = id, chat_id, why, is_last, "couldn't read a chat's history");
        match self.orders.replace(id, kept.revision, order).await {
            Ok(Some(kept)) => self.figures.ended(kept.order.state),
            Ok(None) => {}
            Err(_) => sleep(RETRY).await,
        }
    }
}

/// Why there is no answer.
enum Ask {
    Unreadable,
    Halt(Halt),
}

impl From<Halt> for Ask {
    fn from(halt: Halt) -> Self {
        Self::Halt(halt)
    }
}

/// The messages right above one, which need not exist.
fn above(peer: &enums::InputPeer, at: i32, limit: i32) -> GetHistory {
    GetHistory {
        peer: peer.clone(),
        offset_id: at.saturating_add(1),
        offset_date: 0,
        add_offset: -limit,
        limit,
        max_id: 0,
        // A low one makes Telegram answer with nothing at all.
        min_id: 0,
        hash: 0,
    }
}

/// The newest message before a date.
fn before(peer: &enums::InputPeer, date_s: i64) -> GetHistory {
    GetHistory {
        peer: peer.clone(),
        offset_id: 0,
        offset_date: i32::try_from(date_s).unwrap_or(i32::MAX),
        add_offset: 0,
        limit: 1,
        max_id: 0,
        min_id: 0,
        hash: 0,
    }
}
