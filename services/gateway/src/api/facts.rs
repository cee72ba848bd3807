//! What is known of addresses, chats and senders.

use tgmesh_proto::detection::Family;
use tgmesh_store::addresses::{self, About, FirstSeen};
use tgmesh_store::known;
use warp::reply::Response;

use super::answers::{Address, Chat, Chats, Counts, First, Found, InChat, Next, Sender, Statistics};
use super::detections::{DEFAULT_LIMIT, MAX_LIMIT};
use super::fault::Fault;
use super::filter::{allowed, canonical};
use super::{Call, params, reply};
use crate::rights::Role;

/// Longest address that is looked up.
const MAX_ADDRESS_BYTES: usize = 256;
/// Chats that are told of an address.
const SPREAD: u32 = 100;

/// `/api/addresses/{address}`.
///
/// # Errors
/// See [`Fault`].
pub async fn address(call: &Call<'_>, address: &str) -> Result<Response, Fault> {
    call.accept_json()?;
    call.params()?.finish()?;
    if address.len() > MAX_ADDRESS_BYTES || address.contains('\0') {
        return Err(Fault::NotFound);
    }
    let address = canonical(address);
    let reader = call.reader()?;
    let allowed = allowed(&call.grant.rights);
    let addresses = reader.store().addresses();
    let about = reader.ask(addresses.about(&address, &allowed, SPREAD)).await?;
    let found = found(about, call.grant.rights.role);
    if found.is_empty() {
        return Err(Fault::NotFound);
    }
    Ok(reply(&Address { address, found }))
}

/// `/api/chats`.
///
/// # Errors
/// See [`Fault`].
pub async fn chats(call: &Call<'_>) -> Result<Response, Fault> {
    call.accept_json()?;
    let mut params = call.params()?;
    let after = params.read("cursor", params::id)?;
    let limit = params
        .read("limit", params::number(1..=MAX_LIMIT))?
        .unwrap_or(DEFAULT_LIMIT) as u32;
    params.finish()?;
    let reader = call.reader()?;
    let allowed = allowed(&call.grant.rights);
    let known = reader.store().known();
    let mut chats = reader
        .ask(known.chats(allowed.chats.as_deref(), after, limit + 1))
        .await?;
    let is_more = chats.len() > limit as usize;
    chats.truncate(limit as usize);
    let next_cursor = chats.last().filter(|_| is_more).map(|chat| chat.id.to_string());
    // They count every event of the chat.
    let may_count = call.grant.rights.role.sees_everything() && allowed.counts_every_event();
    let chat = |chat: known::KnownChat| Chat {
        id: chat.id,
        title: chat.title,
        username: chat.username,
        kind: chat.kind,
        statistics: may_count.then(|| statistics(&chat.statistics)),
    };
    Ok(reply(&Chats {
        items: chats.into_iter().map(chat).collect(),
        next_cursor,
    }))
}

/// `/api/senders/{id}`.
///
/// # Errors
/// See [`Fault`].
pub async fn sender(call: &Call<'_>, id: &str) -> Result<Response, Fault> {
    if !call.grant.rights.role.sees_everything() {
        return Err(Fault::Forbidden("a viewer may not see senders"));
    }
    call.accept_json()?;
    call.params()?.finish()?;
    let id = params::id(id).map_err(|problem| params::Bad::new("id", problem))?;
    let reader = call.reader()?;
    let allowed = allowed(&call.grant.rights);
    let sender = reader.ask(reader.store().known().sender(id, &allowed)).await?;
    let sender = sender.ok_or(Fault::NotFound)?;
    Ok(reply(&Sender {
        id: sender.id,
        name: sender.name,
        username: sender.username,
        kind: sender.kind,
        statistics: sender.statistics.as_ref().map(statistics),
    }))
}

fn found(about: About, role: Role) -> Vec<Found> {
    let mut spread = about.spread;
    let found = about.first_seen.into_iter().filter_map(|of| {
        let is_same = |place: &mut addresses::InChat| place.family == of.family && place.coin_type == of.coin_type;
        let spread: Vec<_> = spread.extract_if(.., is_same).collect();
        one(of, spread, role)
    });
    found.collect()
}

/// Nothing for a family of a later version.
fn one(of: FirstSeen, spread: Vec<addresses::InChat>, role: Role) -> Option<Found> {
    let at_us = of.first.as_ref().map_or(0, |first| first.at_us);
    let place = |place: addresses::InChat| {
        let behind_ms = (place.first.at_us - at_us).max(0).unsigned_abs() / 1000;
        Some(InChat {
            chat_id: place.first.chat_id?,
            behind_ms,
            first: first(&place.first, role),
            last_seen_ms: place.last_seen_us.map(|us| us / 1000),
            counts: counts(place.counts),
        })
    };
    Some(Found {
        family: Family::parse(&of.family)?,
        coin_type: of.coin_type,
        first: of.first.map(|of| first(&of, role)),
        next: of.next.map(|(chat_id, lead_ms)| Next { chat_id, lead_ms }),
        chats: of.chats,
        last_seen_ms: of.last_seen_us.map(|us| us / 1000),
        counts: counts(of.counts),
        spread: spread.into_iter().filter_map(place).collect(),
    })
}

fn first(of: &addresses::First, role: Role) -> First {
    First {
        at_ms: of.at_us / 1000,
        credited: of.credited,
        chat_id: of.chat_id,
        message_id: of.message_id,
        sender_id: of.sender_id.filter(|_| role.sees_everything()),
    }
}

fn counts(of: addresses::Counts) -> Counts {
    Counts {
        called: of.called,
        added_by_edit: of.added_by_edit,
        retracted: of.retracted,
    }
}

fn statistics(of: &known::Statistics) -> Statistics {
    Statistics {
        first_seen_ms: of.first_seen_us / 1000,
        last_seen_ms: of.last_seen_us / 1000,
        called: of.called,
        added_by_edit: of.added_by_edit,
        retracted: of.retracted,
        matched: of.matched,
    }
}
