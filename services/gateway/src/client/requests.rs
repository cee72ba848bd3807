//! What a client asks for.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tgmesh_lifecycle::clock;
use tgmesh_proto::frame::{ClientFrame, CloseCode, ErrorCode, Filter, Resume, ServerFrame};
use tokio_tungstenite::tungstenite::Message;

use super::session::{Session, TICK};
use super::socket::Socket;
use super::subscription::Subscription;
use super::transport::Transport;
use super::{DEFAULT_RATE, Gone, end, until_expiry};
use crate::filter::Matcher;
use crate::hub::Sub;
use crate::registry::Limit;
use crate::resume::From;
use crate::wire::Unreadable;

/// Subscriptions of one connection at a time.
const MAX_SUBSCRIPTIONS: usize = 32;
/// Ids that one connection may use over its life; each is remembered.
const MAX_IDS: usize = 1_000;
/// Chats of a subscription that the audit log names.
const MAX_LISTED: usize = 16;
/// Longest id, in bytes.
const MAX_ID_BYTES: usize = 64;

impl Session {
    /// Handles what the client sent. Returns a token that it wants to go on with.
    pub(super) fn inbound<T>(&mut self, socket: &mut Socket<T>, message: &Message) -> Result<Option<String>, Gone>
    where
        T: Transport,
    {
        let now = Instant::now();
        self.heard = now;
        if matches!(message, Message::Pong(_) | Message::Close(_) | Message::Frame(_)) {
            return Ok(None);
        }
        let frame = match message {
            Message::Ping(_) => None,
            message => Some(socket.format().decode(message)),
        };
        let bucket = if let Some(Ok(ClientFrame::Rendered { .. })) = &frame {
            &mut self.rendered_bucket
        } else {
            &mut self.bucket
        };
        if !bucket.take(now) {
            return Err(end(CloseCode::RateLimited, Limit::Frames.reason()));
        }
        let Some(frame) = frame else {
            socket.owes_flush();
            return Ok(None);
        };
        match frame {
            Ok(ClientFrame::Subscribe { id, filter, resume }) => {
                if let Err((code, text)) = self.subscribe(socket, &id, filter, resume) {
                    self.refuse(socket, Some(id), code, text);
                }
            }
            Ok(ClientFrame::Unsubscribe { id }) => self.unsubscribe(socket, id),
            Ok(ClientFrame::Auth { token }) => return Ok(Some(token)),
            Ok(ClientFrame::Rendered { seq, at_ms }) => self.rendered(seq, at_ms),
            Ok(ClientFrame::Ping { t_ms }) => {
                let server_ms = clock::now_us() as f64 / 1000.0;
                socket.send(&ServerFrame::Pong { t_ms, server_ms });
            }
            Err(Unreadable::Refused { id, code, message }) => self.refuse(socket, Some(id), code, message),
            Err(Unreadable::Malformed) => return Err(end(CloseCode::Malformed, "malformed frame")),
        }
        Ok(None)
    }

    pub(super) fn subscribe<T>(
        &mut self,
        socket: &mut Socket<T>,
        id: &str,
        asked: Filter,
        resume: Option<Resume>,
    ) -> Result<(), (ErrorCode, String)>
    where
        T: Transport,
    {
        if id.is_empty() || id.len() > MAX_ID_BYTES {
            return Err((ErrorCode::BadId, format!("an id has 1 to {MAX_ID_BYTES} bytes")));
        }
        if self.used.contains(id) {
            return Err((ErrorCode::DuplicateId, "this id was used on this connection".to_owned()));
        }
        if self.subscriptions.len() >= MAX_SUBSCRIPTIONS || self.used.len() >= MAX_IDS {
            let text =
                format!("a connection has at most {MAX_SUBSCRIPTIONS} subscriptions at a time, {MAX_IDS} in all");
            return Err((ErrorCode::TooManySubscriptions, text));
        }
        let filter = self.grant.rights.cut(asked.clone());
        let matcher = Matcher::compile(&filter).map_err(|bad| (ErrorCode::BadFilter, bad.to_string()))?;
        let place = self.gateway.hub.place();
        let (Some(place), Some(past)) = (place, self.gateway.past.get()) else {
            return Err((ErrorCode::Unavailable, "the stream is not there".to_owned()));
        };
        let id: Arc<str> = id.into();
        self.used.insert(Arc::clone(&id));
        let sub = Sub::new(
            id,
            Arc::clone(&place.epoch),
            Arc::clone(self.seat.mailbox()),
            Arc::new(matcher),
        );
        let mut subscription = Subscription::new(Arc::clone(&sub), asked);
        self.gateway.figures.subscriptions.inc();
        let asked_for = serde_json::to_string(&filter).unwrap_or_default();
        let chats = filter.chats.as_ref().map_or_else(
            || "*".to_owned(),
            |chats| {
                let chats: Vec<_> = chats.iter().take(MAX_LISTED).map(i64::to_string).collect();
                chats.join(",")
            },
        );
        self.gateway.audit.note(
            "subscribe",
            Some(&self.grant.subject),
            Some(&format!("chats:{chats}")),
            [("session", self.name.clone()), ("filter", asked_for)],
        );
        if let Some(resume) = resume {
            self.gateway.figures.resumes.inc();
            let bring = past.clone().bring(sub, From::Client(resume, Box::new(filter)));
            subscription.brought_by(tokio::spawn(bring).abort_handle());
        } else {
            let seq = self.gateway.hub.join(&sub);
            subscription.position = seq;
            subscription.told = Some((seq, Instant::now()));
            self.gateway.matches.join(&sub);
            subscription.is_live_now();
            let epoch = place.epoch.to_string();
            let id = sub.id.to_string();
            let subscribed = ServerFrame::Subscribed {
                id,
                epoch,
                seq,
                filter,
                recovered: false,
                oldest: None,
            };
            socket.send_at(&subscribed, seq);
        }
        // Most clients have one, and a list grows by four.
        self.subscriptions.reserve_exact(1);
        self.subscriptions.push(subscription);
        Ok(())
    }

    fn unsubscribe<T: Transport>(&mut self, socket: &mut Socket<T>, id: String) {
        match self
            .subscriptions
            .iter()
            .position(|subscription| *subscription.sub.id == *id)
        {
            Some(at) => {
                let subscription = self.subscriptions.swap_remove(at);
                self.gateway.hub.leave(&subscription.sub);
                self.gateway.matches.leave(&subscription.sub);
            }
            None => self.refuse(
                socket,
                Some(id),
                ErrorCode::UnknownId,
                "there is no such subscription".to_owned(),
            ),
        }
    }

    /// Renewal: another token of the same subject. Its rights apply at once, to what waits as well.
    pub(super) async fn renew<T>(&mut self, socket: &mut Socket<T>, token: &str) -> Result<(), Gone>
    where
        T: Transport,
    {
        self.gateway.verifier.learn(token).await;
        let grant = self
            .gateway
            .verify(token)
            .map_err(|reason| end(CloseCode::Unauthorized, reason))?;
        if grant.subject != self.grant.subject {
            return Err(end(CloseCode::Forbidden, "a renewal has to be for the same subject"));
        }
        if !self.seat.belongs_to(&grant) {
            return Err(end(CloseCode::RateLimited, Limit::Subject.reason()));
        }
        self.bucket.set_rate(grant.rate.unwrap_or(DEFAULT_RATE));
        self.expires = Instant::now() + until_expiry(&grant).min(Duration::from_hours(24 * 365));
        self.grant = grant;
        for subscription in &mut self.subscriptions {
            let filter = self.grant.rights.cut(subscription.asked.clone());
            // It was compiled before; rights only take entries away or put shorter lists in.
            if let Ok(matcher) = Matcher::compile(&filter) {
                self.gateway.hub.refilter(&subscription.sub, Arc::new(matcher));
                subscription.refiltered();
                // Before `subscribed` was sent, nothing is.
                if subscription.told.is_some() {
                    self.gateway.matches.join(&subscription.sub);
                }
            }
        }
        self.seat.wake_at((Instant::now() + TICK).min(self.expires));
        self.welcome(socket)
    }

    /// Closes the trace of a detection: a span under the fan-out's, where that was sampled.
    fn rendered(&mut self, seq: u64, at_ms: f64) {
        self.gateway.figures.rendered.inc();
        // Once a connection and detection: a page paints in the order of the sequences.
        if seq <= self.rendered {
            return;
        }
        if let Some(event) = self.gateway.hub.find(seq)
            && self.grant.rights.permit(&event.detection)
        {
            self.rendered = seq;
            event.rendered(at_ms);
        }
    }

    pub(super) fn refuse<T>(&self, socket: &mut Socket<T>, id: Option<String>, code: ErrorCode, message: String)
    where
        T: Transport,
    {
        self.gateway.figures.errors.inc();
        if code == ErrorCode::TooManySubscriptions {
            let subject = Some(self.grant.subject.as_str());
            self.gateway.limited(Limit::Subscriptions, subject, self.seat.place());
        }
        socket.send(&ServerFrame::Error { id, code, message });
    }
}
