//! `tgmesh sessions`: what is stored, whether it is good, and how it is ended or sealed anew.

use std::io::Write as _;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use grammers_tl_types::{enums, functions};
use serde_json::json;
use tgmesh_lifecycle::clock;

use super::desk::{Claim, Desk};
use crate::connection::CallError;
use crate::login::{Application, Prompt, Talk, advice, say};
use crate::plain::{masked, plain, span};
use crate::session::{Content, Keyring, MemorySession, Place, Store, StoreError, Version, is_account_name, key_id};

/// Tries of a write that somebody else came before.
const TRIES: usize = 5;

/// A session as it is stored.
struct Stored {
    sealed: Vec<u8>,
    version: Version,
    /// What it holds, or why it cannot be opened.
    content: Result<Content, String>,
}

/// Shows the sessions. One that cannot be opened is shown with the reason.
pub(super) async fn list(store: &Store, keyring: &Keyring, place: &Place, as_json: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    let now_s = clock::now_us() / 1_000_000;
    for account in store.list().await? {
        let Some(stored) = load(store, keyring, &account).await? else {
            continue;
        };
        let key = key_id(&stored.sealed);
        let is_current = keyring.is_current(&stored.sealed);
        if as_json {
            let content = stored.content.as_ref().ok();
            let line = json!({
                "account": account,
                "who": content.filter(|content| content.is_signed_in()).map(who),
                "bot": content.map(|content| content.is_bot),
                "dc": content.map(|content| content.home_dc),
                "channels": content.map(|content| content.channels.len()),
                "signed_in_s": content.map(|content| content.since_s).filter(|since| *since > 0),
                "key": key,
                "key_is_first": is_current,
                "store": place.to_string(),
                "problem": stored.content.as_ref().err(),
            });
            writeln!(out, "{line}").context("couldn't write")?;
            continue;
        }
        let what = match &stored.content {
            Ok(content) if !content.is_signed_in() => "not signed in yet".to_owned(),
            Ok(content) => {
                let age = match now_s.saturating_sub(content.since_s) {
                    _ if content.since_s == 0 => "at an unknown time".to_owned(),
                    age => format!("{} ago", span(u64::try_from(age).unwrap_or(0))),
                };
                let kind = if content.is_bot { "bot " } else { "" };
                format!("{kind}{}\tDC {}\tsigned in {age}", who(content), content.home_dc)
            }
            Err(problem) => problem.clone(),
        };
        let old = if is_current {
            ""
        } else {
            " (not the first: tgmesh sessions reseal)"
        };
        let key = key.unwrap_or_else(|| "-".to_owned());
        writeln!(out, "{account}\t{what}\tkey {key}{old}\t{place}").context("couldn't write")?;
    }
    Ok(())
}

/// Asks Telegram about sessions; whether all of them are good. Those that a listener uses are not
/// asked for.
pub(super) async fn check(
    (store, keyring): (&Store, &Keyring),
    desk: &Desk,
    application: &Application,
    accounts: Vec<String>,
) -> anyhow::Result<bool> {
    let accounts = if accounts.is_empty() {
        store.list().await?
    } else {
        accounts
    };
    let mut out = std::io::stdout();
    let mut all_good = true;
    for account in accounts {
        let found = check_one((store, keyring), desk, application, &account).await;
        all_good &= found.is_ok();
        let line = match found {
            Ok(Found::Good(who)) => format!("{account}\tgood\t{who}"),
            Ok(Found::InUse(by)) => format!("{account}\tin use\tby listener {}: Telegram was not asked", plain(&by)),
            Err(error) => format!("{}\tNOT GOOD\t{error:#}", plain(&account)),
        };
        writeln!(out, "{line}").context("couldn't write")?;
    }
    Ok(all_good)
}

/// What there is to say of a session.
enum Found {
    /// Telegram knows it, as this person's.
    Good(String),
    /// A listener has it.
    InUse(String),
}

async fn check_one(
    (store, keyring): (&Store, &Keyring),
    desk: &Desk,
    application: &Application,
    account: &str,
) -> anyhow::Result<Found> {
    let (content, _) = opened(store, keyring, account).await?;
    match desk.claim(account).await? {
        Claim::Theirs(by) => Ok(Found::InUse(by)),
        Claim::Ours(held) => held.during(ask_who(content, application)).await.map(Found::Good),
    }
}

async fn ask_who(content: Content, application: &Application) -> anyhow::Result<String> {
    let session = Arc::new(MemorySession::new(content));
    let mut talk = Talk::open(session, application.api_id, application.dc.clone()).await?;
    let request = functions::users::GetUsers {
        id: vec![enums::InputUser::UserSelf],
    };
    let users = talk.ask(&request).await.map_err(|error| advice(&error))?;
    match users.first() {
        Some(enums::User::User(user)) if user.id == talk.session().user_id() => {
            let name = user.first_name.as_deref().unwrap_or_default();
            Ok(format!("{} ({})", plain(name), masked(&user.id.to_string())))
        }
        _ => bail!("Telegram says that it is another account's"),
    }
}

/// Ends a session at Telegram and removes it.
pub(super) async fn revoke(
    store: &Store,
    keyring: &Keyring,
    application: &Application,
    account: &str,
    yes: bool,
) -> anyhow::Result<bool> {
    let (content, version) = opened(store, keyring, account).await?;
    let mut prompt = Prompt::stdin();
    if !yes {
        let question = format!(
            "Sign {} ({}) out at Telegram and remove its session? Type yes:",
            account,
            who(&content)
        );
        if prompt.ask(&question).await? != "yes" {
            say("Nothing was changed.");
            return Ok(false);
        }
    }
    let session = Arc::new(MemorySession::new(content));
    let mut talk = Talk::open(session, application.api_id, application.dc.clone()).await?;
    let told = match talk.ask(&functions::auth::LogOut {}).await {
        Ok(_) => "signed out at Telegram",
        // It is over at Telegram already.
        Err(CallError::Dead(_)) => "Telegram had ended it before",
        Err(error) => return Err(advice(&error)).context("it is not signed out, and stays"),
    };
    // A listener that still wrote to it has nothing to write any more.
    let mut version = version;
    for _ in 0..TRIES {
        match store.remove(account, version).await {
            Err(StoreError::Conflict) => match store.load(account).await? {
                Some((_, newer)) => version = newer,
                None => break,
            },
            done => {
                done?;
                break;
            }
        }
    }
    println!("{account}\trevoked\t{told}; the session is removed");
    Ok(true)
}

/// Seals every session with the first key; whether all of them could be.
pub(super) async fn reseal(store: &Store, keyring: &Keyring) -> anyhow::Result<bool> {
    let mut out = std::io::stdout();
    let mut all = true;
    for account in store.list().await? {
        let done = match reseal_one(store, keyring, &account).await {
            Ok(done) => done.to_owned(),
            Err(error) => {
                all = false;
                format!("FAILED\t{error:#}")
            }
        };
        writeln!(out, "{account}\t{done}").context("couldn't write")?;
    }
    Ok(all)
}

async fn reseal_one(store: &Store, keyring: &Keyring, account: &str) -> anyhow::Result<&'static str> {
    for _ in 0..TRIES {
        let Some((sealed, version)) = store.load(account).await? else {
            return Ok("gone");
        };
        if keyring.is_current(&sealed) {
            return Ok("unchanged");
        }
        let content = keyring.open(account, &sealed)?;
        match store
            .save(account, &keyring.seal(account, &content), Some(version))
            .await
        {
            Ok(_) => return Ok("resealed"),
            // Its listener was first: what that wrote is looked at.
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
    bail!("somebody else writes it all the time: try again")
}

/// A session that Telegram can be asked with.
pub(super) async fn opened(store: &Store, keyring: &Keyring, account: &str) -> anyhow::Result<(Content, Version)> {
    if !is_account_name(account) {
        bail!("that is no account name: 1 to 32 of a-z, 0-9 and -");
    }
    let Some(stored) = load(store, keyring, account).await? else {
        bail!("it has no session: sign it in with `tgmesh login --account {account}`");
    };
    match stored.content {
        Ok(content) if content.is_signed_in() => Ok((content, stored.version)),
        Ok(_) => bail!("nobody is signed in: `tgmesh login --account {account}`"),
        Err(problem) => bail!(problem),
    }
}

async fn load(store: &Store, keyring: &Keyring, account: &str) -> anyhow::Result<Option<Stored>> {
    let Some((sealed, version)) = store.load(account).await? else {
        return Ok(None);
    };
    let content = match keyring.open(account, &sealed) {
        Ok(plain) => Content::decode(&plain).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    Ok(Some(Stored {
        sealed,
        version,
        content,
    }))
}

/// Who a session is; imported ones know the number of their user alone.
fn who(content: &Content) -> String {
    if content.who.is_empty() {
        masked(&content.user_id.to_string())
    } else {
        plain(&content.who)
    }
}
