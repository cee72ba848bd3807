//! What a subscription with `unique_within` was told before it went away.

use super::windows::block_start;
use super::{Gone, Past, wants};
use crate::event::Event;
use crate::hub::Sub;
use crate::mailbox::Item;

/// Sequences that are read back at most, ring and stream together. Beyond it, which is more than a
/// day of a quiet mesh and some seconds of the busiest, an address may come once more.
const MAX_LOOKBACK: u64 = 20_000;

impl Past {
    /// Gives a subscription back what it remembered at `after`. It began after `since`; where the
    /// client does not say so, as early as makes a difference. Nothing of what is read is sent.
    pub(super) async fn remember(&self, sub: &Sub, since: Option<u64>, after: u64) -> Result<(), Gone> {
        let matcher = sub.matcher();
        let Some(mut lookback) = matcher.lookback() else {
            return Ok(());
        };
        // Meanwhile its position is where it came from.
        sub.mailbox.put(Item::Through(sub.key, after));
        let mut look = |event: &Event| {
            let wanted = wants(&matcher, event);
            lookback.look(&event.detection, &event.address_key, event.published_us, wanted)
        };
        let begin = since.unwrap_or(0).max(after.saturating_sub(MAX_LOOKBACK));
        let turn = self.turn().await;
        let (ring, floor, _) = self.hub.recent();
        let mut recent = ring
            .iter()
            .rev()
            .filter(|event| event.seq > begin && event.seq <= after);
        let mut is_open = recent.all(|event| look(event));
        drop(ring);
        drop(turn);
        let mut to = after.min(floor);
        if is_open && to > begin {
            let oldest = self.state(sub).await?.first_seq.max(1);
            let begin = begin.max(oldest - 1);
            while is_open && to > begin {
                // Up to the end of a block, which is what a window gives.
                let from = (begin + 1).max(block_start(to));
                let window = self.window(sub, from, to, to).await?;
                is_open = window.events.iter().rev().all(|event| look(event));
                to = from - 1;
            }
        }
        sub.mailbox.put(Item::Told(sub.key, Box::new(lookback.unique())));
        Ok(())
    }
}
