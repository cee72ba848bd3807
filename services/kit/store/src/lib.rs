//! Postgres for tgmesh: the one crate that names `tokio-postgres`.
//!
//! Rows are written in batches with one statement (`UNNEST` and `ON CONFLICT DO NOTHING`), which
//! is as fast as anything that stays idempotent, and an event that comes twice changes nothing.
//! Errors tell three cases apart, because each has another answer: the server is away or busy
//! (wait), a row can never be stored (give up that row), and everything else (an operator is
//! needed; nothing may be given up for it). See [`StoreError`].

pub mod addresses;
pub mod audit;
mod config;
mod detail;
pub mod detections;
mod erase;
mod error;
mod fit;
pub mod history;
pub mod known;
mod login;
pub mod matches;
mod month;
mod partitions;
mod pg;
mod retention;
mod roll_up;
mod standing;
mod store;
mod tls;

pub use config::DbConfig;
pub use erase::{Erased, Subject};
pub use error::StoreError;
pub use retention::Retention;
pub use roll_up::RolledUp;
pub use standing::Standing;
pub use store::Store;
