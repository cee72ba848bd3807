//! MessagePack in and out, with bounds on everything that comes from outside.

use crate::SCHEMA_VERSION;
use crate::detection::Detection;

/// Largest payload that is read or written, in bytes. The text of a message is at most 4,096
/// characters (16 KiB); the rest of an event is far smaller.
pub const MAX_PAYLOAD_BYTES: usize = 64 * 1024;
/// Longest `message.text` and `raw`, in characters.
pub const MAX_TEXT_CHARS: usize = 4096;
/// Most entries of `evidence` and of `rules`.
pub const MAX_LIST: usize = 64;
/// Longest other string, in bytes.
pub const MAX_NAME_BYTES: usize = 1024;

/// Why bytes are no event. None of these goes away by trying again.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// More than [`MAX_PAYLOAD_BYTES`].
    #[error("payload of {0} bytes exceeds {MAX_PAYLOAD_BYTES}")]
    TooLarge(usize),
    /// Not MessagePack, or not of the event's form.
    #[error("payload is no detection event: {0}")]
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
    let mut bytes = Vec::with_capacity(768);
    // Writing to memory cannot fail, and every type in the event has a MessagePack form.
    rmp_serde::encode::write_named(&mut bytes, event).expect("an event always has a MessagePack form");
    if bytes.len() > MAX_PAYLOAD_BYTES {
        Err(EncodeError(bytes.len()))
    } else {
        Ok(bytes)
    }
}

/// Decodes an event and checks its bounds. Unknown keys are ignored.
///
/// # Errors
/// See [`DecodeError`]; each is permanent.
pub fn decode(bytes: &[u8]) -> Result<Detection, DecodeError> {
    if bytes.len() > MAX_PAYLOAD_BYTES {
        return Err(DecodeError::TooLarge(bytes.len()));
    }
    let event: Detection = match rmp_serde::from_slice(bytes) {
        Ok(event) => event,
        Err(error) => return Err(refusal(bytes, &error)),
    };
    if !is_readable(&event.schema_version) {
        return Err(DecodeError::UnknownVersion(
            event.schema_version.chars().take(32).collect(),
        ));
    }
    check(&event)?;
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

/// An event of a later major version may lack what ours requires: then the version is the
/// reason to give, not the missing field.
fn refusal(bytes: &[u8], error: &rmp_serde::decode::Error) -> DecodeError {
    #[derive(serde::Deserialize)]
    struct Version {
        schema_version: String,
    }
    match rmp_serde::from_slice::<Version>(bytes) {
        Ok(found) if !is_readable(&found.schema_version) => {
            DecodeError::UnknownVersion(found.schema_version.chars().take(32).collect())
        }
        _ => DecodeError::Malformed(error.to_string()),
    }
}

fn check(event: &Detection) -> Result<(), DecodeError> {
    let out = |field, problem| Err(DecodeError::OutOfBounds { field, problem });
    if event.message.text.chars().count() > MAX_TEXT_CHARS {
        return out("message.text", "is longer than 4096 characters");
    }
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
    let names = [
        ("chain", event.chain.as_deref()),
        ("coin_type", event.coin_type.as_deref()),
        ("chat.title", Some(event.chat.title.as_str())),
        ("chat.username", event.chat.username.as_deref()),
        ("message.revision", Some(event.message.revision.as_str())),
        ("listener.instance", Some(event.listener.instance.as_str())),
        ("listener.account", Some(event.listener.account.as_str())),
    ];
    for (field, value) in names {
        if value.is_some_and(|value| value.len() > MAX_NAME_BYTES) {
            return out(field, "is longer than 1024 bytes");
        }
    }
    Ok(())
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
