//! What is known of chats and senders over all their events, for those who may see all of them, some
//! of them, or only some of their events.
//!
//! The tables `chats` and `senders` count every event, so their numbers are for those whose rights
//! leave nothing out. Everyone else's are counted from the events that they may see, which is exact
//! as far as events are kept, or are not told.

use deadpool_postgres::Object;
use tgmesh_proto::detection::{ChatKind, Family, SenderKind};
use tokio_postgres::Row;
use tokio_postgres::types::{Json, Type};

use crate::error::StoreError;
use crate::pg::Time;
use crate::store::{Store, Task};

/// Most events of a sender that are counted for somebody who may not see all of them.
pub const MAX_COUNTED: u32 = 10_000;

/// Access to `chats` and `senders`.
pub struct Known<'a> {
    store: &'a Store,
}

/// Which events somebody may see.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Allowed {
    /// Bot API ids of chats; all where there is no list.
    pub chats: Option<Vec<i64>>,
    /// Address families; all where there is no list.
    pub families: Option<Vec<Family>>,
    /// Smallest confidence.
    pub min_confidence: f64,
}

/// Events in figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statistics {
    /// Date of the first message with an event, µs since the epoch.
    pub first_seen_us: i64,
    /// Date of the last one.
    pub last_seen_us: i64,
    /// `called`.
    pub called: u64,
    /// `added_by_edit`.
    pub added_by_edit: u64,
    /// `retracted`.
    pub retracted: u64,
    /// Events without an address; nothing for those who may see none.
    pub matched: Option<u64>,
}

/// A chat, as it was last told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownChat {
    /// Bot API id.
    pub id: i64,
    /// Title.
    pub title: String,
    /// Public name.
    pub username: Option<String>,
    /// Kind; nothing where it was not told.
    pub kind: Option<ChatKind>,
    /// Over all its events.
    pub statistics: Statistics,
}

/// A sender, as it was last told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownSender {
    /// Bot API id.
    pub id: i64,
    /// Display name.
    pub name: String,
    /// Public name.
    pub username: Option<String>,
    /// Kind; nothing where it was not told.
    pub kind: Option<SenderKind>,
    /// Over the events that may be seen; nothing where these are more than [`MAX_COUNTED`] but not all.
    pub statistics: Option<Statistics>,
}

impl Allowed {
    /// Whether nothing is left out of what is counted per chat.
    #[must_use]
    pub fn counts_every_event(&self) -> bool {
        self.families.is_none() && self.min_confidence <= 0.0
    }

    /// The words of the families, as the tables have them.
    pub(crate) fn family_words(&self) -> Option<Vec<&'static str>> {
        let families = self.families.as_ref()?;
        Some(families.iter().map(|family| family.as_str()).collect())
    }
}

impl Store {
    /// What is known of chats and senders.
    #[must_use]
    pub fn known(&self) -> Known<'_> {
        Known { store: self }
    }
}

impl Known<'_> {
    /// Chats with ids above `after`, rising, at most `limit`; with a list, only those of it.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn chats(
        &self,
        permitted: Option<&[i64]>,
        after: Option<i64>,
        limit: u32,
    ) -> Result<Vec<KnownChat>, StoreError> {
        let limit = limit.into();
        let after = after.unwrap_or(i64::MIN);
        self.store
            .carry_out(&ReadChats {
                permitted,
                after,
                limit,
            })
            .await
    }

    /// A sender, as far as the events that may be seen tell of it; nothing where none does.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn sender(&self, id: i64, allowed: &Allowed) -> Result<Option<KnownSender>, StoreError> {
        if allowed.chats.is_none() && allowed.counts_every_event() {
            self.store.carry_out(&ReadSender(id)).await
        } else {
            self.store.carry_out(&CountSender { id, allowed }).await
        }
    }
}

struct ReadChats<'a> {
    permitted: Option<&'a [i64]>,
    after: i64,
    limit: i64,
}

impl Task for ReadChats<'_> {
    type Output = Vec<KnownChat>;

    async fn run(&self, client: &mut Object) -> Result<Self::Output, StoreError> {
        let query = "SELECT first_seen, last_seen, called, added_by_edit, retracted, matched, chat_id, title, username, kind \
                     FROM chats WHERE chat_id > $1 AND ($2::bigint[] IS NULL OR chat_id = ANY ($2)) \
                     ORDER BY chat_id LIMIT $3";
        let params: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 3] = [
            (&self.after, Type::INT8),
            (&self.permitted, Type::INT8_ARRAY),
            (&self.limit, Type::INT8),
        ];
        let rows = client.query_typed(query, &params).await?;
        let chat = |row: &Row| {
            Ok(KnownChat {
                id: row.try_get(6)?,
                title: row.try_get(7)?,
                username: row.try_get(8)?,
                kind: kind(row.try_get(9)?),
                statistics: statistics(row)?,
            })
        };
        rows.iter().map(chat).collect()
    }
}

struct ReadSender(i64);

impl Task for ReadSender {
    type Output = Option<KnownSender>;

    async fn run(&self, client: &mut Object) -> Result<Self::Output, StoreError> {
        let query = "SELECT first_seen, last_seen, called, added_by_edit, retracted, matched, sender_id, name, username, \
                     kind FROM senders WHERE sender_id = $1";
        let rows = client.query_typed(query, &[(&self.0, Type::INT8)]).await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        Ok(Some(KnownSender {
            id: row.try_get(6)?,
            name: row.try_get(7)?,
            username: row.try_get(8)?,
            kind: kind(row.try_get(9)?),
            statistics: Some(statistics(row)?),
        }))
    }
}

struct CountSender<'a> {
    id: i64,
    allowed: &'a Allowed,
}

impl Task for CountSender<'_> {
    type Output = Option<KnownSender>;

    async fn run(&self, client: &mut Object) -> Result<Self::Output, StoreError> {
        let query = "WITH mine AS MATERIALIZED (\
                     SELECT message_date, id, event, received_at, detail->'sender' AS sender FROM detections \
                     WHERE sender_id = $1 AND ($2::bigint[] IS NULL OR chat_id = ANY ($2)) \
                     AND ($3::text[] IS NULL OR family = ANY ($3)) AND confidence >= $4 \
                     UNION ALL \
                     SELECT message_date, id, 'matched', received_at, detail->'sender' FROM matches \
                     WHERE sender_id = $1 AND ($2::bigint[] IS NULL OR chat_id = ANY ($2)) AND $5 \
                     LIMIT $6) \
                     SELECT min(message_date), max(message_date), count(*) FILTER (WHERE event = 'called'), \
                     count(*) FILTER (WHERE event = 'added_by_edit'), count(*) FILTER (WHERE event = 'retracted'), \
                     count(*) FILTER (WHERE event = 'matched'), count(*), \
                     (SELECT sender FROM mine ORDER BY received_at DESC, id DESC LIMIT 1) FROM mine";
        let every = self.allowed.counts_every_event();
        let families = self.allowed.family_words();
        let params: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 6] = [
            (&self.id, Type::INT8),
            (&self.allowed.chats, Type::INT8_ARRAY),
            (&families, Type::TEXT_ARRAY),
            (&self.allowed.min_confidence, Type::FLOAT8),
            (&every, Type::BOOL),
            (&(i64::from(MAX_COUNTED) + 1), Type::INT8),
        ];
        let rows = client.query_typed(query, &params).await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let counted: i64 = row.try_get(6)?;
        if counted == 0 {
            return Ok(None);
        }
        let told = row.try_get::<_, Option<Json<serde_json::Value>>>(7)?;
        let told = told.map(|Json(told)| told).unwrap_or_default();
        let word = |name: &str| told.get(name).and_then(|value| value.as_str()).map(str::to_owned);
        let statistics = if counted > i64::from(MAX_COUNTED) {
            None
        } else {
            let mut statistics = statistics(row)?;
            if !every {
                statistics.matched = None;
            }
            Some(statistics)
        };
        Ok(Some(KnownSender {
            id: self.id,
            name: word("name").unwrap_or_default(),
            username: word("username"),
            kind: kind(&word("kind").unwrap_or_default()),
            statistics,
        }))
    }
}

/// The first six columns.
fn statistics(row: &Row) -> Result<Statistics, StoreError> {
    let count = |column| Ok::<_, StoreError>(row.try_get::<_, i64>(column)?.unsigned_abs());
    Ok(Statistics {
        first_seen_us: row.try_get::<_, Time>(0)?.0,
        last_seen_us: row.try_get::<_, Time>(1)?.0,
        called: count(2)?,
        added_by_edit: count(3)?,
        retracted: count(4)?,
        matched: Some(count(5)?),
    })
}

fn kind<T: serde::de::DeserializeOwned>(word: &str) -> Option<T> {
    T::deserialize(serde::de::value::StrDeserializer::<serde::de::value::Error>::new(word)).ok()
}
