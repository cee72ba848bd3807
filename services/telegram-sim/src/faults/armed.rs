//! The faults that are on, and the question whether one strikes.
//!
//! Where there is no fault, a site pays one relaxed load. Where there is one, a lock is taken;
//! whoever also holds the world's lock took that one first.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::Notify;

use super::pushes::Held;
use super::{Fault, FaultKind, FaultReport, MAX_FAULTS, Refusal};
use crate::world::AccountNo;

/// Where a kind of fault acts.
pub(crate) mod site {
    use super::FaultKind;

    pub(crate) const PUSH: u32 = 1;
    pub(crate) const POST: u32 = 2;
    pub(crate) const REQUEST: u32 = 4;
    pub(crate) const DIFFERENCE: u32 = 8;
    pub(crate) const LINK: u32 = 16;
    pub(crate) const PACKET: u32 = 32;
    pub(crate) const MUTE: u32 = 64;
    /// Bytes sent may need a constructor exchanged.
    pub(crate) const UNKNOWN: u32 = 128;
    /// Done when it is injected.
    pub(crate) const ONCE: u32 = 256;
    /// Knows no chance: it holds or it does not.
    pub(crate) const STANDING: u32 = 512;

    pub(crate) fn of(kind: &FaultKind) -> u32 {
        match kind {
            FaultKind::Lost
            | FaultKind::Duplicated { .. }
            | FaultKind::Reordered { .. }
            | FaultKind::Burst { .. }
            | FaultKind::UpdatesTooLong
            | FaultKind::ChannelTooLong { .. }
            | FaultKind::UnknownUpdate
            | FaultKind::MinPeers { .. }
            | FaultKind::Garbage { .. } => PUSH,
            FaultKind::PollOnly => PUSH | DIFFERENCE | STANDING,
            FaultKind::Late { .. } | FaultKind::Vanished => POST,
            FaultKind::UnknownMedia | FaultKind::UnknownEntity => POST | UNKNOWN,
            FaultKind::FloodWait { .. }
            | FaultKind::RpcError { .. }
            | FaultKind::Delay { .. }
            | FaultKind::Cut { .. } => REQUEST,
            FaultKind::ChannelDifferenceTooLong { .. } | FaultKind::DifferenceTooLong { .. } => DIFFERENCE,
            FaultKind::UnknownInDifference => DIFFERENCE | UNKNOWN,
            FaultKind::ChannelLost { .. } => PUSH | REQUEST | DIFFERENCE | STANDING,
            FaultKind::SignedOut { .. } => PUSH | REQUEST | STANDING,
            FaultKind::Close | FaultKind::HalfOpen => ONCE,
            FaultKind::Refuse { .. } => LINK,
            FaultKind::Mute => MUTE | STANDING,
            FaultKind::BadSalt | FaultKind::BadMessage { .. } => PACKET,
        }
    }
}

/// A fault at work.
pub(crate) struct Armed {
    pub(super) id: String,
    pub(super) fault: Fault,
    pub(super) account: Option<AccountNo>,
    sites: u32,
    rng: SmallRng,
    hits: u64,
    until: Option<Instant>,
    /// False once its count or its time is used up.
    pub(super) on: bool,
    /// True until it is healed: what it did to messages lasts so long.
    pub(super) live: Arc<AtomicBool>,
    /// Pushes held back.
    pub(super) held: Held,
}

impl Armed {
    fn concerns(&self, account: Option<AccountNo>, chat: Option<i64>) -> bool {
        (self.account.is_none() || self.account == account)
            && (self.fault.chat_id.is_none() || self.fault.chat_id == chat)
    }

    /// Whether it strikes on an occasion within its scope.
    fn strikes(&mut self) -> bool {
        if self.until.is_some_and(|until| Instant::now() >= until) {
            self.on = false;
            return false;
        }
        // Always drawn, so that the n-th occasion has the n-th number.
        let drawn = self.fault.probability.is_none_or(|p| self.rng.random_bool(p));
        if drawn {
            self.hits += 1;
            if self.fault.count.is_some_and(|count| self.hits >= count) {
                self.on = false;
            }
        }
        drawn
    }

    fn report(&self) -> FaultReport {
        FaultReport {
            id: self.id.clone(),
            fault: self.fault.clone(),
            hits: self.hits,
            active: self.on,
        }
    }

    pub(crate) fn kind(&self) -> &FaultKind {
        &self.fault.kind
    }

    pub(super) fn rng(&mut self) -> &mut SmallRng {
        &mut self.rng
    }
}

#[derive(Default)]
pub(super) struct Inner {
    pub(super) armed: Vec<Armed>,
    named: u64,
}

/// All faults.
#[derive(Default)]
pub(crate) struct Faults {
    /// Sites at which a fault is on.
    sites: AtomicU32,
    inner: Mutex<Inner>,
    /// Told when a fault is over or healed.
    pub(super) changed: Notify,
}

impl Faults {
    /// Whether any fault is on at one of these sites.
    pub(crate) fn at(&self, sites: u32) -> bool {
        self.sites.load(Ordering::Relaxed) & sites != 0
    }

    /// A panic elsewhere leaves the list whole: every change is a single store or push.
    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn refresh(&self, inner: &Inner) {
        let sites = inner
            .armed
            .iter()
            .map(|armed| {
                if armed.on {
                    armed.sites
                } else {
                    armed.sites & site::UNKNOWN
                }
            })
            .fold(0, |all, sites| all | sites);
        self.sites.store(sites, Ordering::Relaxed);
    }

    /// Puts a fault to work with chances from `seed`. Gives its name, or nothing when there are too
    /// many.
    pub(super) fn arm(&self, fault: Fault, account: Option<AccountNo>, seed: u64) -> Option<String> {
        let mut inner = self.lock();
        if inner.armed.len() >= MAX_FAULTS {
            // What is over makes room, oldest first; its hits are forgotten.
            let over = inner
                .armed
                .iter()
                .position(|armed| !armed.on && armed.sites & site::UNKNOWN == 0)?;
            inner.armed.remove(over);
        }
        let id = if let Some(id) = &fault.id {
            id.clone()
        } else {
            loop {
                inner.named += 1;
                let id = format!("f{}", inner.named);
                if inner.armed.iter().all(|armed| armed.id != id) {
                    break id;
                }
            }
        };
        let sites = site::of(&fault.kind);
        inner.armed.push(Armed {
            id: id.clone(),
            account,
            sites,
            rng: SmallRng::seed_from_u64(seed),
            hits: 0,
            until: fault.lasts.map(|time| Instant::now() + time),
            on: sites & site::ONCE == 0,
            live: Arc::new(AtomicBool::new(true)),
            held: Held::default(),
            fault,
        });
        self.refresh(&inner);
        Some(id)
    }

    /// Takes a fault off the list; what it did to messages is undone, and the pushes it held back
    /// are the caller's to send.
    pub(super) fn take(&self, id: &str) -> Option<(FaultReport, Held)> {
        let mut inner = self.lock();
        let at = inner.armed.iter().position(|armed| armed.id == id)?;
        let mut armed = inner.armed.remove(at);
        armed.live.store(false, Ordering::Relaxed);
        self.refresh(&inner);
        drop(inner);
        self.changed.notify_waiters();
        let held = std::mem::take(&mut armed.held);
        Some((armed.report(), held))
    }

    /// Ends a fault whose time is over; gives the pushes it held back.
    pub(super) fn expire(&self, id: &str, live: &Arc<AtomicBool>) -> Held {
        let mut inner = self.lock();
        let Some(armed) = inner
            .armed
            .iter_mut()
            // Another of the same name may have taken its place.
            .find(|armed| armed.id == id && Arc::ptr_eq(&armed.live, live))
        else {
            return Held::default();
        };
        armed.on = false;
        let held = std::mem::take(&mut armed.held);
        self.refresh(&inner);
        drop(inner);
        self.changed.notify_waiters();
        held
    }

    /// Adds hits to a fault that is done at once.
    pub(super) fn struck(&self, id: &str, hits: u64) {
        if let Some(armed) = self.lock().armed.iter_mut().find(|armed| armed.id == id) {
            armed.hits += hits;
        }
    }

    pub(super) fn reports(&self) -> Vec<FaultReport> {
        let now = Instant::now();
        let mut inner = self.lock();
        for armed in &mut inner.armed {
            armed.on &= armed.until.is_none_or(|until| now < until);
        }
        self.refresh(&inner);
        inner.armed.iter().map(Armed::report).collect()
    }

    /// The first fault that `pick` has something to say about and that strikes, with what it said.
    /// Faults that let an occasion pass have counted it.
    pub(crate) fn first<T>(
        &self,
        sites: u32,
        account: Option<AccountNo>,
        chat: Option<i64>,
        mut pick: impl FnMut(&Armed) -> Option<T>,
    ) -> Option<T> {
        if !self.at(sites) {
            return None;
        }
        let mut inner = self.lock();
        let found = inner
            .armed
            .iter_mut()
            .filter(|armed| armed.on && armed.sites & sites != 0 && armed.concerns(account, chat))
            .find_map(|armed| {
                let said = pick(armed)?;
                armed.strikes().then_some(said)
            });
        self.refresh(&inner);
        found
    }

    /// Every fault of the site that strikes, in the order they came.
    pub(super) fn each(
        &self,
        sites: u32,
        account: Option<AccountNo>,
        chat: Option<i64>,
        applies: impl Fn(&Fault) -> bool,
        mut then: impl FnMut(&mut Armed),
    ) {
        let mut inner = self.lock();
        for armed in &mut inner.armed {
            if armed.on
                && armed.sites & sites != 0
                && armed.concerns(account, chat)
                && applies(&armed.fault)
                && armed.strikes()
            {
                then(armed);
            }
        }
        self.refresh(&inner);
    }

    /// Whether the account hears and gets nothing.
    pub(crate) fn is_mute(&self, account: AccountNo) -> bool {
        self.first(site::MUTE, Some(account), None, |_| Some(())).is_some()
    }

    /// Whether a new connection is refused, and by which fault: before its account is known by one
    /// for all, afterwards by one for this account.
    pub(crate) fn refusal(&self, account: Option<AccountNo>) -> Option<(Refusal, Arc<AtomicBool>)> {
        self.first(site::LINK, account, None, |armed| match armed.fault.kind {
            FaultKind::Refuse { how } if armed.account == account => Some((how, Arc::clone(&armed.live))),
            _ => None,
        })
    }

    /// Waits until a fault is healed or its time is over.
    pub(crate) async fn is_over(&self, live: &Arc<AtomicBool>) {
        loop {
            let changed = self.changed.notified();
            let now = Instant::now();
            let until = match self.lock().armed.iter().find(|armed| Arc::ptr_eq(&armed.live, live)) {
                Some(armed) if armed.until.is_none_or(|until| until > now) => armed.until,
                _ => return,
            };
            let passed = async {
                match until {
                    Some(until) => tokio::time::sleep_until(until.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = changed => {}
                () = passed => {}
            }
        }
    }
}
