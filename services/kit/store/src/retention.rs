//! What is kept for how long.

use std::time::Duration;

use deadpool_postgres::Object;

use crate::error::StoreError;
use crate::month::Month;
use crate::partitions::Partitioned;
use crate::pg::Time;
use crate::store::{Store, Task};

/// How long rows and texts are kept, by the age of the message. The default keeps everything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retention {
    /// Detections and matches; nothing = for good.
    pub rows: Option<Duration>,
    /// Their texts; nothing = as long as the rows.
    pub texts: Option<Duration>,
}

impl Retention {
    /// Whether a message is so old that its events are no longer stored. Times are µs since the
    /// epoch.
    #[must_use]
    pub fn is_expired(&self, message_date_us: i64, now_us: u64) -> bool {
        message_date_us < before(self.rows, now_us)
    }

    pub(crate) fn keeps_text(&self, message_date_us: i64, now_us: u64) -> bool {
        message_date_us >= before(self.texts, now_us)
    }
}

/// The time before which nothing is kept, µs since the epoch.
fn before(kept: Option<Duration>, now_us: u64) -> i64 {
    let Some(kept) = kept else {
        return i64::MIN;
    };
    let now_us = i64::try_from(now_us).unwrap_or(i64::MAX);
    now_us.saturating_sub(i64::try_from(kept.as_micros()).unwrap_or(i64::MAX))
}

impl Store {
    /// The same database, with what is to be kept: rows that are older are not written any more.
    #[must_use]
    pub fn with_retention(mut self, retention: Retention) -> Self {
        self.retention = retention;
        self
    }

    /// Makes the partitions of this month and of tomorrow's, so that nobody waits for them.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn make_months_ahead(&self, now_us: u64) -> Result<(), StoreError> {
        let today = i64::try_from(now_us / 1000).unwrap_or(i64::MAX);
        let months = [today, today.saturating_add(DAY_MS)].map(Month::of_ms).into();
        self.make_months(Partitioned::Detections, &months).await?;
        self.make_months(Partitioned::Matches, &months).await
    }

    /// Drops one month whose messages are all older than what is kept, and gives its name;
    /// nothing where there is none. The roll-ups must have counted it: until then, and while
    /// others use the table, the error is a transient one.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn drop_expired_month(&self, now_us: u64) -> Result<Option<String>, StoreError> {
        let Some(kept) = self.retention.rows else {
            return Ok(None);
        };
        // The server refuses more; a shorter retention holds for what is written.
        let kept = kept.max(Duration::from_hours(24) + CLOCKS_DIFFER);
        for table in Partitioned::ALL {
            let drop = DropMonth(table, Time(before(Some(kept), now_us)));
            if let Some(name) = self.carry_out(&drop).await? {
                self.forget_months();
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    /// Takes the texts of at most `max_rows` messages away that are older than what is kept, and
    /// gives their number; 0 where none is left, or another process is at it.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn clear_expired_texts(&self, now_us: u64, max_rows: u32) -> Result<u64, StoreError> {
        if self.retention.texts.is_none() {
            return Ok(0);
        }
        let before = Time(before(self.retention.texts, now_us));
        let mut cleared = 0;
        for table in Partitioned::ALL {
            cleared += self.carry_out(&ClearTexts(table, before, max_rows.into())).await?;
        }
        Ok(cleared)
    }
}

const DAY_MS: i64 = 86_400_000;
/// The server's clock and this host's.
const CLOCKS_DIFFER: Duration = Duration::from_hours(1);

struct DropMonth(Partitioned, Time);

impl Task for DropMonth {
    type Output = Option<String>;

    async fn run(&self, client: &mut Object) -> Result<Self::Output, StoreError> {
        let row = client
            .query_one("SELECT drop_month($1, $2)", &[&self.0.name(), &self.1])
            .await?;
        Ok(row.try_get(0)?)
    }
}

struct ClearTexts(Partitioned, Time, i64);

impl Task for ClearTexts {
    type Output = u64;

    async fn run(&self, client: &mut Object) -> Result<u64, StoreError> {
        let row = client
            .query_one("SELECT clear_texts($1, $2, $3)", &[&self.0.name(), &self.1, &self.2])
            .await?;
        Ok(row.try_get::<_, Option<i64>>(0)?.unwrap_or(0).unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages() {
        let day = Some(Duration::from_hours(24));
        let retention = Retention {
            rows: day,
            texts: Some(Duration::from_hours(1)),
        };
        let now = 1_795_435_200_000_000;
        assert!(!retention.is_expired(1_795_435_200_000_000 - 86_400_000_000, now));
        assert!(retention.is_expired(1_795_435_200_000_000 - 86_400_000_001, now));
        assert!(retention.keeps_text(1_795_435_200_000_000 - 3_600_000_000, now));
        assert!(!retention.keeps_text(1_795_435_200_000_000 - 3_600_000_001, now));
        let all = Retention::default();
        assert!(!all.is_expired(0, now) && all.keeps_text(0, now));
        let forever = Retention {
            rows: Some(Duration::MAX),
            texts: Some(Duration::MAX),
        };
        assert!(!forever.is_expired(0, u64::MAX) && forever.keeps_text(0, 0));
    }
}
