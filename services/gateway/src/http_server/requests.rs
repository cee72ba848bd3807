//! What a connection without a WebSocket is busy with.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Requests of one connection.
#[derive(Debug, Default)]
pub struct Requests {
    begun: AtomicU64,
    ended: AtomicU64,
}

/// A request that is being answered, until it is dropped.
#[derive(Debug)]
pub struct Running(Arc<Requests>);

impl Requests {
    /// Notes one.
    pub fn begin(self: &Arc<Self>) -> Running {
        self.begun.fetch_add(1, Ordering::Relaxed);
        Running(Arc::clone(self))
    }

    /// Waits until there was none for about this long. HTTP/2 has no such limit of its own.
    pub async fn none_for(&self, time: Duration) {
        loop {
            let before = self.begun.load(Ordering::Relaxed);
            tokio::time::sleep(time).await;
            let begun = self.begun.load(Ordering::Relaxed);
            if begun == before && self.ended.load(Ordering::Relaxed) == begun {
                return;
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }
}
