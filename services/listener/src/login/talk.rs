//! A conversation with Telegram that goes on in another data centre when it says so.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use grammers_session::Session as _;
use grammers_session::updates::UpdatesLike;
use grammers_tl_types::{Identifiable, RemoteCall};

use crate::connection::{self, CallError, Calls, Connection};
use crate::flood::Floods;
use crate::session::MemorySession;

/// An account moves once; more is a loop.
const MAX_MOVES: usize = 3;
/// For connecting, making a key and the first answer, over a slow network.
const LOST_TRIES: usize = 3;
const LOST_PAUSE: Duration = Duration::from_secs(1);

/// A session's connection, outside of the listener.
pub struct Talk {
    session: Arc<MemorySession>,
    api_id: i32,
    connection: Connection,
    floods: Floods,
    /// Nothing was answered on it yet.
    is_fresh: bool,
}

impl Talk {
    /// Prepares it; it connects with the first request.
    ///
    /// # Errors
    /// When `TELEGRAM_DC` is no address.
    pub async fn open(session: Arc<MemorySession>, api_id: i32, dc: Option<String>) -> anyhow::Result<Self> {
        connection::pin(dc.as_deref(), &session)
            .await
            .context("couldn't find Telegram")?;
        let floods = Floods::unobserved();
        let connection = Connection::new(Arc::clone(&session), api_id, floods.clone());
        Ok(Self {
            session,
            api_id,
            connection,
            floods,
            is_fresh: true,
        })
    }

    /// Its session.
    #[must_use]
    pub fn session(&self) -> &MemorySession {
        &self.session
    }

    /// Requests over the connection as it is now.
    #[must_use]
    pub fn calls(&self) -> Calls {
        self.connection.calls()
    }

    /// Makes a request, in the data centre that the account lives in.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn ask<R: RemoteCall + Identifiable>(&mut self, request: &R) -> Result<R::Return, CallError> {
        let (mut moves, mut tries) = (0, 0);
        loop {
            let answer = self.connection.calls().call(request).await;
            if self.session.key_was_rejected() {
                return Err(CallError::Dead("AUTH_KEY_UNREGISTERED".to_owned()));
            }
            match answer {
                Err(CallError::Elsewhere(dc)) if moves < MAX_MOVES => {
                    moves += 1;
                    self.go_to(dc).await;
                }
                // While it only connects, nothing is done twice.
                Err(CallError::Lost(why)) if self.is_fresh && tries < LOST_TRIES => {
                    tries += 1;
                    tracing::warn!(why, "couldn't connect to Telegram, trying again");
                    tokio::time::sleep(LOST_PAUSE).await;
                    self.connect();
                }
                answer => {
                    self.is_fresh &= matches!(answer, Err(CallError::Lost(_) | CallError::Timeout));
                    return answer;
                }
            }
        }
    }

    /// Goes on in another data centre.
    pub async fn go_to(&mut self, dc: i32) {
        // It never fails: the session is in memory.
        let Ok(()) = self.session.set_home_dc_id(dc).await;
        self.connect();
    }

    /// Waits for an update of this kind, or until the connection is lost, and is made anew then.
    /// Safe to cancel.
    pub async fn wait_for(&mut self, is_it: impl Fn(&UpdatesLike) -> bool) {
        let mut batch = Vec::new();
        loop {
            let received = self.connection.receive(&mut batch, 64).await;
            let is_closed = |update: &UpdatesLike| matches!(update, UpdatesLike::ConnectionClosed);
            if received.is_err() || batch.iter().any(is_closed) {
                self.connect();
                return;
            }
            if batch.drain(..).any(|update| is_it(&update)) {
                return;
            }
        }
    }

    fn connect(&mut self) {
        self.is_fresh = true;
        self.connection = Connection::new(Arc::clone(&self.session), self.api_id, self.floods.clone());
    }
}
