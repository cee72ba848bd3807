//! Who is connected: bounds on their number, and a way to reach all of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tgmesh_lifecycle::metrics::Gauge;
use tgmesh_proto::frame::CloseCode;

use crate::mailbox::Mailbox;

/// Every open connection of this process.
#[derive(Debug)]
pub struct Registry {
    most: usize,
    clients: Gauge,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    mailboxes: HashMap<u64, Arc<Mailbox>>,
    subjects: HashMap<Arc<str>, u32>,
    authenticated: u32,
}

/// A connection's place in the registry, given back on drop.
#[derive(Debug)]
pub struct Seat {
    registry: Arc<Registry>,
    number: u64,
    mailbox: Arc<Mailbox>,
    subject: Option<Arc<str>>,
}

impl Registry {
    /// A registry for at most so many connections.
    #[must_use]
    pub fn new(most: usize, clients: Gauge) -> Arc<Self> {
        Arc::new(Self {
            most,
            clients,
            state: Mutex::default(),
        })
    }

    /// Takes a connection in; nothing when there are too many.
    #[must_use]
    pub fn admit(self: &Arc<Self>) -> Option<Seat> {
        let mut state = self.lock();
        if state.mailboxes.len() >= self.most {
            return None;
        }
        state.next += 1;
        let (number, mailbox) = (state.next, Arc::new(Mailbox::default()));
        state.mailboxes.insert(number, Arc::clone(&mailbox));
        Some(Seat {
            registry: Arc::clone(self),
            number,
            mailbox,
            subject: None,
        })
    }

    /// Tells every client's task to end with this close code.
    pub fn order_all(&self, code: CloseCode) {
        self.lock().mailboxes.values().for_each(|mailbox| mailbox.order(code));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// The connection's mailbox.
    #[must_use]
    pub fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    /// Notes whose connection it is. Whether the subject may have this many.
    pub fn belongs_to(&mut self, subject: &str, most: Option<u32>) -> bool {
        let mut state = self.registry.lock();
        if self.subject.is_none() {
            let subject: Arc<str> = subject.into();
            *state.subjects.entry(Arc::clone(&subject)).or_default() += 1;
            self.subject = Some(subject);
            state.authenticated += 1;
            self.registry.clients.set(f64::from(state.authenticated));
        }
        most.is_none_or(|most| state.subjects.get(subject).is_none_or(|&count| count <= most))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.mailbox.close();
        let mut state = self.registry.lock();
        state.mailboxes.remove(&self.number);
        if let Some(subject) = &self.subject
            && let Some(count) = state.subjects.get_mut(subject)
        {
            *count -= 1;
            if *count == 0 {
                state.subjects.remove(subject);
            }
            state.authenticated -= 1;
            self.registry.clients.set(f64::from(state.authenticated));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_hold_and_places_come_back() {
        let registry = Registry::new(2, Gauge::default());
        let mut first = registry.admit().expect("there is room");
        let mut second = registry.admit().expect("there is room");
        assert!(registry.admit().is_none());
        assert!(first.belongs_to("ann", Some(1)));
        assert!(!second.belongs_to("ann", Some(1)));
        assert!((registry.clients.get() - 2.0).abs() < f64::EPSILON);
        drop(second);
        assert!(first.belongs_to("ann", Some(1)), "a renewal counts nothing twice");
        assert!(registry.admit().is_some());
        drop(first);
        assert!(registry.lock().subjects.is_empty());
    }

    #[test]
    fn orders_reach_everyone_and_the_first_stands() {
        let registry = Registry::new(2, Gauge::default());
        let seat = registry.admit().expect("there is room");
        registry.order_all(CloseCode::GoingAway);
        registry.order_all(CloseCode::Expired);
        assert_eq!(seat.mailbox().ordered(), Some(CloseCode::GoingAway));
    }
}
