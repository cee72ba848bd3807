//! The command line, and what its exit codes mean: 0 done, 1 failed, 64 wrong settings.

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use tgmesh_lifecycle::settings::{EXIT_USAGE, Faults};
use tracing_subscriber::EnvFilter;

use crate::{accounts, detect, doctor, erase, keygen, load, replay, revoke, service, tail, token, topology, trace, up};

/// tgmesh: contract addresses out of Telegram, live
#[derive(Debug, Parser)]
#[command(name = "tgmesh", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start everything on this machine: servers, services, dashboard
    Up(up::Args),
    /// Sign a Telegram account in: phone and code, QR code, or bot token
    #[command(disable_help_flag = true)]
    Login {
        /// What `tgmesh-listener login` takes
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
        args: Vec<OsString>,
    },
    /// Look after the sessions of accounts: list, check, revoke, reseal
    #[command(disable_help_flag = true)]
    Sessions {
        /// What `tgmesh-listener sessions` takes
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
        args: Vec<OsString>,
    },
    /// Show the chats that accounts are in, and which of them are watched
    #[command(disable_help_flag = true)]
    Chats {
        /// What `tgmesh-listener chats` takes
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
        args: Vec<OsString>,
    },
    /// Fetch the past of chats, by the listener that watches them
    #[command(disable_help_flag = true)]
    Backfill {
        /// What `tgmesh-listener backfill` takes
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
        args: Vec<OsString>,
    },
    /// Sign a token for the gateway and print it
    Token(token::Args),
    /// Make a key that signs tokens, and the key set that a gateway checks them with
    Keygen(keygen::Args),
    /// Take a token, or all tokens of a subject, back
    Revoke(revoke::Args),
    /// Find contract addresses in text: JSON lines in, JSON lines out
    Detect(detect::Args),
    /// Print live detections as JSON lines
    Tail(tail::Args),
    /// Measure the whole way from a Telegram message to a client and a row
    Load(load::Args),
    /// Read detections of the past again, to standard output or into a stream of their own
    Replay(replay::Args),
    /// Look after messages that could not be handled: list, show, retry, drop
    #[command(disable_help_flag = true)]
    Deadletters {
        /// What `tgmesh-archiver deadletters` takes
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
        args: Vec<OsString>,
    },
    /// Create and update the streams and buckets in NATS, or show what would change
    Topology(topology::Args),
    /// Take a person or a chat out of the database
    Erase(erase::Args),
    /// Show one message's way through the mesh, or change how many messages are traced
    Trace(trace::Args),
    /// Look at everything on a running mesh, and say what is wrong and what to do
    Doctor(doctor::Args),
    /// The WebSocket clients of `load`, in a process of their own
    #[command(hide = true)]
    LoadClients(load::clients::Args),
}

/// Why a command did not do its work.
#[derive(Debug)]
pub enum Failure {
    /// Settings are wrong: every fault, one line each, exit 64.
    Usage(Faults),
    /// It was tried and failed: exit 1.
    Failed(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// How a command ends.
pub type Outcome = Result<ExitCode, Failure>;

/// How long background tasks may take to notice that the command has ended.
const LAST_TASKS: Duration = Duration::from_secs(1);

/// Runs a command line to its exit code.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to standard output and are no fault. A closed output is not ours to mend.
            let _ = error.print();
            return if error.use_stderr() {
                ExitCode::from(EXIT_USAGE)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    // `up` and `load` stop their own NATS: that it is gone is no news to anyone.
    let quiet = matches!(cli.command, Command::Up(_) | Command::Load(_));
    log_to_stderr(match &cli.command {
        _ if quiet => "warn,tgmesh_stream::mesh=error",
        // What is away is a finding, and told as such.
        Command::Doctor(_) => "off",
        _ => "warn",
    });
    let outcome = match cli.command {
        Command::Detect(args) => detect::run(&args),
        Command::Token(args) => token::run(&args),
        Command::Keygen(args) => keygen::run(&args),
        Command::Up(args) => block_on(up::run(args)),
        Command::Login { args } => accounts::hand_over("login", &args),
        Command::Sessions { args } => accounts::hand_over("sessions", &args),
        Command::Chats { args } => accounts::hand_over("chats", &args),
        Command::Backfill { args } => service::hand_over("tgmesh-listener", "backfill", &args),
        Command::Revoke(args) => block_on(revoke::run(args)),
        Command::Tail(args) => block_on(tail::run(args)),
        Command::Load(args) => block_on(load::run(args)),
        Command::LoadClients(args) => block_on(load::clients::run(args)),
        Command::Replay(args) => block_on(replay::run(args)),
        Command::Deadletters { args } => service::hand_over("tgmesh-archiver", "deadletters", &args),
        Command::Topology(args) => block_on(topology::run(args)),
        Command::Erase(args) => block_on(erase::run(args)),
        Command::Trace(args) => block_on(trace::run(args)),
        Command::Doctor(args) => block_on(doctor::run(args)),
    };
    match outcome {
        Ok(code) => code,
        Err(Failure::Usage(faults)) => {
            for line in faults.lines() {
                eprintln!("tgmesh: {line}");
            }
            ExitCode::from(EXIT_USAGE)
        }
        Err(Failure::Failed(error)) if is_closed_output(&error) => ExitCode::SUCCESS,
        Err(Failure::Failed(error)) => {
            eprintln!("tgmesh: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn block_on(command: impl Future<Output = Outcome>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(command);
    // What has been said is done: no background task of a library may hold the end up.
    runtime.shutdown_timeout(LAST_TASKS);
    outcome
}

/// `tgmesh tail | head`: the reader has seen enough.
fn is_closed_output(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

/// Warnings of the libraries; what the commands say to people they print themselves.
fn log_to_stderr(default: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .try_init();
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_shows_the_commands_that_exist_and_no_other() {
        let help = Cli::command().render_long_help().to_string();
        let commands = help
            .split("Commands:")
            .nth(1)
            .unwrap()
            .split("Options:")
            .next()
            .unwrap();
        let names: Vec<_> = commands
            .lines()
            .filter_map(|line| line.split_whitespace().next())
            .collect();
        assert_eq!(
            names,
            [
                "up",
                "login",
                "sessions",
                "chats",
                "backfill",
                "token",
                "keygen",
                "revoke",
                "detect",
                "tail",
                "load",
                "replay",
                "deadletters",
                "topology",
                "erase",
                "trace",
                "doctor",
                "help"
            ]
        );
    }
}
