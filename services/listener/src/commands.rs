//! What the binary does besides listening. These commands end by themselves, so they have no
//! admin port and leave a running service alone.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use serde::Deserialize;
use tgmesh_lifecycle::settings::{EXIT_USAGE, Faults};
use tgmesh_stream::{Mesh, NatsConfig, topology};
use zeroize::{Zeroize as _, Zeroizing};

use crate::session::{Content, DcKey, Place, Store, is_account_name};
use crate::settings::{Args, Command, Sessions, SessionsCommand};

/// Largest file of accounts that is read: an account takes 700 bytes.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// Whether a command was asked for, rather than the service.
#[must_use]
pub fn is_command(args: &Args) -> bool {
    matches!(args.command, Some(Command::Sessions(_)))
}

/// Runs a command to its exit code: 0, 1 for a failure, 64 for bad settings.
#[must_use]
pub fn main(args: &Args) -> ExitCode {
    let Some(Command::Sessions(command)) = &args.command else {
        return ExitCode::SUCCESS;
    };
    let mut faults = Faults::default();
    let (Some((sessions, nats)), true) = (args.sessions_and_nats(&mut faults), faults.is_empty()) else {
        for line in faults.lines() {
            eprintln!("tgmesh-listener: {line}");
        }
        return ExitCode::from(EXIT_USAGE);
    };
    // Waiting for NATS is told on standard error.
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing::Level::WARN)
        .init();
    let done = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("couldn't start the runtime")
        .and_then(|runtime| {
            runtime.block_on(async {
                tokio::select! {
                    done = execute(command, &sessions, &nats) => done,
                    _ = tokio::signal::ctrl_c() => bail!("interrupted"),
                }
            })
        });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tgmesh-listener: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn execute(command: &SessionsCommand, sessions: &Sessions, nats: &NatsConfig) -> anyhow::Result<()> {
    let store = open(sessions, nats).await?;
    match command {
        SessionsCommand::Import { file } => import(&store, sessions, file).await,
        SessionsCommand::List => list(&store).await,
    }
}

async fn open(sessions: &Sessions, nats: &NatsConfig) -> anyhow::Result<Store> {
    let opened = match &sessions.place {
        Place::Kv => {
            let mesh = Mesh::connect(nats, "tgmesh-listener sessions")
                .await
                .context("couldn't connect to NATS")?;
            topology::wait(&mesh).await;
            Store::open(&sessions.place, &mesh).await
        }
        Place::Folder(path) => Store::folder(path).await,
    };
    opened.with_context(|| format!("couldn't open SESSION_STORE, {}", sessions.place))
}

/// An account of a simulator, as its `GET /accounts` shows it.
#[derive(Deserialize)]
struct Account {
    name: String,
    user_id: i64,
    dc_id: i32,
    address: std::net::SocketAddrV4,
    auth_key: String,
}

impl Drop for Account {
    fn drop(&mut self) {
        self.auth_key.zeroize();
    }
}

async fn import(store: &Store, sessions: &Sessions, file: &Path) -> anyhow::Result<()> {
    let accounts = read_accounts(file).with_context(|| format!("couldn't import {}", file.display()))?;
    let mut out = std::io::stdout();
    for account in accounts {
        let name = account.name.clone();
        let done = import_one(store, sessions, account)
            .await
            .with_context(|| format!("couldn't import account {name}"))?;
        writeln!(out, "{name}\t{done}").context("couldn't write")?;
    }
    Ok(())
}

fn read_accounts(file: &Path) -> anyhow::Result<Vec<Account>> {
    if std::fs::metadata(file)?.len() > MAX_FILE_BYTES {
        bail!("it is too large");
    }
    let text = Zeroizing::new(std::fs::read_to_string(file)?);
    // The parser's messages name places and kinds, and may repeat a wrong value: never a key.
    serde_json::from_str(&text).map_err(|error| {
        anyhow::anyhow!(
            "it is no JSON array of accounts (line {}, column {})",
            error.line(),
            error.column()
        )
    })
}

async fn import_one(store: &Store, sessions: &Sessions, account: Account) -> anyhow::Result<&'static str> {
    if !is_account_name(&account.name) {
        bail!("its name is not 1 to 32 of a-z, 0-9 and -");
    }
    let auth_key = hex(&account.auth_key).context("its auth_key is not 512 hex digits")?;
    let key = DcKey {
        dc_id: account.dc_id,
        address: account.address,
        auth_key,
    };
    let mut content = Content::new(account.user_id, key);
    let stored = store.load(&account.name).await?;
    let version = stored.as_ref().map(|(_, version)| *version);
    if let Some((sealed, _)) = stored {
        let plain = sessions
            .keyring
            .open(&account.name, &sealed)
            .context("there is a session already, and it cannot be opened")?;
        let old = Content::decode(&plain).context("there is a session already, and it cannot be read")?;
        if old.home_key().is_some_and(|old| {
            content
                .home_key()
                .is_some_and(|new| old.auth_key == new.auth_key && old.address == new.address)
        }) {
            return Ok("unchanged");
        }
        // The same session at another address has not missed less.
        if old
            .home_key()
            .is_some_and(|old| content.home_key().is_some_and(|new| old.auth_key == new.auth_key))
        {
            content.positions = old.positions;
            content.channels = old.channels;
        }
    }
    let sealed = sessions.keyring.seal(&account.name, &content.encode());
    store.save(&account.name, &sealed, version).await?;
    Ok(if version.is_some() { "replaced" } else { "imported" })
}

async fn list(store: &Store) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    for name in store.list().await? {
        writeln!(out, "{name}").context("couldn't write")?;
    }
    Ok(())
}

fn hex(text: &str) -> Option<Vec<u8>> {
    if text.len() != 512 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let digit = |byte: u8| (byte as char).to_digit(16).unwrap_or(0) as u8;
    Some(
        text.as_bytes()
            .chunks_exact(2)
            .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
            .collect(),
    )
}
