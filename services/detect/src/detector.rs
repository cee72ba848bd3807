//! The order of the steps.

use std::ops::Range;

use crate::{
    Button, Entity, EntityKind, Findings, Input, Method, Role, chains,
    disguise::{Atoms, Fillers, REVERSED, Reading, Suspicion},
    evidence::{Label, Labels, Names},
    families::{self, Proof, Seen},
    gather::{Gather, Scene, Sighting},
    links::{self, Told},
    scan,
};

/// Finds addresses. Built once, shared by reference, holds no state between messages.
#[derive(Debug)]
pub struct Detector {
    names: Names,
    labels: Labels,
    fillers: Fillers,
}

impl Default for Detector {
    fn default() -> Self {
        Self::new()
    }
}

impl Detector {
    /// A detector with the built-in tables.
    #[must_use]
    pub fn new() -> Self {
        Self {
            names: Names::new(),
            labels: Labels::new(),
            fillers: Fillers::new(),
        }
    }

    /// Appends the addresses of `input` to `out`, each once, in the order of their first sighting:
    /// text, hidden links, buttons, previews.
    ///
    /// More than 512 addresses of one message are left out. Allocates nothing unless something looks
    /// like an address or a part of one. Takes any text, of any length, in time that grows with the
    /// length alone.
    pub fn find(&self, input: &Input<'_>, out: &mut Findings) {
        let prior = input.prior.and_then(chains::by_name);
        let mut gather = Gather::new(Scene::new(input.text, &self.names, &self.labels, prior), &mut out.finds);
        read_text(input.text, &mut |seen, told, span| {
            let method = if told.is_some() { Method::Link } else { Method::Plain };
            gather.add(Sighting {
                raw: &input.text[span.clone()],
                at: span.clone(),
                span: Some(span),
                seen,
                told,
                method,
                steps: &[],
            });
        });
        for entity in input.entities {
            if let (EntityKind::TextUrl, Some(url)) = (entity.kind, entity.url) {
                links::read(url, &mut |seen, told| {
                    let at = place(input.text, entity);
                    gather.add(Sighting {
                        raw: raw_of(url, &seen),
                        at,
                        span: None,
                        seen,
                        told: Some(told),
                        method: Method::Entity,
                        steps: &[],
                    });
                });
            }
        }
        let end = input.text.len()..input.text.len();
        for button in input.buttons {
            let (text, is_url) = match button {
                Button::Url(url) => (*url, true),
                Button::Copy(text) => (*text, false),
            };
            let mut add = |seen: Seen, told| {
                gather.add(Sighting {
                    raw: raw_of(text, &seen),
                    at: end.clone(),
                    span: None,
                    seen,
                    told,
                    method: Method::Button,
                    steps: &[],
                });
            };
            if is_url {
                links::read(text, &mut |seen, told| add(seen, Some(told)));
            } else {
                read_text(text, &mut |seen, told, _| add(seen, told));
            }
        }
        for link in input.links {
            links::read(link, &mut |seen, told| {
                gather.add(Sighting {
                    raw: raw_of(link, &seen),
                    at: end.clone(),
                    span: None,
                    seen,
                    told: Some(told),
                    method: Method::Link,
                    steps: &[],
                });
            });
        }
        if Suspicion::of(input.text).any() {
            self.look_behind(input.text, &mut gather);
        }
    }

    /// Finds what is disguised in a text.
    fn look_behind(&self, text: &str, gather: &mut Gather<'_, '_>) {
        let folded = Reading::folded(text, &self.fillers);
        if !folded.is_plain() {
            read_text(&folded.text, &mut |seen, told, span| {
                let steps = folded.steps(&span);
                if !steps.is_empty() {
                    add_behind(text, &folded, seen, told, &span, &steps, gather);
                }
            });
        }
        let says_reversed = gather.scene.says_reversed();
        if says_reversed || ["x0", "X0", "pmup", "knob"].iter().any(|end| folded.text.contains(end)) {
            let reversed = folded.reversed();
            // Backwards, any key is another key: without a word for it only what proves itself.
            let proven =
                |seen: &Seen| says_reversed || !matches!(seen.proof, Proof::Base58 | Proof::Base58Words | Proof::Hex32);
            read_text(&reversed.text, &mut |seen, told, span| {
                if told.is_none() && proven(&seen) {
                    let mut steps = reversed.steps(&span);
                    steps.push(REVERSED);
                    add_behind(text, &reversed, seen, None, &span, &steps, gather);
                }
            });
            if says_reversed {
                join(text, &reversed, &[REVERSED], gather);
            }
        }
        join(text, &folded, &[], gather);
    }
}

/// Adds what stands in pieces in a reading.
fn join(text: &str, reading: &Reading, more: &[&'static str], gather: &mut Gather<'_, '_>) {
    if !Suspicion::of(&reading.text).pieces {
        return;
    }
    Atoms::of(&reading.text).join(&mut |joined| {
        let span = joined.seen.span.clone();
        let place = reading.back(&span);
        if joined.needs_label && gather.scene.label(&place) != Some(Label::Role(Role::Token)) {
            return;
        }
        let mut steps = joined.steps;
        steps.extend(reading.steps(&span));
        steps.extend(more);
        add_behind(text, reading, joined.seen, None, &span, &steps, gather);
    });
}

/// Adds an address of a reading where it stands in the original.
fn add_behind(
    text: &str,
    reading: &Reading,
    seen: Seen,
    told: Option<Told>,
    span: &Range<usize>,
    steps: &[&'static str],
    gather: &mut Gather<'_, '_>,
) {
    let place = reading.back(span);
    gather.add(Sighting {
        seen,
        raw: &text[place.clone()],
        at: place.clone(),
        span: Some(place),
        told,
        method: Method::Deobfuscated,
        steps,
    });
}

/// Every address of a text as it stands, with what its link tells if it stands in one, and where
/// it stands.
fn read_text(text: &str, found: &mut dyn FnMut(Seen, Option<Told>, Range<usize>)) {
    let mut word = 0..0;
    let mut in_link = false;
    for run in scan::runs(text) {
        if run.range.start >= word.end {
            word = links::word_around(text, run.range.start);
            in_link = links::is_link(&text[word.clone()]);
            if in_link {
                let start = word.start;
                links::read(&text[word.clone()], &mut |seen, told| {
                    let span = start + seen.span.start..start + seen.span.end;
                    found(seen, Some(told), span);
                });
                continue;
            }
        } else if in_link {
            continue;
        }
        families::look(&run, &mut |seen| {
            let span = seen.span.clone();
            found(seen, None, span);
        });
    }
}

fn raw_of<'a>(text: &'a str, seen: &Seen) -> &'a str {
    &text[seen.span.clone()]
}

/// Where an entity stands, in bytes; the end of the text when it stands nowhere.
fn place(text: &str, entity: &Entity<'_>) -> Range<usize> {
    let mut units = 0;
    let mut start = None;
    for (at, c) in text.char_indices() {
        if units >= entity.offset && start.is_none() {
            start = Some(at);
        }
        if units >= entity.offset.saturating_add(entity.length) {
            return start.unwrap_or(at)..at;
        }
        units += c.len_utf16();
    }
    start.unwrap_or(text.len())..text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entities_are_placed_by_utf16() {
        let text = "🔥 нет BUY";
        let entity = |offset, length| Entity {
            kind: EntityKind::TextUrl,
            offset,
            length,
            url: None,
        };
        assert_eq!(&text[place(text, &entity(7, 3))], "BUY");
        assert_eq!(&text[place(text, &entity(3, 3))], "нет");
        assert_eq!(place(text, &entity(usize::MAX, usize::MAX)), text.len()..text.len());
    }
}
