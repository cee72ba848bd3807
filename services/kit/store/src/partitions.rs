//! Partitions by month, made on demand.

use std::collections::BTreeSet;

use deadpool_postgres::Object;

use crate::error::StoreError;
use crate::month::Month;
use crate::retention::Retention;
use crate::store::{Inserted, Store, Task};

/// A table that is partitioned by the month of the message's date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Partitioned {
    Detections,
    Matches,
}

impl Partitioned {
    pub(crate) const ALL: [Self; 2] = [Self::Detections, Self::Matches];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Detections => "detections",
            Self::Matches => "matches",
        }
    }
}

/// A month that is dropped each time it is made is an operator's matter.
const MOST_TRIES: u32 = 5;

impl Store {
    /// Writes the rows that are not too old, and makes the partitions they need. `times` gives a
    /// row's date and the present (µs), `columns` what carries the insert out.
    pub(crate) async fn insert<'a, R, T: Task<Output = u64>>(
        &self,
        table: Partitioned,
        rows: &'a [R],
        times: impl Fn(&R) -> (i64, u64),
        columns: impl FnOnce(Vec<&'a R>, Retention) -> T,
    ) -> Result<Inserted, StoreError> {
        let is_kept = |row: &&R| {
            let (date_us, now_us) = times(row);
            !self.retention.is_expired(date_us, now_us)
        };
        let kept: Vec<&R> = rows.iter().filter(is_kept).collect();
        if kept.is_empty() {
            return Ok(Inserted::of(rows.len(), 0, 0));
        }
        let month = |row: &&R| Month::of_ms(times(row).0.div_euclid(1000));
        let months: BTreeSet<Month> = kept.iter().map(month).collect();
        let count = kept.len();
        let columns = columns(kept, self.retention);
        let mut tries = 0;
        loop {
            self.make_months(table, &months).await?;
            match self.carry_out(&columns).await {
                // Somebody dropped a month that was here: make it again, for messages of that month
                // still come.
                Err(StoreError::NoPartition(_)) if tries < MOST_TRIES => self.forget_months(),
                result => return Ok(Inserted::of(rows.len(), count, result?)),
            }
            tries += 1;
        }
    }

    pub(crate) async fn make_months(&self, table: Partitioned, months: &BTreeSet<Month>) -> Result<(), StoreError> {
        for &month in months {
            if !self.knows_month(table, month) {
                if self.carry_out(&MakeMonth(table, month)).await? {
                    tracing::info!(table = table.name(), month = month.suffix(), "made a partition");
                }
                self.learn_month(table, month);
            }
        }
        Ok(())
    }
}

/// Makes a month's partition if it is missing, and tells whether it was.
struct MakeMonth(Partitioned, Month);

impl Task for MakeMonth {
    type Output = bool;

    async fn run(&self, client: &mut Object) -> Result<bool, StoreError> {
        let Self(table, month) = self;
        let row = client
            .query_one(
                "SELECT make_month($1, $2::text::date)",
                &[&table.name(), &month.first_day()],
            )
            .await?;
        Ok(row.try_get(0)?)
    }
}
