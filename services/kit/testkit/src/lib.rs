//! Real servers and real processes on loopback, for tests and for `tgmesh up`.
//!
//! A test that talks to a real nats-server, a real Postgres and the shipped binaries finds what a
//! mock hides; so this crate makes them as cheap as a mock: they start in milliseconds on free
//! ports, and they are gone when the value that stands for them is dropped. `tgmesh up` and
//! `tgmesh load` start their servers through the same code, so that what the tests exercise is what
//! a newcomer runs.
//!
//! Nothing started here outlives the process that started it, not even when that process is killed
//! with SIGKILL: see [`process`].
//!
//! The free functions of this page are for tests and panic with a message that says what to do;
//! everything else returns errors.

pub mod cluster;
mod eventually;
mod lifeline;
pub mod nats;
mod places;
mod ports;
pub mod postgres;
pub mod process;
pub mod proxy;
mod scratch;

pub use eventually::{eventually, until};
pub use places::{binary, find_binary, find_python, python, repo_root, tools_dir};
pub use ports::free_port;
pub use scratch::Scratch;
