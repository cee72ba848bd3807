//! Telegram Desktop's `result.json`, of one chat or of a whole account, read as a stream: an export
//! may be larger than memory.

use std::fmt;
use std::io::{Read, Write};

use anyhow::Context as _;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use tgmesh_detect::{Entity, EntityKind, Input};

use super::Printer;

/// Whether this first line begins an export: an object that has no end on it, or one with the keys
/// of an export.
pub(super) fn begins(line: &[u8]) -> bool {
    let line = line.trim_ascii();
    match serde_json::from_slice::<Keys>(line) {
        Ok(keys) => keys.0,
        Err(error) => error.is_eof() && line.starts_with(b"{"),
    }
}

/// Answers every message of an export, in its order.
pub(super) fn read(input: impl Read, printer: &mut Printer<impl Write>) -> anyhow::Result<()> {
    let mut json = serde_json::Deserializer::from_reader(input);
    Export { printer, chats: false }
        .deserialize(&mut json)
        .context("couldn't read the export")?;
    json.end().context("couldn't read what follows the export")
}

/// Whether an object has the keys of an export and not those of a message.
struct Keys(bool);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Export {
            text: Option<IgnoredAny>,
            messages: Option<IgnoredAny>,
            chats: Option<IgnoredAny>,
        }
        let export = Export::deserialize(deserializer)?;
        Ok(Self(
            export.text.is_none() && (export.messages.is_some() || export.chats.is_some()),
        ))
    }
}

/// An object somewhere on the way to the messages.
struct Export<'a, W> {
    printer: &'a mut Printer<W>,
    /// Whether it is one of several chats: then ids are told apart by the chat's.
    chats: bool,
}

impl<'de, W: Write> DeserializeSeed<'de> for Export<'_, W> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, W: Write> Visitor<'de> for Export<'_, W> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an export of Telegram Desktop")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut chat = None;
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                // Telegram Desktop writes it before the messages.
                "id" => chat = Some(map.next_value::<Value>()?),
                "messages" => {
                    let chat = if self.chats { chat.clone() } else { None };
                    map.next_value_seed(Messages {
                        printer: self.printer,
                        chat,
                    })?;
                }
                "chats" | "left_chats" => map.next_value_seed(Export {
                    printer: self.printer,
                    chats: true,
                })?,
                "list" => map.next_value_seed(Chats { printer: self.printer })?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

struct Chats<'a, W> {
    printer: &'a mut Printer<W>,
}

impl<'de, W: Write> DeserializeSeed<'de> for Chats<'_, W> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, W: Write> Visitor<'de> for Chats<'_, W> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of chats")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq
            .next_element_seed(Export {
                printer: self.printer,
                chats: true,
            })?
            .is_some()
        {}
        Ok(())
    }
}

struct Messages<'a, W> {
    printer: &'a mut Printer<W>,
    chat: Option<Value>,
}

impl<'de, W: Write> DeserializeSeed<'de> for Messages<'_, W> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, W: Write> Visitor<'de> for Messages<'_, W> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of messages")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(message) = seq.next_element::<Message>()? {
            if message.r#type == "message" {
                let id = match &self.chat {
                    Some(chat) => Value::from(format!("{chat}:{}", message.id)),
                    None => message.id.clone(),
                };
                message.answer(&id, self.printer).map_err(serde::de::Error::custom)?;
            }
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    id: Value,
    #[serde(default)]
    r#type: String,
    #[serde(default)]
    text: Text,
}

/// Plain text, or pieces of it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Text {
    Plain(String),
    Pieces(Vec<Piece>),
}

impl Default for Text {
    fn default() -> Self {
        Self::Plain(String::new())
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Piece {
    Plain(String),
    Marked {
        #[serde(rename = "type")]
        kind: String,
        text: String,
        href: Option<String>,
    },
}

impl Message {
    fn answer(&self, id: &Value, printer: &mut Printer<impl Write>) -> std::io::Result<()> {
        let pieces = match &self.text {
            Text::Plain(text) => {
                return printer.answer(
                    id,
                    &Input {
                        text,
                        ..Input::default()
                    },
                );
            }
            Text::Pieces(pieces) => pieces,
        };
        let mut whole = String::new();
        let mut entities = Vec::new();
        let mut offset = 0;
        for piece in pieces {
            let (text, mark) = match piece {
                Piece::Plain(text) => (text, None),
                Piece::Marked { kind, text, href } => (text, Some((kind, href))),
            };
            let length = text.encode_utf16().count();
            if let Some((kind, href)) = mark {
                // Desktop calls a link that stands in the text `link`.
                let kind = if kind == "link" {
                    EntityKind::Url
                } else {
                    EntityKind::from_name(kind)
                };
                entities.push(Entity {
                    kind,
                    offset,
                    length,
                    url: href.as_deref(),
                });
            }
            whole.push_str(text);
            offset += length;
        }
        printer.answer(
            id,
            &Input {
                text: &whole,
                entities: &entities,
                ..Input::default()
            },
        )
    }
}
