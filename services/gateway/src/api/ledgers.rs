//! What operators look after: dead letters and the audit log.

use std::collections::BTreeMap;
use std::time::Duration;

use tgmesh_proto::detection::Family;
use tgmesh_store::audit::Wanted;
use tgmesh_store::history::Key;
use tgmesh_stream::deadletter::{self, Letter};
use tgmesh_stream::{Mesh, StreamError};
use warp::reply::Response;

use super::answers::{AuditEntries, DeadLetter, DeadLetters};
use super::detections::{DEFAULT_LIMIT, MAX_LIMIT};
use super::fault::Fault;
use super::{Call, cursor, params, reply};
use crate::rights::Rights;

/// Longest time that the stream of dead letters may take.
const LETTERS_WITHIN: Duration = Duration::from_secs(5);

/// `/api/deadletters`.
///
/// # Errors
/// See [`Fault`].
pub async fn dead_letters(call: &Call<'_>) -> Result<Response, Fault> {
    call.operator()?;
    call.accept_json()?;
    let mut params = call.params()?;
    let after = params.read("cursor", params::number(0..=u64::MAX - 1))?.unwrap_or(0);
    let limit = params
        .read("limit", params::number(1..=MAX_LIMIT))?
        .unwrap_or(DEFAULT_LIMIT) as usize;
    params.finish()?;
    let mesh = call.gateway.mesh.get().ok_or(Fault::NotReady("not ready yet"))?;
    let read = read_letters(mesh, after, limit, &call.grant.rights);
    match tokio::time::timeout(LETTERS_WITHIN, read).await {
        Ok(Ok(letters)) => Ok(reply(&letters)),
        Ok(Err(error)) => {
            tracing::warn!(%error, "the dead letters cannot be read");
            Err(Fault::NotReady("the stream of dead letters is away, wait a little"))
        }
        Err(_) => Err(Fault::NotReady("the stream of dead letters did not answer in time")),
    }
}

async fn read_letters(mesh: &Mesh, after: u64, limit: usize, rights: &Rights) -> Result<DeadLetters, StreamError> {
    let mut shelf = deadletter::open_from(mesh, after + 1).await?;
    let mut items = Vec::new();
    let mut looked_at = 0;
    let mut last = after;
    while let Some(letter) = shelf.next().await? {
        // Letters of other chats are looked at, too: the page stays bounded.
        if looked_at == limit {
            let next_cursor = Some(last.to_string());
            return Ok(DeadLetters { items, next_cursor });
        }
        looked_at += 1;
        last = letter.seq;
        if may_see(rights, &letter.subject) {
            items.push(shown(letter));
        }
    }
    Ok(DeadLetters {
        items,
        next_cursor: None,
    })
}

/// A letter is as open as what it holds: for rights to some chats or families, its subject decides.
/// Nothing tells its confidence.
fn may_see(rights: &Rights, subject: &str) -> bool {
    let is_open = rights.families.is_none() && rights.min_confidence <= 0.0;
    let mut words = subject.strip_prefix("tgmesh.v1.").unwrap_or_default().split('.');
    let (kind, chat, family) = (words.next(), words.next(), words.next());
    match (kind, chat.and_then(|chat| chat.parse().ok())) {
        (Some("detections"), Some(chat)) => {
            let family = family.and_then(Family::parse);
            rights.permit_chat(chat)
                && rights.min_confidence <= 0.0
                && rights
                    .families
                    .as_ref()
                    .is_none_or(|families| family.is_some_and(|family| families.contains(&family)))
        }
        (Some("matches"), Some(chat)) => rights.permit_chat(chat) && is_open,
        // Entries of the audit log and what is none of these.
        _ => rights.permit_every_chat() && is_open,
    }
}

fn shown(letter: Letter) -> DeadLetter {
    let mut headers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in letter.headers {
        headers.entry(name).or_default().push(value);
    }
    DeadLetter {
        seq: letter.seq,
        at_ms: letter.at_us / 1000,
        consumer: letter.consumer,
        stream: letter.stream,
        stream_seq: letter.stream_seq,
        subject: letter.subject,
        id: letter.id,
        reason: letter.reason,
        attempts: letter.attempts,
        bytes: letter.cut_from.unwrap_or(letter.payload.len() as u64),
        headers,
    }
}

/// `/api/audit`.
///
/// # Errors
/// See [`Fault`].
pub async fn audit(call: &Call<'_>) -> Result<Response, Fault> {
    call.operator()?;
    call.accept_json()?;
    let mut params = call.params()?;
    let before: Option<Key> = params.read("cursor", cursor::read)?;
    let limit = params
        .read("limit", params::number(1..=MAX_LIMIT))?
        .unwrap_or(DEFAULT_LIMIT) as u32;
    let wanted = Wanted {
        service: params.read("service", params::text)?,
        event: params.read("event", params::text)?,
        actor: params.read("actor", params::text)?,
        target: params.read("target", params::text)?,
        since_us: params.read("since", params::time)?,
        until_us: params.read("until", params::time)?,
        before: before.map(|key| (key.date_us, key.id)),
    };
    params.finish()?;
    let reader = call.reader()?;
    let mut items = reader.ask(reader.store().audit().read(&wanted, limit + 1)).await?;
    let is_more = items.len() > limit as usize;
    items.truncate(limit as usize);
    let last = items.last().filter(|_| is_more);
    let next_cursor = last.map(|entry| {
        cursor::write(Key {
            date_us: entry.at_us,
            id: entry.id,
        })
    });
    Ok(reply(&AuditEntries { items, next_cursor }))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::rights::{Chats, Role};

    #[test]
    fn letters_are_as_open_as_what_they_hold() {
        let everything = Rights {
            role: Role::Operator,
            chats: Chats::All,
            families: None,
            min_confidence: 0.0,
        };
        let one_chat = Rights {
            chats: Chats::none().with(-5),
            ..everything.clone()
        };
        let one_family = Rights {
            families: Some(BTreeSet::from([Family::Evm])),
            ..everything.clone()
        };
        let confident = Rights {
            min_confidence: 0.5,
            ..everything.clone()
        };
        for (subject, open_to) in [
            ("tgmesh.v1.detections.-5.evm", [true, true, true, false]),
            ("tgmesh.v1.detections.-5.ton", [true, true, false, false]),
            ("tgmesh.v1.detections.-6.evm", [true, false, true, false]),
            ("tgmesh.v1.matches.-5", [true, true, false, false]),
            ("tgmesh.v1.audit.gateway.login", [true, false, false, false]),
            ("nonsense", [true, false, false, false]),
        ] {
            let rights = [&everything, &one_chat, &one_family, &confident];
            assert_eq!(rights.map(|rights| may_see(rights, subject)), open_to, "{subject}");
        }
    }
}
