//! Pages of past events: what the tables give, merged, searched and reduced to what may be seen.

use std::sync::Arc;

use tgmesh_proto::detection::Detection;
use tgmesh_proto::matched::Match;
use tgmesh_store::history::{Key, Page, Window};

use super::answers::Event;
use super::filter::Asked;
use crate::filter::Matcher;
use crate::reader::{Reader, Unanswered};
use crate::rights::Role;

/// Rows that a page looks at: a filter that hardly anything passes costs about 10 ms a page.
const SCAN: u32 = 10_000;
/// The same where texts are searched: up to 4 MiB of them.
const TEXT_SCAN: u32 = 1000;

/// A page of both tables.
#[derive(Debug, PartialEq)]
pub struct Events {
    /// Newest first.
    pub items: Vec<Event>,
    /// Where the next page begins.
    pub next: Option<Key>,
}

/// Reads a page.
///
/// # Errors
/// See [`Unanswered`].
pub async fn page(
    reader: &Reader,
    asked: &Asked,
    role: Role,
    before: Option<Key>,
    limit: u32,
) -> Result<Events, Unanswered> {
    let page = match &asked.text {
        None => Page {
            before,
            limit,
            scan: SCAN,
        },
        Some(_) => Page {
            before,
            limit: TEXT_SCAN,
            scan: TEXT_SCAN,
        },
    };
    let history = reader.store().history();
    let detections = reader.ask(history.detections(&asked.wanted, page)).await?;
    let matches = if asked.matches {
        reader.ask(history.matches(&asked.wanted, page)).await?
    } else {
        Window::default()
    };
    let found = match &asked.text {
        None => merge(detections, matches),
        Some(text) => {
            let text = Arc::clone(text);
            let search = move || search(&text, merge(detections, matches));
            match tokio::task::spawn_blocking(search).await {
                Ok(found) => found,
                Err(broken) => std::panic::resume_unwind(broken.into_panic()),
            }
        }
    };
    Ok(cut(found, limit as usize, role))
}

/// Both in one order, down to where both were looked at.
fn merge(detections: Window<Detection>, matches: Window<Match>) -> Window<Event> {
    let below = detections.below.max(matches.below);
    let detections = detections
        .rows
        .into_iter()
        .map(|(key, event)| (key, Event::Detection(Box::new(event))));
    let matches = matches
        .rows
        .into_iter()
        .map(|(key, event)| (key, Event::Match(Box::new(event))));
    let mut rows: Vec<_> = detections
        .chain(matches)
        .filter(|(key, _)| below.is_none_or(|below| *key >= below))
        .collect();
    rows.sort_by_key(|(key, _)| std::cmp::Reverse(*key));
    Window { rows, below }
}

fn search(text: &Matcher, mut found: Window<Event>) -> Window<Event> {
    found.rows.retain(|(_, event)| {
        text.text_matches(match event {
            Event::Detection(event) => &event.message.text,
            Event::Match(event) => &event.message.text,
        })
    });
    found
}

fn cut(mut found: Window<Event>, limit: usize, role: Role) -> Events {
    let next = if found.rows.len() > limit {
        found.rows.truncate(limit);
        found.rows.last().map(|(key, _)| *key)
    } else {
        found.below
    };
    let items = found.rows.into_iter().map(|(_, event)| reduce(event, role)).collect();
    Events { items, next }
}

/// Takes away what live frames of this role do not have either.
fn reduce(event: Event, role: Role) -> Event {
    if role.sees_everything() {
        return event;
    }
    match event {
        Event::Detection(mut event) => {
            event.sender = None;
            event.seen_before = None;
            Event::Detection(event)
        }
        Event::Match(mut event) => {
            event.sender = None;
            Event::Match(event)
        }
    }
}
