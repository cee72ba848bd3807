//! What the surroundings say about an address, and how much it weighs.
//!
//! Form and checksum are the families' business; here words, links and habits are turned into
//! clues, and clues into a chain, a role and a confidence.

mod chain;
mod confidence;
mod role;

pub(crate) use chain::{Mention, Names, nearest};
pub(crate) use confidence::{Clue, ENOUGH, confidence};
pub(crate) use role::{Label, Labels};
