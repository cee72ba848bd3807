//! The memory of finds at a start: read from the stream.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tgmesh_lifecycle::clock;
use tgmesh_proto::{codec, subject};
use tgmesh_stream::{Mesh, StreamError, stream_state, window};

use crate::edits::{Edits, Key, MAX_MESSAGES};

/// Most events that are read: as many as there are messages to remember, and some more for those
/// with several finds.
const MAX_EVENTS: u64 = 2 * MAX_MESSAGES as u64;

/// Reads the last events of the stream. What cannot be read is left out: then an edit may tell a
/// find once more, which is better than not listening.
pub async fn rebuild(mesh: &Mesh, memory: Duration, accounts: &[Arc<str>]) -> Edits {
    let began = std::time::Instant::now();
    let mut edits = Edits::new(memory);
    let mut pause = Duration::from_millis(200);
    let events = loop {
        match read(mesh, &mut edits, memory, accounts).await {
            Ok(events) => break events,
            Err(error) if error.is_transient() => {
                tracing::warn!(%error, retry_ms = pause.as_millis() as u64, "couldn't read the stream, trying again");
                // What was read in part is read again from the start.
                edits = Edits::new(memory);
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(30));
            }
            Err(error) => {
                tracing::warn!(%error, "couldn't read the stream: edits of older messages may be told again");
                break 0;
            }
        }
    };
    let took_ms = began.elapsed().as_millis() as u64;
    tracing::info!(events, messages = edits.len(), took_ms, "read what was found before");
    edits
}

async fn read(mesh: &Mesh, edits: &mut Edits, memory: Duration, accounts: &[Arc<str>]) -> Result<u64, StreamError> {
    let numbers: HashMap<&str, u32> = accounts.iter().map(AsRef::as_ref).zip(0..).collect();
    let state = stream_state(mesh, subject::DETECTIONS).await?;
    if state.messages == 0 {
        return Ok(0);
    }
    let from = state.last_seq.saturating_sub(MAX_EVENTS).max(state.first_seq).max(1);
    let oldest_us = u64::try_from(clock::now_us())
        .unwrap_or(0)
        .saturating_sub(memory.as_micros() as u64);
    let mut window = window::read(mesh, subject::DETECTIONS, from, Some(state.last_seq), &[]).await?;
    let mut events = 0;
    while let Some(delivery) = window.next().await? {
        if delivery.published_us < oldest_us {
            continue;
        }
        let Ok(event) = codec::decode(&delivery.payload) else {
            continue;
        };
        let account = numbers.get(event.listener.account.as_str()).copied();
        let kind = event.chat.kind;
        let account_no = match account {
            Some(number) => number,
            None if kind.numbers_per_account() => continue,
            None => 0,
        };
        let key = Key::new(event.chat.id, kind, account_no, event.message.id);
        edits.replay(key, event, (delivery.published_us / 1_000_000) as i64);
        events += 1;
    }
    Ok(events)
}
