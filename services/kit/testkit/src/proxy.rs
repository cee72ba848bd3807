//! A TCP proxy that cuts, mutes and delays, to see what software does when the network fails.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::ports;

/// A proxy on loopback in front of one server. Dropping it closes everything.
#[derive(Debug)]
pub struct Proxy {
    addr: SocketAddr,
    state: Arc<watch::Sender<State>>,
    task: JoinHandle<()>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    link: Link,
    delay: Duration,
    /// Connections of an earlier number are closed.
    cuts: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    Whole,
    /// Nothing is refused and nothing arrives.
    Mute,
    /// Nothing listens, everything is closed.
    Cut,
}

impl Proxy {
    /// Starts a proxy on a free port of 127.0.0.1 that hands every connection to `target`
    /// (`host:port`).
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn start(target: impl Into<String>) -> Result<Self> {
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free_port()));
        let listener = TcpListener::bind(addr).await.context("couldn't listen for the proxy")?;
        let state = Arc::new(watch::Sender::new(State {
            link: Link::Whole,
            delay: Duration::ZERO,
            cuts: 0,
        }));
        let task = tokio::spawn(run(listener, addr, target.into().into(), state.subscribe()));
        Ok(Self { addr, state, task })
    }

    /// Where clients connect to.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The port clients connect to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.addr.port()
    }

    /// Closes every connection and refuses new ones.
    pub fn cut(&self) {
        self.state.send_modify(|state| {
            state.link = Link::Cut;
            state.cuts += 1;
        });
    }

    /// Lets nothing through in either direction while connections stay open: the half-open link of a
    /// vanished peer. What is sent meanwhile arrives after [`Proxy::heal`].
    pub fn mute(&self) {
        self.state.send_modify(|state| state.link = Link::Mute);
    }

    /// Everything flows again, on the same port.
    pub fn heal(&self) {
        self.state.send_modify(|state| state.link = Link::Whole);
    }

    /// Holds every piece of data back this long, in each direction.
    pub fn delay(&self, delay: Duration) {
        self.state.send_modify(|state| state.delay = delay);
    }

    /// Closes the connections of this moment once; new ones are served.
    pub fn drop_connections(&self) {
        self.state.send_modify(|state| state.cuts += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(listener: TcpListener, addr: SocketAddr, target: Arc<str>, mut state: watch::Receiver<State>) {
    let mut listener = Some(listener);
    // Aborting this task drops the set, which ends every connection's task.
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let now = *state.borrow_and_update();
        if now.link == Link::Cut {
            listener = None;
        } else if listener.is_none() {
            match TcpListener::bind(addr).await {
                Ok(bound) => listener = Some(bound),
                Err(error) => {
                    tracing::warn!(%addr, %error, "the proxy can't listen again yet");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            }
        }
        tokio::select! {
            accepted = accept(listener.as_ref()) => {
                if let Ok(client) = accepted {
                    connections.spawn(serve(client, Arc::clone(&target), now.cuts, state.clone()));
                }
            }
            changed = state.changed() => if changed.is_err() { return },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> std::io::Result<TcpStream> {
    match listener {
        Some(listener) => Ok(listener.accept().await?.0),
        None => std::future::pending().await,
    }
}

async fn serve(client: TcpStream, target: Arc<str>, cuts: u64, state: watch::Receiver<State>) {
    let mut watcher = state.clone();
    let traffic = async {
        let Ok(server) = TcpStream::connect(&*target).await else {
            return;
        };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let (client_in, client_out) = client.into_split();
        let (server_in, server_out) = server.into_split();
        tokio::join!(
            pump(client_in, server_out, state.clone()),
            pump(server_in, client_out, state)
        );
    };
    tokio::select! {
        () = traffic => {}
        _ = watcher.wait_for(|state| state.cuts > cuts) => {}
    }
}

/// Copies until one side closes, then closes the other.
async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut state: watch::Receiver<State>) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let delay = state.borrow().delay;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        if state.wait_for(|state| state.link != Link::Mute).await.is_err() {
            break;
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}
