//! The way to the database: a bounded number of queries at once, a bounded number that wait, and
//! nothing of the live side behind it.

use std::sync::Arc;
use std::time::Duration;

use tgmesh_store::{DbConfig, Store, StoreError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Queries at once. The database also has the archiver to serve.
const QUERIES: usize = 8;
/// Queries that wait for one of these to end.
const WAITING: usize = 64;
/// Longest wait for a place.
const PLACE_WITHIN: Duration = Duration::from_secs(2);
/// Longest query; the server cancels it then.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Exports at once: each has one query at a time, and memory for a few pages.
const EXPORTS: usize = 4;

/// Reads what the archiver wrote.
pub struct Reader {
    store: Store,
    places: Semaphore,
    waiting: Semaphore,
    exports: Arc<Semaphore>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    /// No database is configured.
    #[error("no database is configured")]
    Absent,
    /// Too many ask at once.
    #[error("too many queries at once")]
    Busy,
    /// The query ran into its limit.
    #[error("the query took too long")]
    TooLong,
    /// The database is away, or not yet made.
    #[error("the database is away")]
    Away(#[source] StoreError),
    /// It answered with something that should not be.
    #[error("the database refused the query")]
    Refused(#[source] StoreError),
}

impl Unanswered {
    fn of(error: StoreError) -> Self {
        let code = match &error {
            StoreError::Database { code, .. } => code.as_str(),
            _ => "",
        };
        match code {
            // query_canceled.
            "57014" => Self::TooLong,
            // undefined_table, undefined_function: nobody migrated yet.
            "42P01" | "42883" => Self::Away(error),
            _ if matches!(error, StoreError::Timeout(_)) => Self::TooLong,
            _ if error.is_transient() => Self::Away(error),
            _ => Self::Refused(error),
        }
    }
}

impl Reader {
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// As [`Store::reader`].
    pub fn new(config: &DbConfig) -> Result<Self, StoreError> {
        Ok(Self {
            store: Store::reader(config, QUERIES, ANSWER_WITHIN)?,
            places: Semaphore::new(QUERIES),
            waiting: Semaphore::new(QUERIES + WAITING),
            exports: Arc::new(Semaphore::new(EXPORTS)),
        })
    }

    /// The tables, to make queries for [`Reader::ask`] of.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Waits for a place and then for the answer.
    ///
    /// # Errors
    /// See [`Unanswered`].
    pub async fn ask<T>(&self, query: impl Future<Output = Result<T, StoreError>>) -> Result<T, Unanswered> {
        let _waiting = self.waiting.try_acquire().map_err(|_| Unanswered::Busy)?;
        let place = tokio::time::timeout(PLACE_WITHIN, self.places.acquire()).await;
        // The semaphore is never closed: either there is a place, or the time is over.
        let Ok(Ok(_place)) = place else {
            return Err(Unanswered::Busy);
        };
        query.await.map_err(Unanswered::of)
    }

    /// A place for an export.
    ///
    /// # Errors
    /// When as many are running as may.
    pub fn export(&self) -> Result<OwnedSemaphorePermit, Unanswered> {
        let exports = Arc::clone(&self.exports);
        exports.try_acquire_owned().map_err(|_| Unanswered::Busy)
    }
}
