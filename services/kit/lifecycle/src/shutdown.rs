//! Two tokens: soft (take no more work, finish what is in flight) and hard (stop now).

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Time between the soft and the hard token: below the ten seconds within which every binary
/// promises to end after SIGTERM.
pub(crate) const GRACE: Duration = Duration::from_secs(8);

/// The two tokens of a process. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    soft: CancellationToken,
    hard: CancellationToken,
}

impl Shutdown {
    /// Cancelled by the first signal, by [`Shutdown::trigger`], and when a critical task ends.
    #[must_use]
    pub fn soft(&self) -> CancellationToken {
        self.soft.clone()
    }

    /// Cancelled by the second signal, and when the time of grace is over.
    #[must_use]
    pub fn hard(&self) -> CancellationToken {
        self.hard.clone()
    }

    /// Begins the shutdown from within.
    pub fn trigger(&self) {
        self.soft.cancel();
    }

    pub(crate) fn abort(&self) {
        self.soft.cancel();
        self.hard.cancel();
    }

    /// Turns SIGTERM and SIGINT into the tokens. Runs until the hard token is cancelled.
    pub(crate) async fn watch_signals(self) -> std::io::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: finishing what is in flight"),
            _ = interrupt.recv() => tracing::info!("SIGINT: finishing what is in flight"),
            () = self.soft.cancelled() => {}
        }
        self.soft.cancel();
        tokio::select! {
            _ = terminate.recv() => tracing::warn!("second SIGTERM: stopping now"),
            _ = interrupt.recv() => tracing::warn!("second SIGINT: stopping now"),
            () = tokio::time::sleep(GRACE) => tracing::warn!(grace_s = GRACE.as_secs(), "grace is over: stopping now"),
            () = self.hard.cancelled() => {}
        }
        self.hard.cancel();
        Ok(())
    }
}
