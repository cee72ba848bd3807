//! Requests and their answers.
//!
//! What a client needs to start, list, read and follow chats is answered from the world; any
//! other request gets a 400, as a data centre answers what it does not know.

mod dialogs;
mod difference;
mod history;
mod join;
mod login;
mod peers;
mod profile;

use std::borrow::Cow;
use std::io::Write;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use grammers_tl_types::{Cursor, Deserializable, Identifiable, Serializable, enums, functions, types};

use crate::clock;
use crate::faults::armed::site;
use crate::mtproto::envelope::constructor;
use crate::mtproto::odd;
use crate::sim::{Key, Shared};
use crate::view::{self, Company, Viewer};
use crate::world::timeline::Entry;
use crate::world::{AccountNo, NOBODY, World};

/// Answers from this size on are packed, as Telegram does with long ones.
const PACK_FROM: usize = 4 * 1_024;
const GZIP_PACKED: u32 = 0x3072_cfa1;
/// Wrappers around wrappers that a client may use.
const MAX_WRAPPERS: usize = 8;
/// Constructors that nest in themselves; see [`is_too_deep`].
const RECURSIVE: [u32; 4] = [
    types::InputPeerUserFromMessage::CONSTRUCTOR_ID,
    types::InputPeerChannelFromMessage::CONSTRUCTOR_ID,
    types::JsonArray::CONSTRUCTOR_ID,
    types::JsonObject::CONSTRUCTOR_ID,
];
const MAX_DEPTH: usize = 64;

/// An `rpc_error`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) code: i32,
    pub(crate) message: Cow<'static, str>,
}

pub(crate) const fn bad(message: &'static str) -> Failure {
    failure(400, message)
}

pub(crate) const fn failure(code: i32, message: &'static str) -> Failure {
    Failure {
        code,
        message: Cow::Borrowed(message),
    }
}

const UNKNOWN_METHOD: Failure = bad("INPUT_METHOD_INVALID");
const MALFORMED: Failure = bad("INPUT_REQUEST_INVALID");

pub(crate) use dialogs::filters_changed as folders_changed;
pub(crate) use login::accept_token;
pub(crate) use profile::{DC_ID, DC_IDS};

type Answer = Result<Vec<u8>, Failure>;

/// Who asks, over one connection.
pub(crate) struct Caller {
    pub(crate) key: Arc<Key>,
    /// [`NOBODY`] before the sign-in.
    pub(crate) account: AccountNo,
    pub(crate) viewer: Viewer,
    /// The client's TL layer, once it has told it.
    pub(crate) layer: i32,
    /// Whether updates go to this connection: from the first request on that does not decline.
    pub(crate) wants_updates: bool,
}

impl Caller {
    pub(crate) fn new(key: Arc<Key>, account: AccountNo, viewer: Viewer) -> Self {
        Self {
            key,
            account,
            viewer,
            layer: 0,
            wants_updates: false,
        }
    }

    /// Takes the wrappers off a request and notes what they tell.
    ///
    /// # Errors
    /// The answer to give instead.
    pub(crate) fn unwrap<'b>(&mut self, body: &'b [u8]) -> Result<&'b [u8], Failure> {
        if is_too_deep(body) {
            return Err(MALFORMED);
        }
        let mut rest = body;
        let mut declined = false;
        for _ in 0..MAX_WRAPPERS {
            let cursor = &mut Cursor::from_slice(rest);
            let number = u32::deserialize(cursor).map_err(|_| MALFORMED)?;
            match number {
                functions::InvokeWithLayer::<()>::CONSTRUCTOR_ID => {
                    self.layer = read(cursor)?;
                }
                functions::InitConnection::<()>::CONSTRUCTOR_ID => {
                    let flags: u32 = read(cursor)?;
                    let _api_id: i32 = read(cursor)?;
                    for _ in 0..6 {
                        read::<String>(cursor)?;
                    }
                    if flags & 1 != 0 {
                        read::<enums::InputClientProxy>(cursor)?;
                    }
                    if flags & 2 != 0 {
                        read::<enums::Jsonvalue>(cursor)?;
                    }
                    tracing::debug!(layer = self.layer, "a client introduced itself");
                }
                functions::InvokeAfterMsg::<()>::CONSTRUCTOR_ID => {
                    read::<i64>(cursor)?;
                }
                functions::InvokeAfterMsgs::<()>::CONSTRUCTOR_ID => {
                    read::<Vec<i64>>(cursor)?;
                }
                functions::InvokeWithoutUpdates::<()>::CONSTRUCTOR_ID => declined = true,
                _ => {
                    self.wants_updates |= !declined;
                    return Ok(rest);
                }
            }
            rest = &rest[cursor.pos()..];
        }
        Err(MALFORMED)
    }
}

fn read<T: Deserializable>(cursor: &mut Cursor<'_>) -> Result<T, Failure> {
    T::deserialize(cursor).map_err(|_| MALFORMED)
}

/// The generated parsers recurse without a limit, so a few kilobytes of nested constructors
/// would exhaust the stack. They are counted first; honest requests have a handful.
fn is_too_deep(body: &[u8]) -> bool {
    body.chunks_exact(4)
        .filter(|word| constructor(word).is_some_and(|number| RECURSIVE.contains(&number)))
        .take(MAX_DEPTH + 1)
        .count()
        > MAX_DEPTH
}

/// Answers a request that was unwrapped; the result is what goes into `rpc_result`.
pub(crate) fn answer(shared: &Shared, caller: &Caller, request: Result<&[u8], Failure>) -> Vec<u8> {
    let mut answer = request.and_then(|body| dispatch(shared, caller, body));
    if let Ok(bytes) = &mut answer
        && shared.faults().at(site::UNKNOWN)
    {
        odd::exchange(bytes);
    }
    match answer {
        Ok(bytes) if bytes.len() >= PACK_FROM => pack(bytes),
        Ok(bytes) => bytes,
        Err(failure) => refusal(failure),
    }
}

/// The `rpc_error` that goes into `rpc_result`.
pub(crate) fn refusal(failure: Failure) -> Vec<u8> {
    enums::RpcError::Error(types::RpcError {
        error_code: failure.code,
        error_message: failure.message.into_owned(),
    })
    .to_bytes()
}

fn pack(bytes: Vec<u8>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing into memory does not fail; if it did, the plain answer is as good.
    let packed = encoder.write_all(&bytes).and_then(|()| encoder.finish());
    let Ok(packed) = packed else {
        return bytes;
    };
    let mut body = Vec::with_capacity(packed.len() + 16);
    GZIP_PACKED.serialize(&mut body);
    packed.serialize(&mut body);
    body
}

/// Parses the arguments of one method and runs its handler.
macro_rules! methods {
    ($number:ident, $arguments:ident, $($method:path => $handler:expr,)*) => {
        match $number {
            $(<$method>::CONSTRUCTOR_ID => {
                let request = <$method>::deserialize($arguments).map_err(|_| MALFORMED)?;
                #[allow(clippy::redundant_closure_call)]
                ($handler)(request)
            })*
            _ => {
                tracing::debug!(method = grammers_tl_types::name_for_id($number), "not answered");
                Err(UNKNOWN_METHOD)
            }
        }
    };
}

fn dispatch(shared: &Shared, caller: &Caller, body: &[u8]) -> Answer {
    use functions::{account, auth, channels, contacts, help, messages, updates, users};

    let cursor = &mut Cursor::from_slice(body);
    let number: u32 = read(cursor)?;
    let now_us = clock::now_us();
    let now = (now_us / 1_000_000) as i32;
    let mut world = shared.world();
    let world = &mut *world;
    if caller.key.is_duplicated() {
        return Err(failure(406, "AUTH_KEY_DUPLICATED"));
    }
    if let Some(answer) = login::dispatch(world, caller, number, cursor, now) {
        return answer;
    }
    let account = match world.accounts.get(caller.account) {
        Some(account) if account.door.is_banned => return Err(failure(401, "USER_DEACTIVATED_BAN")),
        Some(_) => caller.account,
        None => NOBODY,
    };
    let public = [help::GetConfig::CONSTRUCTOR_ID, help::GetNearestDc::CONSTRUCTOR_ID];
    if account == NOBODY && !public.contains(&number) {
        return Err(failure(401, "AUTH_KEY_UNREGISTERED"));
    }
    methods! { number, cursor,
        help::GetConfig => |_| Ok(profile::config(shared.address(), caller.key.dc, now)),
        help::GetNearestDc => |_| Ok(profile::nearest_dc(caller.key.dc)),
        updates::GetState => |_| Ok(difference::state(world, caller, now).to_bytes()),
        updates::GetDifference => |ask| difference::account(world, caller, &ask, now),
        updates::GetChannelDifference => |ask| difference::channel(world, caller, &ask),
        users::GetUsers => |ask: users::GetUsers| Ok(profile::users(world, caller, &ask.id)),
        users::GetFullUser => |ask: users::GetFullUser| profile::full_user(world, caller, &ask.id),
        messages::GetDialogs => |ask| dialogs::list(world, caller, &ask),
        messages::GetPinnedDialogs => |_| Ok(dialogs::pinned(world, caller, now)),
        messages::GetPeerDialogs => |ask| dialogs::some(world, caller, &ask, now),
        messages::GetDialogFilters => |_| Ok(dialogs::filters(world, caller)),
        messages::GetHistory => |ask| history::page(world, caller, &ask),
        messages::GetMessages => |ask: messages::GetMessages| Ok(history::own(world, caller, &ask.id)),
        messages::GetChats => |ask: messages::GetChats| Ok(profile::groups(world, caller, &ask.id)),
        channels::GetMessages => |ask| history::of_channel(world, caller, &ask),
        channels::GetChannels => |ask: channels::GetChannels| profile::channels(world, caller, &ask.id),
        channels::GetFullChannel => |ask: channels::GetFullChannel| profile::full_channel(world, caller, &ask.channel),
        channels::JoinChannel => |ask: channels::JoinChannel| join::by_channel(world, caller, &ask.channel, now_us),
        messages::CheckChatInvite => |ask: messages::CheckChatInvite| join::check(world, caller, &ask.hash),
        messages::ImportChatInvite => |ask: messages::ImportChatInvite| join::by_invite(world, caller, &ask.hash, now_us),
        contacts::ResolveUsername => |ask: contacts::ResolveUsername| join::resolve(world, caller, &ask.username),
        account::UpdateStatus => |_| Ok(true.to_bytes()),
        auth::LogOut => |_| Ok(profile::log_out(world, caller)),
    }
}

/// A message as the caller sees it, with its peers added to the company.
fn message(world: &World, caller: &Caller, company: &mut Company, id: i32, entry: &Entry) -> enums::Message {
    let Some(chat) = world.chats.get(&entry.chat) else {
        return types::MessageEmpty { id, peer_id: None }.into();
    };
    company.add_chat(&chat.peer, chat.members.contains(&caller.account));
    for user in world.people_of(&entry.content) {
        company.add_user(&user);
    }
    if let Some(origin) = world.origin_of(&entry.content) {
        company.add_chat(&origin.chat, origin.members.contains(&caller.account));
    }
    let account = (!chat.peer.kind.has_own_numbers()).then_some(caller.account);
    let reply_to = world.local_reply(account, entry);
    view::message(&chat.peer, id, &entry.content, reply_to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nesting_is_counted_before_it_is_parsed() {
        let mut body = Vec::new();
        functions::messages::GetHistory::CONSTRUCTOR_ID.serialize(&mut body);
        for _ in 0..100_000 {
            types::InputPeerUserFromMessage::CONSTRUCTOR_ID.serialize(&mut body);
        }
        assert!(is_too_deep(&body));
        assert!(!is_too_deep(&body[..16]));
    }
}
