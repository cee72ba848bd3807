//! Which chats are watched.

use std::collections::{HashMap, HashSet};
use std::sync::{PoisonError, RwLock};

/// Most entries of `MONITORED_CHATS`: an account can join 1,000 chats, and there may be several.
const MAX_ENTRIES: usize = 100_000;

/// `MONITORED_CHATS`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Every chat that an account is in.
    pub all: bool,
    /// Bot API ids.
    pub ids: HashSet<i64>,
    /// Public names, lower case, without `@`.
    pub names: HashSet<String>,
    /// Hashes of invite links.
    pub invites: HashSet<String>,
    /// Titles of folders.
    pub folders: HashSet<String>,
}

/// The chats that one account watches, as far as they are known.
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
    /// What invite links and folders came to, by their entry.
    found: HashMap<String, Vec<i64>>,
    /// All of those.
    found_ids: HashSet<i64>,
    /// The chats that the account is in, once they were read.
    dialogs: Option<HashSet<i64>>,
}

impl Wanted {
    /// Every chat.
    #[must_use]
    pub fn all() -> Self {
        Self {
            all: true,
            ..Self::default()
        }
    }

    /// Reads a comma list of ids, `@names`, invite links, `folder:NAME` and `*`.
    ///
    /// # Errors
    /// What is wrong with which entry.
    pub fn parse(list: &str) -> Result<Self, String> {
        let mut wanted = Self::default();
        for entry in list.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            if entry == "*" {
                wanted.all = true;
            } else if let Ok(id) = entry.parse::<i64>()
                && id != 0
                && !entry.starts_with('+')
            {
                wanted.ids.insert(id);
            } else if let Some(title) = entry.strip_prefix("folder:").map(str::trim) {
                if title.is_empty() {
                    return Err("holds folder: without the folder's name".to_owned());
                }
                wanted.folders.insert(title.to_owned());
            } else if let Some(hash) = invite_hash(entry) {
                wanted.invites.insert(hash.to_owned());
            } else if let Some(name) = public_name(entry) {
                wanted.names.insert(name.to_ascii_lowercase());
            } else {
                return Err(format!(
                    "holds {entry:?}, which is no chat id, no @name, no invite link, no folder:NAME and not *"
                ));
            }
        }
        if wanted.ids.len() + wanted.names.len() + wanted.invites.len() + wanted.folders.len() > MAX_ENTRIES {
            return Err(format!("names more than {MAX_ENTRIES} chats"));
        }
        if wanted == Self::default() {
            return Err("names no chat".to_owned());
        }
        Ok(wanted)
    }
}

/// The hash in `https://t.me/+HASH`, `https://t.me/joinchat/HASH`, `tg://join?invite=HASH` or
/// `+HASH`.
fn invite_hash(entry: &str) -> Option<&str> {
    let hash = entry
        .strip_prefix("tg://join?invite=")
        .or_else(|| behind_host(entry)?.strip_prefix("joinchat/"))
        .or_else(|| behind_host(entry)?.strip_prefix('+'))
        .or_else(|| entry.strip_prefix('+'))?;
    let fits = (8..=64).contains(&hash.len()) && hash.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    fits.then_some(hash)
}

/// The name in `@name` or `https://t.me/name`.
fn public_name(entry: &str) -> Option<&str> {
    let name = entry.strip_prefix('@').or_else(|| behind_host(entry))?;
    is_public_name(name).then_some(name)
}

fn behind_host(entry: &str) -> Option<&str> {
    let rest = entry.strip_prefix("https://").or_else(|| entry.strip_prefix("http://"));
    let rest = rest.unwrap_or(entry);
    rest.strip_prefix("t.me/").or_else(|| rest.strip_prefix("telegram.me/"))
}

impl Watch {
    /// What an account watches before it has seen any chat.
    #[must_use]
    pub fn new(wanted: &Wanted) -> Self {
        let names = wanted.names.iter().map(|name| (name.clone(), None)).collect();
        Self {
            all: wanted.all,
            inner: RwLock::new(Inner {
                ids: wanted.ids.clone(),
                names,
                found: HashMap::new(),
                found_ids: HashSet::new(),
                dialogs: None,
            }),
        }
    }

    /// Whether a chat is watched.
    #[must_use]
    pub fn has(&self, chat_id: i64) -> bool {
        if self.all {
            return true;
        }
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        inner.ids.contains(&chat_id) || inner.found_ids.contains(&chat_id)
    }

    /// Tells that a chat has this public name.
    pub fn named(&self, name: &str, chat_id: i64) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        let inner = &mut *inner;
        if let Some(known) = inner.names.get_mut(name.to_ascii_lowercase().as_str()) {
            *known = Some(chat_id);
            inner.ids.insert(chat_id);
        }
    }

    /// The chat that has this name, once one was seen.
    #[must_use]
    pub fn id_of_name(&self, name: &str) -> Option<i64> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        inner.names.get(name).copied().flatten()
    }

    /// Tells which chats an invite link or a folder stands for. Returns whether that is new.
    pub fn found(&self, entry: &str, mut chats: Vec<i64>) -> bool {
        chats.sort_unstable();
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        let before = inner.found.insert(entry.to_owned(), chats.clone());
        inner.found_ids = inner.found.values().flatten().copied().collect();
        before.as_ref() != Some(&chats)
    }

    /// Tells which chats the account is in.
    pub fn set_dialogs(&self, chats: HashSet<i64>) {
        self.inner.write().unwrap_or_else(PoisonError::into_inner).dialogs = Some(chats);
    }

    /// The chats that the account is in, once they were read.
    #[must_use]
    pub fn dialogs(&self) -> Option<HashSet<i64>> {
        self.inner
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .dialogs
            .clone()
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
        assert_eq!(Wanted::parse("*"), Ok(Wanted::all()));
        let wanted = Wanted::parse(
            "-1001234, 42,@Alpha_Calls, https://t.me/Beta_Calls, folder: My Calls ,https://t.me/+AbCdEf-_12, \
             t.me/joinchat/AAAAAbcd, tg://join?invite=Zz345678,+QwErTy123",
        )
        .unwrap();
        let set = |entries: &[&str]| entries.iter().map(|&entry| entry.to_owned()).collect::<HashSet<_>>();
        assert_eq!(wanted.ids, HashSet::from([-1_001_234, 42]));
        assert_eq!(wanted.names, set(&["alpha_calls", "beta_calls"]));
        assert_eq!(wanted.folders, set(&["My Calls"]));
        assert_eq!(
            wanted.invites,
            set(&["AbCdEf-_12", "AAAAAbcd", "Zz345678", "QwErTy123"])
        );
        assert!(!wanted.all);
        for bad in [
            "",
            ",",
            "0",
            "alpha",
            "@a",
            "@1abc",
            "@a b c d",
            "folder:",
            "+",
            "+49",
            "https://t.me/",
            "https://t.me/+a b",
        ] {
            assert!(Wanted::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_become_ids() {
        let watch = Watch::new(&Wanted::parse("@alpha,7").unwrap());
        assert!(watch.has(7) && !watch.has(-1001));
        assert_eq!(watch.id_of_name("alpha"), None);
        watch.named("ALPHA", -1001);
        watch.named("beta", -1002);
        assert!(watch.has(-1001) && !watch.has(-1002));
        assert_eq!(watch.id_of_name("alpha"), Some(-1001));
    }

    #[test]
    fn a_folder_changes() {
        let watch = Watch::new(&Wanted::parse("folder:calls,7").unwrap());
        assert!(watch.found("folder:calls", vec![5, 6]) && !watch.found("folder:calls", vec![6, 5]));
        assert!(watch.has(5) && watch.has(7));
        assert!(watch.found("folder:calls", vec![6, 7]));
        assert!(!watch.has(5) && watch.has(6) && watch.found("folder:calls", Vec::new()));
        assert!(watch.has(7) && !watch.has(6));
    }
}
