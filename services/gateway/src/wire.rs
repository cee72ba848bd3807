//! Frames in both subprotocols.

use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tgmesh_proto::frame::{
    ClientFrame, ErrorCode, Filter, SUBPROTOCOL_JSON, SUBPROTOCOL_MSGPACK, ServerFrame, map_alone,
};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

/// How frames are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `tgmesh.v1.json`: text.
    Json,
    /// `tgmesh.v1.msgpack`: binary.
    Msgpack,
}

/// What came from a client and is no frame.
#[derive(Debug, PartialEq)]
pub enum Unreadable {
    /// Nothing that an answer could refer to: the connection is closed with 4400.
    Malformed,
    /// A `subscribe` whose filter or position cannot be read: an `error` frame tells.
    Refused {
        /// Id of the subscription.
        id: String,
        /// What is wrong.
        code: ErrorCode,
        /// For people.
        message: String,
    },
}

impl Format {
    /// The format of a subprotocol's name.
    #[must_use]
    pub fn of_subprotocol(name: &str) -> Option<Self> {
        match name {
            SUBPROTOCOL_JSON => Some(Self::Json),
            SUBPROTOCOL_MSGPACK => Some(Self::Msgpack),
            _ => None,
        }
    }

    /// Encodes a frame.
    #[must_use]
    pub fn encode(self, frame: &ServerFrame) -> Message {
        // Neither can fail: frames have string keys, and their numbers are checked to be finite.
        self.message(match self {
            Self::Json => serde_json::to_vec(frame).unwrap_or_default().into(),
            Self::Msgpack => rmp_serde::to_vec_named(frame).unwrap_or_default().into(),
        })
    }

    /// A message out of bytes that were encoded in this format. Text is not validated again: this
    /// process wrote it.
    #[must_use]
    pub fn message(self, bytes: Bytes) -> Message {
        let kind = match self {
            Self::Json => Data::Text,
            Self::Msgpack => Data::Binary,
        };
        Message::Frame(Frame::message(bytes, OpCode::Data(kind), true))
    }

    /// Decodes what a client sent.
    ///
    /// # Errors
    /// See [`Unreadable`].
    pub fn decode(self, message: &Message) -> Result<ClientFrame, Unreadable> {
        match (self, message) {
            (Self::Json, Message::Text(text)) => read(text.as_bytes()),
            (Self::Msgpack, Message::Binary(bytes)) => {
                // Other MessagePack types than those of JSON make no frame, so a detour loses
                // nothing, and both formats are read by the same rules.
                let value: serde_json::Value = rmp_serde::from_slice(bytes).map_err(|_| Unreadable::Malformed)?;
                read(value.to_string().as_bytes())
            }
            _ => Err(Unreadable::Malformed),
        }
    }
}

fn read(bytes: &[u8]) -> Result<ClientFrame, Unreadable> {
    serde_json::from_slice(bytes).map_err(|_| refusal(bytes).unwrap_or(Unreadable::Malformed))
}

/// What an unreadable `subscribe` has that can be answered: its id.
fn refusal(bytes: &[u8]) -> Option<Unreadable> {
    #[derive(Deserialize)]
    struct Head {
        r#type: String,
        id: String,
    }
    #[derive(Deserialize)]
    struct WithFilter {
        #[serde(default, deserialize_with = "map_alone")]
        #[expect(dead_code, reason = "only whether it can be read counts")]
        filter: Filter,
    }
    fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, serde_json::Error> {
        serde_json::from_slice(bytes)
    }
    let Head { r#type, id } = parse(bytes).ok()?;
    if r#type != "subscribe" {
        return None;
    }
    let (code, message) = if let Err(error) = parse::<WithFilter>(bytes) {
        // The message names the key or the word that is wrong, which the client sent itself.
        (ErrorCode::BadFilter, format!("the filter cannot be read: {error}"))
    } else {
        let message = r#"resume is {"epoch": "…", "after": N} or {"last": N}"#;
        (ErrorCode::BadResume, message.to_owned())
    };
    Some(Unreadable::Refused { id, code, message })
}

#[cfg(test)]
mod tests;
