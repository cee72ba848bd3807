//! The order in which a mesh comes up.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use anyhow::{Context as _, Result, bail};
use secrecy::SecretString;
use tgmesh_store::{DbConfig, Store};
use tgmesh_stream::{NatsConfig, topology};
use tgmesh_testkit::{free_port, nats, postgres};

use super::{DATABASE, Mesh, Part, Telegram, folder};

/// The user of the database that the gateway is.
const READER: &str = "tgmesh_gateway";

impl Mesh {
    /// The servers and the simulator beside each other, then what needs them.
    pub(super) async fn start_servers(&mut self) -> Result<()> {
        if matches!(self.options.telegram, Telegram::Simulated { .. }) {
            let process = self.spawn(Part::Simulator)?;
            self.services.insert(Part::Simulator, process);
        }
        let own_nats = self.options.nats.is_none();
        let own_postgres = self.options.database.is_none();
        let nats_dir = self.folder.path("nats");
        let postgres_dir = self.folder.path("postgres");
        let nats = async {
            if own_nats {
                nats::Server::start_in(&nats_dir, free_port()).await.map(Some)
            } else {
                Ok(None)
            }
        };
        let postgres = async {
            if !own_postgres {
                return Ok(None);
            }
            let server = postgres::Server::start_in(&postgres_dir, free_port()).await?;
            let url = server.ensure_database(DATABASE).await?;
            let reader = ensure_reader(&server, &url).await?;
            anyhow::Ok(Some((server, url, reader)))
        };
        let (nats, postgres) = tokio::join!(nats, postgres);
        self.nats = nats?;
        let urls = match postgres? {
            Some((server, url, reader)) => {
                self.postgres = Some(server);
                Some((SecretString::from(url), SecretString::from(reader)))
            }
            // Its operator decides who may read what.
            None => self.options.database.clone().map(|url| (url.clone(), url)),
        };
        if let Some((url, reader)) = urls {
            self.folder.keep_secret(folder::DATABASE_URL, &url)?;
            self.folder.keep_secret(folder::READER_URL, &reader)?;
        }
        self.apply_topology().await?;
        if let Some(simulator) = self.simulator() {
            self.ready(&[Part::Simulator]).await?;
            self.import_sessions(&simulator).await?;
        }
        Ok(())
    }

    /// On its own nats-server, streams of the default size; on a given one, what the operator set stays.
    async fn apply_topology(&self) -> Result<()> {
        let config = NatsConfig::new(&self.nats_url()).map_err(anyhow::Error::msg)?;
        let mesh = tgmesh_stream::Mesh::connect(&config, "tgmesh-up").await?;
        let changes = topology::apply(&mesh, &topology::desired(&config))
            .await
            .context("couldn't apply the topology")?;
        tracing::debug!(changes = changes.len(), "the topology stands");
        Ok(())
    }

    /// Lets the simulator post.
    pub(super) async fn play(&self) -> Result<()> {
        match (&self.options.telegram, self.simulator()) {
            (Telegram::Simulated { rate, .. }, Some(simulator)) if *rate > 0.0 => simulator.scenario(*rate).await,
            _ => Ok(()),
        }
    }

    pub(super) fn spawn_services(&mut self) -> Result<()> {
        for part in [Part::Archiver, Part::Gateway, Part::Listener] {
            let process = self.spawn(part)?;
            self.services.insert(part, process);
        }
        Ok(())
    }
}

/// The URL of a user who may read and nothing else, with a new password each time.
async fn ensure_reader(server: &postgres::Server, url: &str) -> Result<String> {
    let password = format!("{:032x}", rand::random::<u128>());
    let config = DbConfig::parse(url).map_err(anyhow::Error::msg)?;
    let store = Store::new(&config, 1)?;
    let made = store.ensure_reader(READER, &password).await;
    made.context("couldn't make the gateway's user of the database")?;
    Ok(format!(
        "postgres://{READER}:{password}@127.0.0.1:{}/{DATABASE}",
        server.port()
    ))
}

/// The address if nothing listens there, else one with the next port that is free.
pub(super) fn free_address(wanted: SocketAddr) -> Result<SocketAddr> {
    if wanted.port() == 0 {
        return Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, free_port())));
    }
    for port in wanted.port()..=wanted.port().saturating_add(200) {
        let address = SocketAddr::new(wanted.ip(), port);
        match TcpListener::bind(address) {
            Ok(_) => return Ok(address),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(error).with_context(|| format!("couldn't listen on {address}")),
        }
    }
    bail!("the ports from {wanted} on are all taken")
}
