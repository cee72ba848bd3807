//! Signing in: code and password, bot token, and another device's consent.

use std::sync::Arc;

use grammers_tl_types::functions::{account, auth};
use grammers_tl_types::{Cursor, Deserializable, Identifiable, Serializable, enums, types};

use super::{Answer, Caller, Failure, MALFORMED, bad, failure};
use crate::world::{AccountNo, CodeState, NOBODY, Token, World, srp};

const PASSWORD_NEEDED: Failure = failure(401, "SESSION_PASSWORD_NEEDED");
const UNREGISTERED: Failure = failure(401, "AUTH_KEY_UNREGISTERED");
/// What the simulator's own numbers look like.
const CODE_DIGITS: i32 = 5;

/// Answers a request that belongs to signing in; nothing for any other.
pub(super) fn dispatch(
    world: &mut World,
    caller: &Caller,
    number: u32,
    arguments: &mut Cursor<'_>,
    now: i32,
) -> Option<Answer> {
    macro_rules! methods {
        ($($method:path => $handler:expr,)*) => {
            match number {
                $(<$method>::CONSTRUCTOR_ID => Some(match <$method>::deserialize(arguments) {
                    Ok(request) => $handler(world, caller, &request, now),
                    Err(_) => Err(MALFORMED),
                }),)*
                _ => None,
            }
        };
    }
    methods! {
        auth::SendCode => send_code,
        auth::ResendCode => resend_code,
        auth::CancelCode => |_: &mut World, _: &Caller, _: &auth::CancelCode, _| Ok(true.to_bytes()),
        auth::SignIn => sign_in,
        auth::ImportBotAuthorization => bot,
        auth::ExportLoginToken => export_token,
        auth::ImportLoginToken => import_token,
        auth::AcceptLoginToken => accept,
        account::GetPassword => get_password,
        auth::CheckPassword => check_password,
    }
}

/// A number as people write it, in digits alone.
fn digits(phone: &str) -> Result<String, Failure> {
    let kept: String = phone.chars().filter(char::is_ascii_digit).collect();
    let odd = phone.chars().any(|c| !(c.is_ascii_digit() || " +-()".contains(c)));
    if odd || !(5..=15).contains(&kept.len()) {
        return Err(bad("PHONE_NUMBER_INVALID"));
    }
    Ok(kept)
}

fn is_application(api_id: i32, api_hash: &str) -> Result<(), Failure> {
    let fits = api_id > 0 && api_hash.len() == 32 && api_hash.bytes().all(|b| b.is_ascii_hexdigit());
    if fits { Ok(()) } else { Err(bad("API_ID_INVALID")) }
}

/// Whether the account lives where it is asked for.
fn at_home(world: &World, caller: &Caller, account: AccountNo, error: &str) -> Result<(), Failure> {
    let home = world.accounts[account].door.home_dc;
    if home == caller.key.dc {
        return Ok(());
    }
    Err(Failure {
        code: 303,
        message: format!("{error}_{home}").into(),
    })
}

fn send_code(world: &mut World, caller: &Caller, ask: &auth::SendCode, now: i32) -> Answer {
    is_application(ask.api_id, &ask.api_hash)?;
    let phone = digits(&ask.phone_number)?;
    if let Some(account) = world.account_of_phone(&phone) {
        if world.accounts[account].door.is_phone_banned {
            return Err(bad("PHONE_NUMBER_BANNED"));
        }
        at_home(world, caller, account, "PHONE_MIGRATE")?;
    }
    Ok(sent(world, &phone, now))
}

fn resend_code(world: &mut World, _: &Caller, ask: &auth::ResendCode, now: i32) -> Answer {
    Ok(sent(world, &digits(&ask.phone_number)?, now))
}

fn sent(world: &mut World, phone: &str, now: i32) -> Vec<u8> {
    let (phone_code_hash, code, timeout) = world.logins.send_code(phone, now);
    // It is worth something in this world alone.
    tracing::info!(phone, code, "a login code was sent");
    enums::auth::SentCode::Code(types::auth::SentCode {
        r#type: types::auth::SentCodeTypeApp { length: CODE_DIGITS }.into(),
        phone_code_hash,
        next_type: None,
        timeout: Some(timeout),
    })
    .to_bytes()
}

fn sign_in(world: &mut World, caller: &Caller, ask: &auth::SignIn, now: i32) -> Answer {
    let phone = digits(&ask.phone_number)?;
    let code = ask.phone_code.as_deref().unwrap_or_default();
    if code.is_empty() {
        return Err(bad("PHONE_CODE_EMPTY"));
    }
    match world.logins.try_code(&phone, &ask.phone_code_hash, code, now) {
        CodeState::Right => {}
        CodeState::Wrong => return Err(bad("PHONE_CODE_INVALID")),
        CodeState::Expired => return Err(bad("PHONE_CODE_EXPIRED")),
    }
    match world.account_of_phone(&phone) {
        Some(account) => enter(world, caller, account),
        None => Ok(
            enums::auth::Authorization::SignUpRequired(types::auth::AuthorizationSignUpRequired {
                terms_of_service: None,
            })
            .to_bytes(),
        ),
    }
}

/// The first proof was right: the key is the account's, or the password is asked for.
fn enter(world: &World, caller: &Caller, account: AccountNo) -> Answer {
    let door = &world.accounts[account].door;
    if door.is_banned {
        return Err(failure(401, "USER_DEACTIVATED_BAN"));
    }
    if door.password.is_some() {
        caller.key.ask_password(account);
        return Err(PASSWORD_NEEDED);
    }
    Ok(authorize(world, caller, account).to_bytes())
}

fn authorize(world: &World, caller: &Caller, account: AccountNo) -> enums::auth::Authorization {
    caller.key.sign_in(account);
    let user = &world.accounts[account].user;
    let viewer = crate::view::Viewer {
        identity: world.identity,
        user_id: user.id,
    };
    types::auth::Authorization {
        setup_password_required: false,
        otherwise_relogin_days: None,
        tmp_sessions: None,
        future_auth_token: None,
        user: viewer.user(user),
    }
    .into()
}

fn bot(world: &mut World, caller: &Caller, ask: &auth::ImportBotAuthorization, _: i32) -> Answer {
    is_application(ask.api_id, &ask.api_hash)?;
    let token = Some(ask.bot_auth_token.as_str());
    let bot = world
        .accounts
        .iter()
        .position(|account| account.door.bot_token.as_deref() == token)
        .ok_or(bad("ACCESS_TOKEN_INVALID"))?;
    at_home(world, caller, bot, "USER_MIGRATE")?;
    enter(world, caller, bot)
}

fn export_token(world: &mut World, caller: &Caller, ask: &auth::ExportLoginToken, now: i32) -> Answer {
    is_application(ask.api_id, &ask.api_hash)?;
    let token = world.logins.token(&caller.key, now);
    let (bytes, expires, accepted) = (token.bytes.clone(), token.expires, token.accepted);
    let Some(account) = accepted else {
        return Ok(enums::auth::LoginToken::Token(types::auth::LoginToken { expires, token: bytes }).to_bytes());
    };
    let dc_id = world.accounts[account].door.home_dc;
    if dc_id != caller.key.dc {
        let elsewhere = types::auth::LoginTokenMigrateTo { dc_id, token: bytes };
        return Ok(enums::auth::LoginToken::MigrateTo(elsewhere).to_bytes());
    }
    consented(world, caller, account, &bytes)
}

fn import_token(world: &mut World, caller: &Caller, ask: &auth::ImportLoginToken, now: i32) -> Answer {
    let token = world.logins.token_mut(&ask.token);
    let token = token.ok_or(bad("AUTH_TOKEN_INVALID"))?;
    if token.expires <= now {
        return Err(bad("AUTH_TOKEN_EXPIRED"));
    }
    let account = token.accepted.ok_or(bad("AUTH_TOKEN_INVALID"))?;
    if world.accounts[account].door.home_dc != caller.key.dc {
        return Err(bad("AUTH_TOKEN_INVALID"));
    }
    consented(world, caller, account, &ask.token)
}

fn consented(world: &mut World, caller: &Caller, account: AccountNo, token: &[u8]) -> Answer {
    world.logins.use_up(token);
    enter(world, caller, account)?;
    let authorization = authorize(world, caller, account);
    Ok(enums::auth::LoginToken::Success(types::auth::LoginTokenSuccess { authorization }).to_bytes())
}

/// A device that is signed in lets another one in.
fn accept(world: &mut World, caller: &Caller, ask: &auth::AcceptLoginToken, now: i32) -> Answer {
    if caller.account == NOBODY {
        return Err(UNREGISTERED);
    }
    accept_token(world, caller.account, &ask.token, now)?;
    let authorization = types::Authorization {
        current: false,
        official_app: false,
        password_pending: world.accounts[caller.account].door.password.is_some(),
        encrypted_requests_disabled: true,
        call_requests_disabled: true,
        unconfirmed: false,
        hash: 0,
        device_model: "simulated".to_owned(),
        platform: String::new(),
        system_version: String::new(),
        api_id: 1,
        app_name: "tgmesh".to_owned(),
        app_version: String::new(),
        date_created: now,
        date_active: now,
        ip: "127.0.0.1".to_owned(),
        country: "ZZ".to_owned(),
        region: String::new(),
    };
    Ok(enums::Authorization::Authorization(authorization).to_bytes())
}

/// Lets the device in that shows this token; it is told at once.
pub(crate) fn accept_token(world: &mut World, account: AccountNo, token: &[u8], now: i32) -> Result<(), Failure> {
    let token: &mut Token = world.logins.token_mut(token).ok_or(bad("AUTH_TOKEN_INVALID"))?;
    if token.expires <= now {
        return Err(bad("AUTH_TOKEN_EXPIRED"));
    }
    if token.accepted.is_some() {
        return Err(bad("AUTH_TOKEN_ALREADY_ACCEPTED"));
    }
    token.accepted = Some(account);
    let key = Arc::clone(&token.key);
    let update = types::UpdateShort {
        update: enums::Update::LoginToken,
        date: now,
    };
    key.tell(&enums::Updates::UpdateShort(update).to_bytes());
    Ok(())
}

fn get_password(world: &mut World, caller: &Caller, _: &account::GetPassword, _: i32) -> Answer {
    let account = asked(caller)?;
    let (current_algo, hint, challenge) = match &world.accounts[account].door.password {
        Some(password) => {
            let algo = types::PasswordKdfAlgoSha256Sha256Pbkdf2Hmacsha512iter100000Sha256ModPow {
                salt1: password.salt1.clone(),
                salt2: password.salt2.clone(),
                g: srp::G,
                p: srp::prime(),
            };
            (Some(algo.into()), password.hint.clone(), Some(password.challenge()))
        }
        None => (None, None, None),
    };
    let (mut srp_b, mut srp_id) = (None, None);
    if let Some(challenge) = challenge {
        srp_b = Some(challenge.g_b.clone());
        srp_id = Some(world.logins.ask(account, challenge));
    }
    let password = types::account::Password {
        has_recovery: false,
        has_secure_values: false,
        has_password: current_algo.is_some(),
        current_algo,
        srp_b,
        srp_id,
        hint,
        email_unconfirmed_pattern: None,
        new_algo: enums::PasswordKdfAlgo::Unknown,
        new_secure_algo: enums::SecurePasswordKdfAlgo::Unknown,
        secure_random: Vec::new(),
        pending_reset_date: None,
        login_email_pattern: None,
    };
    Ok(enums::account::Password::Password(password).to_bytes())
}

fn check_password(world: &mut World, caller: &Caller, ask: &auth::CheckPassword, _: i32) -> Answer {
    let account = asked(caller)?;
    let enums::InputCheckPasswordSrp::Srp(answer) = &ask.password else {
        return Err(bad("PASSWORD_HASH_INVALID"));
    };
    let challenge = world.logins.answered(answer.srp_id, account);
    let challenge = challenge.ok_or(bad("SRP_ID_INVALID"))?;
    let password = world.accounts[account].door.password.as_ref();
    if !password.is_some_and(|password| password.is_proved(&challenge, &answer.a, &answer.m1)) {
        return Err(bad("PASSWORD_HASH_INVALID"));
    }
    Ok(authorize(world, caller, account).to_bytes())
}

/// Whose password is asked for, or whose key it is.
fn asked(caller: &Caller) -> Result<AccountNo, Failure> {
    let signed_in = (caller.account != NOBODY).then_some(caller.account);
    caller.key.pending().or(signed_in).ok_or(UNREGISTERED)
}
