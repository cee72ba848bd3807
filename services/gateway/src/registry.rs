//! Who is connected: bounds on their number, and a way to reach all of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tgmesh_lifecycle::metrics::Gauge;
use tgmesh_proto::frame::CloseCode;

use crate::auth::Grant;
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
    connections: HashMap<u64, Connection>,
    subjects: HashMap<Arc<str>, u32>,
    authenticated: u32,
}

#[derive(Debug)]
struct Connection {
    mailbox: Arc<Mailbox>,
    /// Token id and subject, once they are known.
    owner: Option<(Box<str>, Arc<str>)>,
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
        if state.connections.len() >= self.most {
            return None;
        }
        state.next += 1;
        let (number, mailbox) = (state.next, Arc::new(Mailbox::default()));
        let connection = Connection {
            mailbox: Arc::clone(&mailbox),
            owner: None,
        };
        state.connections.insert(number, connection);
        Some(Seat {
            registry: Arc::clone(self),
            number,
            mailbox,
            subject: None,
        })
    }

    /// Tells every client's task to end with this close code.
    pub fn order_all(&self, code: CloseCode) {
        let state = self.lock();
        state
            .connections
            .values()
            .for_each(|connection| connection.mailbox.order(code));
    }

    /// The same for the connections whose token id and subject these are.
    pub fn order_those(&self, code: CloseCode, these: impl Fn(&str, &str) -> bool) {
        for connection in self.lock().connections.values() {
            if let Some((token_id, subject)) = &connection.owner
                && these(token_id, subject)
            {
                connection.mailbox.order(code);
            }
        }
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

    /// Notes whose connection it is, again with each token. Whether the subject may have this many.
    pub fn belongs_to(&mut self, grant: &Grant) -> bool {
        let mut state = self.registry.lock();
        if self.subject.is_none() {
            let subject: Arc<str> = grant.subject.as_str().into();
            *state.subjects.entry(Arc::clone(&subject)).or_default() += 1;
            self.subject = Some(subject);
            state.authenticated += 1;
            self.registry.clients.set(f64::from(state.authenticated));
        }
        if let (Some(connection), Some(subject)) = (state.connections.get_mut(&self.number), &self.subject) {
            connection.owner = Some((grant.token_id.as_str().into(), Arc::clone(subject)));
        }
        let count = state.subjects.get(grant.subject.as_str()).copied().unwrap_or_default();
        grant.max_connections.is_none_or(|most| count <= most)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.mailbox.close();
        let mut state = self.registry.lock();
        state.connections.remove(&self.number);
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
    use crate::rights::{Chats, Rights, Role};

    fn grant(token_id: &str, subject: &str, max_connections: Option<u32>) -> Grant {
        Grant {
            subject: subject.to_owned(),
            token_id: token_id.to_owned(),
            expires_at: 0,
            rights: Rights {
                role: Role::Viewer,
                chats: Chats::none(),
                families: None,
                min_confidence: 0.0,
            },
            max_connections,
            rate: None,
        }
    }

    #[test]
    fn bounds_hold_and_places_come_back() {
        let registry = Registry::new(2, Gauge::default());
        let mut first = registry.admit().expect("there is room");
        let mut second = registry.admit().expect("there is room");
        assert!(registry.admit().is_none());
        assert!(first.belongs_to(&grant("t1", "ann", Some(1))));
        assert!(!second.belongs_to(&grant("t2", "ann", Some(1))));
        assert!((registry.clients.get() - 2.0).abs() < f64::EPSILON);
        drop(second);
        assert!(
            first.belongs_to(&grant("t1", "ann", Some(1))),
            "a renewal counts nothing twice"
        );
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

    #[test]
    fn those_who_are_meant_are_ordered() {
        let registry = Registry::new(3, Gauge::default());
        let mut seats: Vec<Seat> = (0..3).filter_map(|_| registry.admit()).collect();
        assert!(seats[0].belongs_to(&grant("t1", "ann", None)));
        assert!(seats[1].belongs_to(&grant("t2", "bob", None)));
        registry.order_those(CloseCode::Expired, |token_id, subject| {
            token_id == "t2" || subject == "cid"
        });
        let ordered: Vec<_> = seats.iter().map(|seat| seat.mailbox().ordered()).collect();
        assert_eq!(ordered, [None, Some(CloseCode::Expired), None]);
        assert!(seats[0].belongs_to(&grant("t3", "ann", None)));
        registry.order_those(CloseCode::Expired, |token_id, _| token_id == "t1");
        assert_eq!(seats[0].mailbox().ordered(), None, "its token is another by now");
    }
}
