//! Signing in with a number and the code that Telegram sends.

use anyhow::bail;
use grammers_tl_types::{enums, functions, types};
use secrecy::ExposeSecret as _;

use super::{Application, Prompt, Talk, advice, password, say, user_of};
use crate::connection::CallError;

/// Wrong answers to one question that are taken; Telegram itself takes fewer in a row with time.
const TRIES: usize = 3;
/// Codes that are asked for: each more makes a long wait likelier.
const CODES: usize = 3;

pub(super) async fn sign_in(
    talk: &mut Talk,
    prompt: &mut Prompt,
    application: &Application,
    number: Option<String>,
) -> anyhow::Result<types::User> {
    let mut given = number;
    for _ in 0..TRIES {
        let number = match given.take() {
            Some(number) => number,
            None => {
                prompt
                    .ask("Phone number with country code, such as +49 151 23456789:")
                    .await?
            }
        };
        match with_number(talk, prompt, application, &number).await {
            Err(Step::Number(error)) => say(&format!("{:#}.", advice(&error))),
            Err(Step::Over(error)) => return Err(error),
            Ok(user) => return Ok(user),
        }
    }
    bail!("no number was right")
}

/// Why a number did not lead to a session.
enum Step {
    /// It is no number: another one may be.
    Number(CallError),
    Over(anyhow::Error),
}

impl From<anyhow::Error> for Step {
    fn from(error: anyhow::Error) -> Self {
        Self::Over(error)
    }
}

async fn with_number(
    talk: &mut Talk,
    prompt: &mut Prompt,
    application: &Application,
    number: &str,
) -> Result<types::User, Step> {
    for round in 0..CODES {
        if round > 0 {
            say("A new code is on its way.");
        }
        let sent = match send_code(talk, application, number).await {
            Err(error) if error.is("PHONE_NUMBER_INVALID") => return Err(Step::Number(error)),
            sent => sent.map_err(|error| advice(&error))?,
        };
        let sent = match sent {
            enums::auth::SentCode::Code(sent) => sent,
            enums::auth::SentCode::Success(done) => return Ok(user_of(done.authorization)?),
            enums::auth::SentCode::PaymentRequired(_) => {
                return Err(anyhow::anyhow!(
                    "Telegram wants to be paid for sending a code to this number: sign in on a phone first, then use --qr"
                )
                .into());
            }
        };
        say(&format!("Telegram has sent a code {}.", way_of(&sent.r#type)));
        for _ in 0..TRIES {
            let code = prompt.ask("Code:").await?;
            let code: String = code.chars().filter(|c| !c.is_whitespace() && *c != '-').collect();
            let request = functions::auth::SignIn {
                phone_number: number.to_owned(),
                phone_code_hash: sent.phone_code_hash.clone(),
                phone_code: Some(code),
                email_verification: None,
            };
            match talk.ask(&request).await {
                Ok(authorization) => return Ok(user_of(authorization)?),
                Err(error) if error.is("SESSION_PASSWORD_NEEDED") => return Ok(password::check(talk, prompt).await?),
                Err(error) if error.is("PHONE_CODE_INVALID") || error.is("PHONE_CODE_EMPTY") => {
                    say(&format!("{:#}; look again.", advice(&error)));
                }
                Err(error) if error.is("PHONE_CODE_EXPIRED") => {
                    say(&format!("{:#}.", advice(&error)));
                    break;
                }
                Err(error) => return Err(advice(&error).into()),
            }
        }
    }
    Err(anyhow::anyhow!("no code was right: wait a while, then begin again").into())
}

async fn send_code(
    talk: &mut Talk,
    application: &Application,
    number: &str,
) -> Result<enums::auth::SentCode, CallError> {
    let settings = types::CodeSettings {
        allow_flashcall: false,
        current_number: false,
        allow_app_hash: false,
        allow_missed_call: false,
        allow_firebase: false,
        unknown_number: false,
        logout_tokens: None,
        token: None,
        app_sandbox: None,
    };
    let request = functions::auth::SendCode {
        phone_number: number.to_owned(),
        api_id: application.api_id,
        api_hash: application.api_hash.expose_secret().to_owned(),
        settings: settings.into(),
    };
    talk.ask(&request).await
}

fn way_of(way: &enums::auth::SentCodeType) -> &'static str {
    use enums::auth::SentCodeType as Way;
    match way {
        Way::App(_) => "to the Telegram app on your other devices",
        Way::Sms(_) | Way::SmsWord(_) | Way::SmsPhrase(_) | Way::FirebaseSms(_) => "by SMS",
        Way::FragmentSms(_) => "to fragment.com",
        Way::Call(_) => "by a phone call",
        Way::FlashCall(_) | Way::MissedCall(_) => "as the last digits of the number that calls you",
        Way::EmailCode(_) | Way::SetUpEmailRequired(_) => "by e-mail",
    }
}
