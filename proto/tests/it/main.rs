//! Tests of the contract's bytes: generated files, golden vectors, properties of the codec.

mod asyncapi;
mod generated;
mod properties;
mod samples;
