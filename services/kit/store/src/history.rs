//! Reading events back, newest first, page by page.
//!
//! A page costs about the same whatever is asked for. The rows that are looked at are bounded: first
//! the date is found down to which a page looks (an index tells), then what is wanted is picked from
//! there. So a page may hold fewer rows than asked for, even none, and still say where the next one
//! begins. The alternative, to look until the page is full, reads the whole table for a filter that
//! nothing passes.
//!
//! Pages go by key, never by offset: what comes in meanwhile moves no row to another page.

mod query;
mod rows;

use deadpool_postgres::Object;
use tgmesh_proto::detection::{Detection, Family};
use tgmesh_proto::frame::EventName;
use tgmesh_proto::id::EventId;
use tgmesh_proto::matched::Match;

use crate::error::StoreError;
use crate::pg::Time;
use crate::store::{Store, Task};
use query::{Driver, Query, Table};

/// Most values of a list that are looked up in an index one by one; longer lists are compared with
/// each row.
const MAX_LOOKED_UP: usize = 256;

/// Access to past events.
pub struct History<'a> {
    store: &'a Store,
}

/// The place of an event in the order of history: its message's date, then its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The message's date, µs since the epoch.
    pub date_us: i64,
    /// The event's id.
    pub id: EventId,
}

/// Which events are wanted. Lists are OR, fields are AND; an empty list lets nothing pass.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wanted {
    /// Bot API ids of chats.
    pub chats: Option<Vec<i64>>,
    /// Address families.
    pub families: Option<Vec<Family>>,
    /// Chains.
    pub chains: Option<Vec<String>>,
    /// Canonical addresses.
    pub addresses: Option<Vec<String>>,
    /// Ids of senders.
    pub senders: Option<Vec<i64>>,
    /// Names of watch rules.
    pub rules: Option<Vec<String>>,
    /// Smallest confidence.
    pub min_confidence: f64,
    /// Kinds of events.
    pub events: Option<Vec<EventName>>,
    /// In µs: an event is left out when an earlier one that passes the rest of this tells of the same
    /// address, with a message less than so much older.
    pub unique_within_us: Option<i64>,
    /// Whether events fetched from the past are wanted.
    pub backfill: bool,
    /// Message dates from here on, µs since the epoch.
    pub since_us: Option<i64>,
    /// Message dates before this, µs since the epoch.
    pub until_us: Option<i64>,
}

/// Which page.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// Below this place; from the newest on where there is none.
    pub before: Option<Key>,
    /// Most rows in the answer.
    pub limit: u32,
    /// Most rows to look at, about: those of one second are looked at together.
    pub scan: u32,
}

/// What a page holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Window<T> {
    /// Rows with their places, newest first.
    pub rows: Vec<(Key, T)>,
    /// Everything above was looked at; what may lie below was not. Nothing where nothing can.
    pub below: Option<Key>,
}

impl<T> Default for Window<T> {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            below: None,
        }
    }
}

impl Store {
    /// Past events.
    #[must_use]
    pub fn history(&self) -> History<'_> {
        History { store: self }
    }
}

impl History<'_> {
    /// Detections.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn detections(&self, wanted: &Wanted, page: Page) -> Result<Window<Detection>, StoreError> {
        self.read(Table::Detections, wanted, page, rows::detection).await
    }

    /// Matches: what asks for a family, an address or a confidence gets none.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn matches(&self, wanted: &Wanted, page: Page) -> Result<Window<Match>, StoreError> {
        self.read(Table::Matches, wanted, page, rows::matched).await
    }

    async fn read<T: Send>(
        &self,
        table: Table,
        wanted: &Wanted,
        page: Page,
        decode: fn(&tokio_postgres::Row) -> Result<(Key, T), StoreError>,
    ) -> Result<Window<T>, StoreError> {
        if table.refuses(wanted) {
            return Ok(Window::default());
        }
        let driver = Driver::of(table, wanted);
        let read = Read {
            table,
            wanted,
            page,
            driver,
            decode,
        };
        self.store.carry_out(&read).await
    }
}

struct Read<'a, T> {
    table: Table,
    wanted: &'a Wanted,
    page: Page,
    driver: Driver<'a>,
    decode: fn(&tokio_postgres::Row) -> Result<(Key, T), StoreError>,
}

impl<T: Send> Task for Read<'_, T> {
    type Output = Window<T>;

    async fn run(&self, client: &mut Object) -> Result<Window<T>, StoreError> {
        let Self {
            table,
            wanted,
            page,
            driver,
            decode,
        } = self;
        let edge = Query::edge(*table, wanted, *page, driver);
        let edge: Option<Time> = match client.query_typed(edge.text(), &edge.params()).await?.first() {
            Some(row) => row.try_get(0)?,
            None => None,
        };
        let query = Query::page(*table, wanted, *page, driver, edge);
        let found = client.query_typed(query.text(), &query.params()).await?;
        let mut rows = found.iter().map(decode).collect::<Result<Vec<_>, _>>()?;
        let limit = page.limit as usize;
        let below = if rows.len() > limit {
            rows.truncate(limit);
            rows.last().map(|(key, _)| *key)
        } else {
            // Every row of that second was looked at.
            edge.map(|Time(date_us)| Key {
                date_us,
                id: EventId::from_bytes([0; 16]),
            })
        };
        Ok(Window { rows, below })
    }
}
