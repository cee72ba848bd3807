//! Live subscriptions, by what they look for.

use std::collections::HashMap;
use std::sync::Arc;

use super::Sub;
use crate::event::Event;
use crate::filter::{Key, Matcher};

/// A live subscription with the filter it is filed under.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub sub: Arc<Sub>,
    pub matcher: Arc<Matcher>,
}

#[derive(Debug, Default)]
pub(super) struct Index {
    entries: HashMap<u64, Entry>,
    everything: Vec<Entry>,
    by_chat: HashMap<i64, Vec<Entry>>,
    by_address: HashMap<String, Vec<Entry>>,
}

impl Index {
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn insert(&mut self, sub: &Arc<Sub>) {
        self.remove(sub.key);
        let entry = Entry {
            sub: Arc::clone(sub),
            matcher: sub.matcher(),
        };
        match entry.matcher.key() {
            Key::Everything => self.everything.push(entry.clone()),
            Key::Chats(chats) => {
                for chat in chats {
                    self.by_chat.entry(*chat).or_default().push(entry.clone());
                }
            }
            Key::Addresses(addresses) => {
                for address in addresses {
                    self.by_address.entry(address.clone()).or_default().push(entry.clone());
                }
            }
        }
        self.entries.insert(sub.key, entry);
    }

    /// Whether it was there.
    pub fn remove(&mut self, key: u64) -> bool {
        fn take(list: &mut Vec<Entry>, key: u64) {
            if let Some(at) = list.iter().position(|entry| entry.sub.key == key) {
                list.swap_remove(at);
            }
        }
        fn take_from<K: std::hash::Hash + Eq>(lists: &mut HashMap<K, Vec<Entry>>, name: &K, key: u64) {
            if let Some(list) = lists.get_mut(name) {
                take(list, key);
                if list.is_empty() {
                    lists.remove(name);
                }
            }
        }
        let Some(entry) = self.entries.remove(&key) else {
            return false;
        };
        match entry.matcher.key() {
            Key::Everything => take(&mut self.everything, key),
            Key::Chats(chats) => chats.iter().for_each(|chat| take_from(&mut self.by_chat, chat, key)),
            Key::Addresses(addresses) => {
                for address in addresses {
                    take_from(&mut self.by_address, address, key);
                }
            }
        }
        true
    }

    /// Every subscription that may want the event, each once.
    pub fn candidates<'a>(&'a self, event: &Event, visit: impl FnMut(&'a Entry)) {
        let of_chat = self.by_chat.get(&event.detection.chat.id);
        let of_address = self.by_address.get(&event.address_key);
        [Some(&self.everything), of_chat, of_address]
            .into_iter()
            .flatten()
            .flatten()
            .for_each(visit);
    }

    /// Every subscription that may want something of this chat that is no address, each once.
    pub fn of_chat<'a>(&'a self, chat: i64, visit: impl FnMut(&'a Entry)) {
        [Some(&self.everything), self.by_chat.get(&chat)]
            .into_iter()
            .flatten()
            .flatten()
            .for_each(visit);
    }

    pub fn each<'a>(&'a self, visit: impl FnMut(&'a Entry)) {
        self.entries.values().for_each(visit);
    }
}
