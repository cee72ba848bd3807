//! MessagePack in and out, with bounds on everything that comes from outside.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::SCHEMA_VERSION;
use crate::audit::AuditEvent;
use crate::detection::{Chat, Detection, Listener, Message};
use crate::matched::Match;

/// Largest payload that is read or written, in bytes. The text of a message is at most 4,096
/// characters (16 KiB); the rest of an event is far smaller.
pub const MAX_PAYLOAD_BYTES: usize = 64 * 1024;
/// Longest `message.text` and `raw`, in characters.
pub const MAX_TEXT_CHARS: usize = 4096;
/// Most entries of `evidence` and of `rules`.
pub const MAX_LIST: usize = 64;
/// Longest `link` of a match, in bytes.
pub const MAX_LINK_BYTES: usize = 2048;
/// Longest other string, in bytes.
pub const MAX_NAME_BYTES: usize = 1024;

/// Why bytes are no event. None of these goes away by trying again.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// More than [`MAX_PAYLOAD_BYTES`].
    #[error("payload of {0} bytes exceeds {MAX_PAYLOAD_BYTES}")]
    TooLarge(usize),
    /// Not MessagePack, or not of the event's form.
    #[error("payload is no {0}")]
    Malformed(String),
    /// Another major version: its meaning is not known here.
    #[error("schema version {0:?} is not readable, this is {SCHEMA_VERSION}")]
    UnknownVersion(String),
    /// A field outside its bounds.
    #[error("field {field} {problem}")]
    OutOfBounds {
        /// Name of the field.
        field: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// Why an event cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("event of {0} bytes exceeds {MAX_PAYLOAD_BYTES}")]
pub struct EncodeError(pub usize);

/// Encodes an event as a MessagePack map with string keys.
///
/// # Errors
/// When the result would exceed [`MAX_PAYLOAD_BYTES`]; cut texts with [`truncate`] first.
pub fn encode(event: &Detection) -> Result<Vec<u8>, EncodeError> {
    write(event)
}

/// As [`encode`], for a match.
///
/// # Errors
/// As [`encode`].
pub fn encode_match(event: &Match) -> Result<Vec<u8>, EncodeError> {
    write(event)
}

/// As [`encode`], for an audit event.
///
/// # Errors
/// As [`encode`].
pub fn encode_audit(event: &AuditEvent) -> Result<Vec<u8>, EncodeError> {
    write(event)
}

/// Decodes an event and checks its bounds. Unknown keys are ignored.
///
/// # Errors
/// See [`DecodeError`]; each is permanent.
pub fn decode(bytes: &[u8]) -> Result<Detection, DecodeError> {
    let event: Detection = read(bytes, "detection event", |event: &Detection| &event.schema_version)?;
    check(&event)?;
    Ok(event)
}

/// As [`decode`], for a match.
///
/// # Errors
/// As [`decode`].
pub fn decode_match(bytes: &[u8]) -> Result<Match, DecodeError> {
    let event: Match = read(bytes, "match event", |event: &Match| &event.schema_version)?;
    check_match(&event)?;
    Ok(event)
}

/// As [`decode`], for an audit event.
///
/// # Errors
/// As [`decode`].
pub fn decode_audit(bytes: &[u8]) -> Result<AuditEvent, DecodeError> {
    let event: AuditEvent = read(bytes, "audit event", |event: &AuditEvent| &event.schema_version)?;
    check_audit(&event)?;
    Ok(event)
}

/// Cuts a text to `chars` characters, at a character boundary.
pub fn truncate(text: &mut String, chars: usize) {
    if text.len() > chars
        && let Some((end, _)) = text.char_indices().nth(chars)
    {
        text.truncate(end);
    }
}

/// Whether this version's major number is ours.
#[must_use]
pub fn is_readable(version: &str) -> bool {
    let major = |text: &str| text.split('.').next().and_then(|part| part.parse::<u32>().ok());
    major(version).is_some() && major(version) == major(SCHEMA_VERSION)
}

fn write<T: Serialize>(event: &T) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = Vec::with_capacity(768);
    // Writing to memory cannot fail, and every type in the event has a MessagePack form.
    rmp_serde::encode::write_named(&mut bytes, event).expect("an event always has a MessagePack form");
    if bytes.len() > MAX_PAYLOAD_BYTES {
        Err(EncodeError(bytes.len()))
    } else {
        Ok(bytes)
    }
}

fn read<T: DeserializeOwned>(bytes: &[u8], what: &str, version: impl Fn(&T) -> &String) -> Result<T, DecodeError> {
    if bytes.len() > MAX_PAYLOAD_BYTES {
        return Err(DecodeError::TooLarge(bytes.len()));
    }
    let event: T = match rmp_serde::from_slice(bytes) {
        Ok(event) => event,
        Err(error) => return Err(refusal(bytes, what, &error)),
    };
    if is_readable(version(&event)) {
        Ok(event)
    } else {
        Err(DecodeError::UnknownVersion(version(&event).chars().take(32).collect()))
    }
}

/// An event of a later major version may lack what ours requires: then the version is the
/// reason to give, not the missing field.
fn refusal(bytes: &[u8], what: &str, error: &rmp_serde::decode::Error) -> DecodeError {
    #[derive(serde::Deserialize)]
    struct Version {
        schema_version: String,
    }
    match rmp_serde::from_slice::<Version>(bytes) {
        Ok(found) if !is_readable(&found.schema_version) => {
            DecodeError::UnknownVersion(found.schema_version.chars().take(32).collect())
        }
        _ => DecodeError::Malformed(format!("{what}: {error}")),
    }
}

fn check(event: &Detection) -> Result<(), DecodeError> {
    if event.raw.chars().count() > MAX_TEXT_CHARS {
        return out("raw", "is longer than 4096 characters");
    }
    if !(0.0..=1.0).contains(&event.confidence) {
        return out("confidence", "is outside 0 to 1");
    }
    if event.address.is_empty() || event.address.len() > MAX_NAME_BYTES {
        return out("address", "is empty or too long");
    }
    if event.evidence.len() > MAX_LIST || event.rules.len() > MAX_LIST {
        return out("evidence or rules", "has more than 64 entries");
    }
    check_names(&[
        ("chain", event.chain.as_deref()),
        ("coin_type", event.coin_type.as_deref()),
    ])?;
    check_origin(&event.chat, &event.message, &event.listener)
}

fn check_match(event: &Match) -> Result<(), DecodeError> {
    if event.rules.len() > MAX_LIST {
        return out("rules", "has more than 64 entries");
    }
    if event.rules.iter().any(|name| name.len() > MAX_NAME_BYTES) {
        return out("rules", "holds a name that is longer than 1024 bytes");
    }
    if event.link.as_ref().is_some_and(|link| link.len() > MAX_LINK_BYTES) {
        return out("link", "is longer than 2048 bytes");
    }
    check_names(&[
        ("chain", event.chain.as_deref()),
        ("site", event.site.as_deref()),
        ("raw", event.raw.as_deref()),
    ])?;
    check_origin(&event.chat, &event.message, &event.listener)
}

fn check_audit(event: &AuditEvent) -> Result<(), DecodeError> {
    if event.detail.len() > MAX_LIST {
        return out("detail", "has more than 64 entries");
    }
    if event
        .detail
        .iter()
        .any(|(key, value)| key.len().max(value.len()) > MAX_NAME_BYTES)
    {
        return out("detail", "holds a key or value that is longer than 1024 bytes");
    }
    if event.service.is_empty() || event.event.is_empty() {
        return out("service or event", "is empty");
    }
    check_names(&[
        ("service", Some(event.service.as_str())),
        ("event", Some(event.event.as_str())),
        ("instance", Some(event.instance.as_str())),
        ("actor", event.actor.as_deref()),
        ("target", event.target.as_deref()),
    ])
}

fn check_origin(chat: &Chat, message: &Message, listener: &Listener) -> Result<(), DecodeError> {
    if message.text.chars().count() > MAX_TEXT_CHARS {
        return out("message.text", "is longer than 4096 characters");
    }
    check_names(&[
        ("chat.title", Some(chat.title.as_str())),
        ("chat.username", chat.username.as_deref()),
        ("message.revision", Some(message.revision.as_str())),
        ("listener.instance", Some(listener.instance.as_str())),
        ("listener.account", Some(listener.account.as_str())),
    ])
}

fn check_names(names: &[(&'static str, Option<&str>)]) -> Result<(), DecodeError> {
    let is_long = |(_, value): &&(&str, Option<&str>)| value.is_some_and(|value| value.len() > MAX_NAME_BYTES);
    match names.iter().find(is_long) {
        Some((field, _)) => out(field, "is longer than 1024 bytes"),
        None => Ok(()),
    }
}

const fn out(field: &'static str, problem: &'static str) -> Result<(), DecodeError> {
    Err(DecodeError::OutOfBounds { field, problem })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncates_at_characters() {
        let mut text = "añb🚀c".to_owned();
        truncate(&mut text, 4);
        assert_eq!(text, "añb🚀");
        truncate(&mut text, 9);
        assert_eq!(text, "añb🚀");
        truncate(&mut text, 0);
        assert_eq!(text, "");
    }

    #[test]
    fn same_major_is_readable() {
        for good in ["1.0.0", "1.9.3", "1"] {
            assert!(is_readable(good), "{good}");
        }
        for bad in ["", "2.0.0", "0.9", "x", "10.0.0", "-1.0"] {
            assert!(!is_readable(bad), "{bad}");
        }
    }
}
