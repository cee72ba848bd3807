//! NATS `JetStream` for tgmesh: the one crate that names `async-nats`.
//!
//! Everything the mesh knows about NATS is here, so that a service says *what* it wants stored,
//! handled or followed, and this crate keeps the promises that make it safe:
//!
//! - [`topology`]: streams and buckets as data; `diff` and `apply`; the stream's epoch.
//! - [`publish`]: pipelined, every message kept until its `PubAck`, published again with the same
//!   `Nats-Msg-Id`.
//! - [`consume`]: the durable pull loop; a handler answers with outcomes, the loop acks.
//! - [`tail`] and [`window`]: following a stream and reading a range of it, with no state on the
//!   server that outlives the reader.
//! - [`replay`]: copying such a range into a stream of its own.
//! - [`lease`]: who owns what now, by one clock that nobody can turn.
//! - [`kv`], [`revocations`], [`stats`], [`deadletter`]: buckets, who has no rights any more, core-NATS
//!   reports, messages nobody could handle.
//!
//! Consumers, tails and windows share one pull loop of our own (`pull.rs`) instead of the
//! client's: it sets a heartbeat, asks for exactly what fits into memory, and stops asking before
//! it stops reading, so that a clean stop leaves nothing delivered and unhandled.

pub mod consume;
pub mod deadletter;
mod delivery;
pub mod kv;
pub mod lease;
mod mesh;
mod ordered;
pub mod publish;
mod pull;
mod quorum;
pub mod replay;
pub mod revocations;
mod settings;
mod state;
pub mod stats;
pub mod tail;
pub mod topology;
pub mod traces;
pub mod window;

pub use delivery::Delivery;
pub use mesh::{ConnectError, Link, Mesh};
pub use settings::{NatsArgs, NatsConfig};
pub use state::{State, StreamError, stream_state};
