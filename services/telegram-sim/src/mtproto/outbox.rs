//! What waits to be sent on one connection.
//!
//! The queue is bounded. Whoever can wait (the load player) asks for room first; for everyone
//! else a connection that does not keep up misses its pushes and is told so by
//! `updatesTooLong`, after which the client fetches the difference: Telegram does the same.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::faults::pushes::Delivery;
use crate::view::Viewer;
use crate::world::AccountNo;
use crate::world::message::Content;
use crate::world::peer::{ChatPeer, User};

/// Pushes above which a poster that can wait does.
const ROOM: usize = 4_096;
/// Pushes above which the connection counts as too slow and misses them.
const CAPACITY: usize = 4 * ROOM;

/// Bytes of answers that may wait: a client that asks on without reading is cut off.
const MAX_ANSWERS: usize = 64 * 1_024 * 1_024;

/// What a push tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    New,
    Edit,
    Delete,
}

/// An event for one or more accounts, with all that is needed to encode it for any of them.
#[derive(Debug)]
pub(crate) struct Push {
    /// Number in the posted log.
    pub(crate) n: u64,
    pub(crate) what: What,
    pub(crate) chat: Arc<ChatPeer>,
    pub(crate) users: Vec<Arc<User>>,
    pub(crate) origin: Option<Origin>,
    pub(crate) id: i32,
    pub(crate) reply_to: Option<i32>,
    /// Absent for deletions.
    pub(crate) content: Option<Arc<Content>>,
    /// The messages deleted.
    pub(crate) ids: Vec<i32>,
    pub(crate) pts: i32,
    pub(crate) pts_count: i32,
    pub(crate) date: i32,
}

/// The chat a message was forwarded from.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) chat: Arc<ChatPeer>,
    pub(crate) members: Vec<AccountNo>,
}

/// One thing to send.
pub(crate) enum Out {
    /// A serialized body. `content` = the client has to acknowledge it; `answer` = it answers a
    /// request, which shows in the message's number.
    Body {
        body: Vec<u8>,
        content: bool,
        answer: bool,
    },
    Push(Arc<Push>),
    TooLong,
    /// What a fault made of a push.
    Odd(Delivery),
    /// What comes behind it is for this account.
    Belong(AccountNo, Viewer),
}

#[derive(Default)]
struct Queue {
    items: VecDeque<Out>,
    pushes: usize,
    /// Bytes of the bodies among the items.
    answers: usize,
    behind: bool,
}

/// The queue between the world and a connection's writer.
pub(crate) struct Outbox {
    queue: Mutex<Queue>,
    ready: Notify,
    room: Notify,
    closed: CancellationToken,
    forsaken: AtomicBool,
}

impl Outbox {
    /// `closed` ends the connection, and is set when it has ended.
    pub(crate) fn new(closed: CancellationToken) -> Self {
        Self {
            queue: Mutex::default(),
            ready: Notify::new(),
            room: Notify::new(),
            closed,
            forsaken: AtomicBool::new(false),
        }
    }

    /// A panic elsewhere leaves the queue whole: every change is a single push or pop.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues an update, or notes that the connection misses it.
    pub(crate) fn push(&self, push: &Arc<Push>) {
        if self.closed.is_cancelled() {
            return;
        }
        let mut queue = self.lock();
        if queue.behind {
            return;
        }
        if queue.pushes >= CAPACITY {
            queue.behind = true;
            queue.items.push_back(Out::TooLong);
        } else {
            queue.pushes += 1;
            queue.items.push_back(Out::Push(Arc::clone(push)));
        }
        drop(queue);
        self.ready.notify_one();
    }

    /// Queues what a fault made of a push, or let go after it had held it back: however much that
    /// is, for it was in memory already.
    pub(crate) fn deliver(&self, delivery: Delivery) {
        if self.closed.is_cancelled() {
            return;
        }
        let mut queue = self.lock();
        if queue.behind {
            return;
        }
        let out = match delivery {
            Delivery::Push(push) => {
                queue.pushes += 1;
                Out::Push(push)
            }
            Delivery::TooLong => Out::TooLong,
            odd => Out::Odd(odd),
        };
        queue.items.push_back(out);
        drop(queue);
        self.ready.notify_one();
    }

    /// Leaves the connection to itself: it stays open, and nothing comes over it any more.
    pub(crate) fn forsake(&self) {
        self.forsaken.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_forsaken(&self) -> bool {
        self.forsaken.load(Ordering::Relaxed)
    }

    /// Queues an answer or a service message.
    pub(crate) fn send(&self, body: Vec<u8>, content: bool, answer: bool) {
        let mut queue = self.lock();
        queue.answers += body.len();
        if queue.answers > MAX_ANSWERS {
            drop(queue);
            return self.close();
        }
        queue.items.push_back(Out::Body { body, content, answer });
        drop(queue);
        self.ready.notify_one();
    }

    /// Tells the writer whose connection it is from here on.
    pub(crate) fn belong(&self, account: AccountNo, viewer: Viewer) {
        self.lock().items.push_back(Out::Belong(account, viewer));
        self.ready.notify_one();
    }

    /// Tells the client to fetch the difference.
    pub(crate) fn too_long(&self) {
        self.lock().items.push_back(Out::TooLong);
        self.ready.notify_one();
    }

    /// Waits until the queue is short enough, or the connection has ended.
    pub(crate) async fn has_room(&self) {
        loop {
            let room = self.room.notified();
            if self.closed.is_cancelled() || self.lock().pushes < ROOM {
                return;
            }
            tokio::select! {
                () = room => {}
                () = self.closed.cancelled() => return,
            }
        }
    }

    /// Waits until everything was taken by the writer, or the connection has ended.
    pub(crate) async fn is_drained(&self) {
        loop {
            let room = self.room.notified();
            if self.closed.is_cancelled() || self.lock().items.is_empty() {
                return;
            }
            tokio::select! {
                () = room => {}
                () = self.closed.cancelled() => return,
            }
        }
    }

    /// The writer's side: waits for something to send and takes up to `limit` of it.
    pub(crate) async fn take(&self, limit: usize) -> Vec<Out> {
        loop {
            let ready = self.ready.notified();
            {
                let mut queue = self.lock();
                if !queue.items.is_empty() {
                    let count = queue.items.len().min(limit);
                    let taken: Vec<_> = queue.items.drain(..count).collect();
                    for out in &taken {
                        match out {
                            Out::Push(_) => queue.pushes -= 1,
                            Out::TooLong => queue.behind = false,
                            Out::Body { body, .. } => queue.answers -= body.len(),
                            Out::Odd(_) | Out::Belong(..) => {}
                        }
                    }
                    if queue.pushes < ROOM {
                        self.room.notify_waiters();
                    }
                    return taken;
                }
            }
            ready.await;
        }
    }

    pub(crate) fn close(&self) {
        self.closed.cancel();
    }

    /// Set once the connection has to end or has ended.
    pub(crate) fn closed(&self) -> &CancellationToken {
        &self.closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::peer::ChatKind;

    fn push() -> Arc<Push> {
        Arc::new(Push {
            n: 1,
            what: What::Delete,
            chat: Arc::new(ChatPeer {
                id: 1,
                kind: ChatKind::User,
                title: String::new(),
                username: None,
                invite: None,
                about: String::new(),
                date: 0,
                participants: 2,
                signatures: false,
            }),
            users: Vec::new(),
            origin: None,
            id: 1,
            reply_to: None,
            content: None,
            ids: vec![1],
            pts: 1,
            pts_count: 1,
            date: 0,
        })
    }

    #[tokio::test]
    async fn who_does_not_keep_up_misses_pushes_and_is_told() {
        let outbox = Outbox::new(CancellationToken::new());
        for _ in 0..CAPACITY + 10 {
            outbox.push(&push());
        }
        let taken = outbox.take(usize::MAX).await;
        assert_eq!(taken.len(), CAPACITY + 1);
        assert!(matches!(taken.last(), Some(Out::TooLong)));
        outbox.push(&push());
        assert!(matches!(outbox.take(9).await[..], [Out::Push(_)]));
    }

    #[tokio::test]
    async fn a_poster_waits_for_room_but_not_for_a_closed_connection() {
        let outbox = Arc::new(Outbox::new(CancellationToken::new()));
        for _ in 0..ROOM {
            outbox.push(&push());
        }
        let waiting = tokio::spawn({
            let outbox = Arc::clone(&outbox);
            async move { outbox.has_room().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        outbox.take(1).await;
        waiting.await.unwrap();
        for _ in 0..ROOM {
            outbox.push(&push());
        }
        outbox.close();
        outbox.has_room().await;
    }

    #[test]
    fn a_client_that_only_asks_is_cut_off() {
        let outbox = Outbox::new(CancellationToken::new());
        for _ in 0..=MAX_ANSWERS / 1_000_000 {
            outbox.send(vec![0; 1_000_000], true, true);
        }
        assert!(outbox.closed().is_cancelled());
    }
}
