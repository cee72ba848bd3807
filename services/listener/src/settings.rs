//! The listener's settings.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, Subcommand};
use tgmesh_lifecycle::settings::{self, CommonArgs, Faults, Settings};
use tgmesh_stream::{NatsArgs, NatsConfig};

use crate::assignments::Racing;
use crate::login::Application;
use crate::rules::RuleFile;
use crate::session::{Keyring, Place, is_account_name};
use crate::watch::Wanted;

/// Most accounts of one process: an idle one costs about 70 kB, a busy one a core.
const MAX_ACCOUNTS: usize = 256;

/// Telegram → detections → `JetStream`.
#[derive(Debug, Parser)]
#[command(
    name = "tgmesh-listener",
    version,
    about = "Telegram → detections → JetStream",
    after_help = "Secrets come by variable, or by a file that <NAME>_FILE names: TELEGRAM_API_HASH (of the application id), \
                  TELEGRAM_ENCRYPTION_KEY (32 bytes in hex or base64; a comma list: the first seals sessions, all open them)."
)]
pub struct Args {
    /// What to do; without it the service runs
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    telegram: TelegramArgs,
    #[command(flatten)]
    nats: NatsArgs,
    #[command(flatten)]
    common: CommonArgs,
}

/// What the binary does besides listening.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Runs the service (the default)
    Run,
    /// Signs an account in and stores its sealed session
    Login(LoginArgs),
    /// Looks after sealed sessions
    #[command(subcommand)]
    Sessions(SessionsCommand),
    /// Shows the chats that accounts are in, which of them `MONITORED_CHATS` means, whether Telegram pushes them, and how late their posts come
    Chats(ChatsArgs),
    /// Fetches the past of chats: a listener that watches them does it, beside what is live
    Backfill(BackfillArgs),
}

/// What `backfill` takes.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "WHEN is a day (2026-11-01, in UTC), a time (2026-11-01T12:00:00Z) or a duration (7d: so long ago). What is \
                  found is marked as fetched from the past, which clients leave out unless they ask for it; what the streams \
                  hold already is not told again. Ctrl-C ends the display, not the order. Where DETECTION_RETENTION is set, \
                  it is said which part will not be archived."
)]
pub struct BackfillArgs {
    /// A watched chat: id as the Bot API shows it, or @name; may be given again
    #[arg(long = "chat", value_name = "CHAT", allow_hyphen_values = true, required_unless_present_any = ["list", "cancel", "watch"])]
    pub chats: Vec<String>,
    /// Messages from here on
    #[arg(long, value_name = "WHEN", required_unless_present_any = ["list", "cancel", "watch"])]
    pub since: Option<String>,
    /// Messages before this [default: now]
    #[arg(long, value_name = "WHEN")]
    pub until: Option<String>,
    /// The account that is to read them [default: the one that watches the chat]
    #[arg(long, value_name = "NAME")]
    pub account: Option<String>,
    /// Gives the order and does not wait for its end
    #[arg(long)]
    pub detach: bool,
    /// As JSON lines
    #[arg(long)]
    pub json: bool,
    /// Lists the orders
    #[arg(long, conflicts_with_all = ["chats", "since", "until", "account", "detach", "cancel", "watch"])]
    pub list: bool,
    /// Takes an order back; what it has found stays
    #[arg(long, value_name = "ID", conflicts_with_all = ["chats", "since", "until", "account", "detach", "watch"])]
    pub cancel: Option<String>,
    /// Shows an order until it is over
    #[arg(long, value_name = "ID", conflicts_with_all = ["chats", "since", "until", "account", "detach"])]
    pub watch: Option<String>,
}

/// What `chats` takes.
#[derive(Debug, Clone, clap::Args)]
pub struct ChatsArgs {
    /// One account [default: all that have a session]
    #[arg(long, value_name = "NAME")]
    pub account: Option<String>,
    /// As JSON lines
    #[arg(long)]
    pub json: bool,
}

/// What `login` takes.
#[derive(Debug, Clone, clap::Args)]
#[command(
    after_help = "The account signs in with its phone number and the code that Telegram sends to its devices, unless \
                        --qr or --bot is given. Answers may come from a pipe, a line each. The bot's token comes from \
                        TELEGRAM_BOT_TOKEN, TELEGRAM_BOT_TOKEN_FILE, or is asked for."
)]
pub struct LoginArgs {
    /// Name for the account, 1 to 32 of a-z, 0-9 and - [default: the one that `TELEGRAM_ACCOUNTS` names]
    #[arg(long, value_name = "NAME")]
    pub account: Option<String>,
    /// Phone number with country code; asked for without it
    #[arg(long, value_name = "NUMBER", conflicts_with_all = ["qr", "bot"])]
    pub phone: Option<String>,
    /// Draws a code for a device that is signed in, instead of asking for a number
    #[arg(long, conflicts_with = "bot")]
    pub qr: bool,
    /// Signs a bot in with its token
    #[arg(long)]
    pub bot: bool,
    /// Replaces the session that the account has
    #[arg(long)]
    pub again: bool,
}

/// What can be done with sessions.
#[derive(Debug, Clone, Subcommand)]
pub enum SessionsCommand {
    /// Seals the accounts of a simulator or test server: the JSON array of its `GET /accounts`
    Import {
        /// File with name, `user_id`, `dc_id`, address and `auth_key` of each account, or the http:// address that
        /// gives it: the simulator's control port
        file: std::path::PathBuf,
    },
    /// Shows the stored sessions: account, who it is, data centre, key, age; asks Telegram nothing
    List {
        /// As JSON lines
        #[arg(long)]
        json: bool,
    },
    /// Asks Telegram whether sessions are good; those that a listener is using are not asked for
    Check {
        /// Accounts [default: all that have a session]
        accounts: Vec<String>,
    },
    /// Signs an account out at Telegram and removes its session
    Revoke {
        /// Account
        account: String,
        /// Does not ask first
        #[arg(long)]
        yes: bool,
    },
    /// Seals all sessions with the first key of `TELEGRAM_ENCRYPTION_KEY`
    Reseal,
}

#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Telegram")]
struct TelegramArgs {
    /// Application id from <https://my.telegram.org>
    #[arg(long, env = "TELEGRAM_API_ID", value_name = "ID")]
    telegram_api_id: Option<String>,
    /// Names of the accounts to listen with, comma separated
    #[arg(long, env = "TELEGRAM_ACCOUNTS", value_name = "NAMES")]
    telegram_accounts: Option<String>,
    /// Most accounts that this process listens with at once; others are left to other processes, or wait
    #[arg(long, env = "LISTENER_SLOTS", value_name = "N", default_value = "256")]
    listener_slots: String,
    /// Data centre for every account, host:port: a simulator or test servers
    #[arg(long, env = "TELEGRAM_DC", value_name = "ADDR")]
    telegram_dc: Option<String>,
    /// Where sealed sessions are kept: kv, or a folder
    #[arg(long, env = "SESSION_STORE", value_name = "PLACE", default_value = "kv")]
    session_store: String,
    /// Chats to watch, comma separated: ids as the Bot API shows them, @names, invite links, folder:NAME, or * for all
    /// that the accounts are in; what is not joined yet is joined
    #[arg(long, env = "MONITORED_CHATS", value_name = "CHATS", default_value = "*")]
    monitored_chats: String,
    /// Channels that several accounts watch at once, comma separated ids: who sees a message first tells of it
    #[arg(long, env = "HOT_CHATS", value_name = "IDS")]
    hot_chats: Option<String>,
    /// How many accounts watch each hot channel
    #[arg(long, env = "RACERS", value_name = "N", default_value = "2")]
    racers: String,
    /// Requests a minute that each account may spend on finding posts that Telegram does not push
    #[arg(long, env = "POLL_BUDGET", value_name = "N", default_value = "180")]
    poll_budget: String,
    /// TOML file of watch rules: words and expressions to mark detections with, or to be told of; read again when
    /// it changes
    #[arg(long, env = "WATCH_RULES", value_name = "FILE")]
    watch_rules: Option<String>,
    /// How long finds are remembered, to tell what an edit or a deletion took away
    #[arg(long, env = "EDIT_WINDOW", value_name = "DURATION", default_value = "48h")]
    edit_window: String,
    /// How far back `seen_before` looks for the same address
    #[arg(long, env = "SEEN_WINDOW", value_name = "DURATION", default_value = "24h")]
    seen_window: String,
}

/// What the service is given.
#[derive(Debug)]
pub struct Config {
    /// Application id.
    pub api_id: i32,
    /// Accounts to listen with.
    pub accounts: Vec<Arc<str>>,
    /// Most of them that this process listens with at once.
    pub slots: usize,
    /// `host:port` that stands for every data centre.
    pub dc: Option<String>,
    /// Where sessions are kept, and the keys to them.
    pub sessions: Sessions,
    /// Which chats are watched.
    pub wanted: Wanted,
    /// Which channels several accounts watch at once.
    pub racing: Racing,
    /// Requests a minute and account that find posts which are not pushed.
    pub polls_per_minute: u32,
    /// The watch rules.
    pub rules: Option<RuleFile>,
    /// How long finds are remembered.
    pub edit_window: Duration,
    /// How far back `seen_before` looks.
    pub seen_window: Duration,
    /// NATS.
    pub nats: NatsConfig,
}

/// Where sessions are kept, and the keys to them.
#[derive(Debug, Clone)]
pub struct Sessions {
    /// Where.
    pub place: Place,
    /// Keys.
    pub keyring: Arc<Keyring>,
}

impl Settings for Args {
    type Config = Config;

    fn common(&self) -> &CommonArgs {
        &self.common
    }

    fn read(self, faults: &mut Faults) -> Option<Config> {
        let telegram = &self.telegram;
        // Signing in needs the hash; it is asked for here so that a deployment is found incomplete
        // before an account has to sign in again.
        let application = self.application(faults);
        let accounts = faults.required(
            "TELEGRAM_ACCOUNTS",
            telegram.telegram_accounts.as_deref(),
            account_names,
        );
        let slots = faults.value(
            "LISTENER_SLOTS",
            &telegram.listener_slots,
            settings::count(1..=MAX_ACCOUNTS as u64),
        );
        let sessions = self.sessions(faults);
        let wanted = self.wanted(faults);
        let hot_chats = faults.optional("HOT_CHATS", self.telegram.hot_chats.as_deref(), chat_ids);
        let racers = faults.value(
            "RACERS",
            &self.telegram.racers,
            settings::count(1..=MAX_ACCOUNTS as u64),
        );
        let polls = faults.value("POLL_BUDGET", &self.telegram.poll_budget, settings::count(1..=6_000));
        let rules = self.rules(faults);
        let edit_window = faults.value("EDIT_WINDOW", &self.telegram.edit_window, settings::positive_duration);
        let seen_window = faults.value("SEEN_WINDOW", &self.telegram.seen_window, settings::positive_duration);
        let nats = faults.absorb(self.nats.read());
        let application = application?;
        Some(Config {
            api_id: application.api_id,
            accounts: accounts?,
            slots: usize::try_from(slots?).ok()?,
            dc: application.dc,
            sessions: sessions?,
            wanted: wanted?,
            racing: Racing {
                chats: Arc::new(hot_chats?.unwrap_or_default()),
                racers: usize::try_from(racers?).ok()?,
            },
            polls_per_minute: u32::try_from(polls?).ok()?,
            rules: rules?,
            edit_window: edit_window?,
            seen_window: seen_window?,
            nats: nats?,
        })
    }
}

impl Args {
    /// What the commands about sessions need.
    pub fn sessions_and_nats(&self, faults: &mut Faults) -> Option<(Sessions, NatsConfig)> {
        let sessions = self.sessions(faults);
        let nats = faults.absorb(self.nats.read());
        Some((sessions?, nats?))
    }

    /// What the commands need that talk to nobody but NATS.
    pub fn nats(&self, faults: &mut Faults) -> Option<NatsConfig> {
        faults.absorb(self.nats.read())
    }

    /// What the commands that talk to Telegram need.
    pub fn application(&self, faults: &mut Faults) -> Option<Application> {
        let telegram = &self.telegram;
        let api_id = faults.optional(
            "TELEGRAM_API_ID",
            telegram.telegram_api_id.as_deref(),
            settings::count(1..=i32::MAX as u64),
        );
        let api_hash = faults.secret("TELEGRAM_API_HASH", |hash| Ok(hash.clone()));
        for (name, is_missing) in [
            ("TELEGRAM_API_ID", api_id == Some(None)),
            ("TELEGRAM_API_HASH", matches!(api_hash, Some(None))),
        ] {
            if is_missing {
                faults.add(
                    name,
                    "is required: make your own application at https://my.telegram.org (API development tools)",
                );
            }
        }
        let dc = faults.optional("TELEGRAM_DC", telegram.telegram_dc.as_deref(), host_and_port);
        Some(Application {
            api_id: i32::try_from(api_id??).ok()?,
            api_hash: api_hash??,
            dc: dc?,
        })
    }

    /// `MONITORED_CHATS`.
    pub fn wanted(&self, faults: &mut Faults) -> Option<Wanted> {
        faults.value("MONITORED_CHATS", &self.telegram.monitored_chats, Wanted::parse)
    }

    /// The account that a command is about: the one given, or the only one there is.
    pub fn account(&self, given: Option<&str>, faults: &mut Faults) -> Option<Arc<str>> {
        let (name, list) = match given {
            Some(name) => ("--account", name),
            None => (
                "TELEGRAM_ACCOUNTS",
                self.telegram.telegram_accounts.as_deref().unwrap_or_default(),
            ),
        };
        match account_names(list) {
            Ok(names) if names.len() == 1 => names.into_iter().next(),
            Ok(_) if given.is_none() => {
                faults.add(
                    "--account",
                    "is required: TELEGRAM_ACCOUNTS names more than one account",
                );
                None
            }
            Ok(_) => {
                faults.add("--account", "is to name one account");
                None
            }
            Err(_) if given.is_none() && list.is_empty() => {
                faults.add(
                    "--account",
                    "is required: a name of your choice, 1 to 32 of a-z, 0-9 and -",
                );
                None
            }
            Err(problem) => {
                faults.add(name, problem);
                None
            }
        }
    }

    /// The outer `None` is a fault; each fault of the file is told.
    #[expect(clippy::option_option, reason = "as `Faults::optional` says it")]
    fn rules(&self, faults: &mut Faults) -> Option<Option<RuleFile>> {
        let path = faults.optional("WATCH_RULES", self.telegram.watch_rules.as_deref(), settings::path)?;
        let Some(path) = path else { return Some(None) };
        let name = path.display().to_string();
        match RuleFile::open(path) {
            Ok(file) => Some(Some(file)),
            Err(problems) => {
                for problem in problems {
                    faults.add("WATCH_RULES", format!("{name}: {problem}"));
                }
                None
            }
        }
    }

    fn sessions(&self, faults: &mut Faults) -> Option<Sessions> {
        let keyring = faults.required_secret("TELEGRAM_ENCRYPTION_KEY", |list| {
            Keyring::parse(list).map_err(|error| error.to_string())
        });
        let place = faults.value("SESSION_STORE", &self.telegram.session_store, |place| match place {
            "" => Err("must be kv or a folder".to_owned()),
            "kv" => Ok(Place::Kv),
            folder => Ok(Place::Folder(folder.into())),
        });
        Some(Sessions {
            place: place?,
            keyring: Arc::new(keyring?),
        })
    }
}

fn account_names(raw: &str) -> Result<Vec<Arc<str>>, String> {
    let names = settings::list(|name| {
        if is_account_name(name) {
            Ok(Arc::<str>::from(name))
        } else {
            Err("is no account name: 1 to 32 of a-z, 0-9 and -".to_owned())
        }
    })(raw)?;
    let mut sorted: Vec<_> = names.iter().collect();
    sorted.sort_unstable();
    if names.is_empty() {
        Err("names no account".to_owned())
    } else if names.len() > MAX_ACCOUNTS {
        Err(format!("names more than {MAX_ACCOUNTS} accounts"))
    } else if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
        // One key in two places at once is dead for good.
        Err("names an account twice".to_owned())
    } else {
        Ok(names)
    }
}

fn chat_ids(raw: &str) -> Result<HashSet<i64>, String> {
    let ids = settings::list(|id| match id.parse::<i64>() {
        // Others have numbers of each account's own, so nobody can tell that two saw the same.
        Ok(id) if id < -1_000_000_000_000 => Ok(id),
        _ => Err("is no id of a channel or supergroup (-100…)".to_owned()),
    })(raw)?;
    Ok(ids.into_iter().collect())
}

fn host_and_port(raw: &str) -> Result<String, String> {
    let problem = || "is no host:port".to_owned();
    let (host, port) = raw.rsplit_once(':').ok_or_else(problem)?;
    let port = port.parse::<u16>().map_err(|_| problem())?;
    if host.is_empty() || host.contains(char::is_whitespace) || port == 0 {
        Err(problem())
    } else {
        Ok(raw.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_names_are_checked() {
        assert_eq!(account_names("sim-1, sim-2").unwrap().len(), 2);
        for bad in ["", " , ", "Sim", "a_b", "sim-1,sim-1", "+491701234567", &"a".repeat(33)] {
            assert!(account_names(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses_are_checked() {
        for good in ["127.0.0.1:443", "sim:1", "[::1]:5"] {
            assert!(host_and_port(good).is_ok(), "{good}");
        }
        for bad in ["", "sim", "sim:", ":1", "sim:0", "sim:70000", "a b:1"] {
            assert!(host_and_port(bad).is_err(), "{bad}");
        }
    }
}
