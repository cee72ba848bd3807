//! NATS subjects and the names of streams and buckets.

use crate::detection::Family;

/// Stream of detection events.
pub const DETECTIONS: &str = "DETECTIONS";
/// Stream of events without an address: `rule_matched`, `unresolved_link`.
pub const MATCHES: &str = "MATCHES";
/// Stream of audit events; nothing in it can be deleted or purged.
pub const AUDIT: &str = "AUDIT";
/// Stream of messages that a consumer could not handle.
pub const DEADLETTERS: &str = "DEADLETTERS";

/// Every detection.
pub const DETECTIONS_ALL: &str = "tgmesh.v1.detections.>";
/// Every match.
pub const MATCHES_ALL: &str = "tgmesh.v1.matches.>";
/// Every audit event.
pub const AUDIT_ALL: &str = "tgmesh.v1.audit.>";
/// Every dead letter.
pub const DEADLETTERS_ALL: &str = "tgmesh.v1.deadletters.>";
/// Every stats report (core NATS, in no stream).
pub const STATS_ALL: &str = "tgmesh.v1.stats.>";
/// Ids of traces whose spans are asked for after the fact (core NATS, in no stream).
pub const TRACES: &str = "tgmesh.v1.traces";

/// KV bucket of account leases.
pub const LEASES: &str = "tgmesh_leases";
/// KV bucket of sealed sessions.
pub const SESSIONS: &str = "tgmesh_sessions";
/// KV bucket of the continuity ledger.
pub const LEDGER: &str = "tgmesh_ledger";
/// KV bucket of chat assignments.
pub const ASSIGNMENTS: &str = "tgmesh_assignments";
/// KV bucket of orders for history.
pub const BACKFILLS: &str = "tgmesh_backfills";
/// What listeners know of their accounts' channels; key: account. Its age is bounded.
pub const FIGURES: &str = "tgmesh_figures";
/// KV bucket of revoked tokens and subjects.
pub const REVOCATIONS: &str = "tgmesh_revocations";
/// KV bucket of what is asked of tracing at run time.
pub const TRACING: &str = "tgmesh_tracing";

const DETECTIONS_PREFIX: &str = "tgmesh.v1.detections.";

/// `tgmesh.v1.detections.<chat_id>.<family>`
#[must_use]
pub fn detection(chat_id: i64, family: Family) -> String {
    format!("{DETECTIONS_PREFIX}{chat_id}.{}", family.as_str())
}

/// `tgmesh.v1.detections.<chat_id>.*`
#[must_use]
pub fn detections_of(chat_id: i64) -> String {
    format!("{DETECTIONS_PREFIX}{chat_id}.*")
}

/// Chat id and family of a detection's subject; nothing if it is none.
#[must_use]
pub fn parse_detection(subject: &str) -> Option<(i64, Family)> {
    let (chat, family) = subject.strip_prefix(DETECTIONS_PREFIX)?.split_once('.')?;
    Some((chat.parse().ok()?, Family::parse(family)?))
}

/// `tgmesh.v1.matches.<chat_id>`
#[must_use]
pub fn matches(chat_id: i64) -> String {
    format!("tgmesh.v1.matches.{chat_id}")
}

/// `tgmesh.v1.audit.<service>.<event>`
#[must_use]
pub fn audit(service: &str, event: &str) -> String {
    format!("tgmesh.v1.audit.{}.{}", token(service), token(event))
}

/// `tgmesh.v1.deadletters.<consumer>`
#[must_use]
pub fn deadletter(consumer: &str) -> String {
    format!("tgmesh.v1.deadletters.{}", token(consumer))
}

/// `tgmesh.v1.stats.<service>.<instance>`
#[must_use]
pub fn stats(service: &str, instance: &str) -> String {
    format!("tgmesh.v1.stats.{}.{}", token(service), token(instance))
}

/// One token of a subject: what NATS gives a meaning to (dots, wildcards, white space, control
/// characters) becomes `_`, so that a host name with dots stays one token.
fn token(text: &str) -> String {
    if text.is_empty() {
        return "_".to_owned();
    }
    text.chars()
        .map(|c| {
            if c.is_control() || c.is_whitespace() || matches!(c, '.' | '*' | '>') {
                '_'
            } else {
                c
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detection_subjects_round_trip() {
        for family in Family::ALL {
            for chat in [-1_001_234_567_890, -42, 0, 777_000, i64::MIN, i64::MAX] {
                assert_eq!(parse_detection(&detection(chat, family)), Some((chat, family)));
            }
        }
    }

    #[test]
    fn foreign_subjects_are_none() {
        for subject in [
            "",
            "tgmesh.v1.detections.",
            "tgmesh.v1.detections.1",
            "tgmesh.v1.detections.x.evm",
            "tgmesh.v1.detections.1.evm.x",
            "tgmesh.v2.detections.1.evm",
        ] {
            assert_eq!(parse_detection(subject), None, "{subject}");
        }
    }

    #[test]
    fn names_stay_one_token() {
        assert_eq!(
            stats("gateway", "pod-1.example.com 7>*"),
            "tgmesh.v1.stats.gateway.pod-1_example_com_7__"
        );
        assert_eq!(deadletter(""), "tgmesh.v1.deadletters._");
    }
}
