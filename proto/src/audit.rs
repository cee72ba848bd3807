//! The audit event: who did or watched what, and when.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::SCHEMA_VERSION;
use crate::id::{self, EventId};

/// One entry of the audit log, as it is published on `tgmesh.v1.audit.<service>.<event>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditEvent {
    /// Schema version, `major.minor.patch`; the same major number is readable.
    pub schema_version: String,
    /// Idempotency key, see [`AuditEvent::with_id`].
    pub id: EventId,
    /// Service that tells it, as in the subject: `gateway`, `tgmesh`, …
    pub service: String,
    /// What happened, as in the subject: `login`, `subscribe`, `erase`, …
    pub event: String,
    /// When, in microseconds since the epoch, on that service's clock.
    pub at_us: i64,
    /// Instance name of the process.
    pub instance: String,
    /// Who did it: the `sub` of a token, an account, a user of the host; nil where nobody did.
    #[serde(default)]
    pub actor: Option<String>,
    /// To what: `chat:-100…`, `sender:42`, `stream:DETECTIONS`, …
    #[serde(default)]
    pub target: Option<String>,
    /// What else is to be known. Never a secret, never a message's text.
    #[serde(default)]
    pub detail: BTreeMap<String, String>,
}

/// Longest text of an entry, in bytes; what is longer is cut.
const LONGEST: usize = 512;

impl AuditEvent {
    /// An entry of a service's process about something that happens now, with an id of its own.
    ///
    /// Texts are cut to 512 bytes, so that every entry can be written.
    #[must_use]
    pub fn new<'a>(
        (service, instance): (&str, &str),
        event: &str,
        at_us: i64,
        actor: Option<&str>,
        target: Option<&str>,
        detail: impl IntoIterator<Item = (&'a str, String)>,
    ) -> Self {
        let cut = |text: &str| text[..text.floor_char_boundary(LONGEST)].to_owned();
        Self {
            schema_version: SCHEMA_VERSION.to_owned(),
            id: EventId::from_bytes([0; 16]),
            service: cut(service),
            event: cut(event),
            at_us,
            instance: cut(instance),
            actor: actor.map(cut),
            target: target.map(cut),
            detail: detail.into_iter().map(|(key, value)| (cut(key), cut(&value))).collect(),
        }
        .with_id()
    }

    /// Sets the id: the first 16 bytes of SHA-256 over `v1`, `audit`, service, event, time,
    /// instance, actor, target (each empty where there is none), and the keys and values of
    /// `detail` in the order of the keys, joined by a zero byte. An event that is published again
    /// has the same id.
    #[must_use]
    pub fn with_id(mut self) -> Self {
        let at = self.at_us.to_string();
        let head = [
            "audit",
            &self.service,
            &self.event,
            &at,
            &self.instance,
            self.actor.as_deref().unwrap_or_default(),
            self.target.as_deref().unwrap_or_default(),
        ];
        let detail = self
            .detail
            .iter()
            .flat_map(|(key, value)| [key.as_str(), value.as_str()]);
        self.id = id::of_parts(head.into_iter().chain(detail));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> AuditEvent {
        AuditEvent {
            schema_version: SCHEMA_VERSION.to_owned(),
            id: EventId::from_bytes([0; 16]),
            service: "tgmesh".to_owned(),
            event: "erase".to_owned(),
            at_us: 1_795_435_200_000_000,
            instance: "ops-1".to_owned(),
            actor: Some("ann".to_owned()),
            target: Some("sender:42".to_owned()),
            detail: BTreeMap::from([("rows".to_owned(), "7".to_owned())]),
        }
    }

    #[test]
    fn the_id_depends_on_everything_that_is_told() {
        let id = event().with_id().id;
        assert_eq!(event().with_id().id, id);
        // Computed by Python's hashlib from the words above.
        assert_eq!(id.to_string(), "a1de0c6e8b27bfd4736dba8ee9ab2d85");
        let changes: [fn(&mut AuditEvent); 7] = [
            |e| e.service = "gateway".to_owned(),
            |e| e.event = "login".to_owned(),
            |e| e.at_us += 1,
            |e| e.instance = "ops-2".to_owned(),
            |e| e.actor = None,
            |e| e.target = Some("sender:43".to_owned()),
            |e| e.detail.clear(),
        ];
        for change in changes {
            let mut other = event();
            change(&mut other);
            assert_ne!(other.with_id().id, id);
        }
    }
}
