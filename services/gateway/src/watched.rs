//! Whether somebody listens to every assigned chat.
//!
//! A listener that is gone cannot tell that it is gone, so the gateways look: an assignment names
//! the account that watches a chat, and the account's lease says whether a process has it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde::Deserialize;
use tgmesh_lifecycle::metrics::{Gauge, Metrics};
use tgmesh_proto::subject;
use tgmesh_stream::Mesh;
use tgmesh_stream::kv::{Bucket, Entry, KvError};
use tgmesh_stream::lease::{Board, Leases};
use tokio_util::sync::CancellationToken;

/// Between two looks at who lives, and between two tries to follow the buckets.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// More chats than an account of Telegram can join, a hundred times over.
const MOST_CHATS: usize = 100_000;

/// What is told of it.
struct Figures {
    assigned: Gauge,
    unwatched: Gauge,
    leased: Gauge,
}

/// The account of an assignment; the rest is the listeners' business.
#[derive(Deserialize)]
struct Assignment {
    account: String,
}

/// Follows assignments and leases until the process stops.
pub async fn follow(mesh: Mesh, instance: String, metrics: Metrics, until: CancellationToken) {
    let figures = Figures {
        assigned: metrics.gauge("assigned_chats", "Chats that are assigned to an account"),
        unwatched: metrics.gauge(
            "unwatched_chats",
            "Assigned chats whose account is with no living listener",
        ),
        leased: metrics.gauge("leased_accounts", "Accounts that are with a living listener"),
    };
    let following = async {
        loop {
            if let Err(error) = read(&mesh, &instance, &figures).await {
                tracing::debug!(%error, "the assignments cannot be followed, trying again");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    until.run_until_cancelled(Box::pin(following)).await;
}

async fn read(mesh: &Mesh, instance: &str, figures: &Figures) -> Result<(), KvError> {
    let bucket = Bucket::open(mesh, subject::ASSIGNMENTS).await?;
    let leases = Leases::open(mesh, instance).await?;
    let mut owners = leases.watch().await?;
    let mut changes = bucket.watch(">").await?;
    let mut board = Board::new(leases.time());
    let mut accounts = HashMap::new();
    let mut looks = tokio::time::interval(LOOK_EVERY);
    // What is there already comes first; until then nobody seems to live.
    looks.reset();
    loop {
        tokio::select! {
            owner = owners.next() => match owner? {
                Some(entry) => { board.note(&entry, Instant::now()); }
                None => return Ok(()),
            },
            change = changes.next() => match change? {
                Some(entry) => note(&mut accounts, &entry),
                None => return Ok(()),
            },
            _ = looks.tick() => {
                let now = Instant::now();
                let unwatched = accounts.values().filter(|account| board.holder(account, now).is_none()).count();
                figures.assigned.set(accounts.len() as f64);
                figures.unwatched.set(unwatched as f64);
                figures.leased.set(board.held(now).count() as f64);
            }
        }
    }
}

fn note(accounts: &mut HashMap<String, String>, entry: &Entry) {
    let assignment = serde_json::from_slice::<Assignment>(&entry.value).ok();
    match assignment.filter(|assignment| !entry.deleted && !assignment.account.is_empty()) {
        Some(assignment) if accounts.len() < MOST_CHATS || accounts.contains_key(&entry.key) => {
            accounts.insert(entry.key.clone(), assignment.account);
        }
        Some(_) => tracing::error!(
            most = MOST_CHATS,
            "there are more assigned chats than a gateway looks after"
        ),
        None => {
            accounts.remove(&entry.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments_come_and_go() {
        let entry = |value: &str, deleted| Entry {
            key: "-1001".to_owned(),
            value: value.to_owned().into(),
            revision: 1,
            deleted,
        };
        let mut accounts = HashMap::new();
        note(
            &mut accounts,
            &entry(r#"{"account":"a","epoch":3,"seen_by":["a"]}"#, false),
        );
        assert_eq!(accounts.get("-1001").map(String::as_str), Some("a"));
        note(&mut accounts, &entry("no json", false));
        assert!(accounts.is_empty());
        note(&mut accounts, &entry(r#"{"account":"b"}"#, false));
        note(&mut accounts, &entry("", true));
        assert!(accounts.is_empty());
    }
}
