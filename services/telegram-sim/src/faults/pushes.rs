//! What faults make of pushes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::seq::SliceRandom;

use super::armed::{Armed, Faults, site};
use super::{Fault, FaultKind, Garbage, MAX_HELD, Of};
use crate::mtproto::outbox::{Push, What};
use crate::world::AccountNo;
use crate::world::peer::ChatPeer;

/// What goes to an account's connections in a push's place.
#[derive(Clone, Debug)]
pub(crate) enum Delivery {
    Push(Arc<Push>),
    /// The same without usable access hashes, or without peers.
    Min(Arc<Push>, bool),
    /// The same beside an update that nobody knows.
    Unknown(Arc<Push>),
    TooLong,
    ChannelTooLong(Arc<ChatPeer>, Option<i32>),
    Garbage(Garbage),
}

/// Pushes that a fault holds back.
#[derive(Default)]
pub(crate) struct Held {
    waiting: Vec<(AccountNo, Delivery)>,
    since: Option<Instant>,
}

impl Held {
    pub(super) fn into_deliveries(self) -> Vec<(AccountNo, Delivery)> {
        self.waiting
    }

    fn add(&mut self, account: AccountNo, deliveries: Vec<Delivery>) {
        self.since.get_or_insert_with(Instant::now);
        self.waiting
            .extend(deliveries.into_iter().map(|delivery| (account, delivery)));
    }

    fn take(&mut self) -> Vec<(AccountNo, Delivery)> {
        self.since = None;
        std::mem::take(&mut self.waiting)
    }
}

fn applies(fault: &Fault, push: &Push) -> bool {
    let of = match push.what {
        What::New => Of::New,
        What::Edit => Of::Edit,
        What::Delete => Of::Delete,
    };
    if fault.of.is_some_and(|wanted| wanted != of) {
        return false;
    }
    match fault.kind {
        FaultKind::ChannelTooLong { .. } | FaultKind::PollOnly | FaultKind::ChannelLost { .. } => {
            push.chat.kind.has_own_numbers()
        }
        // A deletion names nobody.
        FaultKind::MinPeers { .. } => push.what != What::Delete,
        _ => true,
    }
}

impl Faults {
    /// What becomes of a push to the account: every fault that strikes has its way with what the
    /// ones before it left. Asked only where [`Faults::at`] says so.
    pub(crate) fn deliveries(&self, account: AccountNo, push: &Arc<Push>) -> Vec<(AccountNo, Delivery)> {
        let mut left = vec![Delivery::Push(Arc::clone(push))];
        let mut released = Vec::new();
        self.each(
            site::PUSH,
            Some(account),
            Some(push.chat.id),
            |fault| applies(fault, push),
            |armed| bend(armed, account, push, &mut left, &mut released),
        );
        released.extend(left.into_iter().map(|delivery| (account, delivery)));
        released
    }

    /// What a fault that reorders has held for too long.
    pub(super) fn overdue(&self, id: &str, limit: Duration) -> Vec<(AccountNo, Delivery)> {
        let mut inner = self.lock();
        let Some(armed) = inner.armed.iter_mut().find(|armed| armed.id == id) else {
            return Vec::new();
        };
        if armed.held.since.is_some_and(|since| since.elapsed() >= limit) {
            shuffled(armed)
        } else {
            Vec::new()
        }
    }
}

fn bend(
    armed: &mut Armed,
    account: AccountNo,
    push: &Arc<Push>,
    left: &mut Vec<Delivery>,
    released: &mut Vec<(AccountNo, Delivery)>,
) {
    let push = || Arc::clone(push);
    // What an earlier fault took away is gone; only duplicates and what is held back may be many.
    let replace = |left: &mut Vec<Delivery>, new: Delivery| {
        for delivery in left {
            *delivery = new.clone();
        }
    };
    match armed.fault.kind {
        FaultKind::Lost | FaultKind::PollOnly | FaultKind::ChannelLost { .. } | FaultKind::SignedOut { .. } => {
            left.clear();
        }
        FaultKind::Duplicated { copies } => {
            let once = left.clone();
            for _ in 0..copies {
                left.extend(once.iter().cloned());
            }
        }
        FaultKind::Reordered { window, .. } => {
            armed.held.add(account, std::mem::take(left));
            if armed.held.waiting.len() >= window || !armed.on {
                released.extend(shuffled(armed));
            }
        }
        FaultKind::Burst { size } => {
            armed.held.add(account, std::mem::take(left));
            if armed.held.waiting.len() >= size.unwrap_or(MAX_HELD) || !armed.on {
                released.extend(armed.held.take());
            }
        }
        FaultKind::UpdatesTooLong => replace(left, Delivery::TooLong),
        FaultKind::ChannelTooLong { pts } => {
            let push = push();
            let told = pts.then_some(push.pts);
            replace(left, Delivery::ChannelTooLong(Arc::clone(&push.chat), told));
        }
        FaultKind::UnknownUpdate => replace(left, Delivery::Unknown(push())),
        FaultKind::MinPeers { absent } => replace(left, Delivery::Min(push(), absent)),
        FaultKind::Garbage { shape } => replace(left, Delivery::Garbage(shape)),
        // The others do not act on pushes.
        _ => {}
    }
}

fn shuffled(armed: &mut Armed) -> Vec<(AccountNo, Delivery)> {
    let mut waiting = armed.held.take();
    let last = waiting.len().saturating_sub(1);
    waiting.shuffle(armed.rng());
    // A shuffle may leave everything in place, which is no fault; with two it does so half of the
    // time.
    if last > 0 {
        let is_sorted = waiting.windows(2).all(|pair| pts(&pair[0].1) <= pts(&pair[1].1));
        if is_sorted {
            waiting.swap(0, last);
        }
    }
    waiting
}

fn pts(delivery: &Delivery) -> i32 {
    match delivery {
        Delivery::Push(push) | Delivery::Min(push, _) | Delivery::Unknown(push) => push.pts,
        Delivery::TooLong | Delivery::ChannelTooLong(..) | Delivery::Garbage(_) => 0,
    }
}
