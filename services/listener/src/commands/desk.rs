//! Whether an account may be used by a command: one key in two places at once is dead for good, so
//! a command takes the account's lease for as long as it talks to Telegram, and lets it be where a
//! listener has it.

use std::time::Duration;

use anyhow::{Context as _, bail};
use tgmesh_stream::lease::{Lease, Leases, Tenure};
use tgmesh_stream::{Mesh, NatsConfig};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::figures::{self, Figures};

/// With sessions in a folder a mesh may not be there yet.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Where leases are asked for.
pub(super) struct Desk {
    mesh: Option<Mesh>,
    leases: Option<Leases>,
}

/// Who may use an account.
pub(super) enum Claim {
    /// This command.
    Ours(Held),
    /// The listener with this name.
    Theirs(String),
}

/// A lease for the time of a command; or none, where there is no mesh.
pub(super) struct Held {
    lease: Option<(tokio::task::JoinHandle<Lease>, CancellationToken, Tenure)>,
}

impl Desk {
    /// With the connection that the sessions came over, or one of its own.
    pub(super) async fn open(mesh: Option<Mesh>, nats: &NatsConfig) -> anyhow::Result<Self> {
        let is_needed = mesh.is_some();
        let mesh = match mesh {
            Some(mesh) => Some(mesh),
            None => match timeout(CONNECT_TIMEOUT, Mesh::connect(nats, "tgmesh-listener command")).await {
                Ok(mesh) => Some(mesh.context("couldn't connect to NATS")?),
                Err(_) => None,
            },
        };
        let Some(to) = &mesh else {
            tracing::warn!("NATS does not answer: whether a listener is using the accounts is not known");
            return Ok(Self { mesh, leases: None });
        };
        let leases = match Leases::open(to, &format!("command {}", std::process::id())).await {
            Ok(leases) => Some(leases),
            Err(error) if is_needed => return Err(error).context("couldn't ask who uses the accounts"),
            // There was never a mesh, so there is no listener.
            Err(_) => None,
        };
        Ok(Self { mesh, leases })
    }

    /// Takes an account, if nobody has it.
    pub(super) async fn claim(&self, account: &str) -> anyhow::Result<Claim> {
        let Some(leases) = &self.leases else {
            return Ok(Claim::Ours(Held { lease: None }));
        };
        let problem = || format!("couldn't ask who uses account {account}");
        if let Some(lease) = leases.acquire(account).await.with_context(problem)? {
            let (stop, tenure) = (CancellationToken::new(), lease.tenure());
            let keeping = tokio::spawn(keep(lease, stop.clone()));
            return Ok(Claim::Ours(Held {
                lease: Some((keeping, stop, tenure)),
            }));
        }
        let holder = leases.holder(account).await.with_context(problem)?;
        Ok(Claim::Theirs(
            holder.map_or_else(|| "somebody".to_owned(), |holder| holder.instance),
        ))
    }

    /// What listeners tell of an account's channels.
    pub(super) async fn figures(&self, account: &str) -> Option<Figures> {
        // Without them the rest is of use all the same.
        figures::read(self.mesh.as_ref()?, account).await.ok().flatten()
    }
}

async fn keep(mut lease: Lease, stop: CancellationToken) -> Lease {
    lease.keep(&stop).await;
    lease
}

impl Held {
    /// Talks to Telegram as long as the lease is held, and gives it back.
    pub(super) async fn during<T>(self, talk: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        let Some((keeping, stop, tenure)) = self.lease else {
            return talk.await;
        };
        let done = tokio::select! {
            done = talk => done,
            () = tenure.over() => return lost(),
        };
        stop.cancel();
        if let Ok(Ok(lease)) = timeout(CALL_TIMEOUT, keeping).await {
            // It runs out by itself.
            let _ = lease.release().await;
        }
        done
    }
}

fn lost<T>() -> anyhow::Result<T> {
    bail!("the account's lease was lost meanwhile: try again")
}
