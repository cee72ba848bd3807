//! Watch rules: texts and expressions that somebody wants to hear of, by name.
//!
//! ```
//! use tgmesh_detect::rules::{Place, Rules, Scratch};
//!
//! let rules = Rules::parse(
//!     r#"
//!     [[rule]]
//!     name = "launch"
//!     literal = "Fair Launch"
//!     publish = true
//!
//!     [[rule]]
//!     name = "presale"
//!     regex = 'pre-?sale\b'
//!     chats = [-1001234567890, "@gems"]
//!     "#,
//! )?;
//! let place = Place { chat_id: -1001234567890, username: None };
//! let mut scratch = Scratch::default();
//! let matched = rules.find(place, ["FAIR LAUNCH tonight, presale over"], &mut scratch);
//! assert_eq!(matched.names, ["launch", "presale"]);
//! assert!(matched.publish);
//!
//! let faults = Rules::parse("[[rule]]\nname = 'x'\nregex = 'a(b'").unwrap_err();
//! assert_eq!(faults[0].to_string(), "line 3, column 11: unclosed group");
//! # Ok::<(), Vec<tgmesh_detect::rules::Fault>>(())
//! ```
//!
//! However many rules there are, a text is read a fixed number of times: all literals are one
//! automaton, all expressions of one letter case one set. Both take time linear in the text.

mod expressions;
mod fault;
mod file;
mod literals;

pub use fault::{Fault, MAX_FAULTS};

use std::collections::HashSet;

use expressions::Expressions;
use literals::Literals;

/// Largest file, in bytes.
pub const MAX_FILE_BYTES: usize = 1 << 20;
/// Most rules of a file.
pub const MAX_RULES: usize = 10_000;
/// Most names that a message is given; in the order of their bytes.
pub const MAX_NAMES: usize = 64;

/// The rules of a file, ready to be matched. Holds no state between messages.
#[derive(Debug, Default)]
pub struct Rules {
    /// In the order of their names, so that an index sorts as its name does.
    heads: Vec<Head>,
    literals: Literals,
    expressions: Expressions,
    /// Some scope names a chat by its public name.
    needs_username: bool,
}

/// Everything of a rule but what it looks for.
#[derive(Debug)]
struct Head {
    name: String,
    scope: Option<Scope>,
    publish: bool,
}

/// The chats of a rule.
#[derive(Debug, Default)]
struct Scope {
    ids: HashSet<i64>,
    /// In lower case, without `@`.
    usernames: HashSet<String>,
}

/// The chat in which a message stands.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Bot API id.
    pub chat_id: i64,
    /// Public name without `@`; asked for only where [`Rules::needs_username`].
    pub username: Option<&'a str>,
}

/// What the rules say of a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Matched {
    /// Names of the rules that matched, sorted, at most [`MAX_NAMES`].
    pub names: Vec<String>,
    /// Whether one of them wants the message to be published.
    pub publish: bool,
}

/// Room for one caller's work, kept from message to message.
#[derive(Debug, Default)]
pub struct Scratch {
    folded: String,
    /// Rules that matched, as often as they did.
    hits: Vec<u32>,
}

impl Rules {
    /// Reads a rule file, TOML with any number of `[[rule]]`. `proto/README.md` describes it.
    ///
    /// # Errors
    /// Every fault with its place, in the order of the file, up to [`MAX_FAULTS`].
    pub fn parse(text: &str) -> Result<Self, Vec<Fault>> {
        let mut found = file::read(text)?;
        found.sort_by(|a, b| a.name.cmp(&b.name));
        let literals = Literals::new(&found).map_err(|problem| vec![Fault::at_start(problem)])?;
        let expressions = Expressions::new(&found).map_err(|problem| vec![Fault::at_start(problem)])?;
        let needs_username = found
            .iter()
            .any(|rule| rule.scope.as_ref().is_some_and(|scope| !scope.usernames.is_empty()));
        let heads = found.into_iter().map(|rule| Head {
            name: rule.name,
            scope: rule.scope,
            publish: rule.publish,
        });
        Ok(Self {
            heads: heads.collect(),
            literals,
            expressions,
            needs_username,
        })
    }

    /// Number of rules.
    #[must_use]
    pub fn len(&self) -> usize {
        self.heads.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// Whether [`Place::username`] counts for some rule.
    #[must_use]
    pub fn needs_username(&self) -> bool {
        self.needs_username
    }

    /// The rules that match one of the parts of a message: its text, labels, link targets. Each
    /// part is matched for itself. Allocates nothing where nothing matches, once `scratch` has
    /// grown.
    pub fn find<'t>(
        &self,
        place: Place<'_>,
        parts: impl IntoIterator<Item = &'t str>,
        scratch: &mut Scratch,
    ) -> Matched {
        if self.is_empty() {
            return Matched::default();
        }
        scratch.hits.clear();
        for part in parts {
            self.literals.find(part, scratch);
            self.expressions.find(part, &mut scratch.hits);
        }
        if scratch.hits.is_empty() {
            return Matched::default();
        }
        scratch.hits.sort_unstable();
        scratch.hits.dedup();
        let hits = scratch.hits.iter().filter_map(|&at| self.heads.get(at as usize));
        let mut matched = Matched::default();
        for rule in hits.filter(|rule| rule.scope.as_ref().is_none_or(|scope| scope.holds(place))) {
            matched.publish |= rule.publish;
            if matched.names.len() < MAX_NAMES {
                matched.names.push(rule.name.clone());
            }
        }
        matched
    }
}

impl Scope {
    fn holds(&self, place: Place<'_>) -> bool {
        let is_named = |name: &str| self.usernames.contains(&name.to_ascii_lowercase());
        self.ids.contains(&place.chat_id) || place.username.is_some_and(is_named)
    }
}

#[cfg(test)]
mod tests;
