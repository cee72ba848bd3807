//! The order of the steps.

use crate::{Find, Input};

/// Finds addresses. Built once, shared by reference, holds no state between messages.
#[derive(Debug, Default)]
pub struct Detector {}

impl Detector {
    /// A detector with the built-in tables.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends the addresses of `input` to `out`, each once, in the order of their first sighting.
    ///
    /// Allocates nothing when nothing is found. Takes any text, of any length, in time that grows
    /// with the length alone.
    #[expect(clippy::unused_self, reason = "the tables will live in it")]
    pub fn find(&self, input: &Input<'_>, out: &mut Vec<Find>) {
        let _ = (input, out);
    }
}
