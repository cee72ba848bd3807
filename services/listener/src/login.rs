//! Signing in: the way to a session, told step by step, each wrong one with what to do.
//!
//! A session is made in memory, signed in, and only then sealed and stored, over the one that was
//! there when the sign-in began. A stored session that nobody has signed in with yet lends its
//! keys: that is how the simulator and test servers are signed in to, where no key can be made.

mod advice;
mod bot;
mod password;
mod phone;
mod prompt;
mod qr;
mod talk;

use std::sync::Arc;

use anyhow::{Context as _, bail};
use grammers_tl_types::{enums, functions, types};
use secrecy::SecretString;
use tgmesh_lifecycle::clock;

pub use advice::advice;
pub use prompt::{Prompt, say};
pub use talk::Talk;

use crate::plain::{masked, plain};
use crate::session::{Content, Keyring, MemorySession, Store, Version};

/// What Telegram knows this program by, and where it is.
#[derive(Debug, Clone)]
pub struct Application {
    /// Application id.
    pub api_id: i32,
    /// Its secret.
    pub api_hash: SecretString,
    /// `host:port` that stands for every data centre.
    pub dc: Option<String>,
}

/// How somebody signs in.
#[derive(Debug)]
pub enum Way {
    /// With a code that Telegram sends; the number is asked for if it is not given.
    Phone(Option<String>),
    /// With the consent of a device that is signed in.
    Qr,
    /// As a bot, with its token; asked for if it is not given.
    Bot(Option<SecretString>),
}

/// Signs an account in and stores its session; says who it is.
///
/// # Errors
/// What went wrong, and what to do.
pub async fn login(
    application: &Application,
    store: &Store,
    keyring: &Keyring,
    account: &str,
    way: Way,
    again: bool,
) -> anyhow::Result<String> {
    let (content, version) = begin(store, keyring, account, again).await?;
    let session = Arc::new(MemorySession::new(content));
    let mut talk = Talk::open(session, application.api_id, application.dc.clone()).await?;
    let mut prompt = Prompt::stdin();
    let signed_in = match way {
        Way::Phone(number) => phone::sign_in(&mut talk, &mut prompt, application, number).await,
        Way::Qr => qr::sign_in(&mut talk, &mut prompt, application).await,
        Way::Bot(token) => bot::sign_in(&mut talk, &mut prompt, application, token).await,
    };
    let user = signed_in?;
    // From here on Telegram sends this session updates.
    if let Err(error) = talk.ask(&functions::updates::GetState {}).await {
        tracing::warn!(%error, "couldn't ask for the account's state; the listener asks again");
    }
    let who = who(&user);
    let content = talk
        .session()
        .signed_in(user.id, user.bot, &who, clock::now_us() / 1_000_000);
    let sealed = keyring.seal(account, &content.encode());
    if let Err(error) = store.save(account, &sealed, version).await {
        // A session that nobody has the key of would stay in the account's list of devices.
        let _ = talk.ask(&functions::auth::LogOut {}).await;
        return Err(error)
            .with_context(|| format!("couldn't store the session of account {account}; it is signed out"));
    }
    Ok(who)
}

/// What is signed in, and which stored session it replaces.
async fn begin(
    store: &Store,
    keyring: &Keyring,
    account: &str,
    again: bool,
) -> anyhow::Result<(Content, Option<Version>)> {
    let Some((sealed, version)) = store.load(account).await? else {
        return Ok((Content::unsigned(), None));
    };
    let opened = keyring.open(account, &sealed).map_err(anyhow::Error::from);
    let opened = opened.and_then(|plain| Ok(Content::decode(&plain)?));
    match opened {
        Ok(content) if !content.is_signed_in() => Ok((content, Some(version))),
        _ if again => Ok((Content::unsigned(), Some(version))),
        Ok(_) => bail!(
            "account {account} has a session already: see how it is with `tgmesh sessions check {account}`, or replace \
             it with --again"
        ),
        Err(error) => Err(error.context(format!(
            "account {account} has a session that cannot be opened; --again replaces it"
        ))),
    }
}

/// Who an account is, for its owner's eyes: enough to know it again, too little to reach it.
fn who(user: &types::User) -> String {
    match (&user.phone, &user.username) {
        (Some(phone), _) => format!("+{}", masked(&plain(phone))),
        (None, Some(name)) => format!("@{}", plain(name)),
        (None, None) => masked(&user.id.to_string()),
    }
}

/// The user that an authorization is for.
fn user_of(authorization: enums::auth::Authorization) -> anyhow::Result<types::User> {
    match authorization {
        enums::auth::Authorization::Authorization(types::auth::Authorization {
            user: enums::User::User(user),
            ..
        }) => Ok(user),
        enums::auth::Authorization::SignUpRequired(_) => bail!(
            "no Telegram account has this number: make one in Telegram's own app on a phone first, for other programs \
             cannot"
        ),
        enums::auth::Authorization::Authorization(_) => bail!("Telegram did not say whose session it is; try again"),
    }
}
