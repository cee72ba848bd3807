//! Matches: what is told of messages besides addresses, and what of it has been told.
//!
//! The memory is there for edits: a later state of a message is told only where it says something
//! new. It is bounded as the memory of finds is, and rebuilt from the stream at a start as well. What
//! an edit takes away is not told.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tgmesh_detect::UnresolvedLink;
use tgmesh_lifecycle::clock;
use tgmesh_proto::SCHEMA_VERSION;
use tgmesh_proto::codec::{self, MAX_LINK_BYTES, MAX_NAME_BYTES};
use tgmesh_proto::detection::Times;
use tgmesh_proto::id::{MatchIdParts, Matched};
use tgmesh_proto::matched::{Match, MatchKind};
use tgmesh_proto::subject;
use tgmesh_stream::{Mesh, StreamError, stream_state, window};
use tokio_util::sync::CancellationToken;

use crate::edits::{Key, State};
use crate::event::{self, Origin, Subject};
use crate::masking;

/// Most messages that are remembered; about 200 bytes each. The oldest go first.
const MAX_MESSAGES: usize = 100_000;
/// Most events that are read at a start.
const MAX_EVENTS: u64 = 2 * MAX_MESSAGES as u64;
/// Events that are read at once while others are followed.
const MAX_PAGE: u64 = 5_000;
/// Between two looks at what others told.
const FOLLOW_EVERY: Duration = Duration::from_secs(1);
/// Most unresolved links of one message that are told.
const MAX_LINKS: usize = 64;

/// What a state of a message has to tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Candidates {
    /// Rules that publish matched, and there is no address: the names of all that matched.
    pub rules: Option<Vec<String>>,
    /// Links whose address is lost.
    pub links: Vec<Link>,
}

/// A link whose address is lost, with bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    site: String,
    chain: Option<String>,
    raw: String,
    url: String,
}

/// One thing to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// `rule_matched`.
    Rules,
    /// `unresolved_link`.
    Link(Link),
}

/// What became of a state.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// This is to be told; empty where nothing is new.
    Tell(Vec<Told>),
    /// It is older than the one that is known.
    Stale,
    /// Telegram touched an old message of which nothing is known any more.
    Forgotten,
}

/// The memory.
#[derive(Debug)]
pub struct Matches {
    window: Duration,
    limit: usize,
    hasher: RandomState,
    messages: HashMap<Key, Known>,
    /// Keys by the time of their change; a later change leaves the earlier entry behind.
    order: VecDeque<(i64, Key)>,
}

/// What was told of a message last, as hashes.
#[derive(Debug, Default)]
struct Known {
    rules: Option<u64>,
    links: Vec<u64>,
    edit_date_s: i64,
    pts: i32,
    deleted: bool,
    changed_s: i64,
}

impl Candidates {
    /// Whether there is nothing to tell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_none() && self.links.is_empty()
    }

    /// Takes over what the detector found, each link once.
    pub fn take(&mut self, unresolved: impl IntoIterator<Item = UnresolvedLink>) {
        for found in unresolved {
            let link = Link {
                site: found.site.to_owned(),
                chain: found.chain.map(str::to_owned),
                raw: bounded(found.raw, MAX_NAME_BYTES),
                url: bounded(found.link, MAX_LINK_BYTES),
            };
            if self.links.len() < MAX_LINKS && !self.links.iter().any(|known| known.is_same(&link)) {
                self.links.push(link);
            }
        }
    }
}

impl Link {
    fn is_same(&self, other: &Self) -> bool {
        self.names() == other.names()
    }

    /// What tells one link from another.
    fn names(&self) -> (&str, Option<&str>, &str) {
        (&self.site, self.chain.as_deref(), &self.raw)
    }
}

impl Matches {
    /// An empty memory that forgets after `window`.
    #[must_use]
    pub fn new(window: Duration) -> Self {
        Self {
            window,
            limit: MAX_MESSAGES,
            hasher: RandomState::new(),
            messages: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    /// An empty memory that forgets nothing for its age.
    #[must_use]
    pub fn unbounded_in_time() -> Self {
        Self::new(Duration::MAX)
    }

    /// Whether a message of this time is one whose edits are followed.
    #[must_use]
    pub fn follows(&self, date_s: i64, now_s: i64) -> bool {
        now_s.saturating_sub(date_s) <= self.window_s()
    }

    /// Whether a message is known.
    #[must_use]
    pub fn knows(&self, key: Key) -> bool {
        self.messages.contains_key(&key)
    }

    /// Notes a state of a message, and says what of it is new.
    pub fn message(&mut self, key: Key, state: State, candidates: &Candidates, now_s: i64) -> Outcome {
        let rules = candidates.rules.as_ref().map(|names| self.hasher.hash_one(names));
        let links: Vec<_> = candidates
            .links
            .iter()
            .map(|link| self.hasher.hash_one(link.names()))
            .collect();
        let window_s = self.window_s();
        let known = match self.messages.entry(key) {
            Entry::Vacant(_) if candidates.is_empty() => return Outcome::Tell(Vec::new()),
            Entry::Vacant(_) if state.is_edit && state.edit_hidden && now_s - state.date_s > window_s => {
                return Outcome::Forgotten;
            }
            Entry::Vacant(entry) => entry.insert(Known::default()),
            Entry::Occupied(entry) => {
                let known = entry.into_mut();
                let is_older =
                    state.edit_date_s < known.edit_date_s || (state.pts > 0 && known.pts > 0 && state.pts < known.pts);
                if known.deleted || is_older {
                    return Outcome::Stale;
                }
                known
            }
        };
        let mut told = Vec::new();
        if rules.is_some() && rules != known.rules {
            told.push(Told::Rules);
        }
        for (link, hash) in candidates.links.iter().zip(&links) {
            if !known.links.contains(hash) {
                told.push(Told::Link(link.clone()));
            }
        }
        known.rules = rules;
        known.links = links;
        known.edit_date_s = state.edit_date_s;
        known.pts = known.pts.max(state.pts);
        if !told.is_empty() {
            self.changed(key, now_s);
        }
        Outcome::Tell(told)
    }

    /// Notes a deletion, so that a late copy of the message tells nothing. Whether the message is
    /// known and was not deleted before.
    pub fn delete(&mut self, key: Key, now_s: i64) -> bool {
        let Some(known) = self.messages.get_mut(&key).filter(|known| !known.deleted) else {
            return false;
        };
        known.deleted = true;
        self.changed(key, now_s);
        true
    }

    /// Takes an event of some process from the stream, in the stream's order.
    fn take(&mut self, event: &Match, accounts: &[Arc<str>], stored_s: i64) {
        let kind = event.chat.kind;
        let account_no = accounts.iter().position(|name| **name == *event.listener.account);
        let account_no = match account_no.and_then(|at| u32::try_from(at).ok()) {
            Some(number) => number,
            None if kind.numbers_per_account() => return,
            None => 0,
        };
        let key = Key::new(event.chat.id, kind, account_no, event.message.id);
        self.replay(key, event, stored_s);
    }

    /// Takes an event from the stream, in the stream's order.
    pub fn replay(&mut self, key: Key, event: &Match, stored_s: i64) {
        // As finds are.
        if event.listener.backfill && !self.follows(event.message.date_ms / 1000, stored_s) {
            return;
        }
        let link = (event.site.as_deref(), event.chain.as_deref(), event.raw.as_deref());
        let link = self
            .hasher
            .hash_one((link.0.unwrap_or_default(), link.1, link.2.unwrap_or_default()));
        let rules = self.hasher.hash_one(&event.rules);
        let known = self.messages.entry(key).or_default();
        known.edit_date_s = known.edit_date_s.max(event.message.edit_date_ms.unwrap_or(0) / 1000);
        match event.event {
            MatchKind::RuleMatched => known.rules = Some(rules),
            MatchKind::UnresolvedLink if known.links.contains(&link) => {}
            MatchKind::UnresolvedLink => {
                // Later states may have lost some of these, which nobody told.
                if known.links.len() >= MAX_LINKS {
                    known.links.remove(0);
                }
                known.links.push(link);
            }
        }
        self.changed(key, stored_s);
    }

    /// Messages that are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    fn changed(&mut self, key: Key, now_s: i64) {
        if let Some(known) = self.messages.get_mut(&key) {
            known.changed_s = now_s;
        }
        self.order.push_back((now_s, key));
        while let Some(&(at, key)) = self.order.front() {
            let is_old = now_s - at > self.window_s();
            if !is_old && self.messages.len() <= self.limit && self.order.len() <= 2 * self.limit {
                return;
            }
            self.order.pop_front();
            // A later change stands further back.
            if self.messages.get(&key).is_some_and(|known| known.changed_s <= at) {
                self.messages.remove(&key);
            }
        }
    }

    fn window_s(&self) -> i64 {
        i64::try_from(self.window.as_secs()).unwrap_or(i64::MAX)
    }
}

/// Makes an event. `rules` are the names of all rules that matched.
#[must_use]
pub fn event(origin: &Origin, mut subject: Subject, told: Told, rules: Vec<String>, times: Times) -> Match {
    masking::hide_in_names(&mut subject);
    let (kind, link) = match told {
        Told::Rules => (MatchKind::RuleMatched, None),
        Told::Link(link) => (MatchKind::UnresolvedLink, Some(link)),
    };
    let id = MatchIdParts {
        chat_id: subject.chat.id,
        chat_kind: subject.chat.kind,
        account: &origin.account,
        message_id: subject.message.id,
        revision: &subject.message.revision,
        matched: match &link {
            None => Matched::Rules(&rules),
            Some(Link { site, chain, raw, .. }) => Matched::Link {
                site,
                chain: chain.as_deref(),
                raw,
            },
        },
    }
    .id();
    let (site, chain, mut raw, mut link) = match link {
        Some(Link { site, chain, raw, url }) => (Some(site), chain, Some(raw), Some(url)),
        None => (None, None, None, None),
    };
    // Behind the id, which is made of what Telegram has.
    subject.make_storable();
    [&mut raw, &mut link]
        .into_iter()
        .flatten()
        .for_each(event::make_storable);
    Match {
        schema_version: SCHEMA_VERSION.to_owned(),
        id,
        event: kind,
        chain,
        site,
        raw,
        link,
        listener: event::listener(origin, subject.backfill),
        chat: subject.chat,
        message: subject.message,
        sender: subject.sender,
        rules,
        times,
    }
}

/// Reads the last events of the stream, and gives the sequence behind them. What cannot be read is
/// left out: then an edit may tell a match once more.
pub async fn rebuild(mesh: &Mesh, window: Duration, accounts: &[Arc<str>]) -> (Matches, u64) {
    let mut pause = Duration::from_millis(200);
    loop {
        let mut matches = Matches::new(window);
        match read(mesh, &mut matches, accounts).await {
            Ok(next) => return (matches, next),
            Err(error) if error.is_transient() => {
                tracing::warn!(%error, retry_ms = pause.as_millis() as u64, "couldn't read MATCHES, trying again");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(30));
            }
            Err(error) => {
                tracing::warn!(%error, "couldn't read MATCHES: edits of older messages may tell matches again");
                return (matches, 1);
            }
        }
    }
}

/// Follows what other processes tell, so that an account or a channel that is taken over from one
/// of them tells none of it again. Clones share it.
#[derive(Clone)]
pub struct Tail {
    matches: Arc<Mutex<Matches>>,
    accounts: Arc<[Arc<str>]>,
    instance: Arc<str>,
    /// The sequence behind what was taken.
    next: Arc<tokio::sync::Mutex<u64>>,
}

impl Tail {
    /// Goes on from this sequence.
    #[must_use]
    pub fn new(matches: Arc<Mutex<Matches>>, accounts: &[Arc<str>], instance: &Arc<str>, next: u64) -> Self {
        Self {
            matches,
            accounts: accounts.into(),
            instance: Arc::clone(instance),
            next: Arc::new(tokio::sync::Mutex::new(next)),
        }
    }

    /// Follows until the token is cancelled.
    pub async fn follow(self, mesh: Mesh, until: CancellationToken) {
        let following = async {
            loop {
                tokio::time::sleep(FOLLOW_EVERY).await;
                self.catch_up(&mesh).await;
            }
        };
        let _: Option<()> = until.run_until_cancelled(Box::pin(following)).await;
    }

    /// Takes everything that is in the stream now.
    pub async fn catch_up(&self, mesh: &Mesh) {
        let mut next = self.next.lock().await;
        loop {
            let (events, behind) = match told_since(mesh, *next).await {
                Ok(found) => found,
                Err(error) => {
                    tracing::debug!(%error, "couldn't follow MATCHES, trying later");
                    return;
                }
            };
            let mut matches = self.matches.lock().unwrap_or_else(PoisonError::into_inner);
            for (event, stored_s) in events {
                if *event.listener.instance != *self.instance {
                    matches.take(&event, &self.accounts, stored_s);
                }
            }
            drop(matches);
            if std::mem::replace(&mut *next, behind) == behind {
                return;
            }
        }
    }
}

/// The events from a sequence on, with when they were stored, and the sequence behind them.
async fn told_since(mesh: &Mesh, from: u64) -> Result<(Vec<(Match, i64)>, u64), StreamError> {
    let state = stream_state(mesh, subject::MATCHES).await?;
    // A stream that was made anew counts from the beginning.
    let from = if state.last_seq + 1 < from { 1 } else { from };
    let mut events = Vec::new();
    if state.messages == 0 || from > state.last_seq {
        return Ok((events, state.last_seq + 1));
    }
    let to = state.last_seq.min(from + MAX_PAGE);
    let mut window = window::read(mesh, subject::MATCHES, from, Some(to), &[]).await?;
    while let Some(delivery) = window.next().await? {
        if let Ok(event) = codec::decode_match(&delivery.payload) {
            events.push((event, (delivery.published_us / 1_000_000) as i64));
        }
    }
    Ok((events, to + 1))
}

async fn read(mesh: &Mesh, matches: &mut Matches, accounts: &[Arc<str>]) -> Result<u64, StreamError> {
    let state = stream_state(mesh, subject::MATCHES).await?;
    if state.messages == 0 {
        return Ok(state.last_seq + 1);
    }
    let window_us = u64::try_from(matches.window.as_micros()).unwrap_or(u64::MAX);
    let since = u64::try_from(clock::now_us()).unwrap_or(0).saturating_sub(window_us);
    let from = window::start_at(mesh, subject::MATCHES, since).await?;
    let from = from.max((state.last_seq + 1).saturating_sub(MAX_EVENTS));
    let mut window = window::read(mesh, subject::MATCHES, from, Some(state.last_seq), &[]).await?;
    while let Some(delivery) = window.next().await? {
        if let Ok(event) = codec::decode_match(&delivery.payload) {
            matches.take(&event, accounts, (delivery.published_us / 1_000_000) as i64);
        }
    }
    Ok(state.last_seq + 1)
}

fn bounded(mut text: String, bytes: usize) -> String {
    text.truncate(text.floor_char_boundary(bytes));
    text
}

#[cfg(test)]
mod tests;
