//! Updates of the account's own sequence: private chats and basic groups.

use grammers_tl_types::enums;

use super::{Place, place_of, stand_in};
use crate::message::Record;
use crate::pump::Life;
use crate::queue::{Change, Entry, Reached, Source};

impl Life<'_> {
    /// Takes an update of the account's own sequences and gives its stand-in; nothing when it was
    /// refused.
    pub(in crate::pump) fn account_update(&mut self, update: enums::Update, received_us: i64) -> Option<enums::Update> {
        use enums::Update as U;
        let (place, is_content) = match &update {
            U::NewMessage(u) => ((u.pts, u.pts_count), true),
            U::EditMessage(u) => ((u.pts, u.pts_count), true),
            U::DeleteMessages(u) => ((u.pts, u.pts_count), true),
            U::ReadHistoryInbox(u) => ((u.pts, u.pts_count), false),
            U::ReadHistoryOutbox(u) => ((u.pts, u.pts_count), false),
            U::PinnedMessages(u) => ((u.pts, u.pts_count), false),
            U::DialogFilter(_) | U::DialogFilters | U::DialogFilterOrder(_) => {
                self.pump.context.hints.folders_changed();
                return Some(update);
            }
            // The box only looks at their numbers.
            _ => return Some(update),
        };
        if is_content && !self.admits_account() {
            return None;
        }
        let (pts, count) = place;
        match update {
            U::NewMessage(u) => self.own_message(u.message, false, pts, Source::Live, received_us),
            U::EditMessage(u) => self.own_message(u.message, true, pts, Source::Live, received_us),
            U::DeleteMessages(u) => self.own_deletion(u.messages, received_us),
            _ => {}
        }
        Some(stand_in(Place { pts, count }))
    }

    pub(in crate::pump) fn own_deletion(&mut self, ids: Vec<i32>, received_us: i64) {
        self.pump.push(Entry {
            change: Some(Change::Deleted { chat_id: None, ids }),
            reached: None,
            received_us,
        });
    }

    pub(in crate::pump) fn own_message(
        &mut self,
        message: enums::Message,
        is_edit: bool,
        pts: i32,
        source: Source,
        received_us: i64,
    ) {
        let place = place_of(&message);
        match Record::of(message, self.pump.context.session.user_id()) {
            Some(record) => self.hand_on(record, is_edit, pts, source, received_us),
            None => {
                if let Some((chat_id, id)) = place {
                    self.pass(chat_id, id, source);
                }
            }
        }
    }

    /// Puts stand-ins into the account's box and tells how far it came.
    pub(in crate::pump) fn account(&mut self, stand_ins: Vec<enums::Update>, date: i32, (seq_start, seq): (i32, i32)) {
        let Some(account) = &mut self.pump.account else { return };
        // A packet of channels' updates alone says nothing of the account's own.
        if !stand_ins.is_empty() {
            account.probe.is_pushed();
        }
        account.sequence.observe(stand_ins, date, seq_start, seq);
        self.tell_account();
    }

    pub(in crate::pump) fn tell_account(&mut self) {
        let Some(account) = &mut self.pump.account else { return };
        let position = account.sequence.position();
        // While history is read, what lies behind the place is not all there.
        if position != account.told && account.too_long.is_none() {
            account.told = position;
            self.pump.push(Entry {
                change: None,
                reached: Some(Reached::Account(position)),
                received_us: 0,
            });
        }
    }
}
