//! What Telegram's refusals mean, and what to do.

use crate::connection::CallError;
use crate::plain::{plain, span};

/// Where an application id is made.
const OWN_APPLICATION: &str = "make your own at https://my.telegram.org (API development tools), for one that many \
                               share is refused";

/// An error in the words of who has to mend it.
#[must_use]
pub fn advice(error: &CallError) -> anyhow::Error {
    let name = match error {
        CallError::Flood(wait) => {
            return anyhow::anyhow!(
                "Telegram asks to wait {} before the next try; an earlier one makes it longer",
                span(wait.as_secs())
            );
        }
        CallError::Timeout | CallError::Lost(_) => {
            return anyhow::anyhow!(
                "Telegram cannot be reached ({error}): is there a network, does a firewall let port 443 out, is TELEGRAM_DC \
                 right if it is set?"
            );
        }
        CallError::Elsewhere(dc) => {
            return anyhow::anyhow!(
                "Telegram sends the account from one data centre to the next (now {dc}); try later"
            );
        }
        CallError::Dead(name) | CallError::Refused { name, .. } => name.as_str(),
    };
    let text = match name {
        "API_ID_INVALID" => {
            return anyhow::anyhow!(
                "TELEGRAM_API_ID and TELEGRAM_API_HASH are no pair that Telegram knows: {OWN_APPLICATION}"
            );
        }
        "API_ID_PUBLISHED_FLOOD" => {
            return anyhow::anyhow!(
                "Telegram refuses this TELEGRAM_API_ID, because it was published: {OWN_APPLICATION}"
            );
        }
        "PHONE_NUMBER_INVALID" => {
            "Telegram does not take this for a phone number: write it with its country code, such as +49 151 23456789"
        }
        "PHONE_NUMBER_BANNED" => {
            "Telegram has banned this number: it can sign in nowhere. Write to recover@telegram.org, or use another account"
        }
        "PHONE_NUMBER_UNOCCUPIED" => "no Telegram account has this number: make one in Telegram's own app first",
        "PHONE_NUMBER_FLOOD" | "PHONE_PASSWORD_FLOOD" | "AUTH_TOKEN_FLOOD" => {
            "too many tries: Telegram lets this number try again tomorrow"
        }
        "PHONE_CODE_INVALID" | "PHONE_CODE_EMPTY" => "that is not the code",
        "PHONE_CODE_EXPIRED" => "the code is no longer good",
        "PASSWORD_HASH_INVALID" => "that is not the password",
        "ACCESS_TOKEN_INVALID" | "ACCESS_TOKEN_EXPIRED" => {
            "Telegram knows no bot with this token: copy it from @BotFather (/mybots, then API Token); a revoked one is no \
             longer good"
        }
        "USER_DEACTIVATED" => "the account was deleted",
        "USER_DEACTIVATED_BAN" => {
            "Telegram has banned the account: nothing here can lift it. Write to recover@telegram.org, and take it out of \
             TELEGRAM_ACCOUNTS"
        }
        "SESSION_REVOKED" => {
            "the session was ended from another device (Settings, Devices): sign in anew with `tgmesh login --again`"
        }
        "AUTH_KEY_UNREGISTERED" | "AUTH_KEY_INVALID" => {
            "Telegram does not know the session any more: sign in anew with `tgmesh login --again`"
        }
        "AUTH_KEY_DUPLICATED" => {
            "the session was used in two places at once, which ends it for good: sign in anew with `tgmesh login --again`, \
             and let one program use it"
        }
        other => {
            // It comes from outside and may go to a terminal.
            return anyhow::anyhow!("Telegram says {}", plain(other));
        }
    };
    anyhow::anyhow!("{text} ({name})")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn refusals_say_what_to_do() {
        let refused = |name: &str| CallError::Refused {
            code: 400,
            name: name.to_owned(),
        };
        let text = |error: CallError| advice(&error).to_string();
        assert!(text(refused("API_ID_INVALID")).contains("my.telegram.org"));
        assert!(text(refused("PHONE_NUMBER_BANNED")).contains("recover@telegram.org"));
        assert!(text(CallError::Flood(Duration::from_secs(3_700))).contains("1 h 1 min"));
        assert!(text(CallError::Dead("AUTH_KEY_DUPLICATED".into())).contains("two places"));
        assert_eq!(text(refused("ODD\x1b[2J")), "Telegram says ODD[2J");
    }
}
