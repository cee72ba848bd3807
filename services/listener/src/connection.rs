//! One connection to Telegram, from its first request to its loss.
//!
//! The library reconnects on the next request only, its requests have no timeout, its runner can
//! hang in a handshake with a mute server, and some server messages make it panic. So a connection
//! here has one life: every call has a timeout, pings find a half-open link, and whatever goes
//! wrong ends the runner and all that hangs on it. The account then opens a new one.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use grammers_client::Client;
use grammers_client::client::ClientConfiguration;
use grammers_mtproto::transport;
use grammers_mtsender::{ConnectionParams, InvocationError, NoRetries, SenderPool};
use grammers_session::updates::UpdatesLike;
use grammers_tl_types::{Identifiable, RemoteCall, functions};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::flood::Floods;
use crate::session::MemorySession;

/// Updates between the socket and the pump, which drains them at once. When it is full the library
/// drops them in silence; the pump notices (see [`Connection::receive`]).
const UPDATES_CAPACITY: usize = 8192;
/// For one request. Telegram answers within a second, or not at all.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);
/// Between two pings; each also carries the acks of what was received.
const PING_EVERY: Duration = Duration::from_secs(10);
/// A ping that takes longer tells that the link is dead.
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// For a wait whose length Telegram does not say: an account that is frozen, for one.
const UNNAMED_WAIT: Duration = Duration::from_mins(1);

/// What a request may come to.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Telegram wants to be left alone with this for a while.
    #[error("flood wait of {} s", .0.as_secs())]
    Flood(Duration),
    /// The session is dead: trying again makes it worse.
    #[error("the session is dead: {0}")]
    Dead(String),
    /// Telegram refuses this request.
    #[error("{name} ({code})")]
    Refused {
        /// Code, as of HTTP.
        code: i32,
        /// Name of the error.
        name: String,
    },
    /// The account lives in another data centre.
    #[error("the account lives in data centre {0}")]
    Elsewhere(i32),
    /// No answer in time; the link may be dead.
    #[error("no answer within {} s", CALL_TIMEOUT.as_secs())]
    Timeout,
    /// The connection is lost.
    #[error("connection lost: {0}")]
    Lost(String),
}

impl CallError {
    /// Whether the answer came and holds something that this client cannot read.
    #[must_use]
    pub fn is_unreadable(&self) -> bool {
        self.is("UNREADABLE_ANSWER*")
    }

    /// Whether the error has this name, or begins with it if `name` ends in `*`.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        let Self::Refused { name: found, .. } = self else {
            return false;
        };
        match name.strip_suffix('*') {
            Some(prefix) => found.starts_with(prefix),
            None => found == name,
        }
    }
}

/// Sends all connections of a session to `TELEGRAM_DC`, if there is one.
///
/// # Errors
/// When it has no address now.
pub async fn pin(dc: Option<&str>, session: &MemorySession) -> anyhow::Result<()> {
    let Some(dc) = dc else { return Ok(()) };
    let lookup = timeout(Duration::from_secs(10), tokio::net::lookup_host(dc));
    let found = lookup.await.context("TELEGRAM_DC was not resolved in time")?;
    let mut found = found.with_context(|| format!("couldn't resolve TELEGRAM_DC {dc}"))?;
    let address = found.find_map(|address| match address {
        std::net::SocketAddr::V4(address) => Some(address),
        std::net::SocketAddr::V6(address) => {
            let ip = address.ip().to_ipv4_mapped()?;
            Some(std::net::SocketAddrV4::new(ip, address.port()))
        }
    });
    session.pin(Some(
        address.with_context(|| format!("TELEGRAM_DC {dc} has no IPv4 address"))?,
    ));
    Ok(())
}

/// A connection. Dropping it ends it.
pub struct Connection {
    calls: Calls,
    updates: mpsc::Receiver<UpdatesLike>,
    runner: JoinHandle<()>,
}

/// Requests over a connection, each with a timeout.
#[derive(Clone)]
pub struct Calls {
    client: Client,
    floods: Floods,
    /// Asks for a ping before its time.
    nudge: Arc<Notify>,
}

/// Updates that came together.
pub struct Received {
    /// How many.
    pub count: usize,
    /// The queue was full: the library may have dropped some.
    pub overflowed: bool,
}

impl Connection {
    /// Prepares a connection; it opens with the first request. The budgets are the account's.
    #[must_use]
    pub fn new(session: Arc<MemorySession>, api_id: i32, floods: Floods) -> Self {
        // The capacity is not zero.
        let capacity = NonZeroUsize::new(UPDATES_CAPACITY).unwrap_or(NonZeroUsize::MIN);
        let parameters = ConnectionParams {
            app_version: env!("CARGO_PKG_VERSION").to_owned(),
            // Waiting and trying again is decided here, where it is known what waits behind it.
            retry_policy: Box::new(NoRetries),
            updates_channel_capacity: capacity,
            ..ConnectionParams::default()
        };
        let SenderPool {
            runner,
            handle,
            updates,
        } = SenderPool::with_configuration(session, api_id, parameters);
        let configuration = ClientConfiguration {
            auto_cache_peers: false,
        };
        let client = Client::with_configuration(handle, configuration);
        Self {
            calls: Calls {
                client,
                floods,
                nudge: Arc::default(),
            },
            updates,
            runner: tokio::spawn(runner.run()),
        }
    }

    /// Requests over it.
    #[must_use]
    pub fn calls(&self) -> Calls {
        self.calls.clone()
    }

    /// Waits for updates and appends up to `limit` of them. Safe to cancel.
    ///
    /// # Errors
    /// When the connection has ended.
    pub async fn receive(&mut self, batch: &mut Vec<UpdatesLike>, limit: usize) -> Result<Received, CallError> {
        tokio::select! {
            biased;
            count = self.updates.recv_many(batch, limit) => {
                if count == 0 {
                    return Err(CallError::Lost("the runner ended".to_owned()));
                }
                // Whatever was dropped was dropped while the queue was full: then all of it is
                // either in this batch or still there.
                let overflowed = count + self.updates.len() >= UPDATES_CAPACITY;
                Ok(Received { count, overflowed })
            }
            ended = &mut self.runner => Err(CallError::Lost(match ended {
                Ok(()) => "the runner ended".to_owned(),
                Err(error) => format!("the runner failed: {error}"),
            })),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // It may hang in a handshake, where it hears nothing else.
        self.runner.abort();
    }
}

impl Calls {
    /// Makes a request, once its method's budget has room for it. While the method is closed for
    /// the account, the answer is that wait, and nothing is asked.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call<R: RemoteCall + Identifiable>(&self, request: &R) -> Result<R::Return, CallError> {
        self.floods.admit(R::CONSTRUCTOR_ID).await.map_err(CallError::Flood)?;
        self.invoke(request).await
    }

    /// The same for what has time: it leaves half of the method's budget to what is urgent.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call_in_spare_time<R: RemoteCall + Identifiable>(&self, request: &R) -> Result<R::Return, CallError> {
        self.floods
            .admit_spare(R::CONSTRUCTOR_ID)
            .await
            .map_err(CallError::Flood)?;
        self.invoke(request).await
    }

    /// What the account may ask for.
    #[must_use]
    pub fn floods(&self) -> &Floods {
        &self.floods
    }

    async fn invoke<R: RemoteCall + Identifiable>(&self, request: &R) -> Result<R::Return, CallError> {
        let answer = match timeout(CALL_TIMEOUT, self.client.invoke(request)).await {
            Ok(answer) => answer.map_err(CallError::from),
            Err(_) => Err(CallError::Timeout),
        };
        let flood = match &answer {
            Err(CallError::Flood(wait)) => Some(*wait),
            _ => None,
        };
        self.floods.answered(R::CONSTRUCTOR_ID, flood, answer.is_err());
        answer
    }

    /// Pings until the link is dead. Never returns while it lives.
    pub async fn watch_link(&self) -> CallError {
        loop {
            let _ = timeout(PING_EVERY, self.nudge.notified()).await;
            let ping = functions::Ping {
                ping_id: rand::random(),
            };
            match timeout(PING_TIMEOUT, self.client.invoke(&ping)).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => match CallError::from(error) {
                    // An answer, if an odd one: the link lives.
                    CallError::Refused { .. } | CallError::Flood(_) => {}
                    error => return error,
                },
                Err(_) => return CallError::Lost(format!("no pong within {} s", PING_TIMEOUT.as_secs())),
            }
        }
    }

    /// Sends a ping now, and the acks with it.
    pub fn nudge(&self) {
        self.nudge.notify_one();
    }
}

impl From<InvocationError> for CallError {
    fn from(error: InvocationError) -> Self {
        match error {
            InvocationError::Rpc(error) => match (error.code, error.name.as_str(), error.value) {
                (420, _, seconds) => Self::Flood(seconds.map_or(UNNAMED_WAIT, |s| Duration::from_secs(u64::from(s)))),
                (303, name, Some(dc)) if name.ends_with("_MIGRATE") => Self::Elsewhere(dc.cast_signed()),
                (401, "SESSION_PASSWORD_NEEDED", _) => Self::Refused {
                    code: error.code,
                    name: error.name,
                },
                (401, ..) => Self::Dead(error.name),
                (_, name, _) if name.starts_with("AUTH_KEY_") || name.starts_with("USER_DEACTIVATED") => {
                    Self::Dead(error.name)
                }
                _ => Self::Refused {
                    code: error.code,
                    name: error.name,
                },
            },
            // One answer that cannot be read says nothing about the others.
            InvocationError::Deserialize(error) => Self::Refused {
                code: 0,
                name: format!("UNREADABLE_ANSWER: {error}"),
            },
            InvocationError::Transport(transport::Error::BadStatus { status: 404 }) => {
                Self::Dead("the server does not know its key".to_owned())
            }
            // Keys are exchanged only after the server said that it does not know ours.
            InvocationError::Authentication(error) => {
                Self::Dead(format!("the server does not know its key, and made no other: {error}"))
            }
            error => Self::Lost(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use grammers_mtsender::RpcError;
    use grammers_tl_types::types;

    use super::*;

    fn error(error_code: i32, error_message: &str) -> CallError {
        let error = types::RpcError {
            error_code,
            error_message: error_message.to_owned(),
        };
        InvocationError::Rpc(RpcError::from(error)).into()
    }

    #[test]
    fn dead_sessions_are_told_from_refusals() {
        for (code, name) in [
            (401, "AUTH_KEY_UNREGISTERED"),
            (401, "SESSION_REVOKED"),
            (401, "USER_DEACTIVATED"),
            (406, "AUTH_KEY_DUPLICATED"),
        ] {
            assert!(matches!(error(code, name), CallError::Dead(_)), "{name}");
        }
        for (code, name) in [(406, "CHANNEL_PRIVATE"), (400, "CHANNEL_INVALID"), (500, "INTERNAL")] {
            assert!(error(code, name).is(name), "{name}");
        }
        assert!(error(400, "PERSISTENT_TIMESTAMP_INVALID").is("PERSISTENT_TIMESTAMP_*"));
        assert!(matches!(error(303, "PHONE_MIGRATE_4"), CallError::Elsewhere(4)));
        let CallError::Flood(wait) = error(420, "FLOOD_WAIT_31") else {
            panic!("a flood wait")
        };
        assert_eq!(wait.as_secs(), 31);
        // Every kind of wait is one; one without a length is not asked again at once.
        for (name, seconds) in [
            ("FLOOD_PREMIUM_WAIT_7", 7),
            ("SLOWMODE_WAIT_9", 9),
            ("FROZEN_METHOD_INVALID", 60),
        ] {
            let CallError::Flood(wait) = error(420, name) else {
                panic!("{name}")
            };
            assert_eq!(wait.as_secs(), seconds, "{name}");
        }
    }
}
