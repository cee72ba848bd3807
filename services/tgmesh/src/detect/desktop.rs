//! Telegram Desktop's `result.json`, of one chat or of a whole account, read as a stream: an export
//! may be larger than memory.

use std::borrow::Cow;
use std::fmt;
use std::io::Read;

use anyhow::Context as _;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::message::{Called, Mark, Message, Press};
use super::pipeline::{Batch, Closed};

/// Messages that are searched together.
const TOGETHER: usize = 256;

/// Whether this first line begins an export: an object that has no end on it, or one with the keys
/// of an export and not those of a message. A line that was cut off by its length tells by the keys
/// it has so far.
pub(super) fn begins(line: &[u8]) -> bool {
    let mut keys = Keys::default();
    let line = line.trim_ascii();
    // Where it goes wrong is for whoever reads it as a whole.
    let _ = KeysOf(&mut keys).deserialize(&mut serde_json::Deserializer::from_slice(line));
    line == b"{" || (keys.export && !keys.message)
}

#[derive(Default)]
struct Keys {
    export: bool,
    message: bool,
}

struct KeysOf<'a>(&'a mut Keys);

impl<'de> DeserializeSeed<'de> for KeysOf<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for KeysOf<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message or an export")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            match key.as_ref() {
                "messages" | "chats" | "left_chats" => self.0.export = true,
                "text" => self.0.message = true,
                _ => {}
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

/// Where the messages go.
struct Batches<'a> {
    send: &'a mut dyn FnMut(Batch) -> Result<(), Closed>,
    waiting: Vec<Message<'static>>,
    closed: bool,
}

impl Batches<'_> {
    fn add(&mut self, message: Message<'static>) -> Result<(), Closed> {
        self.waiting.push(message);
        if self.waiting.len() < TOGETHER {
            Ok(())
        } else {
            self.flush()
        }
    }

    fn flush(&mut self) -> Result<(), Closed> {
        let messages = std::mem::take(&mut self.waiting);
        (self.send)(Batch::Messages(messages)).inspect_err(|_| self.closed = true)
    }
}

/// Reads every message of an export, in its order.
pub(super) fn read(input: impl Read, send: &mut dyn FnMut(Batch) -> Result<(), Closed>) -> anyhow::Result<()> {
    let mut batches = Batches {
        send,
        waiting: Vec::new(),
        closed: false,
    };
    let mut json = serde_json::Deserializer::from_reader(input);
    let export = Export {
        batches: &mut batches,
        chats: false,
    };
    let read = export.deserialize(&mut json).and_then(|()| json.end());
    if batches.closed {
        return Ok(());
    }
    // What came before a fault has its answer.
    let _ = batches.flush();
    read.context("couldn't read the export")
}

/// An object somewhere on the way to the messages.
struct Export<'a, 'b> {
    batches: &'a mut Batches<'b>,
    /// Whether it is one of several chats: then ids are told apart by the chat's.
    chats: bool,
}

impl<'de> DeserializeSeed<'de> for Export<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Export<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an export of Telegram Desktop")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut chat = Chat::default();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                // Telegram Desktop writes both before the messages.
                "id" => chat.id = Some(map.next_value::<Value>()?).filter(|_| self.chats),
                "name" => chat.title = map.next_value::<Option<String>>()?,
                "messages" => map.next_value_seed(Messages {
                    batches: self.batches,
                    chat: &chat,
                })?,
                "chats" | "left_chats" => map.next_value_seed(Export {
                    batches: self.batches,
                    chats: true,
                })?,
                "list" => map.next_value_seed(Chats { batches: self.batches })?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// What a message takes over from its chat.
#[derive(Default)]
struct Chat {
    /// Only where there are several.
    id: Option<Value>,
    title: Option<String>,
}

struct Chats<'a, 'b> {
    batches: &'a mut Batches<'b>,
}

impl<'de> DeserializeSeed<'de> for Chats<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Chats<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of chats")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq
            .next_element_seed(Export {
                batches: self.batches,
                chats: true,
            })?
            .is_some()
        {}
        Ok(())
    }
}

struct Messages<'a, 'b> {
    batches: &'a mut Batches<'b>,
    chat: &'a Chat,
}

impl<'de> DeserializeSeed<'de> for Messages<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Messages<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of messages")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(message) = seq.next_element::<Exported>()? {
            if message.r#type == "message" && self.batches.add(message.of(self.chat)).is_err() {
                return Err(serde::de::Error::custom("the output is closed"));
            }
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct Exported {
    #[serde(default)]
    id: Value,
    #[serde(default)]
    r#type: String,
    #[serde(default)]
    from: Option<String>,
    #[serde(default)]
    text: Text,
    #[serde(default)]
    inline_bot_buttons: Vec<Vec<Pressed>>,
}

/// Plain text, or pieces of it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Text {
    Plain(String),
    Pieces(Vec<Piece>),
    /// Of a version that is not known here.
    Unknown(IgnoredAny),
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
    Unknown(IgnoredAny),
}

#[derive(Deserialize)]
struct Pressed {
    #[serde(default)]
    r#type: String,
    data: Option<String>,
    url: Option<String>,
}

impl Exported {
    fn of(self, chat: &Chat) -> Message<'static> {
        let (text, entities) = self.text.read();
        let sender = self.from.map(|name| Called::Sender(name.into()));
        let title = chat.title.clone().map(|title| Called::Chat(title.into()));
        Message {
            id: match &chat.id {
                Some(chat) => Value::from(format!("{chat}:{}", self.id)),
                None => self.id,
            },
            text: text.into(),
            entities,
            buttons: self
                .inline_bot_buttons
                .into_iter()
                .flatten()
                .filter_map(Pressed::read)
                .collect(),
            names: sender.into_iter().chain(title).collect(),
            ..Message::default()
        }
    }
}

impl Pressed {
    /// What it opens or copies. Telegram Desktop writes a log-in link as `url`, the others as
    /// `data`.
    fn read(self) -> Option<Press<'static>> {
        match self.r#type.as_str() {
            "url" | "web_view" | "simple_web_view" | "auth" => Some(Press::Url(
                self.url.or(self.data).filter(|link| !link.is_empty())?.into(),
            )),
            "copy_text" => Some(Press::Copy(self.data.filter(|text| !text.is_empty())?.into())),
            _ => None,
        }
    }
}

impl Text {
    /// The whole text, and the marks on it.
    fn read(self) -> (String, Vec<Mark<'static>>) {
        let pieces = match self {
            Self::Plain(text) => return (text, Vec::new()),
            Self::Pieces(pieces) => pieces,
            Self::Unknown(_) => Vec::new(),
        };
        let mut whole = String::new();
        let mut marks = Vec::new();
        let mut offset = 0;
        for piece in pieces {
            let (text, mark) = match piece {
                Piece::Plain(text) => (text, None),
                Piece::Marked { kind, text, href } => (text, Some((kind, href))),
                Piece::Unknown(_) => continue,
            };
            let length = text.encode_utf16().count();
            if let Some((kind, href)) = mark {
                // Desktop calls a link that stands in the text `link`.
                let kind = if kind == "link" {
                    Cow::Borrowed("url")
                } else {
                    kind.into()
                };
                marks.push(Mark {
                    kind,
                    offset,
                    length,
                    url: href.map(Cow::Owned),
                });
            }
            whole.push_str(&text);
            offset += length;
        }
        (whole, marks)
    }
}
