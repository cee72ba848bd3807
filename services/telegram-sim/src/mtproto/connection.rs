//! One TCP connection: reads packets, answers requests, and lets the writer send.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::crypt::{self, CryptError, Sender};
use super::envelope::{EnvelopeError, Packet};
use super::framing::{FrameError, Framing};
use super::outbox::Outbox;
use super::session::{BAD_SALT, Session, Verdict, rpc_result};
use super::writer::{self, Encoder};
use crate::clock;
use crate::faults::armed::site;
use crate::faults::requests::Fate;
use crate::faults::{FaultKind, Refusal};
use crate::rpc::{self, Caller};
use crate::sim::{Key, Shared};
use crate::world::AccountNo;

/// Connections at a time; a further one waits in the listen queue.
const MAX_CONNECTIONS: usize = 1_024;
/// A connection that has not sent its first packet by then is closed.
const FIRST_PACKET: Duration = Duration::from_secs(30);
/// Tells connections apart.
static NUMBER: AtomicU64 = AtomicU64::new(1);
/// Unknown authorization key, as a transport error.
const KEY_UNKNOWN: i32 = 404;

/// Why a connection ends.
#[derive(Debug, thiserror::Error)]
enum End {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Crypt(#[from] CryptError),
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    #[error("the authorization key is unknown")]
    UnknownKey,
    #[error("the client went silent")]
    Silent,
}

/// Accepts connections until `stop`; those that run then are closed.
pub(crate) async fn serve(listener: TcpListener, shared: Arc<Shared>, tasks: TaskTracker, stop: CancellationToken) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = accept(&listener, &slots) => accepted,
        };
        let Some((stream, from, slot)) = accepted else {
            // Out of file descriptors, most likely: let some connections end first.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (shared, closed) = (Arc::clone(&shared), stop.child_token());
        tasks.spawn(async move {
            if refused(&shared, None, &closed).await {
                return;
            }
            let end = run(stream, &shared, closed).await;
            match end {
                Ok(()) => tracing::debug!(%from, "connection closed"),
                Err(error) => tracing::debug!(%from, %error, "connection ended"),
            }
            drop(slot);
        });
    }
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, from)) => Some((stream, from, slot)),
        Err(error) => {
            tracing::warn!(%error, "couldn't accept a connection");
            None
        }
    }
}

/// Whether a fault refuses the connection; one that is to be left alone is left so until then.
async fn refused(shared: &Shared, account: Option<AccountNo>, closed: &CancellationToken) -> bool {
    let Some((refusal, fault)) = shared.faults().refusal(account) else {
        return false;
    };
    if refusal == Refusal::Ignore {
        tokio::select! {
            () = shared.faults().is_over(&fault) => {}
            () = closed.cancelled() => {}
        }
    }
    true
}

async fn run(stream: TcpStream, shared: &Arc<Shared>, closed: CancellationToken) -> Result<(), End> {
    stream.set_nodelay(true)?;
    let (mut incoming, mut outgoing) = stream.into_split();
    let mut buffer = BytesMut::with_capacity(16 * 1_024);
    let first = async {
        let mut framing = None;
        loop {
            if framing.is_none() {
                framing = Framing::detect(&mut buffer);
            }
            if let Some(framing) = &mut framing
                && let Some(packet) = framing.next(&mut buffer)?
            {
                return Ok::<_, End>(Some((framing.clone(), packet)));
            }
            if incoming.read_buf(&mut buffer).await? == 0 {
                return Ok(None);
            }
        }
    };
    let first = tokio::select! {
        first = tokio::time::timeout(FIRST_PACKET, first) => first.map_err(|_| End::Silent)??,
        () = closed.cancelled() => return Ok(()),
    };
    let Some((mut framing, packet)) = first else {
        return Ok(());
    };

    let Some(key) = shared.find_key(&packet) else {
        outgoing.write_all(&framing.transport_error(KEY_UNKNOWN)).await?;
        return Err(End::UnknownKey);
    };
    let account = key.owner();
    if refused(shared, Some(account), &closed).await {
        return Ok(());
    }
    let viewer = shared.viewer(account);
    let outbox = Arc::new(Outbox::new(closed.clone()));
    let session_id = Arc::new(AtomicI64::new(0));
    let encoder = Encoder::new(key.auth.clone(), framing.clone(), viewer, account);
    let writer = writer::run(
        encoder,
        Arc::clone(&session_id),
        Arc::clone(&outbox),
        Arc::clone(shared.posted()),
        Arc::clone(shared.faults()),
        outgoing,
    );
    let reader = Reader {
        shared,
        key: &key,
        session: Session::new(viewer.identity, key.auth.id()),
        session_id: &session_id,
        outbox: &outbox,
        caller: Caller::new(Arc::clone(&key), account, viewer),
        number: NUMBER.fetch_add(1, Ordering::Relaxed),
    };
    key.connected(&outbox);
    let _guard = Subscription {
        shared,
        key: &key,
        number: reader.number,
        outbox: &outbox,
    };
    tokio::select! {
        end = reader.run(&mut framing, packet, buffer, incoming) => end,
        end = writer => end.map_err(End::Io),
        () = closed.cancelled() => Ok(()),
    }
}

/// Takes the connection out of its key and account when it ends, however it ends.
struct Subscription<'a> {
    shared: &'a Shared,
    key: &'a Key,
    number: u64,
    outbox: &'a Arc<Outbox>,
}

impl Drop for Subscription<'_> {
    fn drop(&mut self) {
        self.outbox.close();
        self.shared.disconnected(self.key, self.outbox, self.number);
    }
}

struct Reader<'a> {
    shared: &'a Arc<Shared>,
    key: &'a Key,
    session: Session,
    session_id: &'a AtomicI64,
    outbox: &'a Arc<Outbox>,
    caller: Caller,
    number: u64,
}

impl Reader<'_> {
    async fn run(
        mut self,
        framing: &mut Framing,
        mut packet: BytesMut,
        mut buffer: BytesMut,
        mut incoming: impl AsyncReadExt + Unpin,
    ) -> Result<(), End> {
        loop {
            if !self.outbox.is_forsaken() {
                self.packet(&mut packet)?;
            }
            packet = loop {
                if self.outbox.is_forsaken() {
                    return discard(incoming).await;
                }
                if let Some(packet) = framing.next(&mut buffer)? {
                    break packet;
                }
                let read = incoming.read_buf(&mut buffer);
                let read = match self.session.disconnect_after {
                    Some(limit) => match tokio::time::timeout(limit, read).await {
                        Ok(read) => read,
                        Err(_) if self.outbox.is_forsaken() => continue,
                        Err(_) => return Err(End::Silent),
                    },
                    None => read.await,
                };
                if read? == 0 {
                    return Ok(());
                }
            };
        }
    }

    fn packet(&mut self, packet: &mut [u8]) -> Result<(), End> {
        let plaintext = crypt::decrypt(&self.key.auth, Sender::Client, packet)?;
        let packet = Packet::parse(plaintext)?;
        self.session_id.store(packet.session_id, Ordering::Relaxed);
        let (account, faults) = (self.caller.account, self.shared.faults());
        if faults.at(site::MUTE) && faults.is_mute(account) {
            return Ok(());
        }
        let now_s = (clock::now_us() / 1_000_000) as i64;
        let fault = faults.first(site::PACKET, Some(account), None, |armed| match armed.kind() {
            FaultKind::BadSalt => Some(BAD_SALT),
            FaultKind::BadMessage { code } => Some(*code),
            _ => None,
        });
        if !self.session.admit(&packet, now_s, fault, self.outbox) {
            return Ok(());
        }
        self.shared.sent(self.key, self.number, Instant::now());
        for message in packet.messages {
            let Verdict::Request { id, body } = self.session.sort(message, now_s, self.outbox) else {
                continue;
            };
            let declined = !self.caller.wants_updates;
            let request = self.caller.unwrap(&body);
            // Signed in or out since, by this connection or another on the key.
            let owner = self.key.owner();
            let is_other = owner != self.caller.account;
            if is_other {
                let viewer = self.shared.viewer(owner);
                (self.caller.account, self.caller.viewer) = (owner, viewer);
                self.outbox.belong(owner, viewer);
            }
            // Before the answer: from the state it tells of, nothing may be missing.
            if (declined || is_other) && self.caller.wants_updates {
                self.shared.subscribe(self.key, self.outbox);
            }
            let mut fate = match &request {
                Ok(body) => self.shared.fate(owner, body),
                Err(_) => Fate::default(),
            };
            let answer = match fate.refusal.take() {
                Some(failure) => rpc::refusal(failure),
                None => rpc::answer(self.shared, &self.caller, request),
            };
            if fate.cut {
                self.outbox.close();
                return Ok(());
            }
            self.answer(rpc_result(id, &answer), fate.delay);
        }
        Ok(())
    }

    fn answer(&self, body: Vec<u8>, delay: Option<Duration>) {
        let Some(delay) = delay else {
            return self.outbox.send(body, true, true);
        };
        let outbox = Arc::clone(self.outbox);
        tokio::spawn(async move {
            tokio::select! {
                () = tokio::time::sleep(delay) => outbox.send(body, true, true),
                () = outbox.closed().cancelled() => {}
            }
        });
    }
}

/// Reads and throws away until the client gives up.
async fn discard(mut incoming: impl AsyncReadExt + Unpin) -> Result<(), End> {
    let mut waste = [0; 4_096];
    while incoming.read(&mut waste).await? > 0 {}
    Ok(())
}
