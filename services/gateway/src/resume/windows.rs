//! Parts of the stream's past, read for those who come back, shared by all who need the same.
//!
//! A window that lies in the past whole is read as a block with fixed bounds and kept for a while:
//! a thousand clients that come back from about the same place cost one reading, whichever of them
//! asks first, and the others wait for it. At most [`AT_ONCE`] blocks are read at a time, and who
//! asks takes turns, so that live clients and those with little to catch up do not notice.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tgmesh_lifecycle::trace::TraceParent;
use tgmesh_proto::{headers, subject};
use tgmesh_stream::{Mesh, StreamError, window};
use tokio::sync::Semaphore;

use crate::event::Event;
use crate::figures::Figures;
use crate::hub::Hub;

/// Sequences of a window: about half a megabyte, a few milliseconds.
pub(super) const WINDOW: u64 = 512;
/// Windows that are read at a time in this process.
const AT_ONCE: usize = 8;
/// Memory of the blocks that are kept, about, by the measure of the ring: ten thousand events.
const MAX_WEIGHT: usize = 64 << 20;
/// Blocks that are kept or waited for, however little they weigh.
const MAX_BLOCKS: usize = 256;

/// Events of a range, and the parts of the range that the stream does not have any more.
#[derive(Debug, Clone, Default)]
pub(super) struct Window {
    pub events: Vec<Arc<Event>>,
    pub holes: Vec<(u64, u64)>,
    /// Where it ends.
    pub through: u64,
}

/// Reads windows.
#[derive(Debug)]
pub(super) struct Windows {
    hub: Arc<Hub>,
    mesh: Mesh,
    turns: Semaphore,
    figures: Figures,
    shelf: Mutex<Shelf>,
}

/// One block: whoever holds the lock and finds nothing reads it.
type Slot = Arc<tokio::sync::Mutex<Option<Arc<Window>>>>;

#[derive(Debug, Default)]
struct Shelf {
    epoch: Arc<str>,
    /// The most recently used last; each with its number and its weight once it was read.
    blocks: VecDeque<(u64, usize, Slot)>,
}

impl Windows {
    pub fn new(hub: Arc<Hub>, mesh: Mesh, figures: Figures) -> Self {
        Self {
            hub,
            mesh,
            turns: Semaphore::new(AT_ONCE),
            figures,
            shelf: Mutex::default(),
        }
    }

    /// Reads `from..=to`, or the first part of it, to the end of a block; where the stream holds
    /// nothing of it any more, goes on to what is left of `from..=end`. Nothing after `end` is the
    /// past yet.
    pub async fn read(&self, from: u64, to: u64, end: u64) -> Result<Window, StreamError> {
        let block = block_of(from);
        let (first, last) = (block * WINDOW + 1, (block + 1) * WINDOW);
        if last > end {
            return self.fetch(from, to, end).await;
        }
        let epoch = self.hub.place().ok_or_else(new_epoch)?.epoch;
        let slot = self.shelf().slot(&epoch, block);
        let mut kept = slot.lock().await;
        let whole = if let Some(whole) = &*kept {
            Arc::clone(whole)
        } else {
            let whole = Arc::new(self.fetch(first, last, last).await?);
            if whole.events.is_empty() {
                drop(kept);
                return self.fetch(from, to, end).await;
            }
            *kept = Some(Arc::clone(&whole));
            self.shelf().weigh(&epoch, block, whole.weight());
            whole
        };
        drop(kept);
        Ok(whole.part(from, to.min(last)))
    }

    async fn fetch(&self, from: u64, to: u64, end: u64) -> Result<Window, StreamError> {
        // The semaphore is never closed.
        let _turn = self.turns.acquire().await;
        self.figures.windows.inc();
        let mut reader = window::read(&self.mesh, subject::DETECTIONS, from, Some(to), &[]).await?;
        let is_served = |epoch: &str| self.hub.place().is_some_and(|place| *place.epoch == *epoch);
        if !is_served(&reader.state().epoch) {
            return Err(new_epoch());
        }
        let oldest = reader.state().first_seq;
        let through = if oldest > to { end.min(oldest - 1) } else { to };
        let mut window = Window {
            through,
            ..Window::default()
        };
        let mut next = from;
        while let Some(delivery) = reader.next().await? {
            if delivery.seq > next {
                window.holes.push((next, delivery.seq - 1));
            }
            next = delivery.seq + 1;
            let trace = delivery.header(headers::TRACEPARENT).and_then(TraceParent::parse);
            // What cannot be read was counted and told when it was live.
            if let Ok(event) = Event::read(delivery.seq, delivery.published_us, &delivery.payload, trace) {
                window.events.push(Arc::new(event));
            }
        }
        if next <= through {
            window.holes.push((next, through));
        }
        let ids: Vec<_> = window
            .events
            .iter()
            .map(|event| (event.seq, event.detection.id))
            .collect();
        let repeats = self.hub.repeats(&ids);
        window.events.retain(|event| !repeats.contains(&event.seq));
        Ok(window)
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Number of the block that holds this sequence.
fn block_of(seq: u64) -> u64 {
    seq.saturating_sub(1) / WINDOW
}

/// First sequence of the block that holds this one.
pub(super) fn block_start(seq: u64) -> u64 {
    block_of(seq) * WINDOW + 1
}

fn new_epoch() -> StreamError {
    StreamError::Unavailable("the stream has a new epoch".to_owned())
}

impl Shelf {
    fn slot(&mut self, epoch: &Arc<str>, block: u64) -> Slot {
        // By identity: the same name after a reset is another one.
        if !Arc::ptr_eq(&self.epoch, epoch) {
            self.epoch = Arc::clone(epoch);
            self.blocks.clear();
        }
        let found = self.blocks.iter().position(|&(number, ..)| number == block);
        let entry = found
            .and_then(|at| self.blocks.remove(at))
            .unwrap_or_else(|| (block, 0, Slot::default()));
        let slot = Arc::clone(&entry.2);
        self.blocks.push_back(entry);
        self.bound();
        slot
    }

    /// Notes what a block weighs.
    fn weigh(&mut self, epoch: &Arc<str>, block: u64, weight: usize) {
        if Arc::ptr_eq(&self.epoch, epoch)
            && let Some(entry) = self.blocks.iter_mut().find(|(number, ..)| *number == block)
        {
            entry.1 = weight;
            self.bound();
        }
    }

    /// Lets go of the blocks that were not used for longest.
    fn bound(&mut self) {
        let mut weight: usize = self.blocks.iter().map(|&(_, weight, _)| weight).sum();
        while (weight > MAX_WEIGHT && self.blocks.len() > 1) || self.blocks.len() > MAX_BLOCKS {
            weight -= self.blocks.pop_front().map_or(0, |(_, weight, _)| weight);
        }
    }
}

impl Window {
    fn weight(&self) -> usize {
        self.events.iter().map(|event| event.weight()).sum()
    }

    /// What of it lies in `from..=to`.
    fn part(&self, from: u64, to: u64) -> Self {
        let begin = self.events.partition_point(|event| event.seq < from);
        let end = self.events.partition_point(|event| event.seq <= to);
        let holes = self.holes.iter().map(|&(first, last)| (first.max(from), last.min(to)));
        Self {
            events: self.events[begin..end].to_vec(),
            holes: holes.filter(|(first, last)| first <= last).collect(),
            through: to,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::tests::detection;

    fn event(seq: u64) -> Arc<Event> {
        let payload = tgmesh_proto::codec::encode(&detection(seq)).expect("encodes");
        Arc::new(Event::read(seq, 0, &payload, None).expect("decodes"))
    }

    #[test]
    fn a_part_has_its_events_and_its_holes() {
        let whole = Window {
            events: [513, 514, 520, 1024].map(event).into(),
            holes: vec![(515, 519), (521, 1023)],
            through: 1024,
        };
        let part = whole.part(516, 600);
        assert_eq!(part.events.iter().map(|event| event.seq).collect::<Vec<_>>(), [520]);
        assert_eq!((part.holes, part.through), (vec![(516, 519), (521, 600)], 600));
        let all = whole.part(513, 1024);
        assert_eq!((all.events.len(), all.holes, all.through), (4, whole.holes, 1024));
        assert_eq!((block_start(512), block_start(513), block_start(1)), (1, 513, 1));
    }

    #[test]
    fn what_is_kept_is_bounded_and_of_one_epoch() {
        let (epoch, other): (Arc<str>, Arc<str>) = ("e".into(), "e".into());
        let mut shelf = Shelf::default();
        let first = shelf.slot(&epoch, 0);
        assert!(Arc::ptr_eq(&first, &shelf.slot(&epoch, 0)));
        for block in 1..=4 {
            shelf.slot(&epoch, block);
            shelf.weigh(&epoch, block, MAX_WEIGHT / 3);
            // Used all the time, and so it stays.
            assert!(Arc::ptr_eq(&first, &shelf.slot(&epoch, 0)));
        }
        let kept: Vec<u64> = shelf.blocks.iter().map(|&(number, ..)| number).collect();
        assert_eq!(kept, [2, 3, 4, 0]);
        for block in 0..2 * MAX_BLOCKS as u64 {
            shelf.slot(&epoch, block);
        }
        assert_eq!(shelf.blocks.len(), MAX_BLOCKS);
        shelf.slot(&other, 7);
        assert_eq!(shelf.blocks.len(), 1);
    }
}
