//! What the roll-ups should say, worked out from all events in memory.

use std::collections::BTreeMap;

use tgmesh_proto::detection::{Chat, Detection, EventKind, Family, Sender};
use tgmesh_proto::matched::Match;
use tgmesh_store::addresses::{Counts, First, FirstSeen, InChat};

/// A chat that no listener watches.
pub const OTHER_CHAT: i64 = -1_009;

/// A claim to have been first, in its order; what is not known comes last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Claim {
    at_ms: i64,
    credited: bool,
    chat: i64,
    message: i64,
    sender: i64,
}

const UNKNOWN: i64 = i64::MAX;

impl Claim {
    fn first(self) -> First {
        let known = |id: i64| (id != UNKNOWN).then_some(id);
        First {
            at_us: self.at_ms * 1000,
            credited: self.credited,
            chat_id: known(self.chat),
            message_id: known(self.message),
            sender_id: known(self.sender),
        }
    }
}

#[derive(Default)]
struct Stay {
    claims: Vec<Claim>,
    last_ms: Option<i64>,
    counts: Counts,
}

#[derive(Default)]
struct Who {
    told: (i64, String, Option<String>, &'static str),
    dates_ms: Vec<i64>,
    counts: [u64; 4],
}

type Key = (Family, String, Option<String>);

#[derive(Default)]
pub struct Model {
    /// By address and chat; `UNKNOWN` for claims without one.
    stays: BTreeMap<Key, BTreeMap<i64, Stay>>,
    chats: BTreeMap<i64, Who>,
    senders: BTreeMap<i64, Who>,
}

impl Model {
    pub fn take(&mut self, event: &Detection) {
        let key = (event.family, event.address.clone(), event.coin_type.clone());
        let chats = self.stays.entry(key).or_default();
        let message = &event.message;
        let stay = chats.entry(event.chat.id).or_default();
        let kind = match event.event {
            EventKind::Called => 0,
            EventKind::AddedByEdit => 1,
            EventKind::Retracted => 2,
        };
        match kind {
            0 => stay.counts.called += 1,
            1 => stay.counts.added_by_edit += 1,
            _ => stay.counts.retracted += 1,
        }
        if event.event != EventKind::Retracted {
            let at_ms = match event.event {
                EventKind::AddedByEdit => message.edit_date_ms.unwrap_or(i64::MIN).max(message.date_ms),
                _ => message.date_ms,
            };
            stay.last_ms = stay.last_ms.max(Some(at_ms));
            stay.claims.push(Claim {
                at_ms,
                credited: false,
                chat: event.chat.id,
                message: message.id,
                sender: event.sender.as_ref().map_or(UNKNOWN, |sender| sender.id),
            });
            if let Some(forward) = message.forward_from.as_ref().filter(|f| f.date_ms <= message.date_ms) {
                let chat = forward.id.filter(|id| *id < 0).unwrap_or(UNKNOWN);
                chats.entry(chat).or_default().claims.push(Claim {
                    at_ms: forward.date_ms,
                    credited: true,
                    chat,
                    message: forward.message_id.unwrap_or(UNKNOWN),
                    sender: forward.id.filter(|id| *id > 0).unwrap_or(UNKNOWN),
                });
            }
        }
        let times = (message.date_ms, event.times.received_us);
        self.take_who(&event.chat, event.sender.as_ref(), times, kind);
    }

    pub fn take_match(&mut self, event: &Match) {
        let times = (event.message.date_ms, event.times.received_us);
        self.take_who(&event.chat, event.sender.as_ref(), times, 3);
    }

    fn take_who(&mut self, chat: &Chat, sender: Option<&Sender>, (date_ms, received_us): (i64, i64), kind: usize) {
        let take = |who: &mut Who, name: &str, username: &Option<String>, word| {
            who.told = who
                .told
                .clone()
                .max((received_us, name.to_owned(), username.clone(), word));
            who.dates_ms.push(date_ms);
            who.counts[kind] += 1;
        };
        let who = self.chats.entry(chat.id).or_default();
        take(who, &chat.title, &chat.username, "supergroup");
        if let Some(sender) = sender {
            let who = self.senders.entry(sender.id).or_default();
            take(who, &sender.name, &sender.username, "user");
        }
    }

    pub fn first_seen(&self, address: &str, permitted: Option<&[i64]>) -> Vec<FirstSeen> {
        let mut found: Vec<(Option<Claim>, FirstSeen)> = Vec::new();
        for ((family, _, coin_type), stays) in self.of(address) {
            let stays: Vec<(&i64, &Stay)> = stays.iter().filter(|(chat, _)| may(permitted, **chat)).collect();
            if stays.is_empty() {
                continue;
            }
            let first = stays
                .iter()
                .filter_map(|(_, stay)| stay.claims.iter().min())
                .min()
                .copied();
            let with_claims = stays
                .iter()
                .filter(|(chat, stay)| **chat != UNKNOWN && !stay.claims.is_empty());
            let next = first.and_then(|first| {
                let others = with_claims.clone().filter(|(chat, _)| **chat != first.chat);
                let next = others.filter_map(|(_, stay)| stay.claims.iter().min()).min()?;
                Some((next.chat, (next.at_ms - first.at_ms).unsigned_abs()))
            });
            let sum = |count: fn(&Counts) -> u64| stays.iter().map(|(_, stay)| count(&stay.counts)).sum();
            found.push((
                first,
                FirstSeen {
                    family: family.as_str().to_owned(),
                    coin_type: coin_type.clone(),
                    first: first.map(Claim::first),
                    next,
                    chats: with_claims.clone().count() as u64,
                    last_seen_us: stays
                        .iter()
                        .filter_map(|(_, stay)| stay.last_ms)
                        .max()
                        .map(|ms| ms * 1000),
                    counts: Counts {
                        called: sum(|counts| counts.called),
                        added_by_edit: sum(|counts| counts.added_by_edit),
                        retracted: sum(|counts| counts.retracted),
                    },
                },
            ));
        }
        found.sort_by_key(|(first, seen)| (first.is_none(), *first, seen.family.clone(), seen.coin_type.clone()));
        found.into_iter().map(|(_, seen)| seen).collect()
    }

    pub fn spread(&self, address: &str, permitted: Option<&[i64]>) -> Vec<InChat> {
        let mut found: Vec<(Claim, InChat)> = Vec::new();
        for ((family, _, coin_type), stays) in self.of(address) {
            for (chat, stay) in stays {
                let Some(first) = stay.claims.iter().min() else {
                    continue;
                };
                if *chat != UNKNOWN && may(permitted, *chat) {
                    let in_chat = InChat {
                        family: family.as_str().to_owned(),
                        coin_type: coin_type.clone(),
                        first: first.first(),
                        last_seen_us: stay.last_ms.map(|ms| ms * 1000),
                        counts: stay.counts,
                    };
                    found.push((*first, in_chat));
                }
            }
        }
        found.sort_by_key(|(first, at)| (*first, at.family.clone(), at.coin_type.clone()));
        found.into_iter().map(|(_, at)| at).collect()
    }

    /// The table, as psql prints it.
    pub fn addresses(&self) -> String {
        let mut lines = Vec::new();
        for ((family, address, coin_type), stays) in &self.stays {
            let first = stays.values().filter_map(|stay| stay.claims.iter().min()).min();
            let last = stays.values().filter_map(|stay| stay.last_ms).max();
            let id = |id: fn(&Claim) -> i64| shown(first.map(id).filter(|id| *id != UNKNOWN));
            let sum = |count: fn(&Counts) -> u64| stays.values().map(|stay| count(&stay.counts)).sum::<u64>();
            lines.push(format!(
                "{}|{address}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}",
                family.as_str(),
                coin_type.as_deref().unwrap_or_default(),
                id(|claim| claim.at_ms / 1000),
                first.map_or("", |claim| if claim.credited { "t" } else { "f" }),
                id(|claim| claim.chat),
                id(|claim| claim.message),
                id(|claim| claim.sender),
                shown(last.map(|ms| ms / 1000)),
                sum(|counts| counts.called),
                sum(|counts| counts.added_by_edit),
                sum(|counts| counts.retracted),
            ));
        }
        lines.sort_unstable();
        lines.join("\n")
    }

    /// The table, as psql prints it.
    pub fn chats(&self) -> String {
        who(&self.chats)
    }

    /// The table, as psql prints it.
    pub fn senders(&self) -> String {
        who(&self.senders)
    }

    fn of<'a>(&'a self, address: &'a str) -> impl Iterator<Item = (&'a Key, &'a BTreeMap<i64, Stay>)> {
        self.stays.iter().filter(move |((_, found, _), _)| found == address)
    }
}

fn who(all: &BTreeMap<i64, Who>) -> String {
    let line = |(id, who): (&i64, &Who)| {
        let (_, name, username, kind) = &who.told;
        let first = who.dates_ms.iter().min().map(|ms| ms / 1000);
        let last = who.dates_ms.iter().max().map(|ms| ms / 1000);
        let [called, added, retracted, matched] = who.counts;
        let username = username.as_deref().unwrap_or_default();
        let (first, last) = (shown(first), shown(last));
        format!("{id}|{name}|{username}|{kind}|{first}|{last}|{called}|{added}|{retracted}|{matched}")
    };
    all.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn may(permitted: Option<&[i64]>, chat: i64) -> bool {
    permitted.is_none_or(|chats| chats.contains(&chat))
}

fn shown(value: Option<i64>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}
