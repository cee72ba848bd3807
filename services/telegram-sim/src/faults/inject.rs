//! Switching faults on and off.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::armed::site;
use super::pushes::Delivery;
use super::{Fault, FaultError, FaultKind, FaultReport, MAX_FAULTS};
use crate::mtproto::outbox::Outbox;
use crate::sim::Sim;
use crate::world::{AccountNo, World};

impl Sim {
    /// Puts a fault to work and gives its name. Has to be called within a runtime.
    ///
    /// # Errors
    /// [`FaultError`]
    pub fn inject(&self, fault: Fault) -> Result<String, FaultError> {
        if let Some(problem) = fault.problem() {
            return Err(FaultError::Bad(problem));
        }
        let account = {
            let world = self.shared.world();
            if fault.chat_id.is_some_and(|chat| !world.chats.contains_key(&chat)) {
                return Err(FaultError::NoChat);
            }
            match &fault.account {
                None => None,
                Some(name) => Some(account_no(&world, name).ok_or(FaultError::NoAccount)?),
            }
        };
        if let Some(id) = &fault.id {
            self.heal(id);
        }
        let (kind, lasts) = (fault.kind.clone(), fault.lasts);
        let faults = self.shared.faults();
        // Other faults with the same seed have other chances.
        let what = format!("fault {kind:?} {:?} {:?} {:?}", fault.account, fault.chat_id, fault.of);
        let identity = self.shared.viewer(0).identity;
        let seed = identity.number(&what, fault.seed.cast_signed(), 0).cast_unsigned();
        let id = faults
            .arm(fault, account, seed)
            .ok_or_else(|| FaultError::Bad(format!("{MAX_FAULTS} faults are on")))?;
        match kind {
            FaultKind::Close => faults.struck(&id, self.each_connection(account, Outbox::close)),
            FaultKind::HalfOpen => faults.struck(&id, self.half_open(account)),
            FaultKind::Reordered { hold_ms, .. } => self.watch(&id, Duration::from_millis(hold_ms)),
            _ => {}
        }
        if let Some(lasts) = lasts {
            self.end_after(&id, lasts);
        }
        Ok(id)
    }

    /// All faults that were not healed, in the order they came.
    #[must_use]
    pub fn faults(&self) -> Vec<FaultReport> {
        self.shared.faults().reports()
    }

    /// Heals a fault: it strikes no more, what it held back is sent, what it hid is shown. Gives
    /// what it had done, or nothing when no fault has this name.
    #[expect(clippy::must_use_candidate, reason = "who heals may not care what was broken")]
    pub fn heal(&self, id: &str) -> Option<FaultReport> {
        // Under the world's lock, so that no push overtakes what was held back.
        let world = self.shared.world();
        let (report, held) = self.shared.faults().take(id)?;
        world.release(held.into_deliveries());
        Some(report)
    }

    /// Heals all faults and gives what they had done.
    #[expect(clippy::must_use_candidate, reason = "who heals may not care what was broken")]
    pub fn heal_all(&self) -> Vec<FaultReport> {
        self.faults()
            .iter()
            .filter_map(|report| self.heal(&report.id))
            .collect()
    }

    /// Closes the connections that take updates, of one account or all; clients may come back at
    /// once.
    ///
    /// # Errors
    /// [`FaultError::NoAccount`]
    pub fn close_connections_of(&self, account: Option<&str>) -> Result<u64, FaultError> {
        let account = self.account(account)?;
        Ok(self.each_connection(account, Outbox::close))
    }

    /// Sends `updatesTooLong` to the connections that take updates, of one account or all.
    ///
    /// # Errors
    /// [`FaultError::NoAccount`]
    pub fn send_too_long_to(&self, account: Option<&str>) -> Result<u64, FaultError> {
        let account = self.account(account)?;
        Ok(self.each_connection(account, Outbox::too_long))
    }

    /// Sends `updateChannelTooLong` of a channel to its members' connections, of one account or
    /// all, with the channel's pts or without.
    ///
    /// # Errors
    /// [`FaultError::NoAccount`]; [`FaultError::NoChat`] when there is no such channel.
    pub fn send_channel_too_long(&self, chat_id: i64, account: Option<&str>, pts: bool) -> Result<u64, FaultError> {
        let account = self.account(account)?;
        let world = self.shared.world();
        let chat = world
            .chats
            .get(&chat_id)
            .filter(|chat| chat.peer.kind.has_own_numbers())
            .ok_or(FaultError::NoChat)?;
        let told = pts.then(|| chat.timeline.pts());
        let mut sent = 0;
        for member in chat
            .members
            .iter()
            .filter(|member| account.is_none_or(|no| no == **member))
        {
            for outbox in &world.accounts[*member].outboxes {
                outbox.deliver(Delivery::ChannelTooLong(Arc::clone(&chat.peer), told));
                sent += 1;
            }
        }
        Ok(sent)
    }

    fn account(&self, name: Option<&str>) -> Result<Option<AccountNo>, FaultError> {
        name.map(|name| account_no(&self.shared.world(), name).ok_or(FaultError::NoAccount))
            .transpose()
    }

    pub(crate) fn each_connection(&self, account: Option<AccountNo>, act: impl Fn(&Outbox)) -> u64 {
        let world = self.shared.world();
        let chosen = world
            .accounts
            .iter()
            .enumerate()
            .filter(|(no, _)| account.is_none_or(|wanted| wanted == *no));
        let mut count = 0;
        for outbox in chosen.flat_map(|(_, account)| &account.outboxes) {
            act(outbox);
            count += 1;
        }
        count
    }

    /// The server forgets the connections, which is all it takes for them to hear nothing more.
    fn half_open(&self, account: Option<AccountNo>) -> u64 {
        let count = self.each_connection(account, Outbox::forsake);
        let mut world = self.shared.world();
        for (no, other) in world.accounts.iter_mut().enumerate() {
            if account.is_none_or(|wanted| wanted == no) {
                other.outboxes.clear();
            }
        }
        count
    }

    /// Ends a fault when its time is over.
    fn end_after(&self, id: &str, lasts: Duration) {
        let Some(live) = self.live(id) else {
            return;
        };
        let (id, shared, stop) = (id.to_owned(), Arc::clone(&self.shared), self.stop_token());
        self.spawn(async move {
            tokio::select! {
                () = tokio::time::sleep(lasts) => {}
                () = stop.cancelled() => return,
            }
            let world = shared.world();
            let held = shared.faults().expire(&id, &live);
            world.release(held.into_deliveries());
        });
    }

    /// Sends what a fault that reorders has held for too long, until it is healed.
    fn watch(&self, id: &str, limit: Duration) {
        let Some(live) = self.live(id) else {
            return;
        };
        let (id, shared, stop) = (id.to_owned(), Arc::clone(&self.shared), self.stop_token());
        self.spawn(async move {
            while live.load(Ordering::Relaxed) {
                tokio::select! {
                    () = tokio::time::sleep(limit) => {}
                    () = stop.cancelled() => return,
                }
                let world = shared.world();
                let overdue = shared.faults().overdue(&id, limit);
                world.release(overdue);
            }
        });
    }

    fn live(&self, id: &str) -> Option<Arc<std::sync::atomic::AtomicBool>> {
        let inner = self.shared.faults().lock();
        let armed = inner.armed.iter().find(|armed| armed.id == id)?;
        Some(Arc::clone(&armed.live))
    }
}

fn account_no(world: &World, name: &str) -> Option<AccountNo> {
    world.accounts.iter().position(|account| account.name == name)
}

impl World {
    /// Sends pushes that were held back to whoever is connected now.
    pub(crate) fn release(&self, deliveries: Vec<(AccountNo, Delivery)>) {
        for (account, delivery) in deliveries {
            for outbox in &self.accounts[account].outboxes {
                outbox.deliver(delivery.clone());
            }
        }
    }

    /// Sends a push to an account's connections, or what faults make of it.
    pub(crate) fn push(&self, account: AccountNo, push: &Arc<crate::mtproto::outbox::Push>) {
        if self.faults.at(site::PUSH) {
            return self.release(self.faults.deliveries(account, push));
        }
        for outbox in &self.accounts[account].outboxes {
            outbox.push(push);
        }
    }
}
