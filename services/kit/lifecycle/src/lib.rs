//! How a process of the mesh starts, is watched and stops.
//!
//! Every service has the same frame, so that an operator learns it once: settings are read in
//! one go and every fault in them is told at once; telemetry stands before the first line of
//! work; the admin port answers from the first moment; the first SIGTERM lets work in flight
//! finish, the second one does not. A service's `main` is [`main`] with its settings and its
//! `run`.
//!
//! This crate names no domain type, no NATS and no SQL.

pub mod admin;
pub mod clock;
pub mod health;
pub mod http;
pub mod metrics;
pub mod settings;
pub mod shutdown;
pub mod summary;
pub mod tasks;
pub mod trace;

mod log;
mod memory;
mod process;
mod profile;
mod telemetry;

pub use process::{Process, main};

/// Fewer, denser arenas than the system's allocator gives to many threads; and it can tell how
/// much is allocated.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;
