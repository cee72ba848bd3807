//! Detections to clients.
//!
//! One ordered reader of DETECTIONS per process feeds the hub (`hub.rs`), which hands each event to
//! the subscriptions that want it; each client (`client.rs`) has a task of its own that writes at
//! its own pace, and who falls behind is brought forward out of memory and the stream (`resume.rs`).
//! What a client may see is decided by its token ([`auth`], `rights.rs`) before anything is encoded.

mod address;
mod api;
mod assets;
mod audit;
pub mod auth;
mod client;
mod connection;
mod descriptors;
mod event;
mod figures;
mod filter;
mod gateway;
mod http_server;
mod hub;
mod mailbox;
mod mesh_stats;
mod problem;
mod reader;
mod registry;
mod resume;
mod revocations;
mod rights;
pub mod settings;
mod spans;
mod tls;
mod upgrade;
mod watched;
mod wheel;
mod wire;

pub use gateway::run;
