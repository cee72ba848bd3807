//! The services, by what their admin ports say.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Findings, PATIENCE};

/// A page of metrics is some hundred kilobytes.
const MOST_BYTES: usize = 8 << 20;

/// Metrics that are 0 on a mesh that works, what they mean, and the entry of the runbook.
const SHOULD_BE_ZERO: [(&str, &str, &str); 11] = [
    (
        "tgmesh_listener_publish_failures_total",
        "events were refused by the stream for good",
        "TgmeshPublishFailures",
    ),
    (
        "tgmesh_listener_unreachable_total",
        "message ids were given up",
        "TgmeshMessagesUnreachable",
    ),
    (
        "tgmesh_listener_ledger_open",
        "message ids are missing and being asked for",
        "TgmeshLedgerHoles",
    ),
    (
        "tgmesh_listener_chats_missing",
        "entries of MONITORED_CHATS are not seen by its accounts",
        "TgmeshChatsMissing",
    ),
    (
        "tgmesh_listener_rule_reload_failures_total",
        "times changed watch rules could not be used",
        "TgmeshWatchRulesBad",
    ),
    (
        "tgmesh_archiver_held_up",
        "times 1: the database takes no rows",
        "TgmeshDatabaseHeldUp",
    ),
    (
        "tgmesh_archiver_expired_total",
        "messages were discarded before they were rows",
        "TgmeshMessagesExpired",
    ),
    (
        "tgmesh_archiver_roll_up_errors_total",
        "steps of the roll-ups failed",
        "TgmeshRollUpsBehind",
    ),
    (
        "tgmesh_gateway_client_panics_total",
        "times the work for a client panicked",
        "TgmeshGatewayFaults",
    ),
    (
        "tgmesh_gateway_undecodable_events_total",
        "messages of the stream could not be read",
        "TgmeshGatewayFaults",
    ),
    (
        "tgmesh_gateway_audit_lost_total",
        "entries of the audit log were lost",
        "TgmeshAuditLost",
    ),
];

pub(super) async fn look(admin: &BTreeMap<String, String>) -> Findings {
    let mut findings = Findings::default();
    if admin.is_empty() {
        let advice = "name their admin ports: --admin http://host:9090, once for each";
        findings.warn("services", "are not looked at: no admin port is known", (advice, None));
        return findings;
    }
    // Never by a proxy: these are addresses of the mesh itself.
    let http = match reqwest::Client::builder().no_proxy().timeout(PATIENCE).build() {
        Ok(http) => http,
        Err(error) => {
            findings.fail("services", error.to_string(), ("report it", None));
            return findings;
        }
    };
    for (name, url) in admin {
        let url = url.trim_end_matches('/');
        readiness(&http, name, url, &mut findings).await;
        if let Some(page) = get(&http, &format!("{url}/metrics")).await {
            figures(name, &page, &mut findings);
        }
    }
    findings
}

async fn readiness(http: &reqwest::Client, name: &str, url: &str, findings: &mut Findings) {
    let Some(answer) = get(http, &format!("{url}/readyz")).await else {
        let advice = "start it; the end of its log says why it ended";
        findings.fail(name, format!("does not answer at {url}"), (advice, Some("TgmeshDown")));
        return;
    };
    let report: Value = serde_json::from_str(&answer).unwrap_or_default();
    let parts = report["parts"].as_object().cloned().unwrap_or_default();
    let down: Vec<_> = parts
        .iter()
        .filter_map(|(part, state)| Some((part, state.as_str()?)))
        .filter(|(_, state)| state.starts_with("down"))
        .map(|(part, state)| format!("{part} is {state}"))
        .collect();
    if report["ready"] == true {
        findings.ok(name, "is ready");
    } else {
        let found = format!(
            "is not ready: {}",
            if down.is_empty() {
                "it starts or stops".to_owned()
            } else {
                down.join(", ")
            }
        );
        findings.fail(
            name,
            found,
            ("mend what is down; it goes on by itself", Some("TgmeshNotReady")),
        );
    }
}

fn figures(name: &str, page: &str, findings: &mut Findings) {
    let value = |metric: &str| {
        let line = page
            .lines()
            .find_map(|line| line.strip_prefix(metric)?.strip_prefix(' '))?;
        line.split(' ').next()?.parse::<f64>().ok()
    };
    for (metric, meaning, alert) in SHOULD_BE_ZERO {
        if let Some(found) = value(metric).filter(|found| *found > 0.0) {
            let advice = format!("look at {metric} and at the log of that process");
            findings.warn(
                name,
                format!("{found} {meaning}, since it started"),
                (&advice, Some(alert)),
            );
        }
    }
    let own = |what: &str| {
        let suffix = format!("_{what}");
        let line = page
            .lines()
            .find(|line| line.split(' ').next().is_some_and(|metric| metric.ends_with(&suffix)))?;
        line.split(' ').nth(1)?.parse::<f64>().ok()
    };
    if let (Some(open), Some(most)) = (own("open_fds"), own("max_fds"))
        && open > 0.8 * most
    {
        let advice = "raise the limit (LimitNOFILE), or add a process";
        findings.warn(
            name,
            format!("{open} of {most} file descriptors are open"),
            (advice, Some("TgmeshFileDescriptors")),
        );
    }
}

async fn get(http: &reqwest::Client, url: &str) -> Option<String> {
    let mut answer = http.get(url).send().await.ok()?;
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.ok()? {
        if bytes.len() + chunk.len() > MOST_BYTES {
            return None;
        }
        bytes.extend_from_slice(&chunk);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[test]
    fn figures_that_should_be_zero_are_told() {
        let page = "# HELP tgmesh_archiver_held_up x.\ntgmesh_archiver_held_up 0\n\
                    tgmesh_archiver_expired_total 7\ntgmesh_archiver_open_fds 90\ntgmesh_archiver_max_fds 100\n";
        let mut findings = Findings::default();
        figures("archiver", page, &mut findings);
        let told: Vec<_> = findings.0.iter().map(|finding| finding.found.as_str()).collect();
        assert_eq!(
            told,
            [
                "7 messages were discarded before they were rows, since it started",
                "90 of 100 file descriptors are open"
            ]
        );
        assert_eq!(findings.worst(), Level::Warn);
        assert!(
            findings.to_string().contains("deploy/RUNBOOK.md#tgmeshmessagesexpired"),
            "{findings}"
        );
    }
}
