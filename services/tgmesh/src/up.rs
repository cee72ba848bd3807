//! `tgmesh up`: everything on this machine, in one command.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use secrecy::SecretString;
use tgmesh_lifecycle::settings::{self, Faults};
use tgmesh_stream::NatsConfig;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cli::{Failure, Outcome};
use crate::mesh::{self, Mesh, Options, Telegram};
use crate::token::Claims;
use crate::trace::{Place, Receiver};

/// The token in the printed address: for a day of looking at the dashboard.
const TOKEN_TTL: Duration = Duration::from_hours(24);

/// What `tgmesh up` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where messages come from: sim (a simulated data centre) or real (needs a signed-in session)
    #[arg(long, value_name = "SOURCE", default_value = "sim")]
    telegram: String,
    /// Use these NATS servers instead of an own one
    #[arg(long, value_name = "URL")]
    nats: Option<String>,
    /// Use this Postgres database instead of an own one
    #[arg(long, value_name = "URL")]
    database: Option<String>,
    /// Messages a second from the simulator
    #[arg(long, value_name = "N", default_value = "5")]
    rate: String,
    /// Chats in the simulator
    #[arg(long, value_name = "N", default_value = "24")]
    chats: String,
    /// Stop after this time; without it on Ctrl-C
    #[arg(long = "for", value_name = "DURATION")]
    duration: Option<String>,
    /// Where data, secrets and logs are kept
    #[arg(long, value_name = "DIR", default_value = ".tgmesh")]
    state: PathBuf,
    /// Address of the dashboard and API; the next free port if it is taken
    #[arg(long, env = "GATEWAY_LISTEN", value_name = "ADDR", default_value = "127.0.0.1:8080")]
    gateway_listen: String,
}

struct Config {
    options: Options,
    duration: Option<Duration>,
}

pub(crate) async fn run(args: Args) -> Outcome {
    let mut faults = Faults::default();
    let config = read(args, &mut faults);
    let (Some(config), true) = (config, faults.is_empty()) else {
        return Err(Failure::Usage(faults));
    };
    let mut config = config;
    let mut signals = Signals::listen()?;
    let given = std::env::var_os("OTEL_EXPORTER_OTLP_ENDPOINT").is_some_and(|url| !url.is_empty());
    let receiver = if given { None } else { Some(Receiver::start().await?) };
    let traces = receiver.as_ref().map(Receiver::url);
    let endpoint = traces
        .iter()
        .map(|url| ("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), url.clone()));
    config.options.env.extend(endpoint);
    let start = Instant::now();
    eprintln!(
        "tgmesh: starting; state and logs are in {}",
        config.options.dir.display()
    );
    let mut mesh = tokio::select! {
        mesh = Mesh::start(config.options) => mesh?,
        // Dropping a mesh that is half started ends what was started.
        () = signals.next() => return Ok(ExitCode::SUCCESS),
    };
    let token = mesh.signer()?.sign(&Claims::operator("local"), TOKEN_TTL)?;
    let place = Place {
        traces,
        nats: mesh.nats_url(),
    };
    place.keep(mesh.folder())?;
    println!("tgmesh is up: {}/#token={token}", mesh.url());
    eprintln!(
        "tgmesh: ready after {:.1} s; Ctrl-C ends it",
        start.elapsed().as_secs_f64()
    );
    if let Some(url) = &place.traces {
        eprintln!("tgmesh: spans are collected at {url}; `tgmesh trace ID` shows a message's way");
    }
    let over = async {
        match config.duration {
            Some(duration) => tokio::time::sleep(duration).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = mesh.supervise(|line| eprintln!("tgmesh: {line}")) => {}
        () = over => {}
        () = signals.next() => {}
    }
    Place::forget(mesh.folder());
    eprintln!("tgmesh: stopping; once more to stop at once");
    tokio::select! {
        () = mesh.stop() => eprintln!("tgmesh: stopped"),
        () = signals.next() => eprintln!("tgmesh: stopped at once"),
    }
    Ok(ExitCode::SUCCESS)
}

fn read(args: Args, faults: &mut Faults) -> Option<Config> {
    let rate = faults.value("--rate", &args.rate, |raw| {
        let number = raw.parse::<f64>().ok().filter(|rate| (0.0..=100_000.0).contains(rate));
        number.ok_or_else(|| "must be a number from 0 to 100000".to_owned())
    });
    let chats = faults.value("--chats", &args.chats, settings::count(1..=10_000));
    let duration = faults.optional("--for", args.duration.as_deref(), settings::positive_duration);
    let gateway = faults.value("GATEWAY_LISTEN", &args.gateway_listen, settings::listen_addr);
    let nats = faults.optional("--nats", args.nats.as_deref(), |url| {
        NatsConfig::new(url).map(|_| url.to_owned())
    });
    // It holds a password: no message repeats it.
    let database = match args.database.filter(|url| !url.is_empty()) {
        Some(url) if url.starts_with("postgres://") || url.starts_with("postgresql://") => {
            Some(SecretString::from(url))
        }
        Some(_) => {
            faults.add("--database", "is no postgres:// URL");
            None
        }
        None => None,
    };
    let telegram = match args.telegram.as_str() {
        "sim" => Some(Telegram::Simulated {
            // A new world each time: one that repeats itself would post messages that are stored already.
            seed: u64::from(rand::random::<u32>()),
            chats: chats? as u32,
            rate: rate?,
        }),
        "real" => real(&args.state, faults),
        other => {
            faults.add("--telegram", format!("{other:?} must be sim or real"));
            None
        }
    };
    Some(Config {
        options: Options {
            dir: args.state,
            telegram: telegram?,
            nats: nats?,
            database,
            gateway: gateway?,
            env: Vec::new(),
        },
        duration: duration?,
    })
}

/// Everything that watching real chats needs and `up` cannot make by itself.
fn real(state: &std::path::Path, faults: &mut Faults) -> Option<Telegram> {
    let given = |name: &str| std::env::var(name).is_ok_and(|value| !value.is_empty());
    for name in ["TELEGRAM_API_ID", "TELEGRAM_API_HASH"] {
        if !given(name) && !given(&format!("{name}_FILE")) {
            faults.add(
                name,
                "is required to talk to Telegram: make your own at https://my.telegram.org",
            );
        }
    }
    if !given("TELEGRAM_ACCOUNTS") {
        faults.add(
            "TELEGRAM_ACCOUNTS",
            "is required: the name of a signed-in account, as `tgmesh login --account NAME` gave it",
        );
    }
    let sessions = std::env::var_os("SESSION_STORE").filter(|dir| !dir.is_empty());
    let sessions = sessions.map_or_else(|| state.join("sessions"), PathBuf::from);
    if sessions.as_os_str() != "kv" && !mesh::holds_session(&sessions) {
        faults.add(
            "SESSION_STORE",
            format!(
                "{} holds no signed-in session: sign an account in with `tgmesh login --account NAME`",
                sessions.display()
            ),
        );
    }
    faults.is_empty().then_some(Telegram::Real)
}

/// Ctrl-C and SIGTERM.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("couldn't listen for signals");
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
