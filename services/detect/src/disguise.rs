//! Addresses that were written so that no plain pattern finds them.
//!
//! A disguise is taken off by making another [`Reading`] of the text: the same scan then runs over
//! it, and every character of the reading knows where it came from, so that a find leads back to
//! what was written. Each disguise is one file here and one step in the evidence.
//!
//! Most messages carry none, so [`Suspicion::of`] looks first, without allocating.

mod alphabet;
mod entity;
mod filler;
mod fold;
mod join;
mod suspicion;
mod swap;

use std::ops::Range;

pub(crate) use alphabet::{Fold, fold};
pub(crate) use filler::Fillers;
pub(crate) use join::Atoms;
pub(crate) use suspicion::Suspicion;

/// The text backwards.
pub(crate) const REVERSED: &str = "fold:reversed";

/// A text with disguises taken off.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    pub(crate) text: String,
    /// For each byte of `text` the characters of the original it stands for, in bytes.
    origin: Vec<Range<usize>>,
    /// Steps that were taken, by place in `text`.
    marks: Vec<(usize, &'static str)>,
}

impl Reading {
    /// The text with invisible characters, fonts, look-alikes, tags and fillers undone.
    pub(crate) fn folded(text: &str, fillers: &Fillers) -> Self {
        fold::fold(text, fillers)
    }

    /// The same reading backwards.
    pub(crate) fn reversed(&self) -> Self {
        let mut reading = Self {
            text: String::with_capacity(self.text.len()),
            origin: Vec::with_capacity(self.origin.len()),
            marks: Vec::new(),
        };
        for (at, c) in self.text.char_indices().rev() {
            reading.push(c, self.origin[at].clone());
        }
        let end = self.text.len();
        reading.marks = self
            .marks
            .iter()
            .rev()
            .map(|&(at, step)| (end.saturating_sub(at + 1), step))
            .collect();
        reading
    }

    /// Whether nothing was undone.
    pub(crate) fn is_plain(&self) -> bool {
        self.marks.is_empty()
    }

    /// Where a part of the reading stands in the original.
    pub(crate) fn back(&self, span: &Range<usize>) -> Range<usize> {
        let origins = self.origin.get(span.clone()).unwrap_or_default();
        let start = origins.iter().map(|origin| origin.start).min().unwrap_or(0);
        let end = origins.iter().map(|origin| origin.end).max().unwrap_or(start);
        start..end
    }

    /// The steps that were taken inside a part of the reading, each once.
    pub(crate) fn steps(&self, span: &Range<usize>) -> Vec<&'static str> {
        let mut steps = Vec::new();
        let first = self.marks.partition_point(|&(at, _)| at < span.start);
        for &(_, step) in self.marks[first..].iter().take_while(|&&(at, _)| at < span.end) {
            if !steps.contains(&step) {
                steps.push(step);
            }
        }
        steps
    }

    fn push(&mut self, c: char, origin: Range<usize>) {
        self.text.push(c);
        self.origin.resize(self.text.len(), origin);
    }

    fn mark(&mut self, step: &'static str) {
        self.marks.push((self.text.len(), step));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_leads_back() {
        let text = "я a\u{200b}ｂ🔥 <b>c</b>d";
        let reading = Reading::folded(text, &Fillers::new());
        assert_eq!(reading.text, "я ab🔥 cd");
        let at = reading.text.find("ab").unwrap();
        assert_eq!(&text[reading.back(&(at..at + 2))], "a\u{200b}ｂ");
        assert_eq!(reading.steps(&(at..at + 2)), ["fold:zero-width", "fold:width"]);
        let at = reading.text.find("cd").unwrap();
        assert_eq!(&text[reading.back(&(at..at + 2))], "c</b>d");
        let reversed = reading.reversed();
        assert_eq!(reversed.text, "dc 🔥ba я");
        let at = reversed.text.find("ba").unwrap();
        assert_eq!(&text[reversed.back(&(at..at + 2))], "a\u{200b}ｂ");
    }
}
