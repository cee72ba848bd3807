//! What happens in the world: posts, edits, deletions, joins; each goes into the timelines, the
//! posted log, and the outboxes of whoever is connected.

use std::sync::Arc;

use super::message::{self, Author, Button, Content, Entity, Forward, Service};
use super::peer::{ChatKind, User};
use super::timeline::Entry;
use super::{AccountNo, World, WorldError};
use crate::faults::requests::Marked;
use crate::mtproto::outbox::{Origin, Push, What};
use crate::posted::{Kind, Record};

/// A message about to be posted.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// Bot-API id.
    pub chat_id: i64,
    /// 1 to 4096 UTF-16 units.
    pub text: String,
    /// Marked parts of the text.
    pub entities: Vec<Entity>,
    /// Buttons under it.
    pub buttons: Vec<Button>,
    /// Who writes.
    pub from: Author,
    /// The message answered.
    pub reply_to: Option<i32>,
    /// Where it is forwarded from.
    pub forward: Option<Forward>,
    /// The addresses in it, for the posted log; the simulator does not look for them itself.
    pub addresses: Vec<String>,
}

/// A post, edit or deletion that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Number in the posted log, from 1.
    pub n: u64,
    /// The message's number: in basic groups and private chats the one that the first account
    /// in the chat knows it by.
    pub message_id: i32,
    /// Its date in seconds since the epoch (of an edit: the edit date).
    pub date: i32,
}

impl World {
    /// Posts a message. `load` marks it as part of a load run.
    pub(crate) fn post(&mut self, draft: Draft, now_us: u64, load: bool) -> Result<Change, WorldError> {
        if !message::is_valid(&draft.text, &draft.entities) {
            return Err(WorldError::BadText);
        }
        let chat = self.chats.get(&draft.chat_id).ok_or(WorldError::NoChat)?;
        let from = match (draft.from, chat.peer.kind) {
            (_, ChatKind::User) => Some(draft.chat_id),
            (_, ChatKind::Channel) | (Author::Anonymous, _) => None,
            (Author::User(id), _) => {
                if !self.users.contains_key(&id) {
                    return Err(WorldError::NoUser);
                }
                Some(id)
            }
            (Author::Default, _) => chat.people.first().copied(),
        };
        let signature = (chat.peer.signatures)
            .then(|| chat.people.first().and_then(|id| self.users.get(id)))
            .flatten()
            .map(|user| user.first_name.clone());
        let date = (now_us / 1_000_000) as i32;
        let content = Arc::new(Content {
            date,
            edit_date: None,
            text: draft.text,
            entities: draft.entities,
            buttons: draft.buttons,
            from,
            reply_to: draft.reply_to,
            forward: draft.forward,
            signature,
            service: None,
            addresses: draft.addresses,
            mark: self.faults.mark(draft.chat_id),
        });
        let n = self.note(draft.chat_id, &content, now_us, load);
        let vanished = content.marked() == Some(Marked::Vanished);
        let change = self.add(draft.chat_id, content, n);
        if vanished {
            // Posted just now, so it is there.
            let _ = self.delete(draft.chat_id, &[change.message_id], now_us);
        }
        Ok(change)
    }

    /// Posts a message that tells of an event: who joined, or that the message `about` was
    /// pinned.
    pub(crate) fn announce(
        &mut self,
        chat_id: i64,
        service: Service,
        from: Option<i64>,
        about: Option<i32>,
        now_us: u64,
    ) -> Result<Change, WorldError> {
        if !self.chats.contains_key(&chat_id) {
            return Err(WorldError::NoChat);
        }
        let content = Content {
            reply_to: about,
            ..Content::service(service, from, (now_us / 1_000_000) as i32)
        };
        let n = self.note(chat_id, &content, now_us, false);
        Ok(self.add(chat_id, Arc::new(content), n))
    }

    /// Notes a new message in the posted log, before it is added.
    fn note(&self, chat_id: i64, content: &Content, now_us: u64, load: bool) -> u64 {
        self.posted.append(Record::new(
            chat_id,
            self.next_number(chat_id),
            Kind::New,
            now_us,
            &content.addresses,
            load,
        ))
    }

    /// The number that the chat's next message gets; in basic groups and private chats from the
    /// first account in it.
    fn next_number(&self, chat_id: i64) -> i32 {
        let chat = &self.chats[&chat_id];
        match chat.members.first() {
            Some(first) if !chat.peer.kind.has_own_numbers() => self.accounts[*first].timeline.next_id(),
            _ => chat.timeline.next_id(),
        }
    }

    /// Appends to the timelines of a chat that exists, and pushes; `n` is its line in the posted
    /// log, 0 for none.
    pub(super) fn add(&mut self, chat_id: i64, content: Arc<Content>, n: u64) -> Change {
        let date = content.date;
        let is_told = !matches!(content.marked(), Some(Marked::Late(_) | Marked::Vanished));
        let own_number = self.next_number(chat_id);
        let chat = self.chats.get_mut(&chat_id).expect("callers looked the chat up");
        let peer = Arc::clone(&chat.peer);
        let entry = Entry {
            chat: chat_id,
            own_number,
            content,
        };
        let push = |world: &Self, entry: &Entry, id, pts, account: Option<AccountNo>| {
            Arc::new(Push {
                n,
                what: What::New,
                users: world.people_of(&entry.content),
                origin: world.origin_of(&entry.content),
                chat: Arc::clone(&peer),
                id,
                reply_to: world.local_reply(account, entry),
                content: Some(Arc::clone(&entry.content)),
                ids: Vec::new(),
                pts,
                pts_count: 1,
                date,
            })
        };
        if peer.kind.has_own_numbers() {
            let (id, pts, _) = chat.timeline.push(entry.clone(), date);
            let members = chat.members.clone();
            if is_told && members.iter().any(|m| !self.accounts[*m].outboxes.is_empty()) {
                let push = push(self, &entry, id, pts, None);
                for member in members {
                    self.push(member, &push);
                }
            }
        } else {
            for member in chat.members.clone() {
                let account = &mut self.accounts[member];
                let (id, pts, dropped) = account.timeline.push(entry.clone(), date);
                account.numbers.insert((chat_id, own_number), id);
                if let Some(old) = dropped {
                    account.numbers.remove(&(old.chat, old.own_number));
                }
                if is_told && !account.outboxes.is_empty() {
                    let push = push(self, &entry, id, pts, Some(member));
                    self.push(member, &push);
                }
            }
        }
        Change {
            n,
            message_id: own_number,
            date,
        }
    }

    /// Replaces text, entities and buttons of a message; an empty list of `addresses` means
    /// that none is in it any more.
    pub(crate) fn edit(&mut self, message_id: i32, draft: Draft, now_us: u64) -> Result<Change, WorldError> {
        if !message::is_valid(&draft.text, &draft.entities) {
            return Err(WorldError::BadText);
        }
        let chat_id = draft.chat_id;
        let date = (now_us / 1_000_000) as i32;
        let old = self.content_of(chat_id, message_id)?;
        if old.service.is_some() {
            return Err(WorldError::NoMessage);
        }
        let content = Arc::new(Content {
            edit_date: Some(date),
            text: draft.text,
            entities: draft.entities,
            buttons: draft.buttons,
            addresses: draft.addresses,
            ..(*old).clone()
        });
        let n = self.posted.append(Record::new(
            chat_id,
            message_id,
            Kind::Edit,
            now_us,
            &content.addresses,
            false,
        ));
        for (account, id) in self.places(chat_id, message_id) {
            let timeline = self.timeline_of(chat_id, account);
            let Some(pts) = timeline.edit(id, Arc::clone(&content), date) else {
                continue;
            };
            let entry = timeline.get(id).cloned();
            let push = Arc::new(Push {
                n,
                what: What::Edit,
                users: self.people_of(&content),
                origin: self.origin_of(&content),
                chat: Arc::clone(&self.chats[&chat_id].peer),
                id,
                reply_to: entry.and_then(|entry| self.local_reply(account, &entry)),
                content: Some(Arc::clone(&content)),
                ids: Vec::new(),
                pts,
                pts_count: 1,
                date,
            });
            self.push_to(chat_id, account, &push);
        }
        Ok(Change { n, message_id, date })
    }

    /// Takes messages away; each gets a line of its own in the posted log, with the addresses
    /// that went with it. Gives the changes of those that were there.
    pub(crate) fn delete(&mut self, chat_id: i64, message_ids: &[i32], now_us: u64) -> Result<Vec<Change>, WorldError> {
        let date = (now_us / 1_000_000) as i32;
        if !self.chats.contains_key(&chat_id) {
            return Err(WorldError::NoChat);
        }
        let mut changes = Vec::new();
        for message_id in message_ids {
            let Ok(content) = self.content_of(chat_id, *message_id) else {
                continue;
            };
            let n = self.posted.append(Record::new(
                chat_id,
                *message_id,
                Kind::Delete,
                now_us,
                &content.addresses,
                false,
            ));
            for (account, id) in self.places(chat_id, *message_id) {
                let Some((gone, pts)) = self.timeline_of(chat_id, account).delete(&[id], date) else {
                    continue;
                };
                if let Some(account) = account {
                    self.accounts[account].numbers.remove(&(chat_id, *message_id));
                }
                let push = Arc::new(Push {
                    n,
                    what: What::Delete,
                    users: Vec::new(),
                    origin: None,
                    chat: Arc::clone(&self.chats[&chat_id].peer),
                    id,
                    reply_to: None,
                    content: None,
                    pts_count: gone.len() as i32,
                    ids: gone.into_iter().map(|(id, _)| id).collect(),
                    pts,
                    date,
                });
                if content.marked() != Some(Marked::Vanished) {
                    self.push_to(chat_id, account, &push);
                }
            }
            changes.push(Change {
                n,
                message_id: *message_id,
                date,
            });
        }
        if changes.is_empty() {
            return Err(WorldError::NoMessage);
        }
        Ok(changes)
    }

    /// Lets an account into a chat; false if it was in it already.
    pub(crate) fn join(&mut self, account: AccountNo, chat_id: i64, now_us: u64) -> bool {
        let Some(chat) = self.chats.get_mut(&chat_id) else {
            return false;
        };
        if chat.members.contains(&account) {
            return false;
        }
        chat.members.push(account);
        if chat.peer.kind == ChatKind::Supergroup {
            let user = self.accounts[account].user.id;
            let content = Content::service(Service::Joined(user), Some(user), (now_us / 1_000_000) as i32);
            let n = self.note(chat_id, &content, now_us, false);
            self.add(chat_id, Arc::new(content), n);
        }
        true
    }

    /// Where a message of the chat stands: the channel's timeline, or each member's own.
    fn places(&self, chat_id: i64, message_id: i32) -> Vec<(Option<AccountNo>, i32)> {
        let Some(chat) = self.chats.get(&chat_id) else {
            return Vec::new();
        };
        if chat.peer.kind.has_own_numbers() {
            return vec![(None, message_id)];
        }
        chat.members
            .iter()
            .filter_map(|member| {
                let id = self.accounts[*member].numbers.get(&(chat_id, message_id))?;
                Some((Some(*member), *id))
            })
            .collect()
    }

    fn timeline_of(&mut self, chat_id: i64, account: Option<AccountNo>) -> &mut super::timeline::Timeline {
        match account {
            Some(account) => &mut self.accounts[account].timeline,
            None => {
                &mut self
                    .chats
                    .get_mut(&chat_id)
                    .expect("callers looked the chat up")
                    .timeline
            }
        }
    }

    fn content_of(&self, chat_id: i64, message_id: i32) -> Result<Arc<Content>, WorldError> {
        if !self.chats.contains_key(&chat_id) {
            return Err(WorldError::NoChat);
        }
        self.places(chat_id, message_id)
            .first()
            .and_then(|(account, id)| match account {
                Some(account) => self.accounts[*account].timeline.get(*id),
                None => self.chats[&chat_id].timeline.get(*id),
            })
            .map(|entry| Arc::clone(&entry.content))
            .ok_or(WorldError::NoMessage)
    }

    fn push_to(&self, chat_id: i64, account: Option<AccountNo>, push: &Arc<Push>) {
        match account {
            Some(account) => self.push(account, push),
            None => {
                for member in self.chats.get(&chat_id).into_iter().flat_map(|chat| &chat.members) {
                    self.push(*member, push);
                }
            }
        }
    }

    /// The number under which the account knows the message that `entry` answers.
    pub(crate) fn local_reply(&self, account: Option<AccountNo>, entry: &Entry) -> Option<i32> {
        let own = entry.content.reply_to?;
        match account {
            None => Some(own),
            Some(account) => self.accounts[account].numbers.get(&(entry.chat, own)).copied(),
        }
    }

    /// The people a client has to know to show this message.
    pub(crate) fn people_of(&self, content: &Content) -> Vec<Arc<User>> {
        let forwarded = content.forward.as_ref().and_then(|forward| forward.from);
        let joined = match content.service {
            Some(Service::Joined(user)) => Some(user),
            _ => None,
        };
        [content.from, forwarded, joined]
            .into_iter()
            .flatten()
            .filter_map(|id| self.users.get(&id))
            .cloned()
            .collect()
    }

    /// The chat it was forwarded from.
    pub(crate) fn origin_of(&self, content: &Content) -> Option<Origin> {
        let from = content.forward.as_ref()?.from?;
        let chat = self.chats.get(&from)?;
        (chat.peer.kind != ChatKind::User).then(|| Origin {
            chat: Arc::clone(&chat.peer),
            members: chat.members.clone(),
        })
    }
}
