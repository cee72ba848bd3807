//! What became of every message number: the truth that a client's account is held against.

use serde::Serialize;

use super::{AccountNo, World, WorldError};

/// Every number that a chat has given to a message, as ranges of first and last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ids {
    /// Bot-API id.
    pub chat_id: i64,
    /// Messages that are there now, hidden ones included.
    pub exists: Vec<(i32, i32)>,
    /// Those that were deleted.
    pub deleted: Vec<(i32, i32)>,
    /// Those that had to make room for newer ones: they exist, but no client can have them.
    pub dropped: Vec<(i32, i32)>,
}

impl World {
    /// The numbers of a chat: in basic groups and private chats those of the account, or of the
    /// first one in the chat, as in the posted log.
    pub(crate) fn ids(&self, chat_id: i64, account: Option<AccountNo>) -> Result<Ids, WorldError> {
        let chat = self.chats.get(&chat_id).ok_or(WorldError::NoChat)?;
        let member = match account {
            Some(account) => chat.members.contains(&account).then_some(account),
            None => chat.members.first().copied(),
        };
        let timeline = match member {
            Some(member) if !chat.peer.kind.has_own_numbers() => &self.accounts[member].timeline,
            None if !chat.peer.kind.has_own_numbers() => return Err(WorldError::NoChat),
            _ => &chat.timeline,
        };
        let (given, deleted) = timeline.numbers(chat_id);
        let (dropped, exists) = given.without(&deleted).split(timeline.floor());
        Ok(Ids {
            chat_id,
            exists: exists.pairs().to_vec(),
            deleted: deleted.pairs().to_vec(),
            dropped: dropped.pairs().to_vec(),
        })
    }
}
