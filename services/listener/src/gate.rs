//! The only way to Telegram: bytes leave only while the lease is held.
//!
//! A process can be paused at any moment and run on long after its lease went to another. Then
//! timers of the client library are due all at once and it writes: a second user of the key, which
//! may end it for good. So the library connects to a gate of ours on loopback, which passes bytes
//! on and asks the lease right before each write. What is left of the race is a pause between that
//! look at the clock and the system call behind it.
//!
//! Bytes that the kernel took earlier and that were lost on the way it would send again, long after
//! the process could look: it gives up once they are older than the lease's margin.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use rustix::net::sockopt::set_tcp_user_timeout;
use tgmesh_stream::lease::Tenure;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Bytes that are passed on at once.
const CHUNK: usize = 16 << 10;
/// For reaching the server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A gate to one server. Dropping it closes it, a moment later.
pub struct Gate {
    address: SocketAddrV4,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// To where bytes are passed, and as long as what holds.
#[derive(Clone)]
struct Way {
    server: SocketAddrV4,
    tenure: Tenure,
    margin: Duration,
}

impl Gate {
    /// Opens a gate on a free port. `margin` is the time between the end of the tenure and that of
    /// the lease.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn open(server: SocketAddrV4, tenure: Tenure, margin: Duration) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let SocketAddr::V4(address) = listener.local_addr()? else {
            return Err(io::Error::other("no IPv4 address"));
        };
        let way = Way { server, tenure, margin };
        let stop = CancellationToken::new();
        let task = tokio::spawn(pass_all(listener, way, stop.clone()));
        Ok(Self { address, stop, task })
    }

    /// Where the client connects.
    #[must_use]
    pub fn address(&self) -> SocketAddrV4 {
        self.address
    }

    /// Closes every connection and waits until that is done.
    pub async fn close(mut self) {
        self.stop.cancel();
        // It does not panic, and nobody aborts it.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn pass_all(listener: TcpListener, way: Way, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = way.tenure.over() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((client, _)) => {
                    let way = way.clone();
                    connections.spawn(async move {
                        if let Err(error) = pass(client, &way).await {
                            tracing::debug!(server = %way.server, %error, "a connection to Telegram ended");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "couldn't accept a connection of the client library");
                    break;
                }
            },
        }
    }
    connections.shutdown().await;
}

async fn pass(client: TcpStream, way: &Way) -> io::Result<()> {
    let connect = async {
        let server = TcpStream::connect(way.server).await?;
        server.set_nodelay(true)?;
        let margin_ms = u32::try_from(way.margin.as_millis()).unwrap_or(u32::MAX).max(1);
        set_tcp_user_timeout(&server, margin_ms)?;
        Ok::<_, io::Error>(server)
    };
    let server = match timeout(CONNECT_TIMEOUT, connect).await {
        Ok(Ok(server)) => server,
        Ok(Err(error)) => {
            tracing::warn!(server = %way.server, %error, "couldn't reach Telegram");
            return Ok(());
        }
        Err(_) => {
            tracing::warn!(server = %way.server, "couldn't reach Telegram in time");
            return Ok(());
        }
    };
    client.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        ended = outward(from_client, to_server, &way.tenure) => ended,
        ended = inward(from_server, to_client) => ended,
    }
}

async fn outward(mut client: OwnedReadHalf, server: OwnedWriteHalf, tenure: &Tenure) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        let count = client.read(&mut chunk).await?;
        if count == 0 {
            return Ok(());
        }
        let mut left = &chunk[..count];
        while !left.is_empty() {
            server.writable().await?;
            // Nothing stands between this and the system call.
            if !tenure.holds() {
                return Ok(());
            }
            match server.try_write(left) {
                Ok(written) => left = &left[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}

async fn inward(mut server: OwnedReadHalf, mut client: OwnedWriteHalf) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        let count = server.read(&mut chunk).await?;
        if count == 0 {
            return Ok(());
        }
        client.write_all(&chunk[..count]).await?;
    }
}
