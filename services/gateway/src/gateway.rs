//! The gateway's parts and how they are started and stopped.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context as _;
use tgmesh_lifecycle::health::Part;
use tgmesh_lifecycle::shutdown::Shutdown;
use tgmesh_lifecycle::{Process, clock};
use tgmesh_proto::frame::CloseCode;
use tgmesh_stream::{Link, Mesh, NatsConfig, stats};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::address::{Place, Proxies};
use crate::api::Pace;
use crate::audit::{Audit, Entries};
use crate::auth::{Grant, Refusal, Verifier};
use crate::descriptors;
use crate::figures::{self, Figures};
use crate::http_server;
use crate::hub::{self, Hub, Matches};
use crate::mesh_stats::MeshStats;
use crate::reader::Reader;
use crate::registry::{Bounds, Limit, Registry};
use crate::resume::Past;
use crate::revocations::Revocations;
use crate::settings::Config;
use crate::spans::Spans;
use crate::upgrade::Origins;
use crate::watched;

/// How long clients may take to be told to come back elsewhere. Below the process's grace of eight
/// seconds.
const DRAIN_LIMIT: Duration = Duration::from_secs(6);

/// Why a token is refused that is good in itself.
pub const REVOKED: &str = "the token was revoked";

/// What every connection shares.
pub struct Gateway {
    /// Checks tokens.
    pub verifier: Verifier,
    /// Web origins that may open a WebSocket.
    pub origins: Origins,
    /// Whose word on a client's address is taken.
    pub proxies: Proxies,
    /// The fan-out.
    pub hub: Arc<Hub>,
    /// The fan-out of matches.
    pub matches: Arc<Matches>,
    /// The past of the stream; there once NATS has answered for the first time.
    pub past: OnceLock<Past>,
    /// Who is connected.
    pub registry: Arc<Registry>,
    /// Whose rights were taken back.
    pub revocations: Arc<Revocations>,
    /// The link to NATS; there once it has answered for the first time.
    pub mesh: OnceLock<Mesh>,
    /// Who did what.
    pub audit: Audit,
    /// Reports of all processes of the mesh.
    pub mesh_stats: MeshStats,
    /// The past beyond the stream; nothing where no database is configured.
    pub reader: Option<Reader>,
    /// How often a subject may ask the API.
    pub pace: Pace,
    /// Metrics.
    pub figures: Figures,
    /// When to stop.
    pub shutdown: Shutdown,
    /// Tasks of the WebSockets.
    pub clients: TaskTracker,
}

impl Gateway {
    /// Checks a token now. The error is for a close frame or a problem document.
    pub fn verify(&self, token: &str) -> Result<Grant, &'static str> {
        self.verifier
            .verify(token, clock::now_ms() / 1000)
            .map_err(|refusal: Refusal| {
                tracing::debug!(%refusal, "refused a token");
                refusal.reason()
            })
            .and_then(|grant| {
                if self.revocations.hold(&grant) {
                    Err(REVOKED)
                } else {
                    Ok(grant)
                }
            })
            .inspect_err(|reason| self.refuse_token(reason))
    }

    /// Counts a limit that a client met, and notes it.
    pub fn limited(&self, limit: Limit, subject: Option<&str>, place: Place) {
        self.figures.limited(limit);
        self.audit.note_limit(limit.word(), subject, &place.to_string());
    }

    /// Counts a token that is refused, and notes it.
    pub fn refuse_token(&self, reason: &str) {
        self.figures.bad_tokens.inc();
        self.audit.note_refusal(reason);
    }
}

/// Runs the gateway until the process is told to stop.
///
/// # Errors
/// When the address for clients is taken, or the NATS credentials cannot be read.
pub async fn run(config: Config, process: Process) -> anyhow::Result<()> {
    let listener = TcpListener::bind(config.listen).await.with_context(|| {
        format!(
            "couldn't listen on {}: set GATEWAY_LISTEN to a free address",
            config.listen
        )
    })?;
    let addr = listener.local_addr().context("couldn't read the address for clients")?;
    tracing::info!(%addr, tls = config.tls.is_some(), "listening for clients");
    let bounds = Bounds {
        connections: descriptors::allow(config.bounds.connections),
        ..config.bounds
    };
    let reader = config.database.as_ref().map(Reader::new).transpose();
    let reader = reader.context("couldn't set up the connections to Postgres")?;
    let figures = Figures::new(&process.metrics);
    process.summary.tell(&figures::SUMMARY);
    let (audit, entries) = Audit::new(&process.instance, figures.audit_lost.clone());
    let gateway = Arc::new(Gateway {
        verifier: config.verifier,
        origins: config.origins,
        proxies: config.proxies,
        hub: Hub::new(figures.clone()),
        matches: Matches::new(figures.clone()),
        past: OnceLock::new(),
        registry: Registry::new(bounds, figures.clients.clone()),
        revocations: Arc::default(),
        mesh: OnceLock::new(),
        audit,
        mesh_stats: MeshStats::default(),
        reader,
        pace: Pace::default(),
        figures,
        shutdown: process.shutdown.clone(),
        clients: TaskTracker::new(),
    });
    let (nats, stream) = (process.health.part("nats"), process.health.part("stream"));
    let (matches, revocations) = (process.health.part("matches"), process.health.part("revocations"));
    process.tasks.spawn(
        "http",
        http_server::serve(
            listener,
            config.tls.clone(),
            Arc::clone(&gateway),
            process.health.clone(),
        ),
    );
    if let Some(tls) = config.tls {
        let follow = tls.follow(gateway.figures.tls.clone(), process.shutdown.soft());
        process.tasks.spawn("tls", follow);
    }
    keep_keys(&gateway, &process);
    let registry = Arc::clone(&gateway.registry);
    // None of the process's tasks, which end when it is told to stop: clients are still waited for then.
    let clock = tokio::spawn(async move { registry.keep_time().await });
    process.tasks.spawn("epochs", send_away_on_reset(Arc::clone(&gateway)));

    let parts = [nats, stream, matches, revocations];
    let worked = serve_mesh(&config.nats, &process, &gateway, entries, parts).await;
    process.shutdown.trigger();
    gateway.registry.order_all(CloseCode::GoingAway);
    gateway.clients.close();
    if tokio::time::timeout(DRAIN_LIMIT, gateway.clients.wait()).await.is_err() {
        tracing::warn!(
            clients = gateway.clients.len(),
            "clients did not answer the closing handshake in time"
        );
    }
    clock.abort();
    worked
}

/// Keeps the keys of tokens up to date. Where they come over the network, the process is ready once
/// they came for the first time.
fn keep_keys(gateway: &Gateway, process: &Process) {
    let ring = Arc::clone(gateway.verifier.ring());
    let part = ring.endpoint().map(|endpoint| {
        if endpoint.is_open_to_tampering() {
            let host = endpoint.host();
            tracing::warn!(
                host,
                "JWT_JWKS is fetched without TLS: whoever is on the way decides whose tokens are good"
            );
        }
        process.health.part("keys")
    });
    let (figures, soft) = (gateway.figures.ring.clone(), process.shutdown.soft());
    process.tasks.spawn("keys", async move {
        tokio::select! {
            () = ring.keep(figures, part) => soft.cancelled().await,
            () = soft.cancelled() => {}
        }
    });
}

/// Everything that needs NATS, until the process is told to stop.
async fn serve_mesh(
    config: &NatsConfig,
    process: &Process,
    gateway: &Arc<Gateway>,
    entries: Entries,
    [nats, stream, matches, revocations]: [Part; 4],
) -> anyhow::Result<()> {
    let soft = process.shutdown.soft();
    let mesh = tokio::select! {
        mesh = Mesh::connect(config, "tgmesh-gateway") => mesh.context("couldn't set up the connection to NATS")?,
        () = soft.cancelled() => return Ok(()),
    };
    let past = Past::new(Arc::clone(&gateway.hub), mesh.clone(), gateway.figures.clone());
    let (spans, asked) = Spans::new(process);
    spans.follow(process, &mesh, asked);
    // Set once, here.
    let _ = (gateway.past.set(past), gateway.mesh.set(mesh.clone()));
    process.tasks.spawn("link", watch_link(mesh.link(), nats, soft.clone()));
    process.tasks.spawn(
        "feed",
        hub::follow(Arc::clone(&gateway.hub), spans, mesh.clone(), stream, soft.clone()),
    );
    process.tasks.spawn(
        "matches",
        hub::follow_matches(Arc::clone(&gateway.matches), mesh.clone(), matches, soft.clone()),
    );
    process.tasks.spawn(
        "revocations",
        Arc::clone(&gateway.revocations).follow(mesh.clone(), Arc::clone(&gateway.registry), revocations, soft.clone()),
    );
    process
        .tasks
        .spawn("audit", entries.publish(mesh.clone(), soft.clone()));
    process.tasks.spawn(
        "mesh stats",
        gateway.mesh_stats.clone().collect(mesh.clone(), soft.clone()),
    );
    let watched = watched::follow(
        mesh.clone(),
        process.instance.to_string(),
        process.metrics.clone(),
        soft.clone(),
    );
    process.tasks.spawn("watched chats", watched);
    let (shared, metrics) = (Arc::clone(gateway), process.metrics.clone());
    let reporter = stats::spawn_reporter(&mesh, "gateway", &process.instance, move || {
        let figures = &shared.figures;
        figures.live.set(shared.hub.live() as f64);
        figures.buffered_bytes.set(shared.registry.buffered_bytes() as f64);
        metrics.snapshot()
    });
    soft.cancelled().await;
    reporter.abort();
    Ok(())
}

async fn watch_link(mut link: watch::Receiver<Link>, nats: Part, until: CancellationToken) {
    loop {
        match *link.borrow_and_update() {
            Link::Up => nats.up(),
            Link::Down => nats.down("not connected"),
        }
        tokio::select! {
            changed = link.changed() => if changed.is_err() { return },
            () = until.cancelled() => return,
        }
    }
}

/// Positions of one epoch mean nothing in another: clients come back and are told so.
async fn send_away_on_reset(gateway: Arc<Gateway>) {
    let soft = gateway.shutdown.soft();
    let mut epoch = gateway.hub.epoch();
    let watching = async {
        let mut served: Option<Arc<str>> = None;
        loop {
            let now = epoch.borrow_and_update().clone();
            let is_same = matches!((&served, &now), (Some(served), Some(now)) if Arc::ptr_eq(served, now));
            if served.is_some() && !is_same {
                gateway.registry.order_all(CloseCode::GoingAway);
            }
            served = now;
            if epoch.changed().await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = watching => {}
        () = soft.cancelled() => {}
    }
}
