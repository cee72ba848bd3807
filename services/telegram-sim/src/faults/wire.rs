//! Faults as the control port reads and shows them, and what makes one impossible.

use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

use super::armed::site;
use super::{Fault, FaultError, FaultKind, FaultReport, MAX_HELD, Of};

const MAX_NAME: usize = 64;
const MAX_LASTS: Duration = Duration::from_hours(24);

/// The fields beside those of the kind.
#[derive(Deserialize, Serialize)]
struct Fields {
    #[serde(default, skip_serializing)]
    id: Option<String>,
    #[serde(default)]
    account: Option<String>,
    #[serde(default)]
    chat_id: Option<i64>,
    #[serde(default)]
    of: Option<Of>,
    #[serde(default)]
    probability: Option<f64>,
    #[serde(default)]
    count: Option<u64>,
    #[serde(default)]
    for_ms: Option<u64>,
    #[serde(default)]
    seed: u64,
    #[serde(flatten)]
    kind: Map<String, Value>,
}

impl Fault {
    /// Reads what `POST /faults` takes.
    ///
    /// # Errors
    /// [`FaultError::Bad`] for what is no fault, a field that its kind does not have included.
    pub fn from_json(body: &[u8]) -> Result<Self, FaultError> {
        let bad = |error: serde_json::Error| FaultError::Bad(error.to_string());
        let fields: Fields = serde_json::from_slice(body).map_err(bad)?;
        let kind = FaultKind::deserialize(Value::Object(fields.kind.clone())).map_err(bad)?;
        // serde cannot refuse unknown fields beside flattened ones, and a misspelt scope would
        // strike everyone.
        let known = kind_fields(&kind);
        if let Some(field) = fields.kind.keys().find(|field| !known.contains_key(*field)) {
            return Err(FaultError::Bad(format!("this kind has no field {field}")));
        }
        Ok(Self {
            id: fields.id,
            kind,
            account: fields.account,
            chat_id: fields.chat_id,
            of: fields.of,
            probability: fields.probability,
            count: fields.count,
            lasts: fields.for_ms.map(Duration::from_millis),
            seed: fields.seed,
        })
    }

    /// What is wrong with it, as far as the world's accounts and chats do not matter.
    pub(super) fn problem(&self) -> Option<String> {
        let told = |text: &str| Some(text.to_owned());
        let within = |value: u64, least: u64, most: u64, what: &str| {
            (!(least..=most).contains(&value)).then(|| format!("{what} has to be from {least} to {most}"))
        };
        let sites = site::of(&self.kind);
        if self
            .id
            .as_ref()
            .is_some_and(|id| id.is_empty() || id.len() > MAX_NAME || id.contains('/'))
        {
            return told("id has to have 1 to 64 bytes and no slash");
        }
        if self.probability.is_some_and(|p| !(0.0..=1.0).contains(&p)) {
            return told("probability has to be from 0 to 1");
        }
        if self.count == Some(0) {
            return told("count has to be at least 1");
        }
        if self.lasts.is_some_and(|time| time.is_zero() || time > MAX_LASTS) {
            return told("for_ms has to be from 1 to 86400000");
        }
        if self.of.is_some() && sites != site::PUSH {
            return told("of is for faults of pushes");
        }
        if self.account.is_some() && sites & site::POST != 0 {
            return told("what happens to a message happens to it for all accounts");
        }
        let nowhere = sites & (site::LINK | site::PACKET | site::ONCE | site::MUTE) != 0
            || matches!(
                self.kind,
                FaultKind::SignedOut { .. } | FaultKind::DifferenceTooLong { .. }
            );
        if self.chat_id.is_some() && nowhere {
            return told("what befalls an account or its connections is in no chat");
        }
        let once = sites & site::ONCE != 0;
        let standing = sites & site::STANDING != 0;
        if (once || standing) && (self.probability.is_some() || self.count.is_some()) {
            return told("this kind knows neither probability nor count");
        }
        if once && self.lasts.is_some() {
            return told("this kind happens once");
        }
        match &self.kind {
            FaultKind::Duplicated { copies } => within(u64::from(*copies), 1, 100, "copies"),
            FaultKind::Reordered { window, hold_ms } => {
                within(*window as u64, 2, 1_000, "window").or_else(|| within(*hold_ms, 1, 60_000, "hold_ms"))
            }
            FaultKind::Burst { size: Some(size) } => within(*size as u64, 1, MAX_HELD as u64, "size"),
            FaultKind::Late { after_ms } => within(*after_ms, 1, 3_600_000, "after_ms"),
            FaultKind::Delay { ms, .. } => within(*ms, 1, 600_000, "ms"),
            FaultKind::BadMessage { code } if ![16, 17, 18, 19, 20, 32, 33, 34, 35, 64].contains(code) => {
                told("code has to be one of 16 to 20, 32 to 35 and 64; 48 is bad_salt")
            }
            FaultKind::ChannelLost { message } | FaultKind::SignedOut { message } if !is_error(message) => {
                told("message has to be an error of Telegram's, such as CHANNEL_PRIVATE")
            }
            FaultKind::RpcError { message, .. } if message.is_empty() || message.len() > 100 => {
                told("message has to have 1 to 100 bytes")
            }
            _ => None,
        }
    }
}

fn is_error(message: &str) -> bool {
    (1..=100).contains(&message.len()) && message.bytes().all(|b| b.is_ascii_uppercase() || b == b'_')
}

/// The kind's own fields; those that stand empty included.
fn kind_fields(kind: &FaultKind) -> Map<String, Value> {
    match serde_json::to_value(kind) {
        Ok(Value::Object(fields)) => fields,
        // A tagged enum of plain values is always an object.
        _ => Map::new(),
    }
}

impl Serialize for FaultReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Line<'a> {
            id: &'a str,
            #[serde(flatten)]
            fields: Fields,
            hits: u64,
            active: bool,
        }
        let fault = &self.fault;
        Line {
            id: &self.id,
            fields: Fields {
                id: None,
                account: fault.account.clone(),
                chat_id: fault.chat_id,
                of: fault.of,
                probability: fault.probability,
                count: fault.count,
                for_ms: fault
                    .lasts
                    .map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
                seed: fault.seed,
                kind: kind_fields(&fault.kind),
            },
            hits: self.hits,
            active: self.active,
        }
        .serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_fault_is_read_and_shown_alike() {
        let body = br#"{"kind": "flood_wait", "seconds": 3, "account": "sim-1", "probability": 0.5, "for_ms": 20}"#;
        let fault = Fault::from_json(body).unwrap();
        let expected = Fault::new(FaultKind::FloodWait {
            seconds: 3,
            method: None,
        })
        .account("sim-1")
        .probability(0.5)
        .lasts(Duration::from_millis(20));
        assert_eq!(fault, expected);
        let shown = serde_json::to_value(FaultReport {
            id: "a".into(),
            fault,
            hits: 2,
            active: true,
        })
        .unwrap();
        for (field, value) in [("id", json!("a")), ("kind", json!("flood_wait")), ("hits", json!(2))] {
            assert_eq!(shown[field], value, "{shown}");
        }
        assert_eq!((&shown["seconds"], &shown["for_ms"]), (&json!(3), &json!(20)));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let read = |body: &str| {
            let fault = Fault::from_json(body.as_bytes()).map_err(|error| error.to_string())?;
            fault.problem().map_or(Ok(()), Err)
        };
        assert_eq!(read(r#"{"kind": "lost", "probability": 0.1, "of": "delete"}"#), Ok(()));
        assert_eq!(
            read(r#"{"kind": "rpc_error", "code": -503, "message": "Timeout"}"#),
            Ok(())
        );
        for bad in [
            "{}",
            r#"{"kind": "lost", "chat": -1}"#,
            r#"{"kind": "rust"}"#,
            r#"{"kind": "flood_wait"}"#,
            r#"{"kind": "lost", "probability": 1.5}"#,
            r#"{"kind": "lost", "count": 0}"#,
            r#"{"kind": "lost", "for_ms": 0}"#,
            r#"{"kind": "lost", "id": "a/b"}"#,
            r#"{"kind": "mute", "of": "new"}"#,
            r#"{"kind": "mute", "chat_id": -40}"#,
            r#"{"kind": "signed_out", "message": "SESSION_REVOKED", "chat_id": -40}"#,
            r#"{"kind": "close", "for_ms": 5}"#,
            r#"{"kind": "close", "count": 5}"#,
            r#"{"kind": "late", "after_ms": 5, "account": "sim-1"}"#,
            r#"{"kind": "late", "after_ms": 0}"#,
            r#"{"kind": "reordered", "window": 1}"#,
            r#"{"kind": "bad_message", "code": 48}"#,
            r#"{"kind": "channel_lost", "message": "no!"}"#,
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
