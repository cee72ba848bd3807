//! Encodes, encrypts and writes what an outbox holds.
//!
//! This is where a push becomes bytes: once per connection, off the world's lock, with the
//! peers' bytes cached, and many packets in one write.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use grammers_tl_types::{Identifiable, Serializable, enums, types};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::crypt::{self, AuthKey, HEADER_BYTES, Sender};
use super::framing::Framing;
use super::odd;
use super::outbox::{Out, Outbox, Push, What};
use crate::clock;
use crate::faults::Garbage;
use crate::faults::armed::{Faults, site};
use crate::faults::pushes::Delivery;
use crate::posted::PostedLog;
use crate::view::{self, Viewer};
use crate::world::AccountNo;
use crate::world::peer::{ChatKind, ChatPeer, User};

/// Items encoded before a write: enough to make system calls cheap, few enough that the time
/// noted for them is the time of their write.
const BATCH: usize = 256;
/// Peers whose bytes are kept, per connection.
const MAX_CACHED: usize = 20_000;
const VECTOR: u32 = 0x1cb5_c415;

/// Turns items into packets for one connection.
pub(crate) struct Encoder {
    key: AuthKey,
    framing: Framing,
    viewer: Viewer,
    account: AccountNo,
    session_id: i64,
    /// Messages sent that the client has to acknowledge.
    content_count: i32,
    last_id: i64,
    rng: SmallRng,
    users: HashMap<i64, Box<[u8]>>,
    chats: HashMap<(i64, bool), Box<[u8]>>,
    body: Vec<u8>,
}

/// Sends what the outbox holds until it is closed or the socket fails.
pub(crate) async fn run(
    mut encoder: Encoder,
    session_id: Arc<AtomicI64>,
    outbox: Arc<Outbox>,
    posted: Arc<PostedLog>,
    faults: Arc<Faults>,
    mut socket: impl AsyncWrite + Unpin,
) -> std::io::Result<()> {
    let mut packets = Vec::with_capacity(64 * 1_024);
    let mut numbers = Vec::with_capacity(BATCH);
    loop {
        let items = tokio::select! {
            items = outbox.take(BATCH) => items,
            () = outbox.closed().cancelled() => return Ok(()),
        };
        if outbox.is_forsaken() || (faults.at(site::MUTE) && faults.is_mute(encoder.account)) {
            continue;
        }
        encoder.enter(session_id.load(Ordering::Relaxed));
        for item in &items {
            match item {
                Out::Body { body, content, answer } => encoder.packet(body, *content, *answer, &mut packets),
                Out::Push(push) => {
                    numbers.push(push.n);
                    encoder.push(push, &mut packets);
                }
                Out::Odd(delivery) => {
                    if let Delivery::Min(push, _) | Delivery::Unknown(push) = delivery {
                        numbers.push(push.n);
                    }
                    encoder.deliver(delivery, &mut packets);
                }
                Out::Belong(account, viewer) => encoder.belong(*account, *viewer),
                Out::TooLong => {
                    let body = enums::Updates::TooLong.to_bytes();
                    encoder.packet(&body, true, false, &mut packets);
                }
            }
        }
        if !numbers.is_empty() {
            posted.stamp(&numbers, clock::now_us());
            numbers.clear();
        }
        socket.write_all(&packets).await?;
        packets.clear();
        if packets.capacity() > 4 * 1_024 * 1_024 {
            packets.shrink_to(64 * 1_024);
        }
    }
}

impl Encoder {
    pub(crate) fn new(key: AuthKey, framing: Framing, viewer: Viewer, account: AccountNo) -> Self {
        Self {
            key,
            framing,
            viewer,
            account,
            session_id: 0,
            content_count: 0,
            last_id: 0,
            rng: SmallRng::seed_from_u64(clock::now_us()),
            users: HashMap::new(),
            chats: HashMap::new(),
            body: Vec::with_capacity(1_024),
        }
    }

    fn belong(&mut self, account: AccountNo, viewer: Viewer) {
        (self.account, self.viewer) = (account, viewer);
        self.users.clear();
        self.chats.clear();
    }

    fn enter(&mut self, session_id: i64) {
        if self.session_id != session_id {
            self.session_id = session_id;
            self.content_count = 0;
        }
    }

    /// Message numbers are the time in 2⁻³² s, rising; the two low bits tell answers (1) from
    /// what the server says by itself (3).
    fn next_id(&mut self, answer: bool) -> i64 {
        let now_us = clock::now_us();
        let fraction = ((now_us % 1_000_000) << 32) / 1_000_000;
        let time = (((now_us / 1_000_000) << 32) | fraction) as i64;
        let id = (time & !3).max(self.last_id + 4);
        self.last_id = id;
        id | if answer { 1 } else { 3 }
    }

    fn packet(&mut self, body: &[u8], content: bool, answer: bool, out: &mut Vec<u8>) {
        let id = self.next_id(answer);
        let mut seq_no = self.content_count * 2;
        if content {
            seq_no += 1;
            self.content_count = self.content_count.wrapping_add(1);
        }
        let plain = 8 + 8 + 8 + 4 + 4 + body.len();
        let padding = crypt::padding(plain);
        let at = self.framing.start(out, HEADER_BYTES + plain + padding);
        let packet = out.len();
        out.resize(packet + HEADER_BYTES, 0);
        // The salt is the client's to check; no client does.
        out.extend_from_slice(&0_i64.to_le_bytes());
        out.extend_from_slice(&self.session_id.to_le_bytes());
        out.extend_from_slice(&id.to_le_bytes());
        out.extend_from_slice(&seq_no.to_le_bytes());
        out.extend_from_slice(&(body.len() as u32).to_le_bytes());
        out.extend_from_slice(body);
        let end = out.len();
        out.resize(end + padding, 0);
        self.rng.fill_bytes(&mut out[end..]);
        crypt::encrypt(&self.key, Sender::Server, &mut out[packet..]);
        self.framing.finish(out, at);
    }

    fn push(&mut self, push: &Push, out: &mut Vec<u8>) {
        let mut body = std::mem::take(&mut self.body);
        body.clear();
        if let Some(short) = short(push) {
            short.serialize(&mut body);
        } else {
            self.updates(push, Manner::Plain, &mut body);
        }
        if push.content.as_ref().is_some_and(|content| content.mark.is_some()) {
            odd::exchange(&mut body);
        }
        self.packet(&body, true, false, out);
        self.body = body;
    }

    /// What a fault made of a push.
    fn deliver(&mut self, delivery: &Delivery, out: &mut Vec<u8>) {
        let mut body = Vec::new();
        match delivery {
            Delivery::Push(push) => return self.push(push, out),
            Delivery::Min(push, absent) => self.updates(push, Manner::Min { absent: *absent }, &mut body),
            Delivery::Unknown(push) => {
                self.updates(push, Manner::Unknown, &mut body);
                odd::exchange(&mut body);
            }
            Delivery::TooLong => body = enums::Updates::TooLong.to_bytes(),
            Delivery::ChannelTooLong(chat, pts) => {
                body = enums::Updates::Updates(types::Updates {
                    updates: vec![
                        types::UpdateChannelTooLong {
                            channel_id: chat.bare_id(),
                            pts: *pts,
                        }
                        .into(),
                    ],
                    users: Vec::new(),
                    chats: vec![self.viewer.chat(chat, true)],
                    date: (clock::now_us() / 1_000_000) as i32,
                    seq: 0,
                })
                .to_bytes();
            }
            Delivery::Garbage(shape) => {
                // A container is no content of its own.
                let content = *shape != Garbage::Container;
                self.packet(&odd::garbage(*shape), content, false, out);
                if *shape == Garbage::Packet
                    && let Some(last) = out.last_mut()
                {
                    *last ^= 0x55;
                }
                return;
            }
        }
        self.packet(&body, true, false, out);
    }

    /// `updates` with one update and the peers it names, written by hand around cached bytes.
    fn updates(&mut self, push: &Push, manner: Manner, body: &mut Vec<u8>) {
        let own_numbers = push.chat.kind.has_own_numbers();
        types::Updates::CONSTRUCTOR_ID.serialize(body);
        VECTOR.serialize(body);
        (1 + i32::from(manner == Manner::Unknown)).serialize(body);
        if let (What::New | What::Edit, Some(content)) = (push.what, &push.content) {
            let number = match (push.what, own_numbers) {
                (What::New, true) => types::UpdateNewChannelMessage::CONSTRUCTOR_ID,
                (What::New, false) => types::UpdateNewMessage::CONSTRUCTOR_ID,
                (_, true) => types::UpdateEditChannelMessage::CONSTRUCTOR_ID,
                (_, false) => types::UpdateEditMessage::CONSTRUCTOR_ID,
            };
            number.serialize(body);
            view::message(&push.chat, push.id, content, push.reply_to).serialize(body);
        } else if own_numbers {
            types::UpdateDeleteChannelMessages::CONSTRUCTOR_ID.serialize(body);
            push.chat.bare_id().serialize(body);
            push.ids.serialize(body);
        } else {
            types::UpdateDeleteMessages::CONSTRUCTOR_ID.serialize(body);
            push.ids.serialize(body);
        }
        push.pts.serialize(body);
        push.pts_count.serialize(body);
        if manner == Manner::Unknown {
            odd::UNKNOWN_UPDATE.serialize(body);
        }
        if let Manner::Min { absent } = manner {
            self.min_peers(push, absent, body);
            push.date.serialize(body);
            0_i32.serialize(body);
            return;
        }

        VECTOR.serialize(body);
        (push.users.len() as i32).serialize(body);
        for user in &push.users {
            body.extend_from_slice(self.user(user));
        }
        let own = (push.chat.kind != ChatKind::User).then_some((&push.chat, true));
        let origin = push.origin.as_ref().and_then(|origin| {
            let member = origin.members.contains(&self.account);
            (origin.chat.id != push.chat.id).then_some((&origin.chat, member))
        });
        VECTOR.serialize(body);
        (i32::from(own.is_some()) + i32::from(origin.is_some())).serialize(body);
        for (chat, member) in own.into_iter().chain(origin) {
            body.extend_from_slice(self.chat(chat, member));
        }
        push.date.serialize(body);
        0_i32.serialize(body);
    }

    /// The peers as an account sees those it has not met, or none.
    fn min_peers(&self, push: &Push, absent: bool, body: &mut Vec<u8>) {
        let (mut users, mut chats) = (Vec::new(), Vec::new());
        if !absent {
            users.extend(push.users.iter().map(|user| self.viewer.min_user(user)));
            if push.chat.kind != ChatKind::User {
                chats.push(self.viewer.min_chat(&push.chat));
            }
        }
        users.serialize(body);
        chats.serialize(body);
    }

    fn user(&mut self, user: &User) -> &[u8] {
        if self.users.len() >= MAX_CACHED {
            self.users.clear();
        }
        let viewer = self.viewer;
        self.users
            .entry(user.id)
            .or_insert_with(|| viewer.user(user).to_bytes().into())
    }

    fn chat(&mut self, chat: &ChatPeer, member: bool) -> &[u8] {
        if self.chats.len() >= MAX_CACHED {
            self.chats.clear();
        }
        let viewer = self.viewer;
        self.chats
            .entry((chat.id, member))
            .or_insert_with(|| viewer.chat(chat, member).to_bytes().into())
    }
}

/// How an update is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    Plain,
    /// Without usable access hashes.
    Min {
        absent: bool,
    },
    /// Beside an update that nobody knows.
    Unknown,
}

/// The short forms in which Telegram sends plain texts of private chats and basic groups,
/// and deletions there.
fn short(push: &Push) -> Option<enums::Updates> {
    let kind = push.chat.kind;
    if kind.has_own_numbers() {
        return None;
    }
    if push.what == What::Delete {
        let update = types::UpdateDeleteMessages {
            messages: push.ids.clone(),
            pts: push.pts,
            pts_count: push.pts_count,
        };
        return Some(
            types::UpdateShort {
                update: update.into(),
                date: push.date,
            }
            .into(),
        );
    }
    let content = push.content.as_ref()?;
    let is_plain =
        content.service.is_none() && content.forward.is_none() && content.buttons.is_empty() && content.mark.is_none();
    if push.what != What::New || !is_plain {
        return None;
    }
    let reply_to = push.reply_to.map(view::reply_header);
    let entities = view::entities(&content.entities);
    match kind {
        ChatKind::User => Some(
            types::UpdateShortMessage {
                out: false,
                mentioned: false,
                media_unread: false,
                silent: false,
                id: push.id,
                user_id: push.chat.id,
                message: content.text.clone(),
                pts: push.pts,
                pts_count: push.pts_count,
                date: content.date,
                fwd_from: None,
                via_bot_id: None,
                reply_to,
                entities,
                ttl_period: None,
            }
            .into(),
        ),
        _ => Some(
            types::UpdateShortChatMessage {
                out: false,
                mentioned: false,
                media_unread: false,
                silent: false,
                id: push.id,
                from_id: content.from?,
                chat_id: push.chat.bare_id(),
                message: content.text.clone(),
                pts: push.pts,
                pts_count: push.pts_count,
                date: content.date,
                fwd_from: None,
                via_bot_id: None,
                reply_to,
                entities,
                ttl_period: None,
            }
            .into(),
        ),
    }
}
