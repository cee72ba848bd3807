//! Joining a chat by its name or an invitation.

use std::time::Duration;

use grammers_tl_types::{enums, functions, types};

use super::{AGAIN, Outcome};
use crate::connection::{CallError, Calls};
use crate::peers;
use crate::session::SavedEntry;
use crate::watch::Watch;

/// After a request was sent to a chat's admins: the account's own chats tell when it was granted.
const ASKED: Duration = Duration::from_hours(1);
const SOON: Duration = Duration::from_mins(1);

/// Looks a name up, unless that was done before, and joins its chat.
pub(super) async fn by_name(calls: &Calls, name: &str, known: &SavedEntry, watch: &Watch) -> Outcome {
    let (chat_id, access_hash) = match (known.chats.first(), known.access_hash) {
        (Some(&id), Some(hash)) => (id, hash),
        _ => match resolve(calls, name).await {
            Ok((id, Some(hash), false)) => {
                watch.named(name, id);
                (id, hash)
            }
            // A person, or a chat that the account is in: nothing to join.
            Ok((id, hash, _)) => return Outcome::In(vec![id], hash),
            Err(error) => return refused(error),
        },
    };
    let Some(channel_id) = peers::channel_id(chat_id) else {
        return Outcome::In(vec![chat_id], Some(access_hash));
    };
    let channel = types::InputChannel {
        channel_id,
        access_hash,
    };
    let request = functions::channels::JoinChannel {
        channel: channel.into(),
    };
    match calls.call(&request).await {
        Ok(_) => Outcome::In(vec![chat_id], Some(access_hash)),
        Err(error) if error.is("USER_ALREADY_PARTICIPANT") => Outcome::In(vec![chat_id], Some(access_hash)),
        Err(error) => match refused(error) {
            // A hash that is no longer good is looked up anew.
            Outcome::Not(problem, wait) if !problem.contains("CHANNEL_INVALID") => {
                Outcome::Found(chat_id, access_hash, problem, wait)
            }
            outcome => outcome,
        },
    }
}

/// Id, hash, and whether the account is in it already.
async fn resolve(calls: &Calls, name: &str) -> Result<(i64, Option<i64>, bool), CallError> {
    let request = functions::contacts::ResolveUsername {
        username: name.to_owned(),
        referer: None,
    };
    let enums::contacts::ResolvedPeer::Peer(found) = calls.call(&request).await?;
    let id = peers::id_of(&found.peer);
    let channel = found.chats.iter().find_map(|chat| match chat {
        enums::Chat::Channel(channel) if peers::channel_chat_id(channel.id) == id => Some(channel),
        _ => None,
    });
    Ok(channel.map_or((id, None, true), |channel| (id, channel.access_hash, !channel.left)))
}

/// Accepts an invitation, unless the account is in its chat already.
pub(super) async fn by_invite(calls: &Calls, hash: &str) -> Outcome {
    let check = functions::messages::CheckChatInvite { hash: hash.to_owned() };
    match calls.call(&check).await {
        Ok(enums::ChatInvite::Already(already)) => return is_in(&already.chat),
        Ok(enums::ChatInvite::Invite(_) | enums::ChatInvite::Peek(_)) => {}
        Err(error) => return refused(error),
    }
    let import = functions::messages::ImportChatInvite { hash: hash.to_owned() };
    let answer = match calls.call(&import).await {
        Ok(enums::messages::ChatInviteJoinResult::Ok(answer)) => answer,
        Ok(enums::messages::ChatInviteJoinResult::WebView(_)) => {
            return Outcome::Not(
                "a bot of the chat wants to be answered first: join it in your own client".to_owned(),
                AGAIN,
            );
        }
        Err(error) => return refused(error),
    };
    let chats = match &answer.updates {
        enums::Updates::Updates(updates) => &updates.chats[..],
        enums::Updates::Combined(updates) => &updates.chats[..],
        _ => &[],
    };
    chats.first().map_or_else(
        || Outcome::Not("it was joined; which chat it is shows soon".to_owned(), SOON),
        is_in,
    )
}

fn is_in(chat: &enums::Chat) -> Outcome {
    match chat {
        enums::Chat::Channel(channel) => Outcome::In(vec![peers::channel_chat_id(channel.id)], channel.access_hash),
        enums::Chat::Chat(chat) => Outcome::In(vec![chat.id.saturating_neg()], None),
        _ => Outcome::Not("the account may not see the chat".to_owned(), AGAIN),
    }
}

/// Why it could not be joined, in the words of who has to mend it.
fn refused(error: CallError) -> Outcome {
    let (name, wait) = match error {
        CallError::Flood(wait) => {
            return Outcome::Not(
                "Telegram asks to wait before the next try (FLOOD_WAIT)".to_owned(),
                wait,
            );
        }
        CallError::Lost(_) | CallError::Dead(_) => return Outcome::Lost,
        CallError::Timeout | CallError::Elsewhere(_) => {
            return Outcome::Not("Telegram did not answer".to_owned(), SOON);
        }
        CallError::Refused { name, .. } => (name, AGAIN),
    };
    let text = match name.as_str() {
        "INVITE_REQUEST_SENT" => {
            return Outcome::Not(
                "an admin of the chat has to let the account in (INVITE_REQUEST_SENT)".to_owned(),
                ASKED,
            );
        }
        "CHANNELS_TOO_MUCH" | "USER_CHANNELS_TOO_MUCH" => {
            "the account is in as many channels as Telegram allows: leave some, or add an account"
        }
        "INVITE_HASH_EXPIRED" | "INVITE_HASH_INVALID" | "INVITE_HASH_EMPTY" => {
            "the invite link is no longer good: ask for a new one"
        }
        "USERNAME_NOT_OCCUPIED" | "USERNAME_INVALID" => "nobody has this name: was it renamed?",
        "CHANNEL_PRIVATE" | "CHANNEL_INVALID" | "USER_BANNED_IN_CHANNEL" => {
            "the chat is private, gone, or has banned the account"
        }
        "USERS_TOO_MUCH" => "the chat is full",
        "BOT_METHOD_INVALID" => "a bot cannot join by itself: add it to the chat",
        _ => "Telegram refuses",
    };
    Outcome::Not(format!("{text} ({name})"), wait)
}
