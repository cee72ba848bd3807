//! Updates as they come off the socket.

mod own;

use std::time::{Duration, Instant};

use grammers_session::updates::UpdatesLike;
use grammers_tl_types::{enums, types};

use super::boxes::{Place, stand_in};
use super::poll::Way;
use super::{ChannelTrack, End, Life, NUDGE_PACKETS};
use crate::ledger::{self, Account, Outcome};
use crate::message::Record;
use crate::peers;
use crate::queue::{Change, Entry, Reached, Seen, Source};
use crate::session::ChannelPosition;

/// Between two orders of all differences.
const RESYNC_PAUSE: Duration = Duration::from_secs(2);

impl Life<'_> {
    pub(super) fn count_packets(&mut self, packets: usize) {
        self.packets += packets;
        if self.packets >= NUDGE_PACKETS {
            self.packets = 0;
            self.calls.nudge();
        }
    }

    /// Orders all differences a little later: what made it necessary seldom comes alone.
    pub(super) fn resync_soon(&mut self) {
        self.resync_at.get_or_insert_with(|| Instant::now() + RESYNC_PAUSE);
    }

    /// Takes a packet, and asks for what it says is missing.
    pub(super) fn take(&mut self, updates: UpdatesLike, received_us: i64) {
        self.take_packet(updates, received_us);
        if std::mem::take(&mut self.is_due) {
            self.schedule();
        }
    }

    fn take_packet(&mut self, updates: UpdatesLike, received_us: i64) {
        match updates {
            UpdatesLike::Updates(updates) => self.take_updates(updates, received_us),
            UpdatesLike::InvitedUsers(answer) => self.take_updates(answer.updates, received_us),
            UpdatesLike::ChatInviteJoinResult(answer) => self.take_updates(answer.updates, received_us),
            UpdatesLike::ShortSentMessage { update, .. } => self.take_place(update.pts, update.pts_count, update.date),
            UpdatesLike::AffectedMessages(answer) => self.take_place(answer.pts, answer.pts_count, 0),
            UpdatesLike::AffectedChannelMessages {
                affected, channel_id, ..
            } => {
                let place = Place {
                    pts: affected.pts,
                    count: affected.pts_count,
                };
                self.channel(channel_id, None, place, None, received_us);
            }
            UpdatesLike::ConnectionClosed => {
                self.fatal = Some(End::Lost("the server closed it".to_owned()));
            }
            // A constructor that this layer does not know, or bytes cut short: something was in it.
            UpdatesLike::MalformedUpdates => {
                self.pump.context.stats.overflows.inc();
                self.resync_soon();
            }
        }
    }

    fn take_updates(&mut self, updates: enums::Updates, received_us: i64) {
        let self_id = self.pump.context.session.user_id();
        match updates {
            enums::Updates::TooLong => {
                if let Some(account) = &mut self.pump.account {
                    account.pace.due = true;
                    self.is_due = true;
                }
            }
            enums::Updates::UpdateShortMessage(short) => {
                let (pts, count, date) = (short.pts, short.pts_count, short.date);
                let record = Record::of_short(short, self_id);
                self.take_short(record, pts, count, date, received_us);
            }
            enums::Updates::UpdateShortChatMessage(short) => {
                let (pts, count, date) = (short.pts, short.pts_count, short.date);
                let record = Record::of_short_chat(short);
                self.take_short(record, pts, count, date, received_us);
            }
            enums::Updates::UpdateShortSentMessage(short) => self.take_place(short.pts, short.pts_count, short.date),
            enums::Updates::UpdateShort(short) => self.packet(vec![short.update], short.date, (0, 0), received_us),
            enums::Updates::Combined(packet) => {
                self.learn(packet.chats, packet.users);
                self.packet(packet.updates, packet.date, (packet.seq_start, packet.seq), received_us);
            }
            enums::Updates::Updates(packet) => {
                self.learn(packet.chats, packet.users);
                self.packet(packet.updates, packet.date, (packet.seq, packet.seq), received_us);
            }
        }
    }

    pub(super) fn learn(&mut self, chats: Vec<enums::Chat>, users: Vec<enums::User>) {
        let context = &self.pump.context;
        if context.peers.learn(chats, users, &context.watch) {
            context.session.save_channels(context.peers.channels());
        }
    }

    fn take_place(&mut self, pts: i32, count: i32, date: i32) {
        self.account(vec![stand_in(Place { pts, count })], date, (0, 0));
    }

    fn take_short(&mut self, record: Record, pts: i32, count: i32, date: i32, received_us: i64) {
        if !self.admits_account() {
            return;
        }
        // Short forms name people without introducing them; whoever does not know them fetches
        // the difference, says Telegram.
        let is_stranger = record.sender.is_some_and(|id| !self.pump.context.peers.knows(id));
        if is_stranger && let Some(account) = &mut self.pump.account {
            account.pace.due = true;
            self.is_due = true;
            return;
        }
        self.hand_on(record, false, pts, Source::Live, received_us);
        self.account(vec![stand_in(Place { pts, count })], date, (0, 0));
    }

    /// Whether the account's own updates are taken; if not, the difference is due later.
    fn admits_account(&mut self) -> bool {
        if self.pump.queue.is_open() {
            return true;
        }
        self.pump.context.stats.refused.inc();
        if let Some(account) = &mut self.pump.account {
            account.pace.due = true;
        }
        false
    }

    fn packet(&mut self, updates: Vec<enums::Update>, date: i32, seq: (i32, i32), received_us: i64) {
        let mut stand_ins = Vec::new();
        let mut refused = false;
        for update in updates {
            if let Some(update) = self.channel_update(update, received_us) {
                match self.account_update(update, received_us) {
                    Some(stand_in) => stand_ins.push(stand_in),
                    None => refused = true,
                }
            }
        }
        // A packet of which a part was refused was not seen.
        if !refused {
            self.account(stand_ins, date, seq);
        }
    }

    /// Takes an update that belongs to a channel; hands any other back.
    pub(super) fn channel_update(&mut self, update: enums::Update, received_us: i64) -> Option<enums::Update> {
        use enums::Update as U;
        let place = |pts, count| Place { pts, count };
        match update {
            U::NewChannelMessage(u) => {
                self.channel_message(u.message, false, place(u.pts, u.pts_count), received_us);
            }
            U::EditChannelMessage(u) => {
                self.channel_message(u.message, true, place(u.pts, u.pts_count), received_us);
            }
            U::DeleteChannelMessages(u) => {
                let change = Change::Deleted {
                    chat_id: Some(peers::channel_chat_id(u.channel_id)),
                    ids: u.messages,
                };
                self.channel(u.channel_id, Some(change), place(u.pts, u.pts_count), None, received_us);
            }
            U::ReadChannelInbox(u) => self.channel(u.channel_id, None, place(u.pts, 0), None, received_us),
            U::ChannelWebPage(u) => self.channel(u.channel_id, None, place(u.pts, u.pts_count), None, received_us),
            U::PinnedChannelMessages(u) => {
                self.channel(u.channel_id, None, place(u.pts, u.pts_count), None, received_us);
            }
            U::ChannelTooLong(u) => match self.pump.channels.get_mut(&u.channel_id) {
                Some(track) => {
                    track.poll.is_told();
                    track.pace.due = true;
                    self.is_due = true;
                }
                None => self.read_dialogs_soon(),
            },
            U::Channel(_) => {
                // Joined, left, promoted or banned.
                self.read_dialogs_soon();
                return Some(update);
            }
            other => return Some(other),
        }
        None
    }

    fn channel_message(&mut self, message: enums::Message, is_edit: bool, place: Place, received_us: i64) {
        let Some((chat_id, id)) = place_of(&message) else {
            return;
        };
        let Some(channel_id) = peers::channel_id(chat_id) else {
            return;
        };
        // Reduced only when somebody wants it.
        if !self.is_to_watch(chat_id, place, (!is_edit).then_some(id)) {
            return;
        }
        let change = match Record::of(message, self.pump.context.session.user_id()) {
            Some(record) => {
                if !is_edit && self.pump.queue.is_open() {
                    self.measure(channel_id, &record, Way::Pushed, received_us);
                }
                Change::Message(Box::new(Seen {
                    record,
                    is_edit,
                    pts: place.pts,
                    source: Source::Live,
                }))
            }
            None => Change::Passed(Account {
                chat: chat_id,
                id,
                outcome: Outcome::Received,
            }),
        };
        self.channel(channel_id, Some(change), place, (!is_edit).then_some(id), received_us);
    }

    /// Notes how a channel's post came, and how long that took.
    fn measure(&mut self, id: i64, record: &Record, way: Way, received_us: i64) {
        let Some(track) = self.pump.channels.get_mut(&id) else {
            return;
        };
        let post = (record.id, i64::from(record.date_s));
        let delay = track.poll.posted(post, way, (Instant::now(), received_us));
        // Those that are pushed are measured where all that is pushed is.
        if way == Way::Polled
            && let Some(delay_us) = delay
        {
            match u64::try_from(delay_us) {
                Ok(delay_us) => self.pump.context.stats.post_to_received_polled.observe_us(delay_us),
                Err(_) => self.pump.context.stats.post_to_received_negative.inc(),
            }
        }
    }

    /// Whether a channel's update is taken. One that was joined just now, or is seen before the
    /// dialogs were read, is announced: who watches it is found out, from this place on.
    fn is_to_watch(&mut self, chat_id: i64, place: Place, message_id: Option<i32>) -> bool {
        let pump = &mut *self.pump;
        if pump.context.watches(chat_id) {
            return true;
        }
        if pump.context.watch.has(chat_id)
            && !pump.context.duties.sees(chat_id)
            && let Some(id) = peers::channel_id(chat_id)
        {
            pump.places.entry(id).or_insert(ChannelPosition {
                pts: place.pts.saturating_sub(place.count),
                last_id: message_id.map_or(0, |id| id - 1),
            });
            pump.context.duties.saw(chat_id);
        }
        false
    }

    /// Takes a channel's update: its content goes on, its place into the box.
    fn channel(&mut self, id: i64, change: Option<Change>, place: Place, message_id: Option<i32>, received_us: i64) {
        if !self.is_to_watch(peers::channel_chat_id(id), place, message_id) {
            return;
        }
        let pump = &mut *self.pump;
        let Some(track) = pump.channels.get_mut(&id) else {
            // It became a duty this moment: the difference that begins it brings this as well.
            return;
        };
        if !pump.queue.is_open() {
            pump.context.stats.refused.inc();
            track.pace.due = true;
            return;
        }
        track.sequence.observe(place);
        track.poll.is_pushed(Instant::now());
        if let Some(id) = message_id {
            track.sequence.saw(id);
        }
        let reached = track.reached(id);
        if change.is_some() || reached.is_some() {
            pump.push(Entry {
                change,
                reached,
                received_us,
            });
        }
    }

    /// Accounts for a message that holds nothing of ours: one about the chat itself, or one of a
    /// chat that is not watched but shares the account's ids.
    fn pass(&mut self, chat_id: i64, id: i32, source: Source) {
        let chat = match peers::channel_id(chat_id) {
            Some(_) if !self.pump.context.watches(chat_id) => return,
            Some(_) => chat_id,
            None => ledger::OWN,
        };
        let outcome = if source == Source::Live {
            Outcome::Received
        } else {
            Outcome::Recovered
        };
        self.pump.push(Entry {
            change: Some(Change::Passed(Account { chat, id, outcome })),
            reached: None,
            received_us: 0,
        });
    }

    /// Hands a message on, if its chat is watched.
    pub(super) fn hand_on(&mut self, record: Record, is_edit: bool, pts: i32, source: Source, received_us: i64) {
        let pump = &mut *self.pump;
        if record.kind.numbers_per_account()
            && !is_edit
            && let Some(account) = &mut pump.account
        {
            account.sequence.saw(record.id);
        }
        if !pump.context.watches(record.chat_id) {
            return self.pass(record.chat_id, record.id, source);
        }
        match source {
            Source::Live => {}
            Source::Difference => {
                pump.context.stats.recovered.inc();
                if !is_edit && let Some(id) = peers::channel_id(record.chat_id) {
                    self.measure(id, &record, Way::Polled, received_us);
                }
            }
            Source::History => pump.context.stats.backfilled.inc(),
        }
        self.pump.push(Entry {
            change: Some(Change::Message(Box::new(Seen {
                record,
                is_edit,
                pts,
                source,
            }))),
            reached: None,
            received_us,
        });
    }
}

impl ChannelTrack {
    /// The channel's place, if it moved since it was told.
    pub(super) fn reached(&mut self, id: i64) -> Option<Reached> {
        let position = self.sequence.position();
        (position != self.told).then(|| {
            self.told = position;
            Reached::Channel(id, position)
        })
    }
}

/// Bot API id of a message's chat, and its id.
pub(super) fn place_of(message: &enums::Message) -> Option<(i64, i32)> {
    match message {
        enums::Message::Message(types::Message { peer_id, id, .. }) => Some((peers::id_of(peer_id), *id)),
        enums::Message::Service(message) => Some((peers::id_of(&message.peer_id), message.id)),
        // Which channel it belongs to is not said: its gap will be noticed.
        enums::Message::Empty(message) => Some((peers::id_of(message.peer_id.as_ref()?), message.id)),
    }
}
