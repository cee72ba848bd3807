//! One message, however it came in.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;
use tgmesh_detect::{Button, Entity, EntityKind, Input, Name};

/// A message with what hangs on it. As a JSON line `id`, `text` and `entities` are what everyone
/// sends; the rest is there for those who have it.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Message<'a> {
    #[serde(default)]
    pub(super) id: Value,
    #[serde(borrow)]
    pub(super) text: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) entities: Vec<Mark<'a>>,
    #[serde(borrow, default)]
    pub(super) buttons: Vec<Press<'a>>,
    #[serde(borrow, default)]
    pub(super) links: Vec<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub(super) quote: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) names: Vec<Called<'a>>,
    #[serde(borrow, default)]
    pub(super) prior: Option<Cow<'a, str>>,
}

/// A formatting mark, with UTF-16 offsets as Telegram counts.
#[derive(Debug, Deserialize)]
pub(super) struct Mark<'a> {
    #[serde(borrow)]
    pub(super) kind: Cow<'a, str>,
    pub(super) offset: usize,
    pub(super) length: usize,
    #[serde(borrow, default)]
    pub(super) url: Option<Cow<'a, str>>,
}

/// An inline button.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Press<'a> {
    /// Opens a link.
    #[serde(borrow)]
    Url(Cow<'a, str>),
    /// Copies a text.
    #[serde(borrow)]
    Copy(Cow<'a, str>),
}

/// A name beside the message.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Called<'a> {
    /// Who posted it.
    #[serde(borrow)]
    Sender(Cow<'a, str>),
    /// Where.
    #[serde(borrow)]
    Chat(Cow<'a, str>),
}

impl Message<'_> {
    /// Calls `with` with what the detector takes.
    pub(super) fn lend<T>(&self, with: impl FnOnce(&Input<'_>) -> T) -> T {
        let entities: Vec<Entity<'_>> = self
            .entities
            .iter()
            .map(|mark| Entity {
                kind: EntityKind::from_name(&mark.kind),
                offset: mark.offset,
                length: mark.length,
                url: mark.url.as_deref(),
            })
            .collect();
        let buttons: Vec<Button<'_>> = self
            .buttons
            .iter()
            .map(|press| match press {
                Press::Url(url) => Button::Url(url),
                Press::Copy(text) => Button::Copy(text),
            })
            .collect();
        let names: Vec<Name<'_>> = self
            .names
            .iter()
            .map(|called| match called {
                Called::Sender(name) => Name::Sender(name),
                Called::Chat(name) => Name::Chat(name),
            })
            .collect();
        let links: Vec<&str> = self.links.iter().map(AsRef::as_ref).collect();
        with(&Input {
            text: &self.text,
            entities: &entities,
            buttons: &buttons,
            links: &links,
            quote: &self.quote,
            names: &names,
            prior: self.prior.as_deref(),
        })
    }
}
