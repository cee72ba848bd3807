//! What is known of addresses: who was first, by how much, and how they spread.
//!
//! Answers hold for the moment they are given: what the roll-ups have not counted yet is added from
//! the events themselves, in the same snapshot.

use deadpool_postgres::Object;
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use crate::error::StoreError;
use crate::known::Allowed;
use crate::pg::Time;
use crate::store::{Store, Task};

/// Access to `addresses` and `address_chats`.
pub struct Addresses<'a> {
    store: &'a Store,
}

/// The earliest that is known of an address, somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct First {
    /// When it came into the message, µs since the epoch.
    pub at_us: i64,
    /// Whether it is known from a forward only: then the time is the original's.
    pub credited: bool,
    /// Bot API id of the chat; nothing where the origin of a forward hides it or is a person.
    pub chat_id: Option<i64>,
    /// Telegram's message id.
    pub message_id: Option<i64>,
    /// Bot API id of the sender; nothing for channel posts.
    pub sender_id: Option<i64>,
}

/// How many events tell of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// `called`.
    pub called: u64,
    /// `added_by_edit`.
    pub added_by_edit: u64,
    /// `retracted`.
    pub retracted: u64,
}

/// Who was first with an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstSeen {
    /// Address family, as on the wire.
    pub family: String,
    /// Sui and Aptos.
    pub coin_type: Option<String>,
    /// The first; nothing while only retractions are known.
    pub first: Option<First>,
    /// The next other chat, and how much later it was, in milliseconds.
    pub next: Option<(i64, u64)>,
    /// Chats that had it, those known from forwards included.
    pub chats: u64,
    /// When it last came into a message, µs since the epoch.
    pub last_seen_us: Option<i64>,
    /// Events.
    pub counts: Counts,
}

/// An address in one chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InChat {
    /// Address family, as on the wire.
    pub family: String,
    /// Sui and Aptos.
    pub coin_type: Option<String>,
    /// The first in this chat.
    pub first: First,
    /// When it last came into a message there, µs since the epoch; nothing where the chat is known
    /// from forwards only.
    pub last_seen_us: Option<i64>,
    /// Events of this chat.
    pub counts: Counts,
}

impl<'a> Addresses<'a> {
    pub(crate) fn new(store: &'a Store) -> Self {
        Self { store }
    }

    /// Who was first with an address: one answer per family and coin type, none for an address
    /// that was never seen. With a list of chats, as if there were no others.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn first_seen(&self, address: &str, chats: Option<&[i64]>) -> Result<Vec<FirstSeen>, StoreError> {
        self.store.carry_out(&FindFirst { address, chats }).await
    }

    /// How an address spread: the `limit` chats that had it first, in that order. With a list of
    /// chats, as if there were no others.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn spread(&self, address: &str, chats: Option<&[i64]>, limit: u32) -> Result<Vec<InChat>, StoreError> {
        let limit = limit.into();
        self.store.carry_out(&FindSpread { address, chats, limit }).await
    }
}

impl Addresses<'_> {
    /// Who was first with an address, and the `limit` chats that had it first, for somebody who may
    /// not see every event: as if there were no others. From the events that are kept where a
    /// smallest confidence is set, because what is counted tells of none.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn about(&self, address: &str, allowed: &Allowed, limit: u32) -> Result<About, StoreError> {
        let limit = limit.into();
        let about = FindAbout {
            address,
            allowed,
            limit,
        };
        self.store.carry_out(&about).await
    }
}

/// Who was first with an address, and where it was.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// One per family and coin type.
    pub first_seen: Vec<FirstSeen>,
    /// Where it was, by time.
    pub spread: Vec<InChat>,
}

struct FindAbout<'a> {
    address: &'a str,
    allowed: &'a Allowed,
    limit: i64,
}

/// As `address_spread` in the migrations, from the events alone. `$4` is the smallest confidence.
const SPREAD_OF_EVENTS: &str = "SELECT family, coin_type, chat_id, min(first) AS first, max(last_seen) AS last_seen, \
    sum(called)::bigint AS called, sum(added_by_edit)::bigint AS added_by_edit, sum(retracted)::bigint AS retracted FROM (\
    SELECT family, coalesce(coin_type, '') AS coin_type, chat_id, \
    CASE WHEN event <> 'retracted' THEN \
    claim(appeared(event, message_date, edit_date), false, chat_id, message_id, sender_id) END AS first, \
    CASE WHEN event <> 'retracted' THEN appeared(event, message_date, edit_date) END AS last_seen, \
    (event = 'called')::integer AS called, (event = 'added_by_edit')::integer AS added_by_edit, \
    (event = 'retracted')::integer AS retracted FROM detections WHERE address = $1 AND confidence >= $4 \
    UNION ALL \
    SELECT family, coalesce(coin_type, ''), CASE WHEN forward_id < 0 THEN forward_id END, \
    claim(forward_at, true, CASE WHEN forward_id < 0 THEN forward_id END, forward_message_id, \
    CASE WHEN forward_id > 0 THEN forward_id END), NULL, 0, 0, 0 \
    FROM detections WHERE address = $1 AND confidence >= $4 AND event <> 'retracted' AND forward_at IS NOT NULL) AS parts \
    WHERE $2::bigint[] IS NULL OR chat_id = ANY ($2) GROUP BY 1, 2, 3";

/// What the roll-ups counted and what they did not; `$4` is nothing here.
const SPREAD_OF_ALL: &str = "SELECT * FROM address_spread($1, $2) WHERE $4::double precision <= 0";

impl Task for FindAbout<'_> {
    type Output = About;

    async fn run(&self, client: &mut Object) -> Result<About, StoreError> {
        let source = if self.allowed.min_confidence > 0.0 {
            SPREAD_OF_EVENTS
        } else {
            SPREAD_OF_ALL
        };
        let families = self.allowed.family_words();
        // One statement gives both, so that they tell of the same moment.
        let query = format!(
            "WITH spread AS MATERIALIZED (SELECT * FROM ({source}) AS everything \
             WHERE $3::text[] IS NULL OR family = ANY ($3)), \
             totals AS (SELECT family, coin_type, min(first) AS first, \
             count(chat_id) FILTER (WHERE first IS NOT NULL) AS chats, max(last_seen) AS last_seen, \
             sum(called)::bigint AS called, sum(added_by_edit)::bigint AS added_by_edit, \
             sum(retracted)::bigint AS retracted FROM spread GROUP BY 1, 2) \
             SELECT * FROM (\
             SELECT family, coin_type, claim_time(t.first), t.first[2] = 1, t.first[3], t.first[4], t.first[5], \
             last_seen, called, added_by_edit, retracted, next.first[3], next.first[1] - t.first[1], chats, t.first \
             FROM totals AS t LEFT JOIN LATERAL (SELECT min(s.first) AS first FROM spread AS s \
             WHERE s.family = t.family AND s.coin_type = t.coin_type AND s.chat_id IS DISTINCT FROM t.first[3] \
             AND s.chat_id IS NOT NULL) AS next ON true \
             UNION ALL \
             (SELECT family, coin_type, claim_time(first), first[2] = 1, chat_id, first[4], first[5], \
             last_seen, called, added_by_edit, retracted, NULL::bigint, NULL::bigint, NULL::bigint, first FROM spread AS s \
             WHERE first IS NOT NULL AND chat_id IS NOT NULL ORDER BY s.first, family, coin_type LIMIT $5)) \
             AS lines ORDER BY 15, 1, 2"
        );
        let params: [(&(dyn ToSql + Sync), Type); 5] = [
            (&self.address, Type::TEXT),
            (&self.allowed.chats, Type::INT8_ARRAY),
            (&families, Type::TEXT_ARRAY),
            (&self.allowed.min_confidence, Type::FLOAT8),
            (&self.limit, Type::INT8),
        ];
        let mut about = About::default();
        for row in &client.query_typed(&query, &params).await? {
            // Only the first half has a number of chats.
            if row.try_get::<_, Option<i64>>(13)?.is_some() {
                about.first_seen.push(first_seen(row)?);
            } else {
                about.spread.extend(in_chat(row)?);
            }
        }
        Ok(about)
    }
}

struct FindFirst<'a> {
    address: &'a str,
    chats: Option<&'a [i64]>,
}

impl Task for FindFirst<'_> {
    type Output = Vec<FirstSeen>;

    async fn run(&self, client: &mut Object) -> Result<Self::Output, StoreError> {
        let query = "SELECT family, coin_type, first_seen, first_credited, first_chat_id, first_message_id, \
                     first_sender_id, last_seen, called, added_by_edit, retracted, next_chat_id, lead_ms, chats \
                     FROM address_first_seen($1, $2)";
        let rows = client.query(query, &[&self.address, &self.chats]).await?;
        rows.iter().map(first_seen).collect()
    }
}

fn first_seen(row: &Row) -> Result<FirstSeen, StoreError> {
    let next = row
        .try_get::<_, Option<i64>>(11)?
        .zip(row.try_get::<_, Option<i64>>(12)?);
    Ok(FirstSeen {
        family: row.try_get(0)?,
        coin_type: coin_type(row)?,
        first: first(row)?,
        next: next.map(|(chat, lead_ms)| (chat, lead_ms.unsigned_abs())),
        chats: row.try_get::<_, i64>(13)?.unsigned_abs(),
        last_seen_us: row.try_get::<_, Option<Time>>(7)?.map(|Time(us)| us),
        counts: counts(row)?,
    })
}

struct FindSpread<'a> {
    address: &'a str,
    chats: Option<&'a [i64]>,
    limit: i64,
}

impl Task for FindSpread<'_> {
    type Output = Vec<InChat>;

    async fn run(&self, client: &mut Object) -> Result<Self::Output, StoreError> {
        let query = "SELECT family, coin_type, claim_time(first), first[2] = 1, chat_id, first[4], first[5], last_seen, \
                     called, added_by_edit, retracted FROM address_spread($1, $2) AS s \
                     WHERE first IS NOT NULL AND chat_id IS NOT NULL ORDER BY s.first, family, coin_type LIMIT $3";
        let rows = client.query(query, &[&self.address, &self.chats, &self.limit]).await?;
        let mut spread = Vec::with_capacity(rows.len());
        for row in &rows {
            spread.extend(in_chat(row)?);
        }
        Ok(spread)
    }
}

/// Nothing without a first, which the queries leave out.
fn in_chat(row: &Row) -> Result<Option<InChat>, StoreError> {
    let Some(first) = first(row)? else {
        return Ok(None);
    };
    Ok(Some(InChat {
        family: row.try_get(0)?,
        coin_type: coin_type(row)?,
        first,
        last_seen_us: row.try_get::<_, Option<Time>>(7)?.map(|Time(us)| us),
        counts: counts(row)?,
    }))
}

fn coin_type(row: &Row) -> Result<Option<String>, StoreError> {
    let text: String = row.try_get(1)?;
    Ok(Some(text).filter(|text| !text.is_empty()))
}

fn first(row: &Row) -> Result<Option<First>, StoreError> {
    let Some(Time(at_us)) = row.try_get(2)? else {
        return Ok(None);
    };
    Ok(Some(First {
        at_us,
        credited: row.try_get(3)?,
        chat_id: row.try_get(4)?,
        message_id: row.try_get(5)?,
        sender_id: row.try_get(6)?,
    }))
}

fn counts(row: &Row) -> Result<Counts, StoreError> {
    let count = |column| Ok::<_, StoreError>(row.try_get::<_, i64>(column)?.unsigned_abs());
    Ok(Counts {
        called: count(8)?,
        added_by_edit: count(9)?,
        retracted: count(10)?,
    })
}
