//! Which updates have been seen: one sequence for the account, one for each channel.
//!
//! The library's `MessageBoxes` keep many sequences in one and hand their differences out one
//! after the other, so that one channel's trouble holds up all others. Here each channel has a box
//! of its own. The boxes see stand-ins: an update's place in its sequence, without its content,
//! which went its way before the box looked at it. That also keeps their assertions, which panic
//! on odd bytes from outside, out of reach.

use std::time::Instant;

use grammers_session::types::{ChannelState, UpdatesState};
use grammers_session::updates::{MessageBoxes, UpdatesLike};
use grammers_tl_types::functions::updates::GetDifference;
use grammers_tl_types::{enums, types};

use crate::session::{AccountPosition, ChannelPosition};

/// An update's place in its sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The sequence after the update.
    pub pts: i32,
    /// By how much the update moved it.
    pub count: i32,
}

/// The sequence of a channel.
pub struct ChannelBox {
    channel_id: i64,
    boxes: MessageBoxes,
    ids: Ids,
}

/// The account's own sequences: private chats, basic groups, and the packets themselves.
pub struct AccountBox {
    boxes: MessageBoxes,
    ids: Ids,
}

/// Which message ids have been seen. The highest one is no place to resume from while updates
/// before it are missing.
struct Ids {
    /// Highest id below which none is missing.
    settled: i32,
    seen: i32,
    /// Highest place that was observed.
    high: i32,
}

impl Ids {
    fn new(settled: i32, pts: i32) -> Self {
        Self {
            settled,
            seen: settled,
            high: pts,
        }
    }

    fn settle(&mut self, pts: i32, whole: bool) {
        if whole && pts >= self.high {
            self.settled = self.seen;
        }
    }

    /// Whether something behind the end of a difference came by the socket while it was under
    /// way: what lies between may be missing, and one more difference brings it. Says so once.
    fn is_ahead(&mut self, pts: i32) -> bool {
        let is_ahead = self.high > pts;
        self.high = pts;
        is_ahead
    }
}

impl ChannelBox {
    /// A channel that was followed before: what it missed since is to be fetched.
    #[must_use]
    pub fn resume(channel_id: i64, position: ChannelPosition) -> Self {
        let state = UpdatesState {
            channels: vec![ChannelState {
                id: channel_id,
                pts: position.pts,
            }],
            ..UpdatesState::default()
        };
        Self {
            channel_id,
            boxes: MessageBoxes::load(state),
            ids: Ids::new(position.last_id, position.pts),
        }
    }

    /// A channel that is followed from here on.
    #[must_use]
    pub fn begin(channel_id: i64, position: ChannelPosition) -> Self {
        let mut boxes = MessageBoxes::new();
        boxes.try_set_channel_state(channel_id, position.pts);
        Self {
            channel_id,
            boxes,
            ids: Ids::new(position.last_id, position.pts),
        }
    }

    /// Notes a message that was handed on.
    pub fn saw(&mut self, id: i32) {
        self.ids.seen = self.ids.seen.max(id);
    }

    /// Notes an update.
    pub fn observe(&mut self, place: Place) {
        self.ids.high = self.ids.high.max(place.pts);
        let stand_in = types::UpdateDeleteChannelMessages {
            channel_id: self.channel_id,
            messages: Vec::new(),
            pts: place.pts,
            pts_count: place.count,
        };
        self.feed(stand_in.into());
        self.settle();
    }

    /// Orders the difference.
    pub fn request_difference(&mut self) {
        // With its pts the box would believe it had been there.
        let order = types::UpdateChannelTooLong {
            channel_id: self.channel_id,
            pts: None,
        };
        self.feed(order.into());
    }

    /// The place from which the difference is to be fetched, if it is; looks at the clock.
    pub fn wants_difference(&mut self) -> Option<i32> {
        self.boxes.check_deadlines();
        self.boxes.get_channel_difference().map(|request| request.pts)
    }

    /// Takes note of a difference that was handled.
    pub fn apply(&mut self, is_final: bool, pts: i32) {
        if self.boxes.get_channel_difference().is_none() {
            return;
        }
        let empty = types::updates::ChannelDifferenceEmpty {
            r#final: is_final,
            pts,
            // The box would order a difference each time: when to look is decided elsewhere.
            timeout: None,
        };
        self.boxes.apply_channel_difference(empty.into());
        self.settle();
        if self.boxes.get_channel_difference().is_none() && self.ids.is_ahead(self.pts()) {
            self.request_difference();
        }
    }

    fn settle(&mut self) {
        let whole = self.boxes.get_channel_difference().is_none();
        self.ids.settle(self.pts(), whole);
    }

    fn pts(&self) -> i32 {
        let state = self.boxes.session_state();
        state.channels.first().map_or(0, |state| state.pts)
    }

    /// The place up to which everything has been seen.
    #[must_use]
    pub fn position(&self) -> ChannelPosition {
        ChannelPosition {
            pts: self.pts(),
            last_id: self.ids.settled,
        }
    }

    fn feed(&mut self, update: enums::Update) {
        // A gap is remembered by the box; `wants_difference` tells when its time has come.
        let _ = self.boxes.process_updates(short(update, 0));
    }
}

impl AccountBox {
    /// An account that was followed before.
    #[must_use]
    pub fn resume(position: AccountPosition) -> Self {
        let state = UpdatesState {
            pts: position.pts,
            qts: position.qts,
            date: position.date,
            seq: position.seq,
            channels: Vec::new(),
        };
        Self {
            boxes: MessageBoxes::load(state),
            ids: Ids::new(position.last_id, position.pts),
        }
    }

    /// An account that is followed from here on.
    #[must_use]
    pub fn begin(state: types::updates::State, last_id: i32) -> Self {
        let pts = state.pts;
        let mut boxes = MessageBoxes::new();
        boxes.set_state(state);
        Self {
            boxes,
            ids: Ids::new(last_id, pts),
        }
    }

    /// Notes a message that was handed on.
    pub fn saw(&mut self, id: i32) {
        self.ids.seen = self.ids.seen.max(id);
    }

    /// Notes a packet: the stand-ins of its updates, and its own place. Where it does not fit, the
    /// difference is ordered.
    pub fn observe(&mut self, mut updates: Vec<enums::Update>, date: i32, seq_start: i32, seq: i32) {
        if updates.is_empty() {
            if seq == 0 {
                return;
            }
            // A packet whose updates all belong to channels moves the sequence of packets too.
            updates.push(enums::Update::Config);
        }
        for update in &updates {
            if let enums::Update::DeleteMessages(stand_in) = update {
                self.ids.high = self.ids.high.max(stand_in.pts);
            }
        }
        let packet = types::UpdatesCombined {
            updates,
            users: Vec::new(),
            chats: Vec::new(),
            date,
            seq_start,
            seq,
        };
        let _ = self.boxes.process_updates(UpdatesLike::Updates(packet.into()));
        self.settle();
    }

    /// Orders the difference.
    pub fn request_difference(&mut self) {
        let _ = self
            .boxes
            .process_updates(UpdatesLike::Updates(enums::Updates::TooLong));
    }

    /// The request for the difference, if it is to be fetched; looks at the clock.
    pub fn wants_difference(&mut self) -> Option<GetDifference> {
        self.boxes.check_deadlines();
        self.boxes.get_difference()
    }

    /// Takes note of a difference that was handled.
    pub fn apply(&mut self, difference: enums::updates::Difference) {
        if self.boxes.get_difference().is_some() {
            let _ = self.boxes.apply_difference(difference);
            self.settle();
            if self.boxes.get_difference().is_none() && self.ids.is_ahead(self.boxes.session_state().pts) {
                self.request_difference();
            }
        }
    }

    fn settle(&mut self) {
        let whole = self.boxes.get_difference().is_none();
        let pts = self.boxes.session_state().pts;
        self.ids.settle(pts, whole);
    }

    /// The place up to which everything has been seen.
    #[must_use]
    pub fn position(&self) -> AccountPosition {
        let state = self.boxes.session_state();
        AccountPosition {
            pts: state.pts,
            qts: state.qts,
            date: state.date,
            seq: state.seq,
            last_id: self.ids.settled,
        }
    }
}

/// The stand-in of an update that moved the account's sequence of messages.
#[must_use]
pub fn stand_in(place: Place) -> enums::Update {
    types::UpdateDeleteMessages {
        messages: Vec::new(),
        pts: place.pts,
        pts_count: place.count,
    }
    .into()
}

fn short(update: enums::Update, date: i32) -> UpdatesLike {
    UpdatesLike::Updates(types::UpdateShort { update, date }.into())
}

/// When the clock must be looked at again, at the latest: half of the time that the boxes give a
/// gap to close by itself.
pub const CLOCK: std::time::Duration = std::time::Duration::from_millis(250);

/// Whether a moment has come.
#[must_use]
pub fn is_due(at: Option<Instant>) -> bool {
    at.is_none_or(|at| Instant::now() >= at)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn channel(pts: i32) -> ChannelBox {
        ChannelBox::begin(5, ChannelPosition { pts, last_id: 0 })
    }

    fn place(pts: i32) -> Place {
        Place { pts, count: 1 }
    }

    #[test]
    fn a_channel_moves_with_what_it_sees() {
        let mut channel = channel(100);
        channel.observe(place(101));
        channel.observe(place(101));
        assert_eq!(channel.position().pts, 101);
        assert_eq!(channel.wants_difference(), None);
    }

    #[test]
    fn a_gap_closes_by_itself_or_by_the_difference() {
        let mut channel = channel(100);
        channel.observe(place(103));
        assert_eq!(
            channel.position().pts,
            100,
            "what lies behind a gap is no place to resume from"
        );
        channel.observe(place(101));
        channel.observe(place(102));
        assert_eq!(channel.position().pts, 103);
        channel.observe(place(105));
        std::thread::sleep(Duration::from_millis(550));
        assert_eq!(channel.wants_difference(), Some(103));
        channel.apply(false, 104);
        assert_eq!(channel.wants_difference(), Some(104));
        channel.apply(true, 105);
        assert_eq!((channel.wants_difference(), channel.position().pts), (None, 105));
    }

    #[test]
    fn a_resumed_channel_fetches_first() {
        let mut channel = ChannelBox::resume(5, ChannelPosition { pts: 7, last_id: 3 });
        assert_eq!(channel.wants_difference(), Some(7));
        // What arrives meanwhile does not move the place.
        channel.observe(place(9));
        assert_eq!(channel.position().pts, 7);
        channel.saw(5);
        assert_eq!(channel.position().last_id, 3, "what came before it is still missing");
        channel.apply(true, 8);
        assert_eq!(
            channel.wants_difference(),
            Some(8),
            "the difference began before 9 came, and did not bring it"
        );
        channel.apply(true, 9);
        assert_eq!(channel.position(), ChannelPosition { pts: 9, last_id: 5 });
        assert_eq!(channel.wants_difference(), None);
    }

    #[test]
    fn an_order_keeps_the_place() {
        let mut channel = channel(100);
        channel.request_difference();
        assert_eq!(channel.wants_difference(), Some(100));
    }

    #[test]
    fn the_account_follows_packets_and_messages() {
        let state = types::updates::State {
            pts: 10,
            qts: 0,
            date: 1,
            seq: 1,
            unread_count: 0,
        };
        let mut account = AccountBox::begin(state, 0);
        assert!(account.wants_difference().is_none());
        account.observe(vec![stand_in(place(11))], 2, 0, 0);
        assert_eq!((account.position().pts, account.position().seq), (11, 1));
        account.observe(Vec::new(), 3, 2, 2);
        assert_eq!(account.position().seq, 2);
        // A hole in the packets.
        account.observe(Vec::new(), 3, 4, 4);
        let request = account.wants_difference().expect("a hole is fetched");
        assert_eq!((request.pts, request.date), (11, 3));
        account.apply(types::updates::DifferenceEmpty { date: 4, seq: 4 }.into());
        assert!(account.wants_difference().is_none());
        assert_eq!(account.position().seq, 4);
    }
}
