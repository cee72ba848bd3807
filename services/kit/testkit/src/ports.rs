//! Free TCP ports that a server can come back to.

use std::collections::HashSet;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{LazyLock, Mutex, PoisonError};

/// Below Linux's range for outgoing connections (32768–60999). A port of that range may be taken by
/// any outgoing connection while its server is stopped, and a client that dials it again and again
/// even ends up connected to itself.
const RANGE: std::ops::Range<u16> = 15_000..32_000;

/// A TCP port on 127.0.0.1 that nothing listens on and that this process has not given out before.
///
/// Another process may still take it first: callers that can, try again with a new one.
///
/// # Panics
/// When no port of the range is free, which means that something is badly wrong with the machine.
#[must_use]
pub fn free_port() -> u16 {
    static GIVEN: LazyLock<Mutex<HashSet<u16>>> = LazyLock::new(Mutex::default);
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    for _ in 0..10_000 {
        let port = rand::random_range(RANGE);
        if !given.contains(&port) && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            given.insert(port);
            return port;
        }
    }
    panic!("no free TCP port in {RANGE:?} on 127.0.0.1");
}
