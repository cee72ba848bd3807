//! What each recent message held, so that an edit or a deletion tells what it took away.
//!
//! Kept in memory for some days and rebuilt from the stream at a start: the stream is what others
//! have been told, so a change is always told against it. One memory serves all accounts of the
//! process; a message that several of them see is told once.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tgmesh_proto::detection::{ChatKind, Detection, EventKind, Sender};
use tgmesh_proto::id;

use crate::finding::Finding;

/// Most messages that are remembered; about 600 bytes each. The oldest go first.
pub const MAX_MESSAGES: usize = 100_000;

/// Names a message: by its channel, or by the account that numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    /// Bot API id of a channel or supergroup (negative); else the number of the account.
    owner: i64,
    message_id: i64,
}

/// One state of a message, as an account saw it.
#[derive(Debug, Clone, Copy)]
pub struct State {
    /// Bot API id of the chat.
    pub chat_id: i64,
    /// Kind of the chat.
    pub kind: ChatKind,
    /// When it was posted, seconds since the epoch.
    pub date_s: i64,
    /// When it was last edited; 0 if never.
    pub edit_date_s: i64,
    /// Place in the chat's sequence of updates; 0 if not known.
    pub pts: i32,
    /// It came as an edit.
    pub is_edit: bool,
    /// Telegram changed it without an edit by its author.
    pub edit_hidden: bool,
}

/// A message that had finds.
#[derive(Debug, Clone)]
pub struct Known {
    /// Bot API id of the chat.
    pub chat_id: i64,
    /// Kind of the chat.
    pub kind: ChatKind,
    /// When it was posted, seconds since the epoch.
    pub date_s: i64,
    /// When it was last edited; 0 if never.
    pub edit_date_s: i64,
    /// Who posted it.
    pub sender: Option<Sender>,
    /// What it holds now.
    finds: Vec<Finding>,
    pts: i32,
    deleted: bool,
    /// When it last changed, seconds since the epoch.
    changed_s: i64,
}

/// What a change brings and takes away.
#[derive(Debug, PartialEq)]
pub enum Change {
    /// These finds, each with what happened to it. Empty when nothing changed.
    Finds(Vec<(EventKind, Finding)>),
    /// A state that is older than the one that is known, or a repeat of it.
    Stale,
    /// Telegram touched an old message whose earlier finds are forgotten: nobody can tell
    /// whether anything changed.
    Forgotten,
}

/// The memory.
#[derive(Debug)]
pub struct Edits {
    window_s: i64,
    limit: usize,
    messages: HashMap<Key, Known>,
    /// Keys by the time of their change; a later change leaves the earlier entry behind.
    order: VecDeque<(i64, Key)>,
}

impl Key {
    /// The key of a message.
    #[must_use]
    pub fn new(chat_id: i64, kind: ChatKind, account_no: u32, message_id: i64) -> Self {
        if kind.numbers_per_account() {
            Self::of_account(account_no, message_id)
        } else {
            Self::of_channel(chat_id, message_id)
        }
    }

    /// The key of a message in a channel or supergroup.
    #[must_use]
    pub fn of_channel(chat_id: i64, message_id: i64) -> Self {
        Self {
            owner: chat_id,
            message_id,
        }
    }

    /// The key of a message in a private chat or basic group: their ids are the account's.
    #[must_use]
    pub fn of_account(account_no: u32, message_id: i64) -> Self {
        Self {
            owner: i64::from(account_no),
            message_id,
        }
    }
}

impl Edits {
    /// An empty memory that forgets after `window`.
    #[must_use]
    pub fn new(window: Duration) -> Self {
        Self {
            window_s: i64::try_from(window.as_secs()).unwrap_or(i64::MAX),
            limit: MAX_MESSAGES,
            messages: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    /// An empty memory that forgets nothing for its age.
    #[must_use]
    pub fn unbounded_in_time() -> Self {
        Self::new(Duration::MAX)
    }

    /// Whether a message is known.
    #[must_use]
    pub fn knows(&self, key: Key) -> bool {
        self.messages.contains_key(&key)
    }

    /// Whether a message of this time is one whose edits are followed.
    #[must_use]
    pub fn follows(&self, date_s: i64, now_s: i64) -> bool {
        now_s.saturating_sub(date_s) <= self.window_s
    }

    /// Notes a state of a message and tells what changed against the one before. `sender` is asked
    /// for only when there is something to remember.
    pub fn message(
        &mut self,
        key: Key,
        state: State,
        finds: Vec<Finding>,
        now_s: i64,
        sender: impl FnOnce() -> Option<Sender>,
    ) -> Change {
        let window_s = self.window_s;
        match self.messages.entry(key) {
            Entry::Vacant(_) if finds.is_empty() => Change::Finds(Vec::new()),
            Entry::Vacant(entry) => {
                if state.is_edit && state.edit_hidden && now_s - state.date_s > window_s {
                    return Change::Forgotten;
                }
                let kind = if state.is_edit {
                    EventKind::AddedByEdit
                } else {
                    EventKind::Called
                };
                entry.insert(Known {
                    chat_id: state.chat_id,
                    kind: state.kind,
                    date_s: state.date_s,
                    edit_date_s: state.edit_date_s,
                    sender: sender(),
                    finds: finds.clone(),
                    pts: state.pts,
                    deleted: false,
                    changed_s: now_s,
                });
                self.order.push_back((now_s, key));
                self.forget(now_s);
                Change::Finds(finds.into_iter().map(|find| (kind, find)).collect())
            }
            Entry::Occupied(mut entry) => {
                let known = entry.get_mut();
                let older =
                    state.edit_date_s < known.edit_date_s || (state.pts > 0 && known.pts > 0 && state.pts < known.pts);
                if known.deleted || older {
                    return Change::Stale;
                }
                let added = finds
                    .iter()
                    .filter(|find| !known.finds.iter().any(|old| old.is_same(find)));
                let gone = known
                    .finds
                    .iter()
                    .filter(|old| !finds.iter().any(|find| old.is_same(find)));
                let changes: Vec<_> = added
                    .map(|find| (EventKind::AddedByEdit, find.clone()))
                    .chain(gone.map(|find| (EventKind::Retracted, find.clone())))
                    .collect();
                known.edit_date_s = state.edit_date_s;
                known.pts = known.pts.max(state.pts);
                if changes.is_empty() {
                    return Change::Finds(changes);
                }
                known.finds = finds;
                known.changed_s = now_s;
                self.order.push_back((now_s, key));
                self.forget(now_s);
                Change::Finds(changes)
            }
        }
    }

    /// Notes a deletion; the message and what went with it, or nothing when it is not known or was
    /// deleted before.
    pub fn delete(&mut self, key: Key, now_s: i64) -> Option<(Known, Vec<Finding>)> {
        let known = self.messages.get_mut(&key).filter(|known| !known.deleted)?;
        known.deleted = true;
        known.changed_s = now_s;
        let finds = std::mem::take(&mut known.finds);
        self.order.push_back((now_s, key));
        Some((known.clone(), finds))
    }

    /// Takes an event that another process published: what is known here of a later state of the
    /// message stands.
    pub fn heard(&mut self, key: Key, event: Detection, stored_s: i64) {
        let edit_date_s = event.message.edit_date_ms.unwrap_or(0) / 1000;
        let is_old = |known: &Known| known.deleted || known.edit_date_s > edit_date_s;
        let is_deletion = event.message.revision == id::DELETED;
        if is_deletion || !self.messages.get(&key).is_some_and(is_old) {
            self.replay(key, event, stored_s);
        }
    }

    /// Takes an event from the stream, in the stream's order.
    pub fn replay(&mut self, key: Key, event: Detection, stored_s: i64) {
        // What was fetched from the far past must not crowd out what is edited now.
        if event.listener.backfill && !self.follows(event.message.date_ms / 1000, stored_s) {
            return;
        }
        let known = self.messages.entry(key).or_insert_with(|| Known {
            chat_id: event.chat.id,
            kind: event.chat.kind,
            date_s: event.message.date_ms / 1000,
            edit_date_s: 0,
            sender: event.sender,
            finds: Vec::new(),
            pts: 0,
            deleted: false,
            changed_s: stored_s,
        });
        known.edit_date_s = known.edit_date_s.max(event.message.edit_date_ms.unwrap_or(0) / 1000);
        known.deleted |= event.message.revision == id::DELETED;
        known.changed_s = stored_s;
        let find = Finding {
            family: event.family,
            chain: event.chain,
            address: event.address,
            coin_type: event.coin_type,
            role: event.role,
            method: event.method,
            evidence: event.evidence,
            confidence: event.confidence,
            raw: event.raw,
        };
        known.finds.retain(|old| !old.is_same(&find));
        if event.event != EventKind::Retracted {
            known.finds.push(find);
        }
        self.order.push_back((stored_s, key));
        self.forget(stored_s);
    }

    /// Forgets a message, whose events are gone from the stream: when it is fetched again, what it
    /// holds is told anew.
    pub fn lose(&mut self, key: Key) {
        // Its place in the order stays behind and means nothing.
        self.messages.remove(&key);
    }

    /// Messages that are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    fn forget(&mut self, now_s: i64) {
        while let Some(&(at, key)) = self.order.front() {
            let old = now_s - at > self.window_s;
            if !old && self.messages.len() <= self.limit && self.order.len() <= 2 * self.limit {
                return;
            }
            self.order.pop_front();
            // A later change stands further back.
            if self.messages.get(&key).is_some_and(|known| known.changed_s <= at) {
                self.messages.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tgmesh_proto::detection::{Family, Method, Role};

    use super::*;

    const NOW: i64 = 1_000_000;

    fn find(address: &str) -> Finding {
        Finding {
            family: Family::Solana,
            chain: None,
            address: address.to_owned(),
            coin_type: None,
            role: Role::Unknown,
            method: Method::Plain,
            evidence: Vec::new(),
            confidence: 0.5,
            raw: address.to_owned(),
        }
    }

    fn key(id: i64) -> Key {
        Key::of_channel(-1_000_000_000_005, id)
    }

    fn new(edit_date_s: i64, pts: i32) -> State {
        State {
            chat_id: -1_000_000_000_005,
            kind: ChatKind::Channel,
            date_s: NOW,
            edit_date_s,
            pts,
            is_edit: false,
            edit_hidden: false,
        }
    }

    fn edit(edit_date_s: i64, pts: i32) -> State {
        State {
            is_edit: true,
            ..new(edit_date_s, pts)
        }
    }

    fn see(edits: &mut Edits, state: State, finds: &[&str]) -> Change {
        edits.message(key(1), state, finds.iter().map(|f| find(f)).collect(), NOW, || None)
    }

    fn told(change: &Change) -> Vec<(EventKind, &str)> {
        let Change::Finds(finds) = change else {
            panic!("{change:?}")
        };
        finds
            .iter()
            .map(|(kind, find)| (*kind, find.address.as_str()))
            .collect()
    }

    fn edits() -> Edits {
        Edits::new(Duration::from_hours(1))
    }

    #[test]
    fn a_message_through_its_life() {
        use EventKind::{AddedByEdit, Called, Retracted};
        let mut edits = edits();
        assert_eq!(
            told(&see(&mut edits, new(0, 10), &["a", "b"])),
            [(Called, "a"), (Called, "b")]
        );
        assert_eq!(
            told(&see(&mut edits, edit(5, 11), &["b", "c"])),
            [(AddedByEdit, "c"), (Retracted, "a")]
        );
        // Reactions and the like.
        assert_eq!(told(&see(&mut edits, edit(6, 12), &["b", "c"])), []);
        let (known, gone) = edits.delete(key(1), NOW).unwrap();
        assert_eq!((known.date_s, gone.len()), (NOW, 2));
        assert!(edits.delete(key(1), NOW).is_none());
        // A difference that was under way when it was deleted.
        assert_eq!(see(&mut edits, new(6, 0), &["b"]), Change::Stale);
    }

    #[test]
    fn repeats_and_older_states_tell_nothing() {
        let mut edits = edits();
        see(&mut edits, new(0, 10), &["a"]);
        assert_eq!(told(&see(&mut edits, new(0, 10), &["a"])), []);
        see(&mut edits, edit(5, 12), &["b"]);
        assert_eq!(see(&mut edits, new(0, 10), &["a"]), Change::Stale);
        // Two edits within one second, the first of them once more.
        see(&mut edits, edit(5, 13), &["c"]);
        assert_eq!(see(&mut edits, edit(5, 12), &["b"]), Change::Stale);
        // A difference knows the newest state; its place is later.
        assert_eq!(told(&see(&mut edits, new(5, 20), &["c"])), []);
    }

    #[test]
    fn finds_added_to_a_message_without_any() {
        let mut edits = edits();
        assert_eq!(told(&see(&mut edits, new(0, 10), &[])), []);
        assert_eq!(edits.len(), 0);
        assert_eq!(
            told(&see(&mut edits, edit(5, 11), &["a"])),
            [(EventKind::AddedByEdit, "a")]
        );
        assert_eq!(told(&see(&mut edits, edit(6, 12), &[])), [(EventKind::Retracted, "a")]);
        assert_eq!(
            told(&see(&mut edits, edit(7, 13), &["a"])),
            [(EventKind::AddedByEdit, "a")]
        );
    }

    #[test]
    fn old_messages_are_not_called_again_for_a_reaction() {
        let mut edits = edits();
        let touched = State {
            date_s: NOW - 4000,
            edit_hidden: true,
            ..edit(NOW, 5)
        };
        assert_eq!(see(&mut edits, touched, &["a"]), Change::Forgotten);
        let edited = State {
            edit_hidden: false,
            ..touched
        };
        assert_eq!(told(&see(&mut edits, edited, &["a"])).len(), 1);
    }

    #[test]
    fn it_forgets() {
        let mut edits = edits();
        for id in 0..10 {
            edits.message(key(id), new(0, 0), vec![find("a")], NOW + id, || None);
        }
        edits.message(key(0), edit(5, 0), vec![find("b")], NOW + 3000, || None);
        edits.message(key(99), new(0, 0), vec![find("a")], NOW + 3605, || None);
        assert!(edits.delete(key(1), NOW).is_none(), "an hour is over");
        assert!(edits.delete(key(7), NOW).is_some());
        assert!(edits.delete(key(0), NOW).is_some(), "it changed since");

        edits.limit = 5;
        for id in 100..1000 {
            edits.message(key(id), new(0, 0), vec![find("a")], NOW + 3700, || None);
        }
        assert!(edits.len() <= 5 && edits.order.len() <= 10);
        for pts in 1..1000 {
            let finds = vec![find(if pts % 2 == 0 { "a" } else { "b" })];
            edits.message(key(999), edit(0, pts), finds, NOW + 3700, || None);
        }
        assert!(edits.order.len() <= 11);
    }

    #[test]
    fn accounts_number_basic_groups_for_themselves() {
        let of = |account_no| Key::new(-42, ChatKind::Group, account_no, 7);
        assert_ne!(of(0), of(1));
        assert_eq!(
            Key::new(-1_000_000_000_005, ChatKind::Supergroup, 0, 7),
            Key::new(-1_000_000_000_005, ChatKind::Channel, 1, 7)
        );
    }
}
