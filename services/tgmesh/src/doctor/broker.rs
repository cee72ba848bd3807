//! NATS: its streams, what waits in them, and who has which account.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use serde::Deserialize;
use tgmesh_proto::subject;
use tgmesh_stream::kv::{Bucket, KvError};
use tgmesh_stream::{Mesh, NatsConfig, consume, stream_state, topology};

use super::{Findings, PATIENCE};

/// The consumer that all archivers share.
const ARCHIVER: &str = "archiver";
/// Messages that wait without anybody noticing.
const FEW: u64 = 10_000;
/// More assignments than this are not looked at one by one.
const MOST_CHATS: usize = 20_000;
const NAME: &str = "NATS";

pub(super) async fn look(config: &NatsConfig) -> Findings {
    let mut findings = Findings::default();
    let mesh = match tokio::time::timeout(PATIENCE, Mesh::connect(config, "tgmesh-doctor")).await {
        Ok(Ok(mesh)) => mesh,
        Ok(Err(error)) => {
            let advice = "check NATS_URL, NATS_CREDS and NATS_CA";
            findings.fail(
                NAME,
                format!("no connection can be set up: {error}"),
                (advice, Some("TgmeshNotReady")),
            );
            return findings;
        }
        Err(_) => {
            let advice = "start it, or check NATS_URL: nothing works without it";
            let found = format!("does not answer within {} s", PATIENCE.as_secs());
            findings.fail(NAME, found, (advice, Some("TgmeshNotReady")));
            return findings;
        }
    };
    findings.ok(NAME, "answers");
    let looking = async {
        streams(&mesh, config, &mut findings).await;
        for stream in [subject::DETECTIONS, subject::MATCHES, subject::AUDIT] {
            backlog(&mesh, stream, &mut findings).await;
        }
        dead_letters(&mesh, &mut findings).await;
        if let Err(error) = accounts(&mesh, &mut findings).await {
            let advice = ("run `tgmesh topology apply`", Some("TgmeshChatsUnwatched"));
            findings.fail("accounts", format!("cannot be looked at: {error}"), advice);
        }
    };
    if tokio::time::timeout(PATIENCE * 4, looking).await.is_err() {
        let advice = "look at the server's load and disk";
        findings.fail(
            NAME,
            "answers too slowly to be looked at",
            (advice, Some("TgmeshNotReady")),
        );
    }
    findings
}

async fn streams(mesh: &Mesh, config: &NatsConfig, findings: &mut Findings) {
    const SUBJECT: &str = "streams and buckets";
    match topology::diff(mesh, &topology::desired(config)).await {
        Ok(changes) if changes.is_empty() => findings.ok(SUBJECT, "are there as they should be"),
        Ok(changes) => {
            let list: Vec<_> = changes.iter().map(ToString::to_string).collect();
            let advice = "look at `tgmesh topology diff`, then run `tgmesh topology apply`";
            findings.warn(
                SUBJECT,
                format!("differ from what is wanted: {}", list.join("; ")),
                (advice, None),
            );
        }
        Err(error) => {
            let advice = "JetStream must be enabled (`nats-server -js`), and this user must be allowed to use it";
            findings.fail(SUBJECT, error.to_string(), (advice, Some("TgmeshNotReady")));
        }
    }
}

async fn backlog(mesh: &Mesh, stream: &str, findings: &mut Findings) {
    let standing = match consume::standing(mesh, stream, ARCHIVER).await {
        Ok(Some(standing)) => standing,
        Ok(None) => {
            let advice = "start an archiver: it makes its consumer";
            findings.warn(
                stream,
                "no archiver has ever read it",
                (advice, Some("TgmeshQueueGrows")),
            );
            return;
        }
        Err(error) => {
            findings.fail(
                stream,
                error.to_string(),
                ("run `tgmesh topology apply`", Some("TgmeshNotReady")),
            );
            return;
        }
    };
    let unacked = standing.unacked();
    let fill = standing
        .max_bytes
        .map_or(0.0, |most| standing.bytes as f64 / most as f64);
    let mut age = Duration::ZERO;
    if unacked > 0
        && let Ok(Some(stored_us)) = consume::stored_at(mesh, stream, standing.acked + 1).await
    {
        let now_us = tgmesh_lifecycle::clock::now_us().unsigned_abs();
        age = Duration::from_micros(now_us.saturating_sub(stored_us));
    }
    let aged = standing
        .max_age
        .map_or(0.0, |most| age.as_secs_f64() / most.as_secs_f64());
    // A full stream discards its oldest; that is a loss only where the oldest have no rows yet.
    let near = aged.max(if unacked > FEW { fill } else { 0.0 });
    let found = format!(
        "{unacked} messages wait for their rows, the oldest for {} s; the stream is {:.0} % full",
        age.as_secs(),
        fill * 100.0
    );
    if near > 0.5 {
        let advice = "raise STREAM_MAX_AGE or STREAM_MAX_BYTES, run `tgmesh topology apply`, then find what holds the archivers up";
        findings.fail(stream, found, (advice, Some("TgmeshHeadroomLow")));
    } else if unacked > FEW || age > Duration::from_mins(1) {
        findings.warn(
            stream,
            found,
            ("look at the archivers and at Postgres", Some("TgmeshQueueGrows")),
        );
    } else {
        findings.ok(stream, found);
    }
}

async fn dead_letters(mesh: &Mesh, findings: &mut Findings) {
    const SUBJECT: &str = "dead letters";
    match stream_state(mesh, subject::DEADLETTERS).await {
        Ok(state) if state.messages == 0 => findings.ok(SUBJECT, "none"),
        Ok(state) => {
            let advice = "see why with `tgmesh deadletters list`";
            let found = format!("{} messages could not be handled", state.messages);
            findings.warn(SUBJECT, found, (advice, Some("TgmeshDeadLetters")));
        }
        Err(error) => findings.fail(SUBJECT, error.to_string(), ("run `tgmesh topology apply`", None)),
    }
}

/// The fields of an assignment and of a mark that are of interest here.
#[derive(Deserialize)]
struct Assignment {
    account: String,
}

#[derive(Deserialize)]
struct Stopped {
    why: String,
}

async fn accounts(mesh: &Mesh, findings: &mut Findings) -> Result<(), KvError> {
    let sessions = Bucket::open(mesh, subject::SESSIONS).await?;
    let mut stopped = 0;
    for key in sessions.keys().await? {
        let Some(account) = key.strip_prefix("stopped.") else {
            continue;
        };
        let Some(entry) = sessions.get(&key).await? else {
            continue;
        };
        let why = serde_json::from_slice::<Stopped>(&entry.value)
            .map_or_else(|_| "no reason is told".to_owned(), |mark| mark.why);
        stopped += 1;
        let advice = format!("find out why, then sign in anew: `tgmesh login --account {account}`");
        findings.fail(
            "accounts",
            format!("{account} was stopped: {why}"),
            (&advice, Some("TgmeshAccountStopped")),
        );
    }
    let leases = Bucket::open(mesh, subject::LEASES).await?;
    let held: HashSet<String> = leases.keys().await?.into_iter().collect();
    if stopped == 0 {
        findings.ok(
            "accounts",
            format!("{} with a living listener, none stopped", held.len()),
        );
    }
    let assignments = Bucket::open(mesh, subject::ASSIGNMENTS).await?;
    let mut unwatched: BTreeMap<String, usize> = BTreeMap::new();
    let chats = assignments.keys().await?;
    for chat in chats.iter().take(MOST_CHATS) {
        let Some(entry) = assignments.get(chat).await? else {
            continue;
        };
        if let Ok(Assignment { account }) = serde_json::from_slice(&entry.value)
            && !held.contains(&account)
        {
            *unwatched.entry(account).or_default() += 1;
        }
    }
    if unwatched.is_empty() {
        findings.ok(
            "chats",
            format!("{} assigned, each to an account with a living listener", chats.len()),
        );
    }
    for (account, count) in unwatched {
        let found = format!("{count} are assigned to {account}, which is with no living listener");
        let advice = "start a listener with a free slot, or raise LISTENER_SLOTS";
        findings.fail("chats", found, (advice, Some("TgmeshChatsUnwatched")));
    }
    Ok(())
}
