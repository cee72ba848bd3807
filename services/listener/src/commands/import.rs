//! Sessions for the accounts of a simulator or test server, as a login would have made them.

use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use serde::Deserialize;
use zeroize::{Zeroize as _, Zeroizing};

use crate::session::{Content, DcKey, Keyring, Store, is_account_name};

/// Most bytes of accounts that are read: an account takes 700.
const MAX_BYTES: usize = 16 << 20;
/// How long a simulator may take to show its accounts.
const FETCH_LIMIT: std::time::Duration = std::time::Duration::from_secs(30);
/// Most other data centres of an account; Telegram has five.
const MAX_OTHERS: usize = 16;

/// An account of a simulator, as its `GET /accounts` shows it.
#[derive(Deserialize)]
struct Account {
    name: String,
    user_id: i64,
    dc_id: i32,
    address: std::net::SocketAddrV4,
    auth_key: String,
    /// Keys of other data centres, for an account that is still to sign in.
    #[serde(default)]
    others: Vec<Other>,
}

#[derive(Deserialize)]
struct Other {
    dc_id: i32,
    address: std::net::SocketAddrV4,
    auth_key: String,
}

impl Drop for Account {
    fn drop(&mut self) {
        self.auth_key.zeroize();
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        self.auth_key.zeroize();
    }
}

pub(super) async fn import(store: &Store, keyring: &Keyring, file: &Path) -> anyhow::Result<()> {
    let accounts = match file.to_str().filter(|place| place.starts_with("http://")) {
        Some(url) => fetch(url).await,
        None => read(file),
    };
    let accounts = accounts
        .and_then(|text| parse(&text))
        .with_context(|| format!("couldn't import {}", file.display()))?;
    let mut out = std::io::stdout();
    for account in accounts {
        let name = account.name.clone();
        let done = import_one(store, keyring, account)
            .await
            .with_context(|| format!("couldn't import account {name}"))?;
        writeln!(out, "{name}\t{done}").context("couldn't write")?;
    }
    Ok(())
}

fn read(file: &Path) -> anyhow::Result<Zeroizing<String>> {
    if std::fs::metadata(file)?.len() > MAX_BYTES as u64 {
        bail!("it is too large");
    }
    Ok(Zeroizing::new(std::fs::read_to_string(file)?))
}

/// What a simulator shows of its accounts. Keys cross the wire in the clear: they open nothing but
/// the simulator that gives them to everybody.
async fn fetch(url: &str) -> anyhow::Result<Zeroizing<String>> {
    let client = reqwest::Client::builder().timeout(FETCH_LIMIT).no_proxy().build()?;
    let mut answer = client.get(url).send().await?.error_for_status()?;
    let mut body = Zeroizing::new(Vec::new());
    while let Some(chunk) = answer.chunk().await? {
        if body.len() + chunk.len() > MAX_BYTES {
            bail!("it is too large");
        }
        body.extend_from_slice(&chunk);
    }
    let text = std::str::from_utf8(&body).context("it is not UTF-8")?;
    Ok(Zeroizing::new(text.to_owned()))
}

fn parse(text: &str) -> anyhow::Result<Vec<Account>> {
    // The parser's messages name places and kinds, and may repeat a wrong value: never a key.
    serde_json::from_str(text).map_err(|error| {
        anyhow::anyhow!(
            "it is no JSON array of accounts (line {}, column {})",
            error.line(),
            error.column()
        )
    })
}

async fn import_one(store: &Store, keyring: &Keyring, account: Account) -> anyhow::Result<&'static str> {
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
    if account.others.len() > MAX_OTHERS {
        bail!("it has more than {MAX_OTHERS} other data centres");
    }
    for other in &account.others {
        content.keys.push(DcKey {
            dc_id: other.dc_id,
            address: other.address,
            auth_key: hex(&other.auth_key).context("the auth_key of another data centre is not 512 hex digits")?,
        });
    }
    let stored = store.load(&account.name).await?;
    let version = stored.as_ref().map(|(_, version)| *version);
    if let Some((sealed, _)) = stored {
        let plain = keyring
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
    let sealed = keyring.seal(&account.name, &content.encode());
    store.save(&account.name, &sealed, version).await?;
    Ok(if version.is_some() { "replaced" } else { "imported" })
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
