//! Events as comma separated values (RFC 4180).
//!
//! Texts come from chats, so a cell that a spreadsheet would take for a formula gets an apostrophe
//! before it. Numbers stay numbers: a chat's id begins with a minus, and is no formula.

use std::fmt::Write as _;

use tgmesh_proto::detection::{Chat, Listener, Message, Sender, Times};

use super::answers::Event;

const COLUMNS: [&str; 33] = [
    "id",
    "event",
    "family",
    "chain",
    "address",
    "coin_type",
    "role",
    "method",
    "confidence",
    "chat_id",
    "chat_title",
    "chat_username",
    "chat_kind",
    "message_id",
    "date_ms",
    "edit_date_ms",
    "revision",
    "text",
    "link",
    "reply_to",
    "forward_from_id",
    "sender_id",
    "sender_username",
    "sender_name",
    "rules",
    "evidence",
    "raw",
    "seen_before_count",
    "site",
    "backfill",
    "received_us",
    "detected_us",
    "published_us",
];

/// The names of the columns.
pub fn header() -> Vec<u8> {
    let mut line = COLUMNS.join(",").into_bytes();
    line.extend(b"\r\n");
    line
}

/// One line.
pub fn write(event: &Event, out: &mut Vec<u8>) {
    let mut line = Line::default();
    match event {
        Event::Detection(event) => {
            line.text(&event.id.to_string());
            line.text(event.event.as_str());
            line.text(event.family.as_str());
            line.maybe(event.chain.as_deref());
            line.text(&event.address);
            line.maybe(event.coin_type.as_deref());
            line.text(event.role.as_str());
            line.text(event.method.as_str());
            line.number(Some(event.confidence));
            line.place(&event.chat, &event.message, event.sender.as_ref());
            line.text(&event.rules.join(";"));
            line.text(&event.evidence.join(";"));
            line.text(&event.raw);
            line.number(event.seen_before.as_ref().map(|seen| seen.count));
            line.maybe(None);
            line.origin(&event.listener, event.times);
        }
        Event::Match(event) => {
            line.text(&event.id.to_string());
            line.text(event.event.as_str());
            line.maybe(None);
            line.maybe(event.chain.as_deref());
            for _ in ["address", "coin_type", "role", "method", "confidence"] {
                line.maybe(None);
            }
            line.place(&event.chat, &event.message, event.sender.as_ref());
            line.text(&event.rules.join(";"));
            line.maybe(None);
            line.maybe(event.raw.as_deref());
            line.maybe(None);
            line.maybe(event.site.as_deref());
            line.origin(&event.listener, event.times);
        }
    }
    debug_assert_eq!(line.cells, COLUMNS.len());
    out.extend(line.text.as_bytes());
    out.extend(b"\r\n");
}

#[derive(Default)]
struct Line {
    text: String,
    cells: usize,
}

impl Line {
    fn begin(&mut self) {
        if self.cells > 0 {
            self.text.push(',');
        }
        self.cells += 1;
    }

    fn text(&mut self, text: &str) {
        self.begin();
        let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
        let is_quoted = text.contains([',', '"', '\r', '\n']);
        if is_quoted {
            self.text.push('"');
        }
        if is_formula {
            self.text.push('\'');
        }
        for c in text.chars() {
            if c == '"' {
                self.text.push('"');
            }
            self.text.push(c);
        }
        if is_quoted {
            self.text.push('"');
        }
    }

    fn maybe(&mut self, text: Option<&str>) {
        self.text(text.unwrap_or_default());
    }

    fn number(&mut self, number: Option<impl std::fmt::Display>) {
        self.begin();
        if let Some(number) = number {
            // Writing to a string cannot fail.
            let _ = write!(self.text, "{number}");
        }
    }

    fn place(&mut self, chat: &Chat, message: &Message, sender: Option<&Sender>) {
        self.number(Some(chat.id));
        self.text(&chat.title);
        self.maybe(chat.username.as_deref());
        self.text(chat.kind.as_str());
        self.number(Some(message.id));
        self.number(Some(message.date_ms));
        self.number(message.edit_date_ms);
        self.text(&message.revision);
        self.text(&message.text);
        self.maybe(message.link.as_deref());
        self.number(message.reply_to);
        self.number(message.forward_from.as_ref().and_then(|from| from.id));
        self.number(sender.map(|sender| sender.id));
        self.maybe(sender.and_then(|sender| sender.username.as_deref()));
        self.maybe(sender.map(|sender| sender.name.as_str()));
    }

    fn origin(&mut self, listener: &Listener, times: Times) {
        self.number(Some(listener.backfill));
        self.number(Some(times.received_us));
        self.number(Some(times.detected_us));
        self.number(Some(times.published_us));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(text: &str) -> String {
        let mut line = Line::default();
        line.text(text);
        line.text
    }

    #[test]
    fn formulas_are_quoted_and_the_rest_is_as_it_was() {
        for (text, written) in [
            ("gm", "gm"),
            ("", ""),
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\tx", "'\tx"),
            ("\rx", "\"'\rx\""),
            ("\nx", "\"'\nx\""),
            ("a,b", "\"a,b\""),
            ("say \"gm\"", "\"say \"\"gm\"\"\""),
            ("=HYPERLINK(\"x\",\"y\")", "\"'=HYPERLINK(\"\"x\"\",\"\"y\"\")\""),
            ("a=b", "a=b"),
        ] {
            assert_eq!(cell(text), written);
        }
    }
}
