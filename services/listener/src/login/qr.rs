//! Signing in with the consent of a device that is signed in, which reads a code off the screen
//! (<https://core.telegram.org/api/qr-login>).

use std::time::Duration;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use grammers_session::updates::UpdatesLike;
use grammers_tl_types::{enums, functions, types};
use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};
use secrecy::ExposeSecret as _;
use tgmesh_lifecycle::clock;
use tokio::time::timeout;

use super::{Application, Prompt, Talk, advice, password, say, user_of};

/// Codes that are shown before this ends: about ten minutes of them.
const CODES: usize = 20;
/// The shortest and longest that one code is shown, whatever the clocks say.
const SHOWN: (u64, u64) = (1, 60);

pub(super) async fn sign_in(
    talk: &mut Talk,
    prompt: &mut Prompt,
    application: &Application,
) -> anyhow::Result<types::User> {
    let export = functions::auth::ExportLoginToken {
        api_id: application.api_id,
        api_hash: application.api_hash.expose_secret().to_owned(),
        except_ids: Vec::new(),
    };
    let (mut shown, mut last) = (0, Vec::new());
    while shown < CODES {
        let mut answer = talk.ask(&export).await;
        if let Ok(enums::auth::LoginToken::MigrateTo(elsewhere)) = answer {
            talk.go_to(elsewhere.dc_id).await;
            let import = functions::auth::ImportLoginToken { token: elsewhere.token };
            answer = talk.ask(&import).await;
        }
        let token = match answer {
            Ok(enums::auth::LoginToken::Token(token)) => token,
            Ok(enums::auth::LoginToken::Success(done)) => return user_of(done.authorization),
            Ok(enums::auth::LoginToken::MigrateTo(_)) => bail!("Telegram sends the account on and on; try later"),
            Err(error) if error.is("SESSION_PASSWORD_NEEDED") => return password::check(talk, prompt).await,
            Err(error) if error.is("AUTH_TOKEN_EXPIRED") => continue,
            Err(error) => return Err(advice(&error)),
        };
        if token.token != last {
            show(&token.token)?;
            shown += 1;
            last.clone_from(&token.token);
        }
        let left = i64::from(token.expires).saturating_sub(clock::now_us() / 1_000_000);
        let left = u64::try_from(left).unwrap_or(0).clamp(SHOWN.0, SHOWN.1);
        // Whether a device agreed, the time is over, or the link was lost: Telegram is asked again.
        let _ = timeout(Duration::from_secs(left), talk.wait_for(is_login_token)).await;
    }
    bail!("no device agreed: begin again when you have one at hand")
}

fn show(token: &[u8]) -> anyhow::Result<()> {
    let link = format!("tg://login?token={}", URL_SAFE_NO_PAD.encode(token));
    // Little error correction: a screen has no dirt, and every module counts in a small window.
    let code = QrCode::with_error_correction_level(&link, EcLevel::L).context("couldn't draw the code")?;
    // Most terminals are dark: the light modules are the drawn ones.
    let picture = code
        .render::<Dense1x2>()
        .dark_color(Dense1x2::Light)
        .light_color(Dense1x2::Dark)
        .build();
    say(&picture);
    say("On a device that is signed in: Settings, Devices, Link Desktop Device, and point it at this code.");
    say(&format!("Or open there: {link}"));
    Ok(())
}

fn is_login_token(updates: &UpdatesLike) -> bool {
    let UpdatesLike::Updates(updates) = updates else {
        return false;
    };
    let is_it = |update: &enums::Update| matches!(update, enums::Update::LoginToken);
    match updates {
        enums::Updates::UpdateShort(short) => is_it(&short.update),
        enums::Updates::Updates(all) => all.updates.iter().any(is_it),
        enums::Updates::Combined(all) => all.updates.iter().any(is_it),
        _ => false,
    }
}
