//! Partitions by month, made on demand.

use std::collections::BTreeSet;

use deadpool_postgres::Object;

use crate::error::StoreError;
use crate::month::Month;
use crate::store::{Store, Task};

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
    /// Carries out an insert of rows of these dates (µs), and makes the partitions they need.
    pub(crate) async fn insert<T: Task>(
        &self,
        table: Partitioned,
        dates_us: impl Iterator<Item = i64>,
        insert: &T,
    ) -> Result<T::Output, StoreError> {
        let months: BTreeSet<Month> = dates_us.map(|us| Month::of_ms(us.div_euclid(1000))).collect();
        let mut tries = 0;
        loop {
            self.make_months(table, &months).await?;
            match self.carry_out(insert).await {
                // Somebody dropped a month that was here: make it again, for messages of that month
                // still come.
                Err(StoreError::NoPartition(_)) if tries < MOST_TRIES => self.forget_months(),
                result => return result,
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
