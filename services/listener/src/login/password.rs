//! The password of two-step verification. It never leaves this machine: Telegram is sent a proof
//! that it is known (SRP, <https://core.telegram.org/api/srp>).

use anyhow::bail;
use grammers_crypto::two_factor_auth::{calculate_2fa, check_p_and_g};
use grammers_tl_types::{enums, functions, types};
use secrecy::{ExposeSecret as _, SecretString};

use super::{Prompt, Talk, advice, say, user_of};
use crate::plain::plain;

/// Telegram takes about as many before it asks to wait.
const TRIES: usize = 3;
const NUMBER_BYTES: usize = 256;

pub(super) async fn check(talk: &mut Talk, prompt: &mut Prompt) -> anyhow::Result<types::User> {
    for _ in 0..TRIES {
        // Each try answers a question of its own.
        let asked = talk.ask(&functions::account::GetPassword {}).await;
        let enums::account::Password::Password(question) = asked.map_err(|error| advice(&error))?;
        let hint = match &question.hint {
            Some(hint) if !hint.is_empty() => format!(" (your hint: {})", plain(hint)),
            _ => String::new(),
        };
        let password = prompt
            .ask_secret(&format!("Password of two-step verification{hint}:"))
            .await?;
        say("Checking it.");
        let request = functions::auth::CheckPassword {
            password: proof(question, password).await?.into(),
        };
        match talk.ask(&request).await {
            Ok(authorization) => return user_of(authorization),
            Err(error) if error.is("PASSWORD_HASH_INVALID") || error.is("SRP_*") => {
                say(&format!("{:#}; try again.", advice(&error)));
            }
            Err(error) => return Err(advice(&error)),
        }
    }
    bail!(
        "no password was right: it is the one of Settings, Privacy and Security, Two-Step Verification, where it can also \
         be recovered"
    )
}

async fn proof(
    question: types::account::Password,
    password: SecretString,
) -> anyhow::Result<types::InputCheckPasswordSrp> {
    let Some(enums::PasswordKdfAlgo::Sha256Sha256Pbkdf2Hmacsha512iter100000Sha256ModPow(algo)) = question.current_algo
    else {
        bail!("Telegram checks passwords in a way that this version does not know: sign in with --qr, or update it");
    };
    let (Some(g_b), Some(srp_id)) = (question.srp_b, question.srp_id) else {
        bail!("Telegram asked for a password without its question: try again");
    };
    // What the library takes for granted, and panics at.
    let is_sound = (2..=7).contains(&algo.g) && algo.p.len() == NUMBER_BYTES && g_b.len() <= NUMBER_BYTES;
    let made = tokio::task::spawn_blocking(move || {
        if !is_sound || !check_p_and_g(&algo.p, &algo.g) {
            return None;
        }
        let a = rand::random::<[[u8; 32]; NUMBER_BYTES / 32]>().concat();
        Some(calculate_2fa(
            &algo.salt1,
            &algo.salt2,
            &algo.p,
            &algo.g,
            g_b,
            a,
            password.expose_secret(),
        ))
    });
    match made.await? {
        Some((m1, g_a)) => Ok(types::InputCheckPasswordSrp {
            srp_id,
            a: g_a.to_vec(),
            m1: m1.to_vec(),
        }),
        None => bail!("the question for the password is not sound: somebody may be between you and Telegram"),
    }
}
