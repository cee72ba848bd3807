//! Secrets in chat text are masked as soon as the detector has read it, so that nothing behind it
//! (the memory of finds, events, the stream, logs) ever holds one.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use tgmesh_detect::{Findings, Masker, Secret};

use crate::event::Subject;
use crate::message::{Button, Record, Target};

/// The word lists never change, so one masker serves every account.
static MASKER: LazyLock<Masker> = LazyLock::new(Masker::new);

/// The fewest bytes of a secret that is looked for wherever else it may stand.
const WORTH: usize = 32;

/// Masks the secrets of a message, and takes finds away that are parts of one: 64 hex digits that
/// are somebody's key are nobody's address.
///
/// Costs what one look at each text costs when there is no secret.
pub fn hide(record: &mut Record, found: &mut Findings) {
    let mut hidden = Hidden::default();
    hidden.look(&record.text);
    let in_text = hidden.secrets.len();
    for button in &record.buttons {
        hidden.look_at_button(button);
    }
    for mark in &record.marks {
        hidden.look(mark.url.as_deref().unwrap_or_default());
    }
    for link in &record.links {
        hidden.look(link);
    }
    hidden.look(record.quote.as_deref().unwrap_or_default());
    if let Some(name) = record.forward.as_ref().and_then(|forward| forward.name.as_ref()) {
        hidden.look(name);
    }
    if hidden.secrets.is_empty() {
        return;
    }
    record.keep_revision();
    let text_secrets = &hidden.secrets[..in_text];
    let is_hidden = |span: Option<&Range<usize>>, raw: &str| {
        let overlaps =
            |secret: &Secret| span.is_some_and(|span| secret.span.start < span.end && span.start < secret.span.end);
        text_secrets.iter().any(overlaps) || hidden.holds(raw)
    };
    found
        .finds
        .retain(|find| !is_hidden(find.span.as_ref(), &find.raw) && !hidden.holds(&find.address));
    found
        .unresolved
        .retain(|link| !is_hidden(link.span.as_ref(), &link.raw) && !hidden.holds(&link.link));
    hidden.mask(&mut record.text);
    for button in &mut record.buttons {
        hidden.mask(&mut button.label);
        match &mut button.target {
            Target::Url(text) | Target::Copy(text) => hidden.mask(text),
            Target::Other => {}
        }
    }
    for url in record.marks.iter_mut().filter_map(|mark| mark.url.as_mut()) {
        hidden.mask(url);
    }
    for link in &mut record.links {
        hidden.mask(link);
    }
    if let Some(quote) = &mut record.quote {
        hidden.mask(quote);
    }
    if let Some(name) = record.forward.as_mut().and_then(|forward| forward.name.as_mut()) {
        hidden.mask(name);
    }
}

/// Masks the secrets in the names around a message: people put what they mean to send into titles.
pub fn hide_in_names(subject: &mut Subject) {
    mask(&mut subject.chat.title);
    if let Some(sender) = &mut subject.sender {
        mask(&mut sender.name);
    }
    let forward = subject.message.forward_from.as_mut();
    if let Some(name) = forward.and_then(|forward| forward.name.as_mut()) {
        mask(name);
    }
}

/// A name with its secrets masked.
#[must_use]
pub fn hidden_in_name(mut name: String) -> String {
    mask(&mut name);
    name
}

fn mask(text: &mut String) {
    if let Cow::Owned(masked) = MASKER.mask(text) {
        *text = masked;
    }
}

/// The secrets of one message. No `Debug`: it holds what must not be shown.
#[derive(Default)]
struct Hidden {
    secrets: Vec<Secret>,
    /// What each of them says.
    contents: Vec<(String, &'static str)>,
}

impl Hidden {
    fn look(&mut self, text: &str) {
        let first = self.secrets.len();
        MASKER.find(text, &mut self.secrets);
        for secret in &self.secrets[first..] {
            if let Some(content) = text.get(secret.span.clone()) {
                self.contents.push((content.to_owned(), secret.kind.mask()));
            }
        }
    }

    /// What a button copies may be named by its label alone.
    fn look_at_button(&mut self, button: &Button) {
        match &button.target {
            Target::Copy(text) | Target::Url(text) if text.len() >= WORTH => {
                self.look(&format!("{}: {text}", button.label));
            }
            _ => self.look(&button.label),
        }
    }

    /// Whether something is a part of a secret, or holds one.
    fn holds(&self, part: &str) -> bool {
        let part = part.strip_prefix("0x").unwrap_or(part);
        if part.len() < WORTH {
            return false;
        }
        self.contents.iter().any(|(content, _)| {
            content.contains(part) || part.contains(content.as_str()) || content.to_ascii_lowercase().contains(part)
        })
    }

    /// Masks every secret of the message in one of its texts, also where nothing there tells that
    /// it is one.
    fn mask(&self, text: &mut String) {
        mask(text);
        for (content, mask) in &self.contents {
            if content.len() >= WORTH && text.contains(content.as_str()) {
                *text = text.replace(content.as_str(), mask);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use grammers_tl_types::types;
    use tgmesh_detect::{Detector, Entity, Family, Find, Input, Method, Role};

    use super::*;
    use crate::message::{Forward, Mark};

    const PHRASE: &str = "legal winner thank year wave sausage worth useful legal winner thank yellow";
    const KEY: &str = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318";
    const MINT: &str = "EKpQGSJtjMFqKZ9KQanSqYXRcF8fBopzLHYxdM65zcjm";

    fn record(text: &str) -> Record {
        let short = types::UpdateShortMessage {
            out: false,
            mentioned: false,
            media_unread: false,
            silent: false,
            id: 1,
            user_id: 5,
            message: text.to_owned(),
            pts: 1,
            pts_count: 1,
            date: 1_700_000_000,
            fwd_from: None,
            via_bot_id: None,
            reply_to: None,
            entities: None,
            ttl_period: None,
        };
        Record::of_short(short, 9)
    }

    fn found(record: &Record) -> Findings {
        let entities: Vec<Entity<'_>> = record.marks.iter().map(Mark::to_detect).collect();
        let buttons: Vec<_> = record.buttons.iter().filter_map(Button::to_detect).collect();
        let input = Input {
            text: &record.text,
            entities: &entities,
            buttons: &buttons,
            ..Input::default()
        };
        let mut found = Findings::default();
        Detector::new().find(&input, &mut found);
        found
    }

    fn addresses(found: &Findings) -> Vec<&str> {
        found.finds.iter().map(|find| find.address.as_str()).collect()
    }

    #[test]
    fn an_address_stays_and_a_phrase_goes() {
        let mut record = record(&format!("ape {MINT} my wallet: {PHRASE} lol"));
        let mut finds = found(&record);
        let revision = record.revision();
        hide(&mut record, &mut finds);
        assert_eq!(record.text, format!("ape {MINT} my wallet: [masked: seed phrase] lol"));
        assert_eq!(addresses(&finds), [MINT]);
        assert_eq!(record.revision(), revision, "it names the message that was posted");
    }

    #[test]
    fn nothing_changes_without_a_secret() {
        let text = format!("sui call 0x{KEY} and {MINT}");
        let mut record = record(&text);
        let mut finds = found(&record);
        let (before, count) = (record.clone(), finds.finds.len());
        assert!(count > 0);
        hide(&mut record, &mut finds);
        assert_eq!((record, finds.finds.len()), (before, count));
    }

    #[test]
    fn a_key_is_nobodys_address() {
        // Whatever the detector makes of the digits by itself.
        let text = format!("sui, private key: 0x{KEY}");
        let start = text.find("0x").unwrap();
        let find = |raw: &str, span| Find {
            family: Family::Sui,
            chain: Some("sui"),
            address: format!("0x{KEY}"),
            coin_type: None,
            role: Role::Unknown,
            method: Method::Plain,
            evidence: vec!["word:sui".into()],
            confidence: 0.5,
            raw: raw.to_owned(),
            span,
        };
        let mut record = record(&text);
        let mut finds = Findings {
            finds: vec![
                find(&text[start..], Some(start..text.len())),
                // In a button, in capitals, in pieces around it.
                find(&format!("0x{KEY}"), None),
                find(&KEY.to_uppercase(), None),
                find("sui, private key", Some(0..text.len())),
            ],
            ..Findings::default()
        };
        hide(&mut record, &mut finds);
        assert_eq!(record.text, "sui, private key: [masked: private key]");
        assert_eq!(addresses(&finds), [""; 0]);
    }

    #[test]
    fn a_key_is_masked_wherever_it_hangs() {
        let mut record = record("sui wallet of mine 🔑");
        record.buttons = vec![
            Button {
                label: "Copy private key".into(),
                target: Target::Copy(format!("0x{KEY}")),
            },
            Button {
                label: "again".into(),
                target: Target::Url(format!("https://suiscan.xyz/mainnet/coin/0x{KEY}::a::A")),
            },
        ];
        record.marks = vec![Mark {
            kind: "text_link",
            offset: 0,
            length: 3,
            url: Some(format!("https://suiscan.xyz/mainnet/account/0x{KEY}")),
        }];
        record.links = vec![format!("https://x.example/{}", PHRASE.replace(' ', "-"))];
        record.quote = Some(format!("he said {PHRASE}"));
        record.forward = Some(Box::new(Forward {
            id: None,
            name: Some(PHRASE.to_owned()),
            message_id: None,
            date_s: 0,
        }));
        let mut finds = found(&record);
        assert!(!finds.finds.is_empty());
        hide(&mut record, &mut finds);
        assert_eq!(addresses(&finds), [""; 0]);
        let all = format!("{record:?} {finds:?}");
        assert!(!all.contains(KEY), "{all}");
        assert!(!all.contains("sausage"), "{all}");
    }
}
