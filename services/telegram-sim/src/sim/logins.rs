//! What the people behind the accounts do: read their codes, set passwords, let devices in, sort
//! their chats into folders.

use serde::{Deserialize, Serialize};

use super::{ChatInfo, Sim};
use crate::clock;
use crate::rpc::{self, DC_IDS};
use crate::world::srp::Password;
use crate::world::{Folder, World};

/// A login code, as the account's other devices show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Code {
    /// Phone number, digits only.
    pub phone: String,
    /// The code.
    pub code: String,
    /// Seconds since the epoch.
    pub expires: i32,
}

/// What can be changed of an account; what is absent stays.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Person {
    /// A password to ask for after the code; an empty one takes it away.
    pub password: Option<String>,
    /// What is shown with the question for it.
    pub hint: Option<String>,
    /// The data centre that the account lives in: 2 or 4.
    pub dc_id: Option<i32>,
    /// Makes it a bot with this token.
    pub bot_token: Option<String>,
    /// Whether signing in with its number is refused (`PHONE_NUMBER_BANNED`).
    pub phone_banned: Option<bool>,
    /// Whether the account is banned (`USER_DEACTIVATED_BAN`).
    pub banned: Option<bool>,
    /// Its folders, instead of those it has; open connections are told.
    pub folders: Option<Vec<Folder>>,
}

/// Why such a change is not possible.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// No account has this name.
    #[error("there is no such account")]
    NoAccount,
    /// Only 2 and 4 are played.
    #[error("there is no such data centre: 2 or 4")]
    NoDataCentre,
    /// As a client would be told.
    #[error("{0}")]
    Refused(String),
}

impl Sim {
    /// The codes that were sent, by number.
    #[must_use]
    pub fn codes(&self) -> Vec<Code> {
        let world = self.shared.world();
        let mut codes: Vec<_> = world
            .logins
            .codes()
            .map(|(phone, code, expires)| Code {
                phone: phone.to_owned(),
                code: code.to_owned(),
                expires,
            })
            .collect();
        codes.sort_unstable_by(|a, b| a.phone.cmp(&b.phone));
        codes
    }

    /// Ends all codes and login tokens, as time would.
    pub fn expire_logins(&self) {
        self.shared.world().logins.expire();
    }

    /// How long login tokens are good from here on, instead of 30 s.
    pub fn set_token_seconds(&self, seconds: i32) {
        self.shared.world().logins.token_s = seconds;
    }

    /// Lets the device in that shows this token, as another device of the account would.
    ///
    /// # Errors
    /// [`LoginError`]
    pub fn accept_token(&self, account: &str, token: &[u8]) -> Result<(), LoginError> {
        let mut world = self.shared.world();
        let account = number(&world, account)?;
        let now = (clock::now_us() / 1_000_000) as i32;
        rpc::accept_token(&mut world, account, token, now)
            .map_err(|failure| LoginError::Refused(failure.message.into_owned()))
    }

    /// Changes an account.
    ///
    /// # Errors
    /// [`LoginError`]
    pub fn change(&self, account: &str, person: Person) -> Result<(), LoginError> {
        if person.dc_id.is_some_and(|dc| !DC_IDS.contains(&dc)) {
            return Err(LoginError::NoDataCentre);
        }
        // Deriving a key from a password takes a while: not under the lock.
        let password = person
            .password
            .map(|text| (!text.is_empty()).then(|| Password::new(&text, person.hint)));
        let mut world = self.shared.world();
        let number = number(&world, account)?;
        if let Some(token) = person.bot_token {
            let mut user = (*world.accounts[number].user).clone();
            user.bot = true;
            let user = std::sync::Arc::new(user);
            world.users.insert(user.id, std::sync::Arc::clone(&user));
            world.accounts[number].user = user;
            world.accounts[number].door.bot_token = Some(token);
        }
        let account = &mut world.accounts[number];
        let door = &mut account.door;
        if let Some(password) = password {
            door.password = password;
        }
        door.home_dc = person.dc_id.unwrap_or(door.home_dc);
        door.is_phone_banned = person.phone_banned.unwrap_or(door.is_phone_banned);
        door.is_banned = person.banned.unwrap_or(door.is_banned);
        if let Some(folders) = person.folders {
            account.folders = Some(folders);
            let update = rpc::folders_changed((clock::now_us() / 1_000_000) as i32);
            for outbox in &account.outboxes {
                outbox.send(update.clone(), true, false);
            }
        }
        Ok(())
    }

    /// The chats that the account with this name is in.
    #[must_use]
    pub fn chats_of(&self, account: &str) -> Vec<ChatInfo> {
        let mut chats = self.chats();
        chats.retain(|chat| chat.accounts.iter().any(|name| name == account));
        chats
    }
}

fn number(world: &World, name: &str) -> Result<usize, LoginError> {
    let found = world.accounts.iter().position(|account| account.name == name);
    found.ok_or(LoginError::NoAccount)
}
