//! What a token's holder may see, applied before anything is encoded.

use std::collections::{BTreeSet, HashSet};

use tgmesh_proto::detection::{Detection, Family};
use tgmesh_proto::frame::Filter;
use tgmesh_proto::matched::Match;

/// The roles of the contract; each allows what the one before it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Detections of permitted chats, without who sent them and where they were seen before.
    Viewer,
    /// Senders, statistics and `seen_before`, too.
    Analyst,
    /// Instances, dead letters, audit and revocation, too.
    Operator,
}

impl Role {
    /// Reads the word of the `role` claim.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "viewer" => Some(Self::Viewer),
            "analyst" => Some(Self::Analyst),
            "operator" => Some(Self::Operator),
            _ => None,
        }
    }

    /// The word of the `role` claim.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Analyst => "analyst",
            Self::Operator => "operator",
        }
    }

    /// Whether senders and `seen_before` may be seen.
    #[must_use]
    pub fn sees_everything(self) -> bool {
        self >= Self::Analyst
    }

    /// Whether single instances may be seen.
    #[must_use]
    pub fn sees_instances(self) -> bool {
        self >= Self::Operator
    }

    /// Whether tokens may be revoked.
    #[must_use]
    pub fn administers(self) -> bool {
        self >= Self::Operator
    }
}

/// The chats of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chats {
    /// Every chat.
    All,
    /// These, by Bot API id.
    Only(HashSet<i64>),
}

impl Chats {
    /// No chat at all: what a token without the claim may see.
    #[must_use]
    pub fn none() -> Self {
        Self::Only(HashSet::new())
    }

    /// With one more chat.
    #[must_use]
    pub fn with(mut self, id: i64) -> Self {
        if let Self::Only(ids) = &mut self {
            ids.insert(id);
        }
        self
    }

    fn contains(&self, id: i64) -> bool {
        match self {
            Self::All => true,
            Self::Only(ids) => ids.contains(&id),
        }
    }
}

/// What a token's holder may see.
#[derive(Debug, Clone, PartialEq)]
pub struct Rights {
    /// The role.
    pub role: Role,
    /// Permitted chats.
    pub chats: Chats,
    /// Permitted families; all when absent.
    pub families: Option<BTreeSet<Family>>,
    /// Smallest permitted confidence, 0 to 1.
    pub min_confidence: f64,
}

impl Rights {
    /// Whether this event may be seen at all.
    #[must_use]
    pub fn permit(&self, event: &Detection) -> bool {
        self.chats.contains(event.chat.id)
            && self
                .families
                .as_ref()
                .is_none_or(|families| families.contains(&event.family))
            && event.confidence >= self.min_confidence
    }

    /// Whether this chat may be seen.
    #[must_use]
    pub fn permit_chat(&self, id: i64) -> bool {
        self.chats.contains(id)
    }

    /// Whether no chat is left out.
    #[must_use]
    pub fn permit_every_chat(&self) -> bool {
        self.chats == Chats::All
    }

    /// Whether this match may be seen at all. It has no family and no confidence, so whoever may
    /// see some families or confidences alone may see none.
    #[must_use]
    pub fn permit_match(&self, event: &Match) -> bool {
        self.chats.contains(event.chat.id) && self.families.is_none() && self.min_confidence <= 0.0
    }

    /// Cuts off what a filter asks for beyond these rights. An empty list lets nothing pass, so a
    /// viewer that asks for a sender is told, and gets, nothing.
    #[must_use]
    pub fn cut(&self, mut filter: Filter) -> Filter {
        if let Chats::Only(permitted) = &self.chats {
            let mut chats = filter.chats.unwrap_or_else(|| permitted.iter().copied().collect());
            chats.retain(|id| permitted.contains(id));
            chats.sort_unstable();
            filter.chats = Some(chats);
        }
        if let Some(permitted) = &self.families {
            let mut families = filter.families.unwrap_or_else(|| permitted.iter().copied().collect());
            families.retain(|family| permitted.contains(family));
            filter.families = Some(families);
        }
        if !self.role.sees_everything() && filter.senders.is_some() {
            filter.senders = Some(Vec::new());
        }
        if self.min_confidence > 0.0 {
            filter.min_confidence = Some(filter.min_confidence.unwrap_or(0.0).max(self.min_confidence));
        }
        // Rights to some addresses are none to what is no address.
        filter.matches &= self.families.is_none() && self.min_confidence <= 0.0;
        filter
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rights(role: Role, chats: Chats) -> Rights {
        Rights {
            role,
            chats,
            families: None,
            min_confidence: 0.0,
        }
    }

    #[test]
    fn chats_are_cut_to_the_permitted() {
        let rights = rights(Role::Viewer, Chats::none().with(2).with(1));
        assert_eq!(rights.cut(Filter::default()).chats, Some(vec![1, 2]));
        let asked = Filter {
            chats: Some(vec![2, 3]),
            ..Filter::default()
        };
        assert_eq!(rights.cut(asked).chats, Some(vec![2]));
        let foreign = Filter {
            chats: Some(vec![3]),
            ..Filter::default()
        };
        assert_eq!(rights.cut(foreign).chats, Some(vec![]));
    }

    #[test]
    fn everything_is_left_as_asked_to_who_may_see_everything() {
        let asked = Filter {
            senders: Some(vec![7]),
            min_confidence: Some(0.25),
            matches: true,
            ..Filter::default()
        };
        assert_eq!(rights(Role::Analyst, Chats::All).cut(asked.clone()), asked);
    }

    #[test]
    fn families_confidence_and_senders_are_cut() {
        let rights = Rights {
            families: Some(BTreeSet::from([Family::Evm])),
            min_confidence: 0.5,
            ..rights(Role::Viewer, Chats::All)
        };
        let asked = Filter {
            families: Some(vec![Family::Solana, Family::Evm]),
            senders: Some(vec![7]),
            min_confidence: Some(0.25),
            ..Filter::default()
        };
        let cut = rights.cut(asked);
        assert_eq!(cut.families, Some(vec![Family::Evm]));
        assert_eq!(cut.senders, Some(vec![]));
        assert_eq!(cut.min_confidence, Some(0.5));
        assert_eq!(cut.chats, None);
        let matches = Filter {
            matches: true,
            ..Filter::default()
        };
        assert!(!rights.cut(matches.clone()).matches);
        for narrow in [
            Rights {
                families: None,
                ..rights.clone()
            },
            Rights {
                min_confidence: 0.0,
                ..rights
            },
        ] {
            assert!(!narrow.cut(matches.clone()).matches, "{narrow:?}");
        }
    }
}
