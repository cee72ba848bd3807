//! Tokens and subjects that were taken back: the keys of `tgmesh_revocations`, as every gateway
//! follows them. Deleting a key gives the subject its tokens back.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tgmesh_lifecycle::health::Part;
use tgmesh_proto::frame::CloseCode;
use tgmesh_proto::subject;
use tgmesh_stream::kv::{Bucket, KvError, Watch};
use tgmesh_stream::{Mesh, revocations};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::auth::Grant;
use crate::registry::Registry;

/// Between two tries to read the list.
const PAUSE: Duration = Duration::from_millis(500);
/// More entries than this are no list that anybody keeps; the rest is not read, and told.
const MOST: usize = 100_000;

/// Who has no rights any more.
#[derive(Debug)]
pub struct Revocations {
    names: RwLock<HashSet<Box<str>>>,
    known: watch::Sender<bool>,
}

impl Default for Revocations {
    fn default() -> Self {
        Self {
            names: RwLock::default(),
            known: watch::Sender::new(false),
        }
    }
}

impl Revocations {
    /// Whether a token's id or subject was revoked.
    #[must_use]
    pub fn hold(&self, grant: &Grant) -> bool {
        self.hold_either(&grant.token_id, &grant.subject)
    }

    /// The same for a connection, of which only the names are kept.
    #[must_use]
    pub fn hold_either(&self, token_id: &str, subject: &str) -> bool {
        let names = self.names.read().unwrap_or_else(PoisonError::into_inner);
        names.contains(token_id) || names.contains(subject)
    }

    /// Whether the list was read once: before, no token may be believed.
    #[must_use]
    pub fn are_known(&self) -> bool {
        *self.known.borrow()
    }

    /// Waits until the list was read once.
    pub async fn known(&self) {
        // The sender lives as long as this does.
        let _ = self.known.subscribe().wait_for(|known| *known).await;
    }

    /// Follows the bucket and ends the connections of whoever is revoked, until the process stops.
    /// While NATS is away, what was known counts.
    pub async fn follow(self: Arc<Self>, mesh: Mesh, registry: Arc<Registry>, part: Part, until: CancellationToken) {
        let following = async {
            loop {
                if let Err(error) = self.read(&mesh, &registry, &part).await {
                    part.down(error.to_string());
                    tracing::warn!(%error, "the revocations cannot be followed, trying again");
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        tokio::select! {
            () = following => {}
            () = until.cancelled() => {}
        }
    }

    async fn read(&self, mesh: &Mesh, registry: &Registry, part: &Part) -> Result<(), KvError> {
        let bucket = Bucket::open(mesh, subject::REVOCATIONS).await?;
        // What is there now has to be known before anybody is let in.
        let names = bucket
            .keys()
            .await?
            .iter()
            .take(MOST)
            .map(|key| revocations::name(key).into())
            .collect();
        let mut watch: Watch = bucket.watch(">").await?;
        *self.names.write().unwrap_or_else(PoisonError::into_inner) = names;
        self.known.send_replace(true);
        part.up();
        self.end(registry);
        while let Some(entry) = watch.next().await? {
            let name: Box<str> = revocations::name(&entry.key).into();
            let mut names = self.names.write().unwrap_or_else(PoisonError::into_inner);
            if entry.deleted {
                names.remove(&name);
                continue;
            }
            if names.len() >= MOST {
                tracing::error!(most = MOST, "there are more revocations than a gateway keeps");
                continue;
            }
            let is_new = names.insert(name);
            drop(names);
            if is_new {
                self.end(registry);
            }
        }
        Ok(())
    }

    fn end(&self, registry: &Registry) {
        registry.order_those(CloseCode::Expired, |token_id, subject| {
            self.hold_either(token_id, subject)
        });
    }
}
