//! How often history is asked for, for orders: what is read by the thousand is read more slowly than
//! the account's budget for the method allows in its spare time (see `flood`), which is made for
//! repairs.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Between two requests. Telegram gives no figure; clients that export whole chats wait a second
/// from the thousandth message on, and are seldom asked to wait longer.
const EVERY: Duration = Duration::from_secs(1);
/// Requests that may follow each other at once after a pause.
const BURST: u32 = 5;

/// A bucket of tokens for one account.
#[derive(Debug)]
pub struct Pace {
    /// When the bucket is full again.
    full_at: Instant,
}

impl Pace {
    pub fn new() -> Self {
        Self {
            full_at: Instant::now(),
        }
    }

    /// Waits until a request may be made, which counts as made then. Safe to cancel.
    pub async fn turn(&mut self) {
        sleep_until(self.full_at.checked_sub(EVERY * (BURST - 1)).unwrap_or(self.full_at)).await;
        self.full_at = self.full_at.max(Instant::now()) + EVERY;
    }

    /// No request before then.
    pub fn closed_for(&mut self, wait: Duration) {
        self.full_at = self.full_at.max(Instant::now() + wait + EVERY * (BURST - 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_and_then_one_a_second() {
        let mut pace = Pace::new();
        let began = Instant::now();
        let mut at = Vec::new();
        for _ in 0..8 {
            pace.turn().await;
            at.push(began.elapsed().as_secs());
        }
        assert_eq!(at, [0, 0, 0, 0, 0, 1, 2, 3]);
        pace.closed_for(Duration::from_mins(1));
        pace.turn().await;
        assert_eq!(began.elapsed().as_secs(), 63);
        pace.turn().await;
        assert_eq!(began.elapsed().as_secs(), 64, "no burst after a wait");
        tokio::time::sleep(Duration::from_secs(100)).await;
        for _ in 0..5 {
            pace.turn().await;
        }
        assert_eq!(began.elapsed().as_secs(), 164);
    }
}
