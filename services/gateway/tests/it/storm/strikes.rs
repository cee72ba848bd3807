//! What has struck, and how often.

use std::sync::atomic::{AtomicU64, Ordering};

/// How often each fault has struck.
#[derive(Debug, Default)]
pub struct Strikes {
    pub closed: AtomicU64,
    pub reset: AtomicU64,
    pub cut: AtomicU64,
    pub half_open: AtomicU64,
    pub away: AtomicU64,
    pub stalled: AtomicU64,
    pub sent_away: AtomicU64,
    pub switched: AtomicU64,
    pub slowed: AtomicU64,
    pub gateway_killed: AtomicU64,
    pub gateway_stopped: AtomicU64,
    pub nats_killed: AtomicU64,
    pub nats_stopped: AtomicU64,
    pub purged: AtomicU64,
}

impl Strikes {
    /// All of them, with words for people.
    pub fn counts(&self) -> [(&'static str, u64); 14] {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        [
            ("clients closed", of(&self.closed)),
            ("connections reset", of(&self.reset)),
            ("links cut", of(&self.cut)),
            ("links half-open", of(&self.half_open)),
            ("clients away for a while", of(&self.away)),
            ("clients that stopped reading", of(&self.stalled)),
            ("clients sent away", of(&self.sent_away)),
            ("gateways switched", of(&self.switched)),
            ("subscriptions put behind", of(&self.slowed)),
            ("gateways killed", of(&self.gateway_killed)),
            ("gateways stopped", of(&self.gateway_stopped)),
            ("NATS killed", of(&self.nats_killed)),
            ("NATS stopped", of(&self.nats_stopped)),
            ("stream purged", of(&self.purged)),
        ]
    }
}

/// Counts one.
pub fn struck(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}
