//! The scenario player: believable chat at a settable rate.
//!
//! Most messages carry no address. Some bring one as plain text, in a link, behind words, or on
//! a button; some are answered, forwarded, changed (also so that an address appears or is
//! exchanged) or deleted.

mod address;
mod text;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub(crate) use text::{Line, load_line, small_talk};

use crate::clock;
use crate::sim::Shared;
use crate::world::message::{Author, Forward, Service};
use crate::world::peer::ChatKind;
use crate::world::{Draft, World};

/// Messages that edits, deletions, answers and forwards pick from.
const MEMORY: usize = 200;
/// Addresses that may come again.
const REPEATS: usize = 20;
/// Behind by more than this, the player lets the time pass instead of catching up.
const MAX_LAG: Duration = Duration::from_secs(1);

/// Plays until `stop`; `rate` is in events per second, 0 pauses.
pub(crate) async fn play(shared: Arc<Shared>, seed: u64, mut rate: watch::Receiver<f64>, stop: CancellationToken) {
    let mut player = Player::new(seed);
    let mut due = Instant::now();
    loop {
        let per_second = *rate.borrow_and_update();
        let wait = async {
            if per_second > 0.0 {
                tokio::time::sleep_until(due).await;
            } else {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            changed = rate.changed() => {
                if changed.is_err() {
                    return;
                }
                due = Instant::now();
            }
            () = wait => {
                player.act(&mut shared.world());
                due += player.pause(per_second);
                let now = Instant::now();
                if due + MAX_LAG < now {
                    due = now;
                }
            }
        }
    }
}

struct Said {
    chat: i64,
    message_id: i32,
    line: Line,
}

struct Player {
    rng: SmallRng,
    memory: VecDeque<Said>,
    addresses: VecDeque<String>,
}

impl Player {
    fn new(seed: u64) -> Self {
        Self {
            rng: SmallRng::seed_from_u64(seed ^ 0x5cea_a210),
            memory: VecDeque::new(),
            addresses: VecDeque::new(),
        }
    }

    /// Time to the next event: people do not write by the clock.
    fn pause(&mut self, per_second: f64) -> Duration {
        let uniform: f64 = self.rng.random_range(f64::EPSILON..1.0);
        Duration::from_secs_f64((-uniform.ln() / per_second).min(3_600.0))
    }

    /// One event. What the world refuses (a message that is gone by now) is no event.
    fn act(&mut self, world: &mut World) {
        let now_us = clock::now_us();
        match self.rng.random_range(0..100) {
            0..5 => self.edit(world, now_us),
            5..8 => self.delete(world, now_us),
            8 => self.announce(world, now_us),
            _ => self.say(world, now_us),
        }
    }

    fn say(&mut self, world: &mut World, now_us: u64) {
        let Some(chat) = self.chat(world) else {
            return;
        };
        let call = self.rng.random_bool(0.2);
        let mut line = if call {
            let again = (!self.addresses.is_empty() && self.rng.random_bool(0.1)).then(|| {
                let at = self.rng.random_range(0..self.addresses.len());
                self.addresses[at].clone()
            });
            text::call(&mut self.rng, again)
        } else {
            text::talk(&mut self.rng)
        };
        for address in &line.addresses {
            self.addresses.push_back(address.clone());
        }
        while self.addresses.len() > REPEATS {
            self.addresses.pop_front();
        }
        let mut reply_to = None;
        let mut forward = None;
        match self.rng.random_range(0..100) {
            0..20 => {
                reply_to = self
                    .memory
                    .iter()
                    .rev()
                    .find(|said| said.chat == chat)
                    .map(|said| said.message_id);
            }
            20..26 => {
                if let Some(at) = self.remembered()
                    && self.memory[at].chat != chat
                {
                    let said = &self.memory[at];
                    forward = Some(origin(world, said, &mut self.rng));
                    line = said.line.clone();
                }
            }
            _ => {}
        }
        let people = &world.chats[&chat].people;
        let from = match self.rng.random_range(0..12) {
            0 => Author::Anonymous,
            _ if people.is_empty() => Author::Default,
            _ => Author::User(people[self.rng.random_range(0..people.len())]),
        };
        let draft = Draft {
            chat_id: chat,
            from,
            reply_to,
            forward,
            ..line.clone().into()
        };
        if let Ok(change) = world.post(draft, now_us, false) {
            self.memory.push_back(Said {
                chat,
                message_id: change.message_id,
                line,
            });
            if self.memory.len() > MEMORY {
                self.memory.pop_front();
            }
        }
    }

    fn edit(&mut self, world: &mut World, now_us: u64) {
        let Some(at) = self.remembered() else {
            return;
        };
        let line = text::edited(&mut self.rng, &self.memory[at].line);
        let said = &mut self.memory[at];
        let draft = Draft {
            chat_id: said.chat,
            ..line.clone().into()
        };
        if world.edit(said.message_id, draft, now_us).is_ok() {
            said.line = line;
        }
    }

    fn delete(&mut self, world: &mut World, now_us: u64) {
        let Some(said) = self.remembered().and_then(|at| self.memory.remove(at)) else {
            return;
        };
        // It may be gone already: the control port deletes as well.
        let _ = world.delete(said.chat, &[said.message_id], now_us);
    }

    fn announce(&mut self, world: &mut World, now_us: u64) {
        let Some(at) = self.remembered() else {
            return;
        };
        let said = &self.memory[at];
        let chat = &world.chats[&said.chat];
        let person = chat.people.last().copied();
        let service = match (chat.peer.kind, person) {
            (ChatKind::Supergroup | ChatKind::Group, Some(person)) if self.rng.random_bool(0.5) => {
                Service::Joined(person)
            }
            _ => Service::Pinned,
        };
        let about = (service == Service::Pinned).then_some(said.message_id);
        // The chat is there: it was taken from the world just now.
        let _ = world.announce(said.chat, service, person, about, now_us);
    }

    /// A chat that some account is in; the first ones are the liveliest.
    fn chat(&mut self, world: &World) -> Option<i64> {
        let joined = world
            .order
            .iter()
            .filter(|id| !world.chats[*id].members.is_empty())
            .count();
        if joined == 0 {
            return None;
        }
        let skewed = self.rng.random::<f64>().powi(2);
        let at = (skewed * joined as f64) as usize;
        world
            .order
            .iter()
            .filter(|id| !world.chats[*id].members.is_empty())
            .nth(at.min(joined - 1))
            .copied()
    }

    fn remembered(&mut self) -> Option<usize> {
        (!self.memory.is_empty()).then(|| self.rng.random_range(0..self.memory.len()))
    }
}

/// Where a forward says it is from: the channel's post, the person, or only a name.
fn origin(world: &World, said: &Said, rng: &mut SmallRng) -> Forward {
    let chat = &world.chats[&said.chat];
    let person = chat.people.first().copied();
    match chat.peer.kind {
        ChatKind::Channel => Forward {
            from: Some(said.chat),
            message_id: Some(said.message_id),
            from_name: None,
            date: None,
        },
        _ if rng.random_bool(0.3) => Forward {
            from: None,
            message_id: None,
            from_name: person
                .and_then(|id| world.users.get(&id))
                .map(|user| user.first_name.clone()),
            date: None,
        },
        _ => Forward {
            from: person,
            message_id: None,
            from_name: None,
            date: None,
        },
    }
}
