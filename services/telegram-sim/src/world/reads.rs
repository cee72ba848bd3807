//! Who has read whose history, for tests of how much is asked for.

use std::collections::VecDeque;
use std::time::Instant;

/// Requests that are remembered.
const MAX_LOG: usize = 50_000;

/// A request for a page of a chat's history that was let through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryRequest {
    /// Name of the account that asked.
    pub account: String,
    /// Bot-API id of the chat.
    pub chat_id: i64,
    /// When it came.
    pub at: Instant,
}

/// The last of them, in the order in which they came.
#[derive(Default)]
pub(crate) struct Reads {
    log: VecDeque<HistoryRequest>,
}

impl Reads {
    pub(crate) fn note(&mut self, account: &str, chat_id: i64) {
        if self.log.len() == MAX_LOG {
            self.log.pop_front();
        }
        self.log.push_back(HistoryRequest {
            account: account.to_owned(),
            chat_id,
            at: Instant::now(),
        });
    }

    pub(crate) fn all(&self) -> Vec<HistoryRequest> {
        self.log.iter().cloned().collect()
    }
}
