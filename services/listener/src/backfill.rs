//! Fetching the past of chats: `tgmesh backfill`.
//!
//! A key must never be used from two places, so the command reads nothing itself: it writes an
//! *order* into `tgmesh_backfills`, and the account that watches the chat carries it out
//! ([`runner`]), beside everything else that it does and with the same worker. How far it came is
//! written into the order after each page, by compare-and-set and only behind the stream's acks;
//! so whoever has the account next, after a kill or a takeover, goes on right there.
//!
//! History is read from old to new. Then the stream has the finds in the order in which they were
//! made, `seen_before` tells the truth, and what is posted meanwhile moves nothing.
//!
//! What is in the stream already is not told again: before the first page everything that
//! DETECTIONS and MATCHES hold of the chat within the order's time is read ([`told`]), and each
//! message is compared with that as an edit is compared with what was known before. So the
//! duplicate window, which the past is nearly always behind, need not help.
//!
//! The past never holds up the present. Its messages wait until nothing live does, at most
//! [`PAGES`] pages of a process are between Telegram and the acks, and requests are paced
//! ([`pace`]).

mod figures;
mod order;
mod orders;
mod pace;
mod page;
mod runner;
mod told;

use std::sync::Arc;

use tokio::sync::Semaphore;

pub use figures::Figures;
#[cfg(test)]
pub use order::Place;
pub use order::{Order, State};
pub use orders::{Kept, Orders};
pub use pace::Pace;
pub use page::{Page, Settled};
pub use runner::Runner;
pub use told::Told;

/// Pages of all accounts of a process that are on their way at once: two hundred messages, a
/// fifth of what the publisher takes.
const PAGES: usize = 2;

/// Permits for pages.
#[must_use]
pub fn pages() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(PAGES))
}
