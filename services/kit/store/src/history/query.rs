//! The two statements of a page, put together from what is wanted. Every value is a parameter.

use std::fmt::Write as _;

use tgmesh_proto::frame::EventName;
use tokio_postgres::types::{ToSql, Type};

use super::{MAX_LOOKED_UP, Page, Wanted};
use crate::pg::{Time, Uuid};

/// Which table is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    Detections,
    Matches,
}

/// What leads to the rows: an index on one column, looked up for each value, or the order of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Driver<'a> {
    Addresses(&'a [String]),
    Senders(&'a [i64]),
    Chats(&'a [i64]),
    Time,
}

/// A statement with its parameters.
pub(super) struct Query {
    text: String,
    values: Vec<(Box<dyn ToSql + Sync + Send>, Type)>,
}

impl Table {
    fn name(self) -> &'static str {
        match self {
            Self::Detections => "detections",
            Self::Matches => "matches",
        }
    }

    /// In the order in which `rows` reads them.
    fn columns(self) -> &'static str {
        match self {
            Self::Detections => {
                "d.message_date, d.id, d.event, d.family, d.chain, d.address, d.coin_type, d.role, d.method, \
                 d.confidence, d.chat_id, d.message_id, d.revision, d.edit_date, d.sender_id, d.received_at, \
                 d.detected_at, d.published_at, d.text, d.detail"
            }
            Self::Matches => {
                "d.message_date, d.id, d.event, d.chain, d.site, d.raw, d.link, d.chat_id, d.message_id, d.revision, \
                 d.edit_date, d.sender_id, d.received_at, d.detected_at, d.published_at, d.text, d.detail"
            }
        }
    }

    fn knows(self, event: EventName) -> bool {
        let is_match = matches!(event, EventName::RuleMatched | EventName::UnresolvedLink);
        is_match == (self == Self::Matches)
    }

    /// Whether no row of this table can be wanted, without asking for one.
    pub fn refuses(self, wanted: &Wanted) -> bool {
        let about_addresses = wanted.families.is_some() || wanted.addresses.is_some() || wanted.min_confidence > 0.0;
        (self == Self::Matches && about_addresses)
            || wanted.chats.as_ref().is_some_and(Vec::is_empty)
            || wanted.families.as_ref().is_some_and(Vec::is_empty)
            || wanted.chains.as_ref().is_some_and(Vec::is_empty)
            || wanted.addresses.as_ref().is_some_and(Vec::is_empty)
            || wanted.senders.as_ref().is_some_and(Vec::is_empty)
            || wanted.rules.as_ref().is_some_and(Vec::is_empty)
            || wanted
                .events
                .as_ref()
                .is_some_and(|events| !events.iter().any(|event| self.knows(*event)))
    }
}

impl<'a> Driver<'a> {
    /// The narrowest list that an index serves.
    pub fn of(table: Table, wanted: &'a Wanted) -> Self {
        let fits = |count: usize| count <= MAX_LOOKED_UP;
        match (&wanted.addresses, &wanted.senders, &wanted.chats) {
            (Some(addresses), _, _) if table == Table::Detections && fits(addresses.len()) => {
                Self::Addresses(addresses)
            }
            (_, Some(senders), _) if fits(senders.len()) => Self::Senders(senders),
            (_, _, Some(chats)) if fits(chats.len()) => Self::Chats(chats),
            _ => Self::Time,
        }
    }

    fn column(&self) -> Option<&'static str> {
        match self {
            Self::Addresses(_) => Some("address"),
            Self::Senders(_) => Some("sender_id"),
            Self::Chats(_) => Some("chat_id"),
            Self::Time => None,
        }
    }

    fn values(&self) -> usize {
        match self {
            Self::Addresses(list) => list.len(),
            Self::Senders(list) | Self::Chats(list) => list.len(),
            Self::Time => 1,
        }
    }
}

impl Query {
    /// The date down to which `page.scan` rows lie; no row, or NULL, where there are fewer.
    pub fn edge(table: Table, wanted: &Wanted, page: Page, driver: &Driver<'_>) -> Self {
        let mut query = Self::empty();
        let name = table.name();
        let each = (page.scan as usize / driver.values().max(1)).max(1) as i64;
        let place = query.place(wanted, page);
        let skip = query.bind(each, Type::INT8);
        query.text = match (query.keys(driver), driver.column()) {
            (Some(keys), Some(column)) => format!(
                "SELECT max(edge.message_date) FROM {keys} AS key CROSS JOIN LATERAL (\
                 SELECT d.message_date FROM {name} AS d WHERE d.{column} = key AND {place} \
                 ORDER BY d.message_date DESC OFFSET {skip} LIMIT 1) AS edge"
            ),
            _ => format!(
                "SELECT d.message_date FROM {name} AS d WHERE {place} ORDER BY d.message_date DESC OFFSET {skip} LIMIT 1"
            ),
        };
        query
    }

    /// One row more than wanted, so that it shows whether there are more.
    pub fn page(table: Table, wanted: &Wanted, page: Page, driver: &Driver<'_>, edge: Option<Time>) -> Self {
        let mut query = Self::empty();
        let (name, columns) = (table.name(), table.columns());
        let mut place = query.place(wanted, page);
        if let Some(edge) = edge {
            let edge = query.bind(edge, Type::TIMESTAMPTZ);
            // Writing to a string cannot fail.
            let _ = write!(place, " AND d.message_date >= {edge}");
        }
        let rest = query.rest(table, "d", wanted, driver.column());
        let unique = query.unique(table, wanted);
        let limit = query.bind(i64::from(page.limit) + 1, Type::INT8);
        let order = "ORDER BY d.message_date DESC, d.id DESC";
        query.text = match (query.keys(driver), driver.column()) {
            (Some(keys), Some(column)) => format!(
                "SELECT {columns} FROM {keys} AS key CROSS JOIN LATERAL (\
                 SELECT * FROM {name} AS d WHERE d.{column} = key AND {place}{rest}{unique} {order} LIMIT {limit}) AS d \
                 {order} LIMIT {limit}"
            ),
            _ => format!("SELECT {columns} FROM {name} AS d WHERE {place}{rest}{unique} {order} LIMIT {limit}"),
        };
        query
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn params(&self) -> Vec<(&(dyn ToSql + Sync), Type)> {
        let values = self.values.iter();
        values
            .map(|(value, kind)| (value.as_ref() as &(dyn ToSql + Sync), kind.clone()))
            .collect()
    }

    fn empty() -> Self {
        Self {
            text: String::new(),
            values: Vec::new(),
        }
    }

    /// A parameter's name in the statement.
    fn bind(&mut self, value: impl ToSql + Sync + Send + 'static, kind: Type) -> String {
        self.values.push((Box::new(value), kind));
        format!("${}", self.values.len())
    }

    fn keys(&mut self, driver: &Driver<'_>) -> Option<String> {
        // A list that names a value twice would give its rows twice.
        fn distinct<T: Ord + Clone>(list: &[T]) -> Vec<T> {
            let mut list = list.to_vec();
            list.sort_unstable();
            list.dedup();
            list
        }
        let list = match driver {
            Driver::Addresses(list) => self.bind(distinct(list), Type::TEXT_ARRAY),
            Driver::Senders(list) | Driver::Chats(list) => self.bind(distinct(list), Type::INT8_ARRAY),
            Driver::Time => return None,
        };
        Some(format!("unnest({list})"))
    }

    /// From where to where.
    fn place(&mut self, wanted: &Wanted, page: Page) -> String {
        let mut place = "true".to_owned();
        if let Some(since) = wanted.since_us {
            let since = self.bind(Time(since), Type::TIMESTAMPTZ);
            let _ = write!(place, " AND d.message_date >= {since}");
        }
        if let Some(until) = wanted.until_us {
            let until = self.bind(Time(until), Type::TIMESTAMPTZ);
            let _ = write!(place, " AND d.message_date < {until}");
        }
        if let Some(key) = page.before {
            let date = self.bind(Time(key.date_us), Type::TIMESTAMPTZ);
            let id = self.bind(Uuid(*key.id.as_bytes()), Type::UUID);
            // The first half says nothing new, but it is what partitions are left out by.
            let _ = write!(
                place,
                " AND d.message_date <= {date} AND (d.message_date, d.id) < ({date}, {id})"
            );
        }
        place
    }

    /// What is wanted besides the place and the driver's own column.
    fn rest(&mut self, table: Table, row: &str, wanted: &Wanted, driven: Option<&str>) -> String {
        let mut rest = String::new();
        let mut add = |condition: String| {
            let _ = write!(rest, " AND {condition}");
        };
        if let Some(chats) = wanted.chats.as_ref().filter(|_| driven != Some("chat_id")) {
            let chats = self.bind(chats.clone(), Type::INT8_ARRAY);
            add(format!("{row}.chat_id = ANY ({chats})"));
        }
        if let Some(senders) = wanted.senders.as_ref().filter(|_| driven != Some("sender_id")) {
            let senders = self.bind(senders.clone(), Type::INT8_ARRAY);
            add(format!("{row}.sender_id = ANY ({senders})"));
        }
        if let Some(chains) = &wanted.chains {
            let chains = self.bind(chains.clone(), Type::TEXT_ARRAY);
            add(format!("{row}.chain = ANY ({chains})"));
        }
        if let Some(events) = &wanted.events {
            let events: Vec<&'static str> = events.iter().map(|event| event.as_str()).collect();
            let events = self.bind(events, Type::TEXT_ARRAY);
            add(format!("{row}.event = ANY ({events})"));
        }
        if table == Table::Detections {
            if let Some(addresses) = wanted.addresses.as_ref().filter(|_| driven != Some("address")) {
                let addresses = self.bind(addresses.clone(), Type::TEXT_ARRAY);
                add(format!("{row}.address = ANY ({addresses})"));
            }
            if let Some(families) = &wanted.families {
                let families: Vec<&'static str> = families.iter().map(|family| family.as_str()).collect();
                let families = self.bind(families, Type::TEXT_ARRAY);
                add(format!("{row}.family = ANY ({families})"));
            }
            if wanted.min_confidence > 0.0 {
                let least = self.bind(wanted.min_confidence, Type::FLOAT8);
                add(format!("{row}.confidence >= {least}"));
            }
        }
        // These two need the detail, which costs more than the columns.
        if !wanted.backfill {
            add(format!(
                "{row}.detail #> '{{listener,backfill}}' IS DISTINCT FROM 'true'"
            ));
        }
        if let Some(rules) = &wanted.rules {
            let rules = self.bind(rules.clone(), Type::TEXT_ARRAY);
            add(format!("{row}.detail->'rules' ?| {rules}"));
        }
        rest
    }

    /// A subselect for each row, and no join: it is asked only of rows that pass everything else,
    /// and only until the page is full.
    fn unique(&mut self, table: Table, wanted: &Wanted) -> String {
        let Some(within) = wanted.unique_within_us.filter(|_| table == Table::Detections) else {
            return String::new();
        };
        let rest = self.rest(table, "e", wanted, None);
        let within = self.bind(within as f64 / 1e6, Type::FLOAT8);
        format!(
            " AND (d.event = 'retracted' OR (SELECT 1 FROM detections AS e WHERE e.address = d.address \
             AND e.family = d.family AND e.coin_type IS NOT DISTINCT FROM d.coin_type AND e.event <> 'retracted' \
             AND e.message_date <= d.message_date AND e.message_date > d.message_date - make_interval(secs => {within}) \
             AND (e.message_date, e.id) < (d.message_date, d.id){rest} LIMIT 1) IS NULL)"
        )
    }
}
