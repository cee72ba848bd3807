//! How sure a find is: clues are added up as log-odds.
//!
//! Every clue shifts the log-odds that the sender offered this very address; the sum goes through
//! the logistic function. A weight of ±0.7 doubles or halves the odds. The weights were set by hand
//! against the open half of the labelled messages, so that among finds of a confidence about as
//! many are right or a few more; the half kept aside is only looked at, and the tests hold both to
//! it. A checksum alone gives 0.98, a bare Solana key 0.92, the same after "CA:" 0.98, on a token
//! page 0.99, after "session id" less than is told.

use std::borrow::Cow;

use crate::{Role, families::Proof};

/// What is less sure than this is not reported.
pub(crate) const ENOUGH: f64 = 0.4;

/// One piece of evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Clue {
    /// Form and checksum.
    Form(Proof),
    /// A link of a known site, in the place where it puts addresses.
    Page(&'static str),
    /// A link of a known site, in another place.
    Site(&'static str),
    /// A link of a site that is not in the table.
    OtherSite,
    /// A link of a site that has long ids and no addresses.
    ForeignSite,
    /// A chain's name near by.
    Word(&'static str),
    /// A word that calls it token, pool or account.
    Label(Role),
    /// A word that calls it something that is no address.
    NoAddress,
    /// A word that calls it a code of another kind, as for a session.
    Code,
    /// The chat's habit.
    Prior(&'static str),
    /// Nothing tells the chain.
    PriorUnknown,
    /// A disguise that was taken off.
    Step(&'static str),
    /// A form that a bot's link packs addresses into.
    Packed(&'static str),
    /// It stands beside the message, not in it.
    Source(&'static str),
}

impl Clue {
    /// As it is told to the outside.
    pub(crate) fn name(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Form(check) => match check {
                Proof::Eip55 => "eip55",
                Proof::OneCase => "hex:one-case",
                Proof::Base58Check => "base58check",
                Proof::Crc16 => "crc16",
                Proof::RawTon => "hex:raw",
                Proof::Base58 => "base58:32",
                Proof::Base58Words => "base58:words",
                Proof::Hex32 => "hex:32",
                Proof::MoveType => "type",
                Proof::Base58Suffix(suffix) => return Cow::Owned(format!("suffix:{suffix}")),
            },
            Self::Page(site) | Self::Site(site) => return Cow::Owned(format!("link:{}", site.trim_end_matches(':'))),
            Self::OtherSite | Self::ForeignSite => "link:other",
            Self::Word(chain) => return Cow::Owned(format!("word:{chain}")),
            Self::Label(role) => return Cow::Owned(format!("label:{role}")),
            Self::NoAddress => "label:hash",
            Self::Code => "label:code",
            Self::Prior(chain) => return Cow::Owned(format!("prior:{chain}")),
            Self::PriorUnknown => "prior:unknown",
            Self::Step(name) | Self::Packed(name) | Self::Source(name) => name,
        })
    }

    fn log_odds(&self) -> f64 {
        match self {
            Self::Form(check) => match check {
                Proof::Eip55 | Proof::Base58Check | Proof::Crc16 => 4.0,
                Proof::OneCase | Proof::RawTon | Proof::Base58Suffix(_) => 2.5,
                Proof::MoveType => 1.5,
                Proof::Base58 => 2.4,
                Proof::Base58Words => -1.0,
                Proof::Hex32 => 0.0,
            },
            Self::Page(_) => 2.0,
            Self::Site(_) | Self::Word(_) => 1.0,
            Self::Label(_) => 1.5,
            Self::OtherSite | Self::Prior(_) => 0.3,
            Self::PriorUnknown => 0.0,
            // Who disguises something hides an address; it may be put together wrongly.
            Self::Step(_) => -0.2,
            Self::Packed(_) => 0.5,
            Self::Source(_) => -1.0,
            Self::ForeignSite | Self::NoAddress | Self::Code => -3.0,
        }
    }
}

/// 0 to 1 over all clues of one sighting.
pub(crate) fn confidence(clues: &[Clue]) -> f64 {
    let sum: f64 = clues.iter().map(Clue::log_odds).sum();
    1.0 / (1.0 + (-sum).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_in_the_docs_hold() {
        let of = |clues: &[Clue]| (confidence(clues) * 100.0).round() as u32;
        assert_eq!(of(&[Clue::Form(Proof::Eip55)]), 98);
        assert_eq!(of(&[Clue::Form(Proof::Base58)]), 92);
        assert_eq!(of(&[Clue::Form(Proof::Base58), Clue::Label(Role::Token)]), 98);
        assert_eq!(of(&[Clue::Form(Proof::Base58), Clue::Page("pump.fun")]), 99);
        assert!(confidence(&[Clue::Form(Proof::Base58), Clue::NoAddress]) < ENOUGH);
        assert!(confidence(&[Clue::Form(Proof::Base58), Clue::Code]) < ENOUGH);
        assert!(confidence(&[Clue::Form(Proof::Base58Words)]) < ENOUGH);
        assert!(confidence(&[Clue::Form(Proof::Hex32), Clue::NoAddress, Clue::Word("sui")]) < ENOUGH);
    }
}
