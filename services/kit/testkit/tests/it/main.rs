//! The test servers tested: they start, stop, come back, and never stay behind.

mod lifeline;
mod nats;
mod postgres;
mod process;
mod proxy;
