//! Dead letters on a terminal: whatever of them comes from outside is escaped.

use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};
use tgmesh_proto::codec;
use tgmesh_stream::deadletter::Letter;

pub(super) const HEADING: &str = "number  at                    tries  consumer  from                  reason";

/// Bytes of a payload that are shown.
const SHOWN_BYTES: usize = 4096;

/// One line.
pub(super) fn line(letter: &Letter) -> String {
    let from = format!("{}:{}", letter.stream, letter.stream_seq);
    format!(
        "{:<6}  {}  {:<5}  {:<8}  {:<20}  {}",
        letter.seq,
        time(letter.at_us),
        letter.attempts,
        printable(&letter.consumer),
        printable(&from),
        printable(&letter.reason)
    )
}

/// Everything on one line of JSON; the payload as the event it is, or in hex.
pub(super) fn json(letter: &Letter) -> String {
    let payload = event(letter).unwrap_or_else(|| Value::String(hex(&letter.payload)));
    let headers: Vec<_> = letter
        .headers
        .iter()
        .map(|(name, value)| json!([name, value]))
        .collect();
    let json = json!({
        "number": letter.seq,
        "at": time(letter.at_us),
        "consumer": letter.consumer,
        "stream": letter.stream,
        "seq": letter.stream_seq,
        "subject": letter.subject,
        "id": letter.id,
        "reason": letter.reason,
        "attempts": letter.attempts,
        "bytes": letter.cut_from.unwrap_or(letter.payload.len() as u64),
        "cut": letter.cut_from.is_some(),
        "headers": headers,
        "payload": payload,
    });
    escaped(&json.to_string())
}

/// Everything, for people.
pub(super) fn page(letter: &Letter) -> String {
    let mut page = String::new();
    let mut row = |name: &str, value: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(page, "{name:<9} {}", printable(value));
    };
    row("number", &letter.seq.to_string());
    row("at", &time(letter.at_us));
    row("consumer", &letter.consumer);
    row("from", &format!("{}:{}", letter.stream, letter.stream_seq));
    row("subject", &letter.subject);
    row("id", letter.id.as_deref().unwrap_or("-"));
    row("reason", &letter.reason);
    row("tries", &letter.attempts.to_string());
    for (name, value) in &letter.headers {
        row("header", &format!("{name}: {value}"));
    }
    let bytes = letter.payload.len();
    match letter.cut_from {
        Some(whole) => row("payload", &format!("{bytes} bytes, cut from {whole}")),
        None => row("payload", &format!("{bytes} bytes")),
    }
    if let Some(event) = event(letter) {
        // Line breaks are JSON's own: those of texts are escaped in it.
        for line in format!("{event:#}").lines() {
            let _ = writeln!(page, "{}", escaped(line));
        }
    } else {
        let shown = &letter.payload[..bytes.min(SHOWN_BYTES)];
        for (n, chunk) in shown.chunks(16).enumerate() {
            let text: String = chunk
                .iter()
                .map(|byte| {
                    if byte.is_ascii_graphic() {
                        char::from(*byte)
                    } else {
                        '.'
                    }
                })
                .collect();
            let _ = writeln!(page, "{:06x}  {:<47}  {text}", n * 16, spaced_hex(chunk));
        }
        if bytes > SHOWN_BYTES {
            let _ = writeln!(page, "and {} bytes more: see --raw", bytes - SHOWN_BYTES);
        }
    }
    page
}

/// The payload as JSON, if it is MessagePack of the mesh's kind: a map with string keys.
fn event(letter: &Letter) -> Option<Value> {
    if letter.cut_from.is_some() || letter.payload.len() > codec::MAX_PAYLOAD_BYTES {
        return None;
    }
    let mut reader = rmp_serde::Deserializer::from_read_ref(&letter.payload);
    // Deeper than any event; nothing from outside may use up the stack.
    reader.set_max_depth(16);
    let value: Value = serde::Deserialize::deserialize(&mut reader).ok()?;
    value.is_object().then_some(value)
}

fn time(us: u64) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_micros(us.min(253_402_300_799_000_000))).to_string()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn spaced_hex(bytes: &[u8]) -> String {
    let bytes: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    bytes.join(" ")
}

/// On one line, with nothing that a terminal obeys rather than shows.
pub(super) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\'' => out.push(c),
            _ => out.extend(c.escape_debug()),
        }
    }
    out
}

/// JSON with the same escaped, as JSON does it. Outside of strings it has none of it.
fn escaped(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() && !c.is_ascii_control() || c.escape_debug().len() == 1 {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const HOSTILE: &str = "a\u{1b}[2J\u{9b}31m\u{7f}\u{202e}evil\u{2066}\u{200b}\u{e0041}\r\nok é 漢 🚀 \"it's\"";

    fn letter(payload: Vec<u8>) -> Letter {
        Letter {
            seq: 7,
            at_us: 1_795_435_200_000_000,
            consumer: HOSTILE.to_owned(),
            stream: HOSTILE.to_owned(),
            stream_seq: 9,
            subject: HOSTILE.to_owned(),
            id: Some(HOSTILE.to_owned()),
            reason: HOSTILE.to_owned(),
            attempts: 1,
            cut_from: None,
            headers: vec![(HOSTILE.to_owned(), HOSTILE.to_owned())],
            payload: Bytes::from(payload),
        }
    }

    fn is_safe(text: &str) -> bool {
        text.chars()
            .all(|c| c == '\n' || c == '"' || c == '\'' || c == '\\' || c.escape_debug().len() == 1)
    }

    #[test]
    fn nothing_that_a_terminal_obeys_passes() {
        let event = rmp_serde::to_vec_named(&json!({ HOSTILE: [HOSTILE] })).unwrap();
        for payload in [event, HOSTILE.as_bytes().to_vec(), vec![0xff; 10_000]] {
            let letter = letter(payload);
            for shown in [line(&letter), json(&letter), page(&letter)] {
                assert!(is_safe(&shown), "{shown:?}");
            }
            assert!(!line(&letter).contains('\n') && !json(&letter).contains('\n'));
            let json: Value = serde_json::from_str(&json(&letter)).unwrap();
            assert_eq!(json["reason"], HOSTILE);
        }
        assert!(printable(HOSTILE).contains("ok é 漢 🚀 \"it's\""));
    }

    #[test]
    fn an_event_is_shown_as_such_and_anything_else_in_hex() {
        let event = rmp_serde::to_vec_named(&json!({ "id": "x", "n": 1 })).unwrap();
        assert!(page(&letter(event)).contains("\"id\": \"x\""));
        assert!(page(&letter(b"\xff\x00abc".to_vec())).contains("000000  ff 00 61 62 63"));
        assert!(page(&letter(vec![1; 5000])).contains("and 904 bytes more"));
        // A bomb of nested arrays.
        assert!(page(&letter(vec![0x91; 60_000])).contains("60000 bytes"));
    }
}
