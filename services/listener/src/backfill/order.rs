//! What is to be fetched, and how far that is: a value of `tgmesh_backfills`.

use serde::{Deserialize, Serialize};
use tgmesh_proto::detection::ChatKind;

/// Accounts that could not read a chat, noted at most.
const MAX_REFUSED: usize = 1_000;

/// An order, as JSON under its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The chat as it was asked for: a Bot API id, or a public name in lower case with `@`.
    pub chat: String,
    /// Messages from here on, seconds since the epoch.
    pub since_s: i64,
    /// Messages before this, seconds since the epoch.
    pub until_s: i64,
    /// The only account that is to read it.
    #[serde(default)]
    pub only: Option<String>,
    /// When it was given, milliseconds since the epoch.
    pub asked_ms: i64,
    /// What becomes of it.
    pub state: State,
    /// Why it failed.
    #[serde(default)]
    pub why: Option<String>,
    /// Telegram asked to wait until then, milliseconds since the epoch.
    #[serde(default)]
    pub waits_until_ms: Option<i64>,
    /// Who carries it out.
    #[serde(default)]
    pub owner: Option<Owner>,
    /// Accounts that cannot read the chat.
    #[serde(default)]
    pub refused: Vec<String>,
    /// How far it is, once that is known.
    #[serde(default)]
    pub place: Option<Place>,
    /// Messages that were searched.
    #[serde(default)]
    pub messages: u64,
    /// Addresses in them.
    #[serde(default)]
    pub finds: u64,
    /// Events that this made: finds and matches that the streams did not hold.
    #[serde(default)]
    pub events: u64,
    /// Messages that this client cannot read.
    #[serde(default)]
    pub unreadable: u64,
    /// Requests to Telegram.
    #[serde(default)]
    pub requests: u64,
    /// When it was begun, milliseconds since the epoch.
    #[serde(default)]
    pub began_ms: Option<i64>,
    /// When anything of it changed last, milliseconds since the epoch.
    #[serde(default)]
    pub changed_ms: i64,
}

/// What becomes of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Nobody carries it out yet, or any more.
    Waiting,
    /// Somebody does.
    Running,
    /// Everything is in the streams.
    Done,
    /// It cannot be carried out.
    Failed,
    /// Somebody took it back.
    Cancelled,
}

/// Who carries an order out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// The account.
    pub account: String,
    /// The process that has it.
    pub instance: String,
    /// Epoch of the lease under which it has it.
    pub epoch: u64,
}

/// How far an order is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Bot API id of the chat.
    pub chat_id: i64,
    /// Its kind.
    pub kind: ChatKind,
    /// Its title.
    pub title: String,
    /// Whose message ids these are; they matter in private chats and basic groups alone.
    pub account: String,
    /// The last message before the order's time.
    pub from: i32,
    /// The last one within it.
    pub to: i32,
    /// The last one that is done.
    pub at: i32,
    /// Its date, seconds since the epoch.
    pub at_s: i64,
}

impl Order {
    /// A new one.
    #[must_use]
    pub fn new(chat: String, (since_s, until_s): (i64, i64), only: Option<String>, now_ms: i64) -> Self {
        Self {
            chat,
            since_s,
            until_s,
            only,
            asked_ms: now_ms,
            state: State::Waiting,
            why: None,
            waits_until_ms: None,
            owner: None,
            refused: Vec::new(),
            place: None,
            messages: 0,
            finds: 0,
            events: 0,
            unreadable: 0,
            requests: 0,
            began_ms: None,
            changed_ms: now_ms,
        }
    }

    /// How much of it is done, from 0 to 1; nothing before it is known how much there is.
    #[must_use]
    pub fn part(&self) -> Option<f64> {
        if self.state == State::Done {
            return Some(1.0);
        }
        let place = self.place.as_ref()?;
        let all = i64::from(place.to) - i64::from(place.from);
        if all <= 0 {
            return Some(1.0);
        }
        let done = i64::from(place.at) - i64::from(place.from);
        Some((done as f64 / all as f64).clamp(0.0, 1.0))
    }

    /// Notes that an account cannot read the chat.
    pub fn refuse(&mut self, account: &str) {
        if self.refused.len() < MAX_REFUSED && !self.refused.iter().any(|known| known == account) {
            self.refused.push(account.to_owned());
        }
    }
}

impl State {
    /// Whether nothing more becomes of it.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }

    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_much_is_done() {
        let mut order = Order::new("-1001".to_owned(), (0, 10), None, 0);
        assert_eq!(order.part(), None);
        let place = Place {
            chat_id: -1001,
            kind: ChatKind::Channel,
            title: String::new(),
            account: "a".to_owned(),
            from: i32::MIN,
            to: i32::MAX,
            at: i32::MIN,
            at_s: 0,
        };
        order.place = Some(place.clone());
        assert_eq!(order.part(), Some(0.0));
        for (from, to, at, part) in [(10, 10, 10, 1.0), (10, 20, 15, 0.5), (10, 20, 99, 1.0)] {
            order.place = Some(Place {
                from,
                to,
                at,
                ..place.clone()
            });
            assert_eq!(order.part(), Some(part));
        }
    }

    #[test]
    fn an_order_of_an_earlier_version_is_read() {
        let order = r#"{"chat":"@alpha","since_s":1,"until_s":2,"asked_ms":3,"state":"waiting","later":1}"#;
        let order: Order = serde_json::from_str(order).unwrap();
        assert_eq!(
            (order.chat.as_str(), order.state, order.finds),
            ("@alpha", State::Waiting, 0)
        );
    }
}
