//! The bytes on the wire of tgmesh, and nothing else: no runtime, no NATS client, no SQL.
//!
//! Every process of the mesh, every test and every client speaks through these types, so a
//! change here is a change of the contract. The words of the contract stand in the crate's
//! `README.md`; JSON Schema and golden vectors are generated from this crate (see
//! `tests/it/generated.rs`) and are checked in beside it, so that clients in other languages
//! need no Rust.

pub mod audit;
pub mod codec;
pub mod detection;
pub mod frame;
pub mod headers;
pub mod id;
pub mod matched;
pub mod stats;
pub mod subject;

/// `asyncapi.json`: the WebSocket's frames and the subjects of the mesh (`AsyncAPI` 3.0).
pub const ASYNCAPI: &str = include_str!("../asyncapi.json");

/// Version of the event schema. Readers accept every version with the same major number.
pub const SCHEMA_VERSION: &str = "1.0.0";
