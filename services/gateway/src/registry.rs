//! Who is connected: bounds on their number, and a way to reach all of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tgmesh_lifecycle::metrics::Gauge;
use tgmesh_proto::frame::CloseCode;

use crate::address::Place;
use crate::auth::Grant;
use crate::mailbox::{Budget, Mailbox};
use crate::wheel::Wheel;

/// How many connections there may be.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// In all.
    pub connections: usize,
    /// Of one subject, where its token says nothing of it.
    pub per_subject: Option<u32>,
    /// From one place.
    pub per_address: Option<u32>,
    /// Bytes that wait for all of them together.
    pub buffered_bytes: usize,
}

impl Bounds {
    /// Connections that have not shown a good token. Fewer than all, so that who comes without one
    /// cannot keep out those who have one; many, so that a crowd that comes back at once may.
    const fn unauthenticated(self) -> usize {
        let quarter = self.connections / 4;
        if quarter > 64 { quarter } else { 64 }
    }
}

/// What a client had too much of, or took too long for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Connections of this process.
    Connections,
    /// Connections that have not shown a token.
    Unauthenticated,
    /// Connections from one place.
    Address,
    /// Connections of one subject.
    Subject,
    /// Frames a second.
    Frames,
    /// Bytes of a frame or message.
    FrameSize,
    /// Subscriptions of a connection.
    Subscriptions,
    /// Time to show a token.
    Handshake,
    /// Time to take what was sent.
    Pace,
    /// Bytes that wait for all clients together.
    Memory,
}

impl Limit {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Connections,
        Self::Unauthenticated,
        Self::Address,
        Self::Subject,
        Self::Frames,
        Self::FrameSize,
        Self::Subscriptions,
        Self::Handshake,
        Self::Pace,
        Self::Memory,
    ];

    /// Its word in metrics and in the audit log.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Unauthenticated => "unauthenticated",
            Self::Address => "address",
            Self::Subject => "subject",
            Self::Frames => "frames",
            Self::FrameSize => "frame_size",
            Self::Subscriptions => "subscriptions",
            Self::Handshake => "handshake",
            Self::Pace => "pace",
            Self::Memory => "memory",
        }
    }

    /// What a close frame says of it.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Connections => "too many connections",
            Self::Unauthenticated => "too many connections without a token",
            Self::Address => "too many connections from this address",
            Self::Subject => "too many connections of this subject",
            Self::Frames => "too many frames",
            Self::FrameSize => "frame too large",
            Self::Subscriptions => "too many subscriptions",
            Self::Handshake => "no token",
            Self::Pace => "too slow",
            Self::Memory => "too much waits for other clients",
        }
    }

    /// The limit that a close frame's reason tells.
    #[must_use]
    pub fn of_reason(reason: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|limit| limit.reason() == reason)
    }
}

/// Every open connection of this process.
#[derive(Debug)]
pub struct Registry {
    bounds: Bounds,
    clients: Gauge,
    wheel: Wheel,
    budget: Arc<Budget>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    connections: HashMap<u64, Connection>,
    subjects: HashMap<Arc<str>, u32>,
    places: HashMap<Place, u32>,
    authenticated: u32,
    /// How many there were when all were last told to end.
    told_to_end: usize,
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
    place: Place,
    subject: Option<Arc<str>>,
}

impl Registry {
    /// A registry within bounds.
    #[must_use]
    pub fn new(bounds: Bounds, clients: Gauge) -> Arc<Self> {
        Arc::new(Self {
            bounds,
            clients,
            wheel: Wheel::default(),
            budget: Arc::new(Budget::new(bounds.buffered_bytes)),
            state: Mutex::default(),
        })
    }

    /// Takes a connection in.
    ///
    /// # Errors
    /// The limit, when there are too many.
    pub fn admit(self: &Arc<Self>, place: Place) -> Result<Seat, Limit> {
        let mut state = self.lock();
        if self.budget.is_short() {
            return Err(Limit::Memory);
        }
        let open = state.connections.len();
        if open >= self.bounds.connections {
            return Err(Limit::Connections);
        }
        if open - state.authenticated as usize >= self.bounds.unauthenticated() {
            return Err(Limit::Unauthenticated);
        }
        let here = state.places.get(&place).copied().unwrap_or_default();
        if self.bounds.per_address.is_some_and(|most| here >= most) {
            return Err(Limit::Address);
        }
        state.places.insert(place, here + 1);
        state.next += 1;
        let (number, mailbox) = (state.next, Arc::new(Mailbox::new(&self.budget)));
        let connection = Connection {
            mailbox: Arc::clone(&mailbox),
            owner: None,
        };
        state.connections.insert(number, connection);
        Ok(Seat {
            registry: Arc::clone(self),
            number,
            mailbox,
            place,
            subject: None,
        })
    }

    /// Connections that were open when all were last told to end.
    #[must_use]
    pub fn told_to_end(&self) -> usize {
        self.lock().told_to_end
    }

    /// Bytes that wait for all of them together.
    #[must_use]
    pub fn buffered_bytes(&self) -> usize {
        self.budget.used()
    }

    /// Wakes clients at the times that they set, until it is dropped.
    pub async fn keep_time(&self) {
        self.wheel.turn().await;
    }

    /// Tells every client's task to end with this close code.
    pub fn order_all(&self, code: CloseCode) {
        let mut state = self.lock();
        state.told_to_end = state.connections.len();
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

    /// Has the client woken for [`Turn::Tick`](crate::client) at this time or shortly behind it, in
    /// place of the time before.
    pub fn wake_at(&self, at: Instant) {
        self.registry.wheel.set(&self.mailbox, at);
    }

    /// Where the client is.
    #[must_use]
    pub fn place(&self) -> Place {
        self.place
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
        let most = grant.max_connections.or(self.registry.bounds.per_subject);
        most.is_none_or(|most| count <= most)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.mailbox.close();
        let mut state = self.registry.lock();
        state.connections.remove(&self.number);
        if let Some(count) = state.places.get_mut(&self.place) {
            *count -= 1;
            if *count == 0 {
                state.places.remove(&self.place);
            }
        }
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

    fn registry(connections: usize, per_subject: Option<u32>, per_address: Option<u32>) -> Arc<Registry> {
        let bounds = Bounds {
            connections,
            per_subject,
            per_address,
            buffered_bytes: 1 << 20,
        };
        Registry::new(bounds, Gauge::default())
    }

    fn place(last: u8) -> Place {
        Place::of([192, 0, 2, last].into())
    }

    #[test]
    fn an_address_has_its_share() {
        let registry = registry(100, None, Some(2));
        let first = registry.admit(place(1)).expect("there is room");
        let _second = registry.admit(place(1)).expect("there is room");
        assert_eq!(registry.admit(place(1)).err(), Some(Limit::Address));
        let other = registry.admit(place(2)).expect("another address");
        drop(first);
        assert!(registry.admit(place(1)).is_ok());
        drop(other);
        assert!(!registry.lock().places.contains_key(&place(2)));
    }

    #[test]
    fn who_shows_no_token_takes_no_place_of_who_does() {
        let registry = registry(1_000, None, None);
        let without: Vec<_> = (0..250)
            .map(|_| registry.admit(place(1)).expect("there is room"))
            .collect();
        assert_eq!(registry.admit(place(1)).err(), Some(Limit::Unauthenticated));
        drop(without);
        let with: Vec<_> = (0..600)
            .map(|_| {
                let mut seat = registry.admit(place(1)).expect("there is room");
                assert!(seat.belongs_to(&grant("t", "ann", None)));
                seat
            })
            .collect();
        assert_eq!(with.len(), 600);
    }

    #[test]
    fn a_claim_goes_before_the_default_of_a_subject() {
        let registry = registry(100, Some(1), None);
        let mut seats: Vec<_> = (0..4)
            .map(|_| registry.admit(place(1)).expect("there is room"))
            .collect();
        assert!(seats[0].belongs_to(&grant("t1", "ann", None)));
        assert!(!seats[1].belongs_to(&grant("t2", "ann", None)));
        assert!(seats[2].belongs_to(&grant("t3", "ann", Some(3))));
        assert!(seats[3].belongs_to(&grant("t4", "bob", None)));
    }

    #[test]
    fn each_limit_is_known_by_its_reason() {
        for limit in Limit::ALL {
            assert_eq!(Limit::of_reason(limit.reason()), Some(limit));
        }
        assert_eq!(Limit::of_reason("going away"), None);
    }

    #[test]
    fn bounds_hold_and_places_come_back() {
        let registry = registry(2, None, None);
        let mut first = registry.admit(place(1)).expect("there is room");
        let mut second = registry.admit(place(1)).expect("there is room");
        assert_eq!(registry.admit(place(1)).err(), Some(Limit::Connections));
        assert!(first.belongs_to(&grant("t1", "ann", Some(1))));
        assert!(!second.belongs_to(&grant("t2", "ann", Some(1))));
        assert!((registry.clients.get() - 2.0).abs() < f64::EPSILON);
        drop(second);
        assert!(
            first.belongs_to(&grant("t1", "ann", Some(1))),
            "a renewal counts nothing twice"
        );
        assert!(registry.admit(place(1)).is_ok());
        drop(first);
        assert!(registry.lock().subjects.is_empty());
    }

    #[test]
    fn orders_reach_everyone_and_the_first_stands() {
        let registry = registry(2, None, None);
        let seat = registry.admit(place(1)).expect("there is room");
        registry.order_all(CloseCode::GoingAway);
        registry.order_all(CloseCode::Expired);
        assert_eq!(seat.mailbox().ordered(), Some(CloseCode::GoingAway));
    }

    #[test]
    fn those_who_are_meant_are_ordered() {
        let registry = registry(3, None, None);
        let mut seats: Vec<Seat> = (0..3).filter_map(|_| registry.admit(place(1)).ok()).collect();
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
