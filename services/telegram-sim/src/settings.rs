//! The command line.

use std::path::PathBuf;

use tgmesh_lifecycle::settings::{self, CommonArgs, Faults, Settings};

use crate::sim;

/// A Telegram data centre on loopback for demos, tests and load: real MTProto 2.0.
#[derive(Debug, clap::Parser)]
#[command(name = "tgmesh-telegram-sim", version)]
pub struct Args {
    /// Where Telegram clients connect
    #[arg(long, env = "SIM_LISTEN", value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: String,
    /// The control port: HTTP/JSON to post, edit, delete and read what was posted
    #[arg(long, env = "SIM_CONTROL", value_name = "ADDR", default_value = "127.0.0.1:0")]
    control: String,
    /// The same seed gives the same keys, ids, titles and people
    #[arg(long, env = "SIM_SEED", value_name = "N", default_value = "1")]
    seed: String,
    /// Accounts, named sim-1, sim-2, …
    #[arg(long, env = "SIM_ACCOUNTS", value_name = "N", default_value = "1")]
    accounts: String,
    /// Chats that the accounts are in; two more exist that none has joined
    #[arg(long, env = "SIM_CHATS", value_name = "N", default_value = "10")]
    chats: String,
    /// Events per second of the scenario player; 0 = silence
    #[arg(long, env = "SIM_RATE", value_name = "R", default_value = "0")]
    rate: String,
    /// Messages and events kept per channel, and per account for groups and private chats
    #[arg(long, env = "SIM_HISTORY", value_name = "N", default_value = "50000")]
    history: String,
    /// Lines kept in the posted log
    #[arg(long, env = "SIM_POSTED", value_name = "N", default_value = "2000000")]
    posted: String,
    /// Written once both ports listen: {"mtproto":"host:port","control":"http://host:port"}
    #[arg(long, env = "SIM_READY", value_name = "FILE")]
    ready: Option<String>,
    #[command(flatten)]
    common: CommonArgs,
}

/// The settings, converted.
#[derive(Clone, Debug)]
pub struct Config {
    /// What to play.
    pub sim: sim::Config,
    /// File to write once both ports listen.
    pub ready: Option<PathBuf>,
}

impl Settings for Args {
    type Config = Config;

    fn common(&self) -> &CommonArgs {
        &self.common
    }

    fn read(self, faults: &mut Faults) -> Option<Config> {
        let listen = faults.value("SIM_LISTEN", &self.listen, settings::listen_addr);
        let control = faults.value("SIM_CONTROL", &self.control, settings::listen_addr);
        let seed = faults.value("SIM_SEED", &self.seed, settings::count(0..=u64::MAX));
        let accounts = faults.value("SIM_ACCOUNTS", &self.accounts, settings::count(1..=1_000));
        let chats = faults.value("SIM_CHATS", &self.chats, settings::count(1..=100_000));
        let rate = faults.value("SIM_RATE", &self.rate, rate);
        let history = faults.value("SIM_HISTORY", &self.history, settings::count(100..=10_000_000));
        let posted = faults.value("SIM_POSTED", &self.posted, settings::count(1_000..=100_000_000));
        let ready = faults.optional("SIM_READY", self.ready.as_deref(), settings::path);
        Some(Config {
            sim: sim::Config {
                listen: listen?,
                control: control?,
                seed: seed?,
                accounts: accounts? as usize,
                chats: chats? as usize,
                rate: rate?,
                history: history? as usize,
                posted: posted? as usize,
            },
            ready: ready?,
        })
    }
}

fn rate(raw: &str) -> Result<f64, String> {
    match raw.parse::<f64>() {
        Ok(rate) if (0.0..=100_000.0).contains(&rate) => Ok(rate),
        _ => Err("must be a number from 0 to 100000".to_owned()),
    }
}
