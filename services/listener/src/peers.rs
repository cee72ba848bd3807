//! Chats and people: their Bot API ids, names, and the hashes that let an account speak of them.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use grammers_tl_types::enums;
use tgmesh_proto::detection::{Chat, ChatKind, Sender, SenderKind};

use crate::session::SavedChannel;
use crate::watch::Watch;

/// Channels below this in the Bot API's numbering.
const CHANNEL_BASE: i64 = 1_000_000_000_000;
/// People remembered by name per generation; two generations are kept.
const MAX_PEOPLE: usize = 20_000;
/// Longest name that is kept, in bytes; Telegram's own limits are below.
const MAX_NAME: usize = 512;

/// The Bot API's id of a peer.
#[must_use]
pub fn id_of(peer: &enums::Peer) -> i64 {
    match peer {
        enums::Peer::User(user) => user.user_id,
        enums::Peer::Chat(chat) => -chat.chat_id,
        enums::Peer::Channel(channel) => channel_chat_id(channel.channel_id),
    }
}

/// The Bot API's id of a channel or supergroup.
#[must_use]
pub fn channel_chat_id(channel_id: i64) -> i64 {
    // Ids come from outside: a foolish one must not overflow.
    (-CHANNEL_BASE).saturating_sub(channel_id)
}

/// The bare id of a channel or supergroup; nothing for other chats.
#[must_use]
pub fn channel_id(chat_id: i64) -> Option<i64> {
    let id = (-CHANNEL_BASE).checked_sub(chat_id)?;
    (id > 0).then_some(id)
}

/// The link to a message; only channels and supergroups have one.
#[must_use]
pub fn link(chat: &Chat, message_id: i64) -> Option<String> {
    match (chat.kind, &chat.username) {
        (ChatKind::Group | ChatKind::User, _) => None,
        (_, Some(name)) => Some(format!("https://t.me/{name}/{message_id}")),
        (_, None) => channel_id(chat.id).map(|id| format!("https://t.me/c/{id}/{message_id}")),
    }
}

/// What one account knows of chats and people. Written by its pump, read by its worker.
#[derive(Debug, Default)]
pub struct Peers {
    inner: RwLock<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    chats: HashMap<i64, KnownChat>,
    people: HashMap<i64, Person>,
    /// People who were not seen since the generation began.
    older_people: HashMap<i64, Person>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct KnownChat {
    kind: ChatKind,
    title: String,
    username: Option<String>,
    access_hash: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Person {
    name: String,
    username: Option<String>,
    bot: bool,
}

impl Peers {
    /// What was known at the last start.
    #[must_use]
    pub fn restore(channels: &[SavedChannel], watch: &Watch) -> Self {
        let chats = channels.iter().map(|channel| {
            let id = channel_chat_id(channel.id);
            if let Some(name) = &channel.username {
                watch.named(name, id);
            }
            let known = KnownChat {
                kind: channel.kind,
                title: channel.title.clone(),
                username: channel.username.clone(),
                access_hash: Some(channel.access_hash),
            };
            (id, known)
        });
        let inner = Inner {
            chats: chats.collect(),
            ..Inner::default()
        };
        Self {
            inner: RwLock::new(inner),
        }
    }

    /// Learns from what comes with updates and answers. Returns whether a channel's hash or name
    /// changed, so that the session is worth saving.
    pub fn learn(&self, chats: Vec<enums::Chat>, users: Vec<enums::User>, watch: &Watch) -> bool {
        if chats.is_empty() && users.is_empty() {
            return false;
        }
        let mut changed = false;
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        for chat in chats {
            changed |= inner.learn_chat(chat, watch);
        }
        for user in users {
            inner.learn_user(user, watch);
        }
        changed
    }

    /// A chat as events show it; `kind` is what the message told, for a chat that is not known.
    #[must_use]
    pub fn chat(&self, id: i64, kind: ChatKind) -> Chat {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(chat) = inner.chats.get(&id) {
            return Chat {
                id,
                title: chat.title.clone(),
                username: chat.username.clone(),
                kind: chat.kind,
            };
        }
        let person = inner.person(id);
        Chat {
            id,
            title: person.map(|person| person.name.clone()).unwrap_or_default(),
            username: person.and_then(|person| person.username.clone()),
            kind,
        }
    }

    /// The channel or supergroup that has this public name, in lower case.
    #[must_use]
    pub fn id_of_name(&self, name: &str) -> Option<i64> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let has = |chat: &KnownChat| {
            chat.username
                .as_ref()
                .is_some_and(|known| known.eq_ignore_ascii_case(name))
        };
        inner.chats.iter().find(|(_, chat)| has(chat)).map(|(&id, _)| id)
    }

    /// A sender as events show it.
    #[must_use]
    pub fn sender(&self, id: i64) -> Sender {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let sender = |name: &str, username: &Option<String>, kind| Sender {
            id,
            username: username.clone(),
            name: name.to_owned(),
            kind,
        };
        if id > 0 {
            return match inner.person(id) {
                Some(person) if person.bot => sender(&person.name, &person.username, SenderKind::Bot),
                Some(person) => sender(&person.name, &person.username, SenderKind::User),
                None => sender("", &None, SenderKind::User),
            };
        }
        match inner.chats.get(&id) {
            Some(chat) if chat.kind == ChatKind::Channel => sender(&chat.title, &chat.username, SenderKind::Channel),
            Some(chat) => sender(&chat.title, &chat.username, SenderKind::Group),
            None if channel_id(id).is_some() => sender("", &None, SenderKind::Channel),
            None => sender("", &None, SenderKind::Group),
        }
    }

    /// Whether a chat or person was introduced.
    #[must_use]
    pub fn knows(&self, id: i64) -> bool {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        inner.chats.contains_key(&id) || inner.person(id).is_some()
    }

    /// The title of a chat or the name of a person, if known.
    #[must_use]
    pub fn name(&self, id: i64) -> Option<String> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let title = inner.chats.get(&id).map(|chat| chat.title.clone());
        title.or_else(|| inner.person(id).map(|person| person.name.clone()))
    }

    /// The hash that lets the account speak of a channel.
    #[must_use]
    pub fn channel_hash(&self, channel_id: i64) -> Option<i64> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        inner.chats.get(&channel_chat_id(channel_id))?.access_hash
    }

    /// The channels that a session saves, in the order of their ids.
    #[must_use]
    pub fn channels(&self) -> Vec<SavedChannel> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let channels = inner.chats.iter().filter_map(|(&id, chat)| {
            Some(SavedChannel {
                id: channel_id(id)?,
                access_hash: chat.access_hash?,
                kind: chat.kind,
                title: chat.title.clone(),
                username: chat.username.clone(),
            })
        });
        let mut channels: Vec<_> = channels.collect();
        channels.sort_unstable_by_key(|channel| channel.id);
        channels
    }
}

impl Inner {
    fn person(&self, id: i64) -> Option<&Person> {
        self.people.get(&id).or_else(|| self.older_people.get(&id))
    }

    fn learn_chat(&mut self, chat: enums::Chat, watch: &Watch) -> bool {
        let (id, mut new) = match chat {
            enums::Chat::Channel(channel) => {
                let id = channel_chat_id(channel.id);
                for enums::Username::Username(name) in channel.usernames.iter().flatten() {
                    watch.named(&name.username, id);
                }
                // The hash of a min constructor is good for some requests only.
                let min_hash = channel
                    .min
                    .then(|| self.chats.get(&id).and_then(|known| known.access_hash));
                let new = KnownChat {
                    kind: if channel.broadcast {
                        ChatKind::Channel
                    } else {
                        ChatKind::Supergroup
                    },
                    title: channel.title,
                    username: channel.username.or_else(|| active_name(channel.usernames)),
                    access_hash: min_hash.unwrap_or(channel.access_hash),
                };
                (id, new)
            }
            enums::Chat::ChannelForbidden(channel) => {
                let new = KnownChat {
                    kind: if channel.broadcast {
                        ChatKind::Channel
                    } else {
                        ChatKind::Supergroup
                    },
                    title: channel.title,
                    username: None,
                    access_hash: Some(channel.access_hash),
                };
                (channel_chat_id(channel.id), new)
            }
            enums::Chat::Chat(chat) => (-chat.id, group(chat.title)),
            enums::Chat::Forbidden(chat) => (-chat.id, group(chat.title)),
            enums::Chat::Empty(_) | enums::Chat::Community(_) | enums::Chat::CommunityForbidden(_) => return false,
        };
        cut(&mut new.title);
        if self.chats.get(&id) == Some(&new) {
            return false;
        }
        if let Some(name) = &new.username {
            watch.named(name, id);
        }
        self.chats.insert(id, new);
        true
    }

    fn learn_user(&mut self, user: enums::User, watch: &Watch) {
        let enums::User::User(user) = user else { return };
        if let Some(name) = &user.username {
            watch.named(name, user.id);
        }
        let (first, last) = (user.first_name.unwrap_or_default(), user.last_name.unwrap_or_default());
        let mut name = match (first.is_empty(), last.is_empty()) {
            (_, true) => first,
            (true, false) => last,
            (false, false) => format!("{first} {last}"),
        };
        cut(&mut name);
        let person = Person {
            name,
            username: user.username.or_else(|| active_name(user.usernames)),
            bot: user.bot,
        };
        if self.people.get(&user.id) == Some(&person) {
            return;
        }
        if self.people.len() >= MAX_PEOPLE {
            self.older_people = std::mem::take(&mut self.people);
        }
        self.people.insert(user.id, person);
    }
}

fn group(title: String) -> KnownChat {
    KnownChat {
        kind: ChatKind::Group,
        title,
        username: None,
        access_hash: None,
    }
}

fn active_name(names: Option<Vec<enums::Username>>) -> Option<String> {
    names?
        .into_iter()
        .map(|enums::Username::Username(name)| name)
        .find(|name| name.active)
        .map(|name| name.username)
}

fn cut(name: &mut String) {
    if name.len() > MAX_NAME {
        name.truncate(name.floor_char_boundary(MAX_NAME));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_the_bot_apis() {
        assert_eq!(channel_chat_id(1_234_567_890), -1_001_234_567_890);
        assert_eq!(channel_id(-1_001_234_567_890), Some(1_234_567_890));
        for other in [-42, 0, 777_000, i64::MAX, -1_000_000_000_000] {
            assert_eq!(channel_id(other), None, "{other}");
        }
        let _ = channel_chat_id(i64::MAX);
        let _ = channel_id(i64::MIN);
    }

    #[test]
    fn links_of_public_and_private_chats() {
        let mut chat = Chat {
            id: -1_001_234_567_890,
            title: String::new(),
            username: None,
            kind: ChatKind::Supergroup,
        };
        assert_eq!(link(&chat, 5).as_deref(), Some("https://t.me/c/1234567890/5"));
        chat.username = Some("calls".into());
        assert_eq!(link(&chat, 5).as_deref(), Some("https://t.me/calls/5"));
        chat.kind = ChatKind::Group;
        assert_eq!(link(&chat, 5), None);
    }

    #[test]
    fn people_are_bounded() {
        let peers = Peers::default();
        let watch = Watch::new(&crate::watch::Wanted::all());
        let mut inner = peers.inner.write().unwrap();
        for id in 1..=(3 * MAX_PEOPLE as i64) {
            let person = Person {
                name: String::new(),
                username: None,
                bot: false,
            };
            if inner.people.len() >= MAX_PEOPLE {
                inner.older_people = std::mem::take(&mut inner.people);
            }
            inner.people.insert(id, person);
        }
        assert!(inner.people.len() + inner.older_people.len() <= 2 * MAX_PEOPLE);
        drop(inner);
        assert!(!peers.learn(Vec::new(), Vec::new(), &watch));
    }
}
