//! Sightings become finds: chain, role and confidence are settled, and an address that was seen
//! twice is told once.

use std::{borrow::Cow, cell::OnceCell, ops::Range};

use crate::{
    Family, Find, Findings, Method, Role, UnresolvedLink,
    chains::Chain,
    disguise::REVERSED,
    evidence::{Clue, ENOUGH, Label, Labels, Mention, Names, confidence, nearest},
    families::{Proof, Seen},
    links::{Lost, Told},
};

/// An address where it was seen.
#[derive(Debug)]
pub(crate) struct Sighting<'a> {
    pub(crate) seen: Seen,
    /// As written.
    pub(crate) raw: &'a str,
    /// Where words about it stand: its own place in the scene's text, or that of the words that
    /// hide it.
    pub(crate) at: Range<usize>,
    /// Its place in the caller's text.
    pub(crate) span: Option<Range<usize>>,
    /// What its link tells.
    pub(crate) told: Option<Told>,
    pub(crate) method: Method,
    /// The disguises that were taken off to see it.
    pub(crate) steps: &'a [&'static str],
}

impl<'a> Sighting<'a> {
    /// One that stands in something that a reader does not see as text; `at` is where words about
    /// it stand.
    pub(crate) fn hidden(holder: &'a str, at: &Range<usize>, seen: Seen, told: Option<Told>, method: Method) -> Self {
        Self {
            raw: &holder[seen.span.clone()],
            at: at.clone(),
            span: None,
            seen,
            told,
            method,
            steps: &[],
        }
    }
}

/// The text that addresses stand in, for questions about their surroundings. Read only when an
/// address asks.
#[derive(Debug)]
pub(crate) struct Scene<'a> {
    text: &'a str,
    /// What it is, when it is not the message itself.
    source: Option<&'static str>,
    names: &'a Names,
    labels: &'a Labels,
    prior: Option<&'static Chain>,
    mentions: OnceCell<Vec<Mention>>,
    reversed: OnceCell<bool>,
}

impl<'a> Scene<'a> {
    pub(crate) fn new(
        text: &'a str,
        source: Option<&'static str>,
        names: &'a Names,
        labels: &'a Labels,
        prior: Option<&'static Chain>,
    ) -> Self {
        Self {
            text,
            source,
            names,
            labels,
            prior,
            mentions: OnceCell::new(),
            reversed: OnceCell::new(),
        }
    }

    /// Whether the text says that an address stands there backwards.
    pub(crate) fn says_reversed(&self) -> bool {
        *self.reversed.get_or_init(|| self.labels.reversed(self.text))
    }

    /// What the word before a place calls it.
    pub(crate) fn label(&self, at: &Range<usize>) -> Option<Label> {
        self.labels.before(self.text, at)
    }

    fn nearest(&self, at: &Range<usize>, families: &[Family]) -> Option<&'static Chain> {
        let mentions = self.mentions.get_or_init(|| self.names.read(self.text));
        nearest(mentions, at, families).map(|mention| mention.chain)
    }
}

/// The most finds of one message: what one of 4,096 characters with a hundred links can carry is
/// below it, and what a longer text costs stays in proportion.
const MOST: usize = 512;

/// The most of a link without an address that is kept, in bytes.
const LONGEST_LINK: usize = 2048;

/// Collects the finds of one message.
#[derive(Debug)]
pub(crate) struct Gather<'a, 'o> {
    pub(crate) scene: Scene<'a>,
    out: &'o mut Findings,
    /// Where this message's finds begin.
    first: usize,
    /// Where the finds of this scene begin.
    scene_first: usize,
    /// Where its unresolved links begin.
    first_unresolved: usize,
}

impl<'a, 'o> Gather<'a, 'o> {
    pub(crate) fn new(scene: Scene<'a>, out: &'o mut Findings) -> Self {
        let (first, first_unresolved) = (out.finds.len(), out.unresolved.len());
        Self {
            scene,
            out,
            first,
            scene_first: first,
            first_unresolved,
        }
    }

    /// Goes on with another text of the same message.
    pub(crate) fn enter(&mut self, scene: Scene<'a>) {
        self.leave();
        self.scene = scene;
        self.scene_first = self.out.finds.len();
    }

    /// Places count in the message's own text alone.
    fn leave(&mut self) {
        if self.scene.source.is_some() {
            for find in &mut self.out.finds[self.scene_first..] {
                find.span = None;
            }
        }
    }

    /// Settles what one sighting is, and adds it or joins it to what is known of the address.
    pub(crate) fn add(&mut self, sighting: Sighting<'_>) {
        let Some(mut find) = self.settle(sighting) else { return };
        if find.method == Method::Deobfuscated && self.is_part(&find) {
            return;
        }
        let full = self.out.finds.len() - self.first >= MOST;
        let known = self.out.finds[self.first..].iter().position(|known| {
            known.family == find.family
                && known.address == find.address
                && (known.coin_type == find.coin_type || known.coin_type.is_none() || find.coin_type.is_none())
        });
        match known.map(|index| self.first + index) {
            Some(index) => {
                if self.scene.source.is_some() && index < self.scene_first {
                    find.span = None;
                }
                join(&mut self.out.finds[index], find);
            }
            None if full => {}
            None => self.out.finds.push(find),
        }
    }

    /// Adds a link whose address cannot be read back from it, once.
    pub(crate) fn lose(&mut self, lost: Lost, link: &str, span: Option<Range<usize>>) {
        let known = &self.out.unresolved[self.first_unresolved..];
        if known.len() >= MOST
            || known
                .iter()
                .any(|known| known.raw == lost.raw && known.site == lost.site)
        {
            return;
        }
        self.out.unresolved.push(UnresolvedLink {
            site: lost.site,
            chain: Some(lost.chain),
            raw: lost.raw,
            link: link[..link.floor_char_boundary(LONGEST_LINK)].to_owned(),
            span: span.filter(|_| self.scene.source.is_none()),
        });
    }

    /// Settles what only the whole message tells: a link in one case is resolved when the message
    /// also has the address as it should be.
    pub(crate) fn finish(mut self) {
        self.leave();
        let finds = &mut self.out.finds[self.first..];
        let mut index = 0;
        let first = self.first_unresolved;
        self.out.unresolved.retain(|link| {
            index += 1;
            let known = finds.iter_mut().find(|find| {
                index > first
                    && Some(find.family.as_str()) == link.chain
                    && find.address.eq_ignore_ascii_case(&link.raw)
            });
            if let Some(find) = known {
                let evidence = Cow::Owned(format!("link:{}", link.site));
                if !find.evidence.contains(&evidence) {
                    find.evidence.push(evidence);
                }
                return false;
            }
            true
        });
        Self::agree_on_chain(finds);
    }

    /// Whether a disguised find is a piece of something known. What is known and turns out to be a
    /// piece of it is forgotten: a Solana key inside of a longer one, or overlapping an address with
    /// a form of its own, decodes by chance.
    fn is_part(&mut self, find: &Find) -> bool {
        let Some(span) = &find.span else { return false };
        let inside = |inner: &Range<usize>, outer: &Range<usize>| {
            outer.start <= inner.start && inner.end <= outer.end && inner != outer
        };
        let overlap = |a: &Range<usize>, b: &Range<usize>| a.start < b.end && b.start < a.end;
        let is_piece = |piece: &Find, at: &Range<usize>, of: &Find, place: &Range<usize>| {
            piece.family == Family::Solana
                && if of.family == Family::Solana {
                    inside(at, place)
                } else {
                    overlap(at, place)
                }
        };
        let known = &self.out.finds[self.scene_first..];
        if known.iter().any(|known| {
            known
                .span
                .as_ref()
                .is_some_and(|place| is_piece(find, span, known, place))
        }) {
            return true;
        }
        let mut index = 0;
        let first = self.scene_first;
        self.out.finds.retain(|known| {
            index += 1;
            index <= first
                || !known
                    .span
                    .as_ref()
                    .is_some_and(|place| is_piece(known, place, find, span))
        });
        false
    }

    /// Where a message's links agree on one chain, an EVM address without evidence of its own is of
    /// that chain, as on the cards of bots.
    fn agree_on_chain(finds: &mut [Find]) {
        let is_evm = |find: &Find| find.family == Family::Evm;
        let linked = |find: &&Find| is_evm(find) && find.evidence.iter().any(|clue| clue.starts_with("link:"));
        let Some(chain) = finds.iter().filter(linked).find_map(|find| find.chain) else {
            return;
        };
        if finds
            .iter()
            .any(|find| is_evm(find) && find.chain.is_some_and(|other| other != chain))
        {
            return;
        }
        for find in finds.iter_mut().filter(|find| is_evm(find) && find.chain.is_none()) {
            find.chain = Some(chain);
            find.evidence.retain(|clue| clue != "prior:unknown");
            find.evidence.push(Cow::Owned(format!("message:{chain}")));
        }
    }

    fn settle(&self, sighting: Sighting<'_>) -> Option<Find> {
        // Backwards, any key is another key that looks as good; the reversed reading has the right
        // one.
        let forwards = !sighting.steps.contains(&REVERSED)
            && matches!(sighting.method, Method::Plain | Method::Deobfuscated)
            && sighting.told.is_none();
        if forwards && sighting.seen.proof == Proof::Base58 && self.scene.says_reversed() {
            return None;
        }
        let Sighting {
            seen,
            raw,
            at,
            span,
            told,
            method,
            steps,
        } = sighting;
        let mut clues = Vec::with_capacity(4);
        let told_family = told.as_ref().and_then(|told| told.family);
        let word = self.scene.nearest(&at, seen.families);
        let prior = self.scene.prior.filter(|prior| seen.families.contains(&prior.family));
        let family = match seen.families {
            [family] => *family,
            // 64 hex digits are a hash as long as nothing names a chain they belong to.
            _ => told_family
                .or(word.map(|chain| chain.family))
                .or(prior.map(|chain| chain.family))?,
        };
        if let Some(told) = &told {
            clues.push(told.clue.clone());
        }
        clues.push(Clue::Form(seen.proof));
        let mut chain = told.as_ref().and_then(|told| told.chain).or(family.only_chain());
        if let Some(word) = word {
            clues.push(Clue::Word(word.name));
            chain = chain.or(Some(word.name));
        } else if let (None, Some(prior)) = (chain, prior) {
            clues.push(Clue::Prior(prior.name));
            chain = Some(prior.name);
        }
        if chain.is_none() {
            clues.push(Clue::PriorUnknown);
        }
        let mut role = told.as_ref().map_or(Role::Unknown, |told| told.role);
        if told.is_none() && method != Method::Button {
            match self.scene.label(&at) {
                Some(Label::Role(named)) => {
                    role = named;
                    clues.push(Clue::Label(named));
                }
                Some(Label::NoAddress) => clues.push(Clue::NoAddress),
                Some(Label::Code) => clues.push(Clue::Code),
                Some(Label::Reversed) | None => {}
            }
        }
        if role == Role::Unknown || role == Role::Pool {
            // Launchpads grind suffixes into mints only, and a type is a coin's.
            if matches!(seen.proof, Proof::Base58Suffix(_)) || seen.coin_type.is_some() {
                role = Role::Token;
            }
        }
        if let Some(told) = &told {
            clues.extend(told.broken.then_some(Clue::Step("fold:defang")));
            clues.extend(told.step.map(Clue::Packed));
        }
        clues.extend(steps.iter().map(|step| Clue::Step(step)));
        clues.extend(self.scene.source.map(Clue::Source));
        let confidence = confidence(&clues);
        (confidence >= ENOUGH).then(|| Find {
            family,
            chain,
            address: seen.address,
            coin_type: seen.coin_type,
            role,
            method,
            evidence: clues.iter().map(Clue::name).collect(),
            confidence,
            raw: raw.to_owned(),
            span,
        })
    }
}

/// The same address seen again. What a reader sees comes before what is hidden, what a link says
/// of chain and role before what words say; evidence adds up.
fn join(known: &mut Find, new: Find) {
    // A disguise that hides what also stands in the open adds nothing.
    if new.method == Method::Deobfuscated && known.method != Method::Deobfuscated {
        return;
    }
    let from_link = |find: &Find| find.evidence.iter().any(|evidence| evidence.starts_with("link:"));
    if known.chain.is_none() || (new.chain.is_some() && from_link(&new) && !from_link(known)) {
        known.chain = new.chain;
    }
    // People call a pool the contract; a page of pools knows better. DexScreener's takes tokens too.
    let is_pool = new.role == Role::Pool
        && from_link(&new)
        && !from_link(known)
        && !new.evidence.iter().any(|evidence| evidence == "link:dexscreener.com");
    let is_ground = known.evidence.iter().any(|evidence| evidence.starts_with("suffix:"));
    if known.role == Role::Unknown || (known.role == Role::Pool && new.role == Role::Token) || (is_pool && !is_ground) {
        known.role = new.role;
    }
    known.coin_type = known.coin_type.take().or(new.coin_type);
    if rank(new.method) < rank(known.method) {
        known.method = new.method;
        known.raw = new.raw;
        known.span = new.span;
    }
    for evidence in new.evidence {
        if !known.evidence.contains(&evidence) {
            known.evidence.push(evidence);
        }
    }
    if known.chain.is_some() {
        known.evidence.retain(|evidence| evidence != "prior:unknown");
    }
    known.confidence = known.confidence.max(new.confidence);
}

fn rank(method: Method) -> u8 {
    match method {
        Method::Plain => 0,
        Method::Link => 1,
        Method::Entity => 2,
        Method::Button => 3,
        Method::Deobfuscated => 4,
    }
}
