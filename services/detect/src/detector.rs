//! The order of the steps.

use std::ops::Range;

use crate::{
    Button, Entity, EntityKind, Findings, Input, Method, Name, Role, chains,
    disguise::{Atoms, Fillers, REVERSED, Reading, Suspicion},
    evidence::{Label, Labels, Names},
    families::{self, Proof, Seen},
    gather::{Gather, Scene, Sighting},
    links::{self, Held, Told},
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
    /// text, hidden links, buttons, previews, quote, names; and the links whose address is lost.
    ///
    /// More than 512 addresses of one message are left out. Allocates nothing unless something looks
    /// like an address or a part of one. Takes any text, of any length, in time that grows with the
    /// length alone.
    pub fn find(&self, input: &Input<'_>, out: &mut Findings) {
        let prior = input.prior.and_then(chains::by_name);
        let scene = |text, source| Scene::new(text, source, &self.names, &self.labels, prior);
        let mut gather = Gather::new(scene(input.text, None), out);
        self.text(input.text, &mut gather);
        for entity in input.entities {
            if let (EntityKind::TextUrl, Some(url)) = (entity.kind, entity.url) {
                link(url, &place(input.text, entity), Method::Entity, &mut gather);
            }
        }
        let end = input.text.len()..input.text.len();
        for button in input.buttons {
            match button {
                Button::Url(url) => link(url, &end, Method::Button, &mut gather),
                Button::Copy(text) => read_text(text, &mut |held, span| match held {
                    Found::Bare(seen) => gather.add(Sighting::hidden(text, &end, seen, None, Method::Button)),
                    Found::InLink(held) => add_held(held, &text[span], &end, None, Method::Button, &mut gather),
                }),
            }
        }
        for url in input.links {
            link(url, &end, Method::Link, &mut gather);
        }
        if !input.quote.is_empty() {
            gather.enter(scene(input.quote, Some("quote")));
            self.text(input.quote, &mut gather);
        }
        for name in input.names {
            let (name, source) = match name {
                Name::Sender(name) => (*name, "name:sender"),
                Name::Chat(name) => (*name, "name:chat"),
            };
            gather.enter(scene(name, Some(source)));
            self.text(name, &mut gather);
        }
        gather.finish();
    }

    /// Finds what stands in the text of the scene, in the open and disguised.
    fn text<'a>(&self, text: &'a str, gather: &mut Gather<'a, '_>) {
        let mut known = Vec::new();
        // A key that nothing proves may be a piece of a longer one, or one backwards.
        let mut proven = true;
        read_text(text, &mut |held, span| match held {
            Found::Bare(seen) => {
                known.push(span.clone());
                proven &= !matches!(seen.proof, Proof::Base58 | Proof::Base58Words);
                gather.add(Sighting {
                    raw: &text[span.clone()],
                    at: span.clone(),
                    span: Some(span),
                    seen,
                    told: None,
                    method: Method::Plain,
                    steps: &[],
                });
            }
            Found::InLink(held) => {
                let word = &text[span.clone()];
                known.push(span.clone());
                add_held(held, word, &span, Some(span.start), Method::Link, gather);
            }
        });
        if !proven && (gather.scene.says_reversed() || looks_reversed(text)) {
            known.clear();
        }
        if Suspicion::besides(text, &known).any() {
            self.look_behind(text, gather);
        }
    }

    /// Finds what is disguised in a text.
    fn look_behind(&self, text: &str, gather: &mut Gather<'_, '_>) {
        let folded = Reading::folded(text, &self.fillers);
        if !folded.is_plain() {
            read_text(&folded.text, &mut |held, word| {
                let Some((seen, told, span)) = held.readable(&word) else {
                    return;
                };
                let steps = folded.steps(&span);
                if !steps.is_empty() {
                    add_behind(text, &folded, seen, told, &span, &steps, gather);
                }
            });
        }
        let says_reversed = gather.scene.says_reversed();
        if says_reversed || looks_reversed(&folded.text) {
            let reversed = folded.reversed();
            // Backwards, any key is another key: without a word for it only what proves itself.
            let proven =
                |seen: &Seen| says_reversed || !matches!(seen.proof, Proof::Base58 | Proof::Base58Words | Proof::Hex32);
            read_text(&reversed.text, &mut |held, span| {
                if let Found::Bare(seen) = held
                    && proven(&seen)
                {
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

/// Whether something ends as an address begins, or begins as one ends.
fn looks_reversed(text: &str) -> bool {
    scan::runs(text).any(|run| {
        let run = &text[run.range];
        let ends = ["x0", "X0", "T", "QE", "QU", "fE", "fU"]
            .iter()
            .any(|end| run.ends_with(end));
        ends || ["pmup", "knob"].iter().any(|begin| run.starts_with(begin))
    }) || ["x0", "X0"].iter().any(|end| text.contains(end))
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

/// What a text holds at some place.
enum Found {
    /// An address by itself.
    Bare(Seen),
    /// Something that a link holds, whose spans count in that link.
    InLink(Held),
}

impl Found {
    /// The address with what its link tells, and where it stands; `word` is the place of the link.
    fn readable(self, word: &Range<usize>) -> Option<(Seen, Option<Told>, Range<usize>)> {
        match self {
            Self::Bare(seen) => Some((seen, None, word.clone())),
            Self::InLink(Held::Address(seen, told)) => {
                let span = word.start + seen.span.start..word.start + seen.span.end;
                Some((seen, Some(told), span))
            }
            Self::InLink(Held::Lost(_)) => None,
        }
    }
}

/// Hands over what a text holds as it stands, with its place: of the address itself, or of the
/// link that holds it.
fn read_text(text: &str, found: &mut dyn FnMut(Found, Range<usize>)) {
    let mut word = 0..0;
    let mut in_link = false;
    for run in scan::runs(text) {
        if run.range.start >= word.end {
            word = links::word_around(text, run.range.start);
            in_link = links::is_link(&text[word.clone()]);
            if in_link {
                links::read(&text[word.clone()], &mut |held| {
                    found(Found::InLink(held), word.clone());
                });
                continue;
            }
        } else if in_link {
            continue;
        }
        families::look(&run, &mut |seen| {
            let span = seen.span.clone();
            found(Found::Bare(seen), span);
        });
    }
}

/// Adds what a link holds that cannot be read in a text.
fn link(url: &str, at: &Range<usize>, method: Method, gather: &mut Gather<'_, '_>) {
    links::read(url, &mut |held| add_held(held, url, at, None, method, gather));
}

/// Adds what a link holds; `start` is the link's place when it stands in the scene's text.
fn add_held(
    held: Held,
    link: &str,
    at: &Range<usize>,
    start: Option<usize>,
    method: Method,
    gather: &mut Gather<'_, '_>,
) {
    match held {
        Held::Address(seen, told) => {
            let mut sighting = Sighting::hidden(link, at, seen, Some(told), method);
            if let Some(start) = start {
                let span = start + sighting.seen.span.start..start + sighting.seen.span.end;
                sighting.at = span.clone();
                sighting.span = Some(span);
            }
            gather.add(sighting);
        }
        Held::Lost(lost) => gather.lose(lost, link, start.map(|start| start..start + link.len())),
    }
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
