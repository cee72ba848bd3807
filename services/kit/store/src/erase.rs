//! Erasing a person or a chat from all tables.

use std::fmt;
use std::time::Duration;

use deadpool_postgres::Object;

use crate::error::StoreError;
use crate::store::{Store, Task};

/// Rows in one transaction: a fraction of a second.
const ROWS: i64 = 2_000;
/// Between two looks whether every writer has heard of it.
const LOOK: Duration = Duration::from_millis(20);

/// Whom to erase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// A sender, by Bot API id.
    Sender(i64),
    /// A chat, by Bot API id.
    Chat(i64),
}

impl Subject {
    fn kind(self) -> &'static str {
        match self {
            Self::Sender(_) => "sender",
            Self::Chat(_) => "chat",
        }
    }

    fn id(self) -> i64 {
        let (Self::Sender(id) | Self::Chat(id)) = self;
        id
    }
}

impl fmt::Display for Subject {
    /// `sender:42`, as the audit log names it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind(), self.id())
    }
}

/// What was erased.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Erased {
    /// Rows of `detections`.
    pub detections: u64,
    /// Rows of `matches`.
    pub matches: u64,
    /// Messages of others that forwarded theirs: origin and text were taken out.
    pub forwards: u64,
}

impl Store {
    /// Erases everything of a person or chat up to now, in small transactions, and keeps it from
    /// being written again. Takes the rights of the tables' owner. May be called again, after an
    /// error or to erase what came since.
    ///
    /// # Errors
    /// See [`StoreError`]. What was erased until then is gone.
    pub async fn erase(&self, whom: Subject) -> Result<Erased, StoreError> {
        self.carry_out(&Ask(whom)).await?;
        // A writer that began before may be about to write what it must not.
        while !self.carry_out(&IsKnown(whom)).await? {
            tokio::time::sleep(LOOK).await;
        }
        let mut erased = Erased::default();
        loop {
            let (detections, matches) = self.carry_out(&EraseRows(whom)).await?;
            erased.detections += detections;
            erased.matches += matches;
            if detections + matches == 0 {
                break;
            }
        }
        loop {
            let forwards = self.carry_out(&EraseForwards(whom.id())).await?;
            erased.forwards += forwards;
            if forwards == 0 {
                break;
            }
        }
        self.carry_out(&EraseKnowledge(whom)).await?;
        Ok(erased)
    }
}

struct Ask(Subject);

impl Task for Ask {
    type Output = ();

    async fn run(&self, client: &mut Object) -> Result<(), StoreError> {
        client
            .execute("SELECT ask_erasure($1, $2)", &[&self.0.kind(), &self.0.id()])
            .await?;
        Ok(())
    }
}

struct IsKnown(Subject);

impl Task for IsKnown {
    type Output = bool;

    async fn run(&self, client: &mut Object) -> Result<bool, StoreError> {
        let row = client
            .query_one("SELECT is_erasure_known($1, $2)", &[&self.0.kind(), &self.0.id()])
            .await?;
        Ok(row.try_get(0)?)
    }
}

struct EraseRows(Subject);

impl Task for EraseRows {
    /// Of detections and of matches.
    type Output = (u64, u64);

    async fn run(&self, client: &mut Object) -> Result<(u64, u64), StoreError> {
        let query = "SELECT detections_erased, matches_erased FROM erase_rows($1, $2, $3)";
        let row = client.query_one(query, &[&self.0.kind(), &self.0.id(), &ROWS]).await?;
        let count = |column| Ok::<_, StoreError>(row.try_get::<_, i64>(column)?.unsigned_abs());
        Ok((count(0)?, count(1)?))
    }
}

struct EraseForwards(i64);

impl Task for EraseForwards {
    type Output = u64;

    async fn run(&self, client: &mut Object) -> Result<u64, StoreError> {
        let row = client
            .query_one("SELECT erase_forwards($1, $2)", &[&self.0, &ROWS])
            .await?;
        Ok(row.try_get::<_, i64>(0)?.unsigned_abs())
    }
}

struct EraseKnowledge(Subject);

impl Task for EraseKnowledge {
    type Output = ();

    async fn run(&self, client: &mut Object) -> Result<(), StoreError> {
        client
            .execute("SELECT erase_knowledge($1, $2)", &[&self.0.kind(), &self.0.id()])
            .await?;
        Ok(())
    }
}
