//! Which chats are watched.

use std::collections::{HashMap, HashSet};
use std::sync::{PoisonError, RwLock};

/// Most entries of `MONITORED_CHATS`: an account can join 1,000 chats, and there may be several.
const MAX_ENTRIES: usize = 100_000;

/// `MONITORED_CHATS`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// Every chat.
    All,
    /// These.
    Some {
        /// Bot API ids.
        ids: HashSet<i64>,
        /// Public names, lower case, without `@`.
        names: HashSet<String>,
    },
}

/// The chats that one account watches, as far as their names are known.
#[derive(Debug)]
pub struct Watch {
    all: bool,
    inner: RwLock<Inner>,
}

#[derive(Debug)]
struct Inner {
    ids: HashSet<i64>,
    /// Name → id, once a chat with this name was seen.
    names: HashMap<String, Option<i64>>,
}

impl Wanted {
    /// Reads a comma list of ids, `@names` and `*`.
    ///
    /// # Errors
    /// What is wrong with which entry.
    pub fn parse(list: &str) -> Result<Self, String> {
        let (mut ids, mut names, mut all) = (HashSet::new(), HashSet::new(), false);
        for entry in list.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            if entry == "*" {
                all = true;
            } else if let Ok(id) = entry.parse::<i64>()
                && id != 0
            {
                ids.insert(id);
            } else if let Some(name) = entry.strip_prefix('@').filter(|name| is_public_name(name)) {
                names.insert(name.to_ascii_lowercase());
            } else if entry.starts_with("folder:") || entry.contains("t.me/") || entry.starts_with('+') {
                return Err(format!(
                    "holds {entry:?}: invite links and folders are not supported yet; give the chat's id or @name"
                ));
            } else {
                return Err(format!("holds {entry:?}, which is no chat id, no @name and not *"));
            }
        }
        if ids.len() + names.len() > MAX_ENTRIES {
            return Err(format!("names more than {MAX_ENTRIES} chats"));
        }
        match (all, ids.is_empty() && names.is_empty()) {
            (true, _) => Ok(Self::All),
            (false, true) => Err("names no chat".to_owned()),
            (false, false) => Ok(Self::Some { ids, names }),
        }
    }
}

impl Watch {
    /// What an account watches before it has seen any chat.
    #[must_use]
    pub fn new(wanted: &Wanted) -> Self {
        let (all, ids, names) = match wanted {
            Wanted::All => (true, HashSet::new(), HashMap::new()),
            Wanted::Some { ids, names } => {
                let names = names.iter().map(|name| (name.clone(), None)).collect();
                (false, ids.clone(), names)
            }
        };
        Self {
            all,
            inner: RwLock::new(Inner { ids, names }),
        }
    }

    /// Whether a chat is watched.
    #[must_use]
    pub fn has(&self, chat_id: i64) -> bool {
        self.all
            || self
                .inner
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .ids
                .contains(&chat_id)
    }

    /// Tells that a chat has this public name.
    pub fn named(&self, name: &str, chat_id: i64) {
        if self.all {
            return;
        }
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        let inner = &mut *inner;
        if let Some(known) = inner.names.get_mut(name.to_ascii_lowercase().as_str()) {
            *known = Some(chat_id);
            inner.ids.insert(chat_id);
        }
    }

    /// Names of which no chat was seen.
    #[must_use]
    pub fn unknown_names(&self) -> Vec<String> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let unknown = inner.names.iter().filter(|(_, id)| id.is_none());
        unknown.map(|(name, _)| name.clone()).collect()
    }
}

/// Telegram's rule: 5 to 32 letters, digits and `_` (4 for names from auctions), first a letter.
fn is_public_name(name: &str) -> bool {
    (4..=32).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read() {
        assert_eq!(Wanted::parse("*"), Ok(Wanted::All));
        assert_eq!(Wanted::parse("-1001, *"), Ok(Wanted::All));
        let Ok(Wanted::Some { ids, names }) = Wanted::parse("-1001234, 42,@Alpha_Calls") else {
            panic!("a list of chats")
        };
        assert_eq!(ids, HashSet::from([-1_001_234, 42]));
        assert_eq!(names, HashSet::from(["alpha_calls".to_owned()]));
        for bad in ["", ",", "0", "alpha", "@a", "@1abc", "@a b c d"] {
            assert!(Wanted::parse(bad).is_err(), "{bad}");
        }
        for later in ["https://t.me/+AbCdEf", "t.me/joinchat/x", "folder:calls", "+AbCdEf"] {
            let fault = Wanted::parse(later).unwrap_err();
            assert!(fault.contains("not supported yet"), "{fault}");
        }
    }

    #[test]
    fn names_become_ids() {
        let watch = Watch::new(&Wanted::parse("@alpha,7").unwrap());
        assert!(watch.has(7) && !watch.has(-1001));
        assert_eq!(watch.unknown_names(), ["alpha"]);
        watch.named("ALPHA", -1001);
        watch.named("beta", -1002);
        assert!(watch.has(-1001) && !watch.has(-1002) && watch.unknown_names().is_empty());
    }
}
