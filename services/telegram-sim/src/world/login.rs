//! How accounts sign in: codes, tokens of other devices, questions for passwords.

use std::collections::HashMap;
use std::sync::Arc;

use super::srp::{Challenge, Password};
use super::{AccountNo, World};
use crate::rpc::DC_ID;
use crate::sim::Key;

/// A code is good for so long, in seconds.
const CODE_S: i32 = 300;
/// And for so many tries.
const TRIES: u32 = 5;
/// A login token is good for so long, in seconds, as Telegram's; tests may not want to wait.
const TOKEN_S: i32 = 30;
/// Codes, tokens and questions that are remembered of each.
const MAX_OPEN: usize = 1_000;

/// How an account signs in, and whether it may.
pub(crate) struct Door {
    pub(crate) home_dc: i32,
    pub(crate) password: Option<Password>,
    pub(crate) bot_token: Option<String>,
    /// Its number may sign in nowhere.
    pub(crate) is_phone_banned: bool,
    /// Its keys are good for nothing.
    pub(crate) is_banned: bool,
}

impl Default for Door {
    fn default() -> Self {
        Self {
            home_dc: DC_ID,
            password: None,
            bot_token: None,
            is_phone_banned: false,
            is_banned: false,
        }
    }
}

/// What is under way.
pub(crate) struct Logins {
    pub(crate) token_s: i32,
    /// By phone number.
    codes: HashMap<String, SentCode>,
    tokens: Vec<Token>,
    challenges: HashMap<i64, (AccountNo, Challenge)>,
}

impl Default for Logins {
    fn default() -> Self {
        Self {
            token_s: TOKEN_S,
            codes: HashMap::new(),
            tokens: Vec::new(),
            challenges: HashMap::new(),
        }
    }
}

struct SentCode {
    hash: String,
    code: String,
    expires: i32,
    tries: u32,
}

/// What a device that wants to sign in shows to one that is signed in.
pub(crate) struct Token {
    pub(crate) bytes: Vec<u8>,
    pub(crate) key: Arc<Key>,
    pub(crate) expires: i32,
    pub(crate) accepted: Option<AccountNo>,
}

/// What a code turns out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CodeState {
    Right,
    Wrong,
    Expired,
}

impl Logins {
    /// Sends a code for a number; its hash and the seconds until it expires.
    pub(crate) fn send_code(&mut self, phone: &str, now: i32) -> (String, String, i32) {
        if self.codes.len() >= MAX_OPEN {
            self.codes.retain(|_, sent| sent.expires > now);
            if self.codes.len() >= MAX_OPEN {
                self.codes.clear();
            }
        }
        let hash = format!("{:018x}", rand::random::<u64>());
        let code = format!("{:05}", rand::random_range(0..100_000_u32));
        let sent = SentCode {
            hash: hash.clone(),
            code: code.clone(),
            expires: now + CODE_S,
            tries: 0,
        };
        self.codes.insert(phone.to_owned(), sent);
        (hash, code, CODE_S)
    }

    /// Tries a code; a right one is used up.
    pub(crate) fn try_code(&mut self, phone: &str, hash: &str, code: &str, now: i32) -> CodeState {
        let Some(sent) = self.codes.get_mut(phone).filter(|sent| sent.hash == hash) else {
            return CodeState::Expired;
        };
        if sent.expires <= now || sent.tries >= TRIES {
            return CodeState::Expired;
        }
        if sent.code != code {
            sent.tries += 1;
            return CodeState::Wrong;
        }
        self.codes.remove(phone);
        CodeState::Right
    }

    /// Number, code and end of each code that was sent.
    pub(crate) fn codes(&self) -> impl Iterator<Item = (&str, &str, i32)> {
        self.codes
            .iter()
            .map(|(phone, sent)| (phone.as_str(), sent.code.as_str(), sent.expires))
    }

    /// Ends all codes and tokens, as time would.
    pub(crate) fn expire(&mut self) {
        for sent in self.codes.values_mut() {
            sent.expires = 0;
        }
        for token in &mut self.tokens {
            token.expires = 0;
        }
    }

    /// The token of a key: the one it has, or a new one.
    pub(crate) fn token(&mut self, key: &Arc<Key>, now: i32) -> &Token {
        self.tokens
            .retain(|token| token.expires > now || token.accepted.is_some());
        let known = self.tokens.iter().position(|token| Arc::ptr_eq(&token.key, key));
        let at = known.unwrap_or_else(|| {
            if self.tokens.len() >= MAX_OPEN {
                self.tokens.remove(0);
            }
            self.tokens.push(Token {
                bytes: rand::random::<[u8; 32]>().to_vec(),
                key: Arc::clone(key),
                expires: now + self.token_s,
                accepted: None,
            });
            self.tokens.len() - 1
        });
        &self.tokens[at]
    }

    pub(crate) fn token_mut(&mut self, bytes: &[u8]) -> Option<&mut Token> {
        self.tokens.iter_mut().find(|token| token.bytes == bytes)
    }

    pub(crate) fn use_up(&mut self, bytes: &[u8]) {
        self.tokens.retain(|token| token.bytes != bytes);
    }

    /// Keeps a question for a password; its number.
    pub(crate) fn ask(&mut self, account: AccountNo, challenge: Challenge) -> i64 {
        if self.challenges.len() >= MAX_OPEN {
            self.challenges.clear();
        }
        let id = rand::random();
        self.challenges.insert(id, (account, challenge));
        id
    }

    /// The question with this number, which is used up.
    pub(crate) fn answered(&mut self, id: i64, account: AccountNo) -> Option<Challenge> {
        self.challenges
            .remove(&id)
            .filter(|(asked, _)| *asked == account)
            .map(|(_, challenge)| challenge)
    }
}

impl World {
    /// Whose number this is; it may be written with a plus and spaces.
    pub(crate) fn account_of_phone(&self, phone: &str) -> Option<AccountNo> {
        self.accounts
            .iter()
            .position(|account| account.user.phone.as_deref() == Some(phone))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_good_once_and_for_a_while() {
        let mut logins = Logins::default();
        let (hash, code, _) = logins.send_code("1", 100);
        assert_eq!(logins.try_code("1", &hash, "x", 101), CodeState::Wrong);
        assert_eq!(logins.try_code("2", &hash, &code, 101), CodeState::Expired);
        assert_eq!(logins.try_code("1", "other", &code, 101), CodeState::Expired);
        assert_eq!(logins.try_code("1", &hash, &code, 101), CodeState::Right);
        assert_eq!(logins.try_code("1", &hash, &code, 101), CodeState::Expired);
        let (hash, code, _) = logins.send_code("1", 100);
        assert_eq!(logins.try_code("1", &hash, &code, 100 + CODE_S), CodeState::Expired);
        let (hash, code, _) = logins.send_code("1", 100);
        for _ in 0..TRIES {
            assert_eq!(logins.try_code("1", &hash, "x", 101), CodeState::Wrong);
        }
        assert_eq!(logins.try_code("1", &hash, &code, 101), CodeState::Expired);
    }
}
