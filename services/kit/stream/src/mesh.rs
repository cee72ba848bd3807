//! The connection to NATS: made with patience, kept by the client, watched by everyone.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_nats::jetstream;
use async_nats::{ConnectOptions, Event};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::watch;

use crate::quorum;
use crate::settings::NatsConfig;

/// Longest wait between two tries to reach a server.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// A half-open link is noticed after two missed pongs. Sent only where nothing else comes.
const PING_EVERY: Duration = Duration::from_secs(5);
/// A request to the server's API that takes longer is tried again by whoever made it.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Whether a server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// Connected.
    Up,
    /// Not connected; the client is trying.
    Down,
}

/// Why no connection was made and none will be.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The credentials file cannot be read or is malformed.
    #[error("couldn't read NATS_CREDS: {0}")]
    Credentials(std::io::Error),
}

/// A connection to NATS. Clones share it.
#[derive(Clone)]
pub struct Mesh {
    client: async_nats::Client,
    jetstream: jetstream::Context,
    signals: Arc<Signals>,
    replicas: usize,
}

/// What the client's events tell.
pub(crate) struct Signals {
    link: watch::Sender<Link>,
    /// Number of connections so far: a reconnect that is faster than its watchers is still seen.
    connects: watch::Sender<u64>,
    /// Number of times the client dropped messages because a reader was too slow.
    slow: watch::Sender<u64>,
    slow_total: AtomicU64,
    /// Connections that were told by an event since the last look.
    events: AtomicU64,
}

impl Mesh {
    /// Connects, and waits with growing pauses while NATS is away.
    ///
    /// # Errors
    /// Only for what waiting cannot mend, see [`ConnectError`].
    pub async fn connect(config: &NatsConfig, name: &str) -> Result<Self, ConnectError> {
        let signals = Arc::new(Signals {
            link: watch::channel(Link::Down).0,
            connects: watch::channel(0).0,
            slow: watch::channel(0).0,
            slow_total: AtomicU64::new(0),
            events: AtomicU64::new(0),
        });
        let addresses: Vec<_> = config.servers.iter().map(crate::settings::ServerUrl::address).collect();
        let mut wait = Duration::from_millis(100);
        let client = loop {
            let options = options(config, name, &signals).await?;
            match options.connect(addresses.clone()).await {
                Ok(client) => break client,
                Err(error) => {
                    tracing::warn!(
                        servers = ?config.servers,
                        error = %error,
                        retry_ms = wait.as_millis() as u64,
                        "NATS is away, waiting for it"
                    );
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
            }
        };
        // The first event is under way; whoever starts after this shall not take it for a reconnect.
        let mut link = signals.link.subscribe();
        let _ = tokio::time::timeout(Duration::from_secs(1), link.wait_for(|link| *link == Link::Up)).await;
        tokio::spawn(reconcile(client.clone(), Arc::downgrade(&signals)));
        tokio::spawn(quorum::guard(client.clone(), Arc::downgrade(&signals)));
        let jetstream = jetstream::ContextBuilder::new()
            .timeout(REQUEST_TIMEOUT)
            .build(client.clone());
        Ok(Self {
            client,
            jetstream,
            signals,
            replicas: config.replicas,
        })
    }

    /// Follows whether a server answers.
    #[must_use]
    pub fn link(&self) -> watch::Receiver<Link> {
        self.signals.link.subscribe()
    }

    /// How often the client dropped messages because a reader was too slow. Readers notice the
    /// gap by themselves; the count is for metrics.
    #[must_use]
    pub fn slow_consumer_events(&self) -> u64 {
        self.signals.slow_total.load(Ordering::Relaxed)
    }

    pub(crate) fn client(&self) -> &async_nats::Client {
        &self.client
    }

    pub(crate) fn jetstream(&self) -> &jetstream::Context {
        &self.jetstream
    }

    /// Number of connections so far; changes on each reconnect.
    pub(crate) fn connects(&self) -> watch::Receiver<u64> {
        self.signals.connects.subscribe()
    }

    /// Changes when the client dropped messages of any subscription.
    pub(crate) fn slow(&self) -> watch::Receiver<u64> {
        self.signals.slow.subscribe()
    }

    /// Copies of what readers create.
    pub(crate) fn replicas(&self) -> usize {
        self.replicas
    }
}

impl std::fmt::Debug for Mesh {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mesh")
            .field("link", &*self.signals.link.borrow())
            .finish_non_exhaustive()
    }
}

async fn options(config: &NatsConfig, name: &str, signals: &Arc<Signals>) -> Result<ConnectOptions, ConnectError> {
    let mut options = ConnectOptions::new()
        .name(name)
        .custom_inbox_prefix(inbox(name))
        .ping_interval(PING_EVERY)
        .connection_timeout(Duration::from_secs(5))
        .request_timeout(Some(REQUEST_TIMEOUT))
        // Room for every command that publishers and acks can have under way at once.
        .client_capacity(8192)
        .max_reconnects(None)
        .reconnect_delay_callback(reconnect_delay);
    if let Some(path) = &config.creds {
        options = credentials(options, path).await.map_err(ConnectError::Credentials)?;
    }
    if let Some(path) = &config.ca {
        options = options.add_root_certificates(path.clone());
    }
    let signals = Arc::clone(signals);
    Ok(options.event_callback(move |event| {
        // Where no `Mesh` is left, the connection was given up, not lost.
        if Arc::strong_count(&signals) > 1 {
            on_event(&signals, &event);
        }
        std::future::ready(())
    }))
}

/// Answers come to inboxes below one of the program's own, so that a server can let each user read
/// its own and no other's: `_INBOX.tgmesh-gateway`. Whatever follows a blank tells processes apart.
fn inbox(name: &str) -> String {
    let program = name.split(' ').next().unwrap_or_default();
    format!("_INBOX.{}", program.replace(['.', '*', '>'], "_"))
}

/// A credentials file holds a JWT and the seed of its nkey, for servers that trust an operator; or
/// the seed alone, for servers that list the public half of the key.
async fn credentials(options: ConnectOptions, path: &Path) -> std::io::Result<ConnectOptions> {
    let text = SecretString::from(tokio::fs::read_to_string(path).await?);
    match seed(text.expose_secret()) {
        Some(seed) => {
            // The client says nothing of a seed it cannot read: it connects as nobody.
            nkeys::KeyPair::from_seed(seed)
                .map_err(|_| std::io::Error::new(ErrorKind::InvalidData, "it holds no valid seed of a user's nkey"))?;
            Ok(options.nkey(seed.to_owned()))
        }
        None => options.credentials(text.expose_secret()),
    }
}

/// The seed in a file that has nothing else but lines of decoration and comments.
fn seed(text: &str) -> Option<&str> {
    let mut lines = text.lines().map(str::trim);
    if lines.clone().any(|line| line.contains("USER JWT")) {
        return None;
    }
    lines.find(|line| line.starts_with("SU"))
}

/// 50 ms, doubling to 2 s: a restarted server is back in the time it takes to start, and a
/// fleet that lost its server does not hammer it.
fn reconnect_delay(attempts: usize) -> Duration {
    let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or(u32::MAX).min(6);
    let most = (Duration::from_millis(50) * 2_u32.pow(doublings)).min(Duration::from_secs(2));
    most.mul_f64(rand::random_range(0.5..=1.0))
}

/// The client drops events when too many come at once, as when a reader is far too slow. The link
/// must not stay wrong for that.
async fn reconcile(client: async_nats::Client, signals: Weak<Signals>) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    let mut connects = client.statistics().connects.load(Ordering::Relaxed);
    loop {
        ticks.tick().await;
        // The client's callback holds one reference; with this one alone beside it, no `Mesh` is left.
        let Some(signals) = signals.upgrade().filter(|signals| Arc::strong_count(signals) > 2) else {
            return;
        };
        let up = client.connection_state() == async_nats::connection::State::Connected;
        let now = client.statistics().connects.load(Ordering::Relaxed);
        let missed = now != connects && signals.events.swap(0, Ordering::Relaxed) == 0;
        connects = now;
        // Copied out first: a borrow lives to the end of the `match`, and `on_event` writes there.
        let link = *signals.link.borrow();
        match (up, link) {
            (true, Link::Down) => on_event(&signals, &Event::Connected),
            (false, Link::Up) => on_event(&signals, &Event::Disconnected),
            (true, Link::Up) if missed => on_event(&signals, &Event::Connected),
            _ => {}
        }
    }
}

fn on_event(signals: &Signals, event: &Event) {
    match event {
        Event::Connected => {
            signals.events.fetch_add(1, Ordering::Relaxed);
            signals.link.send_replace(Link::Up);
            signals.connects.send_modify(|n| *n += 1);
            tracing::info!(connects = *signals.connects.borrow(), "connected to NATS");
        }
        Event::Disconnected | Event::Closed => {
            signals.link.send_replace(Link::Down);
            tracing::warn!("lost the connection to NATS");
        }
        Event::SlowConsumer(subscription) => {
            signals.slow_total.fetch_add(1, Ordering::Relaxed);
            signals.slow.send_modify(|n| *n += 1);
            // One event for each dropped message: the readers' recovery tells more than a line each.
            tracing::debug!(subscription, "a reader was too slow, the client dropped a message");
        }
        Event::LameDuckMode => tracing::warn!("the NATS server is going away"),
        Event::Draining => {}
        Event::ServerError(error) => tracing::warn!(error = %error, "the NATS server reports an error"),
        Event::ClientError(error) => tracing::warn!(error = %error, "the NATS client reports an error"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inboxes_are_the_program_s_and_no_wildcards() {
        assert_eq!(inbox("tgmesh-listener pod.7"), "_INBOX.tgmesh-listener");
        assert_eq!(inbox("a.b*>"), "_INBOX.a_b__");
    }

    #[test]
    fn a_seed_is_found_alone_and_not_beside_a_jwt() {
        assert_eq!(seed("# archiver\nSUABC\n"), Some("SUABC"));
        let decorated = "-----BEGIN USER NKEY SEED-----\r\nSUABC\r\n------END USER NKEY SEED------\r\n";
        assert_eq!(seed(decorated), Some("SUABC"));
        let file = "-----BEGIN NATS USER JWT-----\neyJ0\n------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\nSUABC\n";
        assert_eq!(seed(file), None);
        assert_eq!(seed(""), None);
    }
}
