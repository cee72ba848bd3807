//! The people and chats of a world.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::message::{Content, Service};
use super::peer::{CHANNEL_BASE, ChatKind, ChatPeer, User};
use super::reads::Reads;
use super::timeline::Timeline;
use super::{Account, Chat, Door, Identity, Logins, Size, World};
use crate::faults::armed::Faults;
use crate::posted::PostedLog;
use crate::scenario::small_talk;

/// Message numbers and pts start from a count of seconds since this moment (2025-06-15), so
/// that a world that is started again goes on above the numbers it gave out before, as
/// Telegram does, although it kept nothing.
const NUMBERS_SINCE_S: i64 = 1_750_000_000;

/// Messages that every chat begins with.
const BACKLOG: i32 = 12;

const FIRST_NAMES: [&str; 20] = [
    "Ana", "Boris", "Chen", "Deniz", "Elena", "Farid", "Grace", "Hiro", "Inês", "Jonas", "Kofi", "Linh", "Marta",
    "Nikolai", "Olu", "Priya", "Quinn", "Ravi", "Sofía", "Tomás",
];
const LAST_NAMES: [&str; 12] = [
    "Almeida", "Brandt", "Çelik", "Dubois", "Ivanova", "Kim", "Moreau", "Nguyen", "Okafor", "Petrov", "Silva", "Wang",
];
const TITLES: [&str; 16] = [
    "Solana Alpha Calls",
    "Degen Lounge",
    "ETH Whales",
    "Gem Hunters 🚀",
    "Трейдеры на связи",
    "土狗聚集地",
    "Meme Radar",
    "Base Season",
    "Señales Cripto",
    "Kripto Sohbet",
    "Launch Watch",
    "On-chain Detectives",
    "Sinais Cripto BR",
    "BSC Sniper Room",
    "Trench Talk",
    "Late Night Charts",
];

pub(super) fn world(seed: u64, size: Size, now_s: i64, posted: Arc<PostedLog>, faults: Arc<Faults>) -> World {
    let identity = Identity::new(seed);
    let now = now_s as i32;
    let base = ((now_s - NUMBERS_SINCE_S).clamp(1, 100_000_000) * 8) as i32;
    let timeline = || Timeline::new(base, base, size.history);
    let pick = |what: &str, i: usize, n: usize| identity.number(what, i as i64, 0).unsigned_abs() as usize % n;

    let mut world = World {
        identity,
        accounts: Vec::new(),
        chats: BTreeMap::new(),
        order: Vec::new(),
        users: HashMap::new(),
        usernames: HashMap::new(),
        invites: HashMap::new(),
        posted,
        faults,
        logins: Logins::default(),
        reads: Reads::default(),
    };

    for i in 0..size.accounts {
        let user = Arc::new(User {
            id: 710_000_000 + i as i64,
            first_name: format!("Sim {}", i + 1),
            last_name: None,
            username: Some(format!("sim_{}", i + 1)),
            phone: Some(format!("99966{:05}", i + 1)),
            bot: false,
        });
        world.add_user(&user);
        world.accounts.push(Account {
            user,
            name: format!("sim-{}", i + 1),
            door: Door::default(),
            folders: None,
            timeline: timeline(),
            numbers: HashMap::new(),
            outboxes: Vec::new(),
        });
    }

    // As many people as make a few groups lively; one in sixteen is a bot.
    let people = (size.chats * 3).clamp(12, 600);
    for i in 0..people {
        let first = FIRST_NAMES[pick("first-name", i, FIRST_NAMES.len())];
        world.add_user(&Arc::new(User {
            id: 520_000_000 + i as i64,
            first_name: first.to_owned(),
            last_name: (!i.is_multiple_of(3)).then(|| LAST_NAMES[pick("last-name", i, LAST_NAMES.len())].to_owned()),
            username: i.is_multiple_of(2).then(|| format!("sim_person_{i}")),
            phone: None,
            bot: i % 16 == 15,
        }));
    }

    // Two more than asked for, which no account has joined: one public, one by invitation.
    for i in 0..size.chats + 2 {
        let joined = i < size.chats;
        let kind = match (joined, i % 10) {
            (true, 1 | 4 | 7) => ChatKind::Supergroup,
            (true, 5) => ChatKind::Group,
            (true, 9) => ChatKind::User,
            _ => ChatKind::Channel,
        };
        let n = i as i64;
        let id = match kind {
            ChatKind::Channel | ChatKind::Supergroup => CHANNEL_BASE - (1_500_000_000 + n),
            ChatKind::Group => -(40_000_000 + n),
            ChatKind::User => 530_000_000 + n,
        };
        if kind == ChatKind::User {
            world.add_user(&Arc::new(User {
                id,
                first_name: FIRST_NAMES[i % FIRST_NAMES.len()].to_owned(),
                last_name: Some(LAST_NAMES[i % LAST_NAMES.len()].to_owned()),
                username: None,
                phone: None,
                bot: false,
            }));
        }
        let private = i == size.chats + 1;
        let username = match kind {
            ChatKind::Channel | ChatKind::Supergroup if !private && i % 5 != 3 => Some(format!("sim_chat_{i}")),
            _ => None,
        };
        let invite = (matches!(kind, ChatKind::Channel | ChatKind::Supergroup) && username.is_none())
            .then(|| format!("{:016x}", identity.number("invite", n, 0)));
        let title = match kind {
            ChatKind::User => world.users[&id].first_name.clone(),
            _ if i < TITLES.len() => TITLES[i].to_owned(),
            _ => format!("{} #{i}", TITLES[i % TITLES.len()]),
        };
        // Every fifth chat is seen by all accounts, the others are spread over them.
        let members: Vec<_> = match kind {
            _ if !joined => Vec::new(),
            ChatKind::User => vec![i % size.accounts],
            _ => (0..size.accounts)
                .filter(|account| i.is_multiple_of(5) || i % size.accounts == *account)
                .collect(),
        };
        let first = (i * 3) % people;
        let crowd = match kind {
            ChatKind::User => vec![id],
            _ => (0..12.min(people))
                .map(|k| 520_000_000 + ((first + k) % people) as i64)
                .collect(),
        };
        world.add_chat(
            Chat {
                peer: Arc::new(ChatPeer {
                    id,
                    kind,
                    title,
                    username,
                    invite,
                    about: "Made up by tgmesh-telegram-sim.".to_owned(),
                    date: now - 86_400 * 30,
                    participants: 12 + (pick("participants", i, 90_000)) as i32,
                    signatures: kind == ChatKind::Channel && i % 4 == 2,
                }),
                members,
                timeline: timeline(),
                people: crowd,
            },
            now,
        );
    }
    world
}

impl World {
    fn add_user(&mut self, user: &Arc<User>) {
        if let Some(username) = &user.username {
            self.usernames.insert(username.to_lowercase(), user.id);
        }
        self.users.insert(user.id, Arc::clone(user));
    }

    fn add_chat(&mut self, chat: Chat, now: i32) {
        let peer = Arc::clone(&chat.peer);
        let people = chat.people.clone();
        if let Some(username) = &peer.username {
            self.usernames.insert(username.to_lowercase(), peer.id);
        }
        if let Some(invite) = &peer.invite {
            self.invites.insert(invite.clone(), peer.id);
        }
        self.order.push(peer.id);
        self.chats.insert(peer.id, chat);
        let seed = self.identity.number("backlog", peer.id, 0).cast_unsigned();
        let rng = &mut SmallRng::seed_from_u64(seed);
        let mut say = |content| self.add(peer.id, Arc::new(content), 0);
        if peer.kind.has_own_numbers() {
            // Telegram's channels begin with the message that made them.
            say(Content::service(Service::Created, None, peer.date));
        }
        // Something to read, from the hour before.
        for i in 0..BACKLOG {
            let author = (peer.kind != ChatKind::Channel).then_some(people[i as usize % people.len()]);
            say(Content {
                text: small_talk(rng).text,
                service: None,
                ..Content::service(Service::Created, author, now - 3_600 + i * 60)
            });
        }
    }
}

impl Content {
    pub(super) fn service(service: Service, from: Option<i64>, date: i32) -> Self {
        Self {
            date,
            edit_date: None,
            text: String::new(),
            entities: Vec::new(),
            buttons: Vec::new(),
            from,
            reply_to: None,
            forward: None,
            signature: None,
            service: Some(service),
            addresses: Vec::new(),
            mark: None,
        }
    }
}
