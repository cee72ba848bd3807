//! Signing in as a bot.

use grammers_tl_types::{functions, types};
use secrecy::{ExposeSecret as _, SecretString};

use super::{Application, Prompt, Talk, advice, user_of};

pub(super) async fn sign_in(
    talk: &mut Talk,
    prompt: &mut Prompt,
    application: &Application,
    token: Option<SecretString>,
) -> anyhow::Result<types::User> {
    let token = match token {
        Some(token) => token,
        None => prompt.ask_secret("Token of the bot, as @BotFather shows it:").await?,
    };
    let request = functions::auth::ImportBotAuthorization {
        flags: 0,
        api_id: application.api_id,
        api_hash: application.api_hash.expose_secret().to_owned(),
        bot_auth_token: token.expose_secret().trim().to_owned(),
    };
    user_of(talk.ask(&request).await.map_err(|error| advice(&error))?)
}
