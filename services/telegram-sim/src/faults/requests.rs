//! What faults make of requests, differences and posts.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use grammers_tl_types::functions::{channels, contacts, messages, updates};
use grammers_tl_types::{Cursor, Deserializable, Identifiable, enums};

use super::FaultKind;
use super::armed::{Faults, site};
use crate::mtproto::envelope::constructor;
use crate::rpc::Failure;
use crate::world::peer::CHANNEL_BASE;
use crate::world::{AccountNo, World};

/// What becomes of a request.
#[derive(Debug, Default)]
pub(crate) struct Fate {
    /// The answer instead; it is not carried out then.
    pub(crate) refusal: Option<Failure>,
    /// How long the answer waits.
    pub(crate) delay: Option<Duration>,
    /// The connection closes in the answer's place.
    pub(crate) cut: bool,
}

/// What a fault has done to a message.
#[derive(Clone, Debug)]
pub(crate) struct Mark {
    pub(crate) what: Marked,
    /// The fault has not been healed.
    live: Arc<AtomicBool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Marked {
    /// Not shown before then.
    Late(Instant),
    /// Deleted before it was pushed.
    Vanished,
    Media,
    Entity,
}

impl Mark {
    /// Whether it holds now.
    pub(crate) fn holds(&self) -> bool {
        self.live.load(Ordering::Relaxed)
            && match self.what {
                Marked::Late(until) => Instant::now() < until,
                _ => true,
            }
    }
}

impl Faults {
    /// What becomes of a request without its wrappers; `world` is asked only if a fault asks for
    /// the chat.
    pub(crate) fn fate(&self, account: AccountNo, body: &[u8], chat: impl FnOnce() -> Option<i64>) -> Fate {
        let mut fate = Fate::default();
        if !self.at(site::REQUEST) {
            return fate;
        }
        let name = constructor(body).map_or("", grammers_tl_types::name_for_id);
        let is_asked = |method: &Option<String>| method.as_deref().is_none_or(|method| method == name);
        self.each(
            site::REQUEST,
            Some(account),
            chat(),
            |fault| match &fault.kind {
                FaultKind::FloodWait { method, .. }
                | FaultKind::RpcError { method, .. }
                | FaultKind::Delay { method, .. }
                | FaultKind::Cut { method } => is_asked(method),
                // Without a chat it holds for all channels, and concerns requests that name one.
                FaultKind::ChannelLost { .. } => fault.chat_id.is_some() || is_of_channel(body),
                _ => true,
            },
            |armed| match &armed.fault.kind {
                FaultKind::FloodWait { seconds, .. } => {
                    fate.refusal.get_or_insert_with(|| Failure {
                        code: 420,
                        message: format!("FLOOD_WAIT_{seconds}").into(),
                    });
                }
                FaultKind::RpcError { code, message, .. } => {
                    fate.refusal.get_or_insert_with(|| Failure {
                        code: *code,
                        message: Cow::Owned(message.clone()),
                    });
                }
                FaultKind::ChannelLost { message } => {
                    fate.refusal.get_or_insert_with(|| Failure {
                        code: 400,
                        message: Cow::Owned(message.clone()),
                    });
                }
                FaultKind::SignedOut { message } => {
                    fate.refusal.get_or_insert_with(|| Failure {
                        code: 401,
                        message: Cow::Owned(message.clone()),
                    });
                }
                FaultKind::Delay { ms, .. } => fate.delay = Some(Duration::from_millis(*ms)),
                FaultKind::Cut { .. } => fate.cut = true,
                _ => {}
            },
        );
        fate
    }

    /// Whether a difference is answered as too long although it is not; `chat` is absent for the
    /// account's own.
    pub(crate) fn is_too_long(&self, account: AccountNo, chat: Option<i64>, behind: i32) -> bool {
        let is_more = |least: Option<u32>| least.is_none_or(|least| i64::from(behind) > i64::from(least));
        self.first(site::DIFFERENCE, Some(account), chat, |armed| {
            match (&armed.fault.kind, chat) {
                (FaultKind::ChannelDifferenceTooLong { behind }, Some(_))
                | (FaultKind::DifferenceTooLong { behind }, None) => is_more(*behind).then_some(()),
                _ => None,
            }
        })
        .is_some()
    }

    /// Whether a difference gets an update that nobody knows.
    pub(crate) fn is_unknown(&self, account: AccountNo, chat: Option<i64>) -> bool {
        self.first(site::DIFFERENCE, Some(account), chat, |armed| {
            (armed.fault.kind == FaultKind::UnknownInDifference).then_some(())
        })
        .is_some()
    }

    /// Whether the account may not see the channel.
    pub(crate) fn is_lost(&self, account: AccountNo, chat: i64) -> bool {
        self.holds(account, chat, |kind| matches!(kind, FaultKind::ChannelLost { .. }))
    }

    /// Whether the account's difference does not name the channel.
    pub(crate) fn is_unnamed(&self, account: AccountNo, chat: i64) -> bool {
        self.holds(account, chat, |kind| {
            matches!(kind, FaultKind::ChannelLost { .. } | FaultKind::PollOnly)
        })
    }

    fn holds(&self, account: AccountNo, chat: i64, is: impl Fn(&FaultKind) -> bool) -> bool {
        self.first(site::DIFFERENCE, Some(account), Some(chat), |armed| {
            is(&armed.fault.kind).then_some(())
        })
        .is_some()
    }

    /// What befalls a message that is about to be posted.
    pub(crate) fn mark(&self, chat: i64) -> Option<Mark> {
        self.first(site::POST, None, Some(chat), |armed| {
            let what = match armed.fault.kind {
                FaultKind::Late { after_ms } => Marked::Late(Instant::now() + Duration::from_millis(after_ms)),
                FaultKind::Vanished => Marked::Vanished,
                FaultKind::UnknownMedia => Marked::Media,
                FaultKind::UnknownEntity => Marked::Entity,
                _ => return None,
            };
            Some(Mark {
                what,
                live: Arc::clone(&armed.live),
            })
        })
    }
}

/// The chat that a request names, by Bot-API id; the first one of a list.
pub(crate) fn chat_of(world: &World, body: &[u8]) -> Option<i64> {
    let number = constructor(body)?;
    let arguments = &mut Cursor::from_slice(&body[4..]);
    macro_rules! read {
        ($method:ty) => {
            <$method>::deserialize(arguments).ok()?
        };
    }
    match number {
        updates::GetChannelDifference::CONSTRUCTOR_ID => channel(&read!(updates::GetChannelDifference).channel),
        channels::GetMessages::CONSTRUCTOR_ID => channel(&read!(channels::GetMessages).channel),
        channels::GetFullChannel::CONSTRUCTOR_ID => channel(&read!(channels::GetFullChannel).channel),
        channels::JoinChannel::CONSTRUCTOR_ID => channel(&read!(channels::JoinChannel).channel),
        channels::GetChannels::CONSTRUCTOR_ID => channel(read!(channels::GetChannels).id.first()?),
        messages::GetHistory::CONSTRUCTOR_ID => peer(&read!(messages::GetHistory).peer),
        messages::GetPeerDialogs::CONSTRUCTOR_ID => match read!(messages::GetPeerDialogs).peers.first()? {
            enums::InputDialogPeer::Peer(named) => peer(&named.peer),
            _ => None,
        },
        messages::CheckChatInvite::CONSTRUCTOR_ID => world.invites.get(&read!(messages::CheckChatInvite).hash).copied(),
        messages::ImportChatInvite::CONSTRUCTOR_ID => {
            world.invites.get(&read!(messages::ImportChatInvite).hash).copied()
        }
        contacts::ResolveUsername::CONSTRUCTOR_ID => {
            let name = read!(contacts::ResolveUsername).username.to_lowercase();
            world.usernames.get(&name).copied()
        }
        _ => None,
    }
}

fn is_of_channel(body: &[u8]) -> bool {
    let by_channel = [
        updates::GetChannelDifference::CONSTRUCTOR_ID,
        channels::GetMessages::CONSTRUCTOR_ID,
        channels::GetFullChannel::CONSTRUCTOR_ID,
        channels::JoinChannel::CONSTRUCTOR_ID,
        channels::GetChannels::CONSTRUCTOR_ID,
    ];
    match constructor(body) {
        Some(messages::GetHistory::CONSTRUCTOR_ID) => {
            let arguments = &mut Cursor::from_slice(&body[4..]);
            messages::GetHistory::deserialize(arguments)
                .is_ok_and(|ask| matches!(ask.peer, enums::InputPeer::Channel(_)))
        }
        Some(number) => by_channel.contains(&number),
        None => false,
    }
}

fn channel(input: &enums::InputChannel) -> Option<i64> {
    match input {
        enums::InputChannel::Channel(channel) => CHANNEL_BASE.checked_sub(channel.channel_id),
        _ => None,
    }
}

fn peer(input: &enums::InputPeer) -> Option<i64> {
    match input {
        enums::InputPeer::Channel(channel) => CHANNEL_BASE.checked_sub(channel.channel_id),
        enums::InputPeer::Chat(chat) => chat.chat_id.checked_neg(),
        enums::InputPeer::User(user) => Some(user.user_id),
        _ => None,
    }
}
