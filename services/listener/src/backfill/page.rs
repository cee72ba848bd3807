//! A page of the past on its way through the worker.

use std::sync::{Arc, Mutex};
use std::vec;

use tokio::sync::oneshot;

use super::told::Told;
use crate::queue::Seen;

/// Messages that are handled before the worker looks for live ones again.
const PIECE: usize = 8;

/// What came of a page.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Messages that were searched.
    pub messages: u64,
    /// Addresses in them.
    pub finds: u64,
    /// Events that were published.
    pub events: u64,
}

/// Messages of one chat, oldest first.
pub struct Page {
    messages: vec::IntoIter<Seen>,
    /// What the streams hold of the chat.
    pub told: Arc<Mutex<Told>>,
    /// When it came off the socket, µs since the epoch.
    pub received_us: i64,
    /// What came of it so far.
    pub tally: Tally,
    settled: oneshot::Sender<Tally>,
}

/// Says that everything of a page is in the streams.
pub struct Settled {
    tally: Tally,
    sender: oneshot::Sender<Tally>,
}

impl Page {
    /// A page, and who waits for it to be settled.
    #[must_use]
    pub fn new(messages: Vec<Seen>, told: Arc<Mutex<Told>>, received_us: i64) -> (Self, oneshot::Receiver<Tally>) {
        let (settled, receiver) = oneshot::channel();
        let page = Self {
            messages: messages.into_iter(),
            told,
            received_us,
            tally: Tally::default(),
            settled,
        };
        (page, receiver)
    }

    /// The next messages; empty at the end.
    pub fn piece(&mut self) -> Vec<Seen> {
        self.messages.by_ref().take(PIECE).collect()
    }

    /// Whether everything was handled.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.messages.as_slice().is_empty()
    }

    /// What is to be said once all of its events are stored.
    #[must_use]
    pub fn into_settled(self) -> Settled {
        Settled {
            tally: self.tally,
            sender: self.settled,
        }
    }
}

impl Settled {
    /// Says it. Whoever waited may be gone.
    pub fn tell(self) {
        let _ = self.sender.send(self.tally);
    }
}
