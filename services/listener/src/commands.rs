//! What the binary does besides listening. These commands end by themselves, so they have no
//! admin port and leave a running service alone.

mod backfill;
mod chats;
mod desk;
mod import;
mod sessions;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use secrecy::SecretString;
use tgmesh_lifecycle::settings::{EXIT_USAGE, Faults};
use tgmesh_stream::{Mesh, NatsConfig, topology};

use crate::commands::desk::Desk;
use crate::login::{self, Application, Way};
use crate::session::{Place, Store};
use crate::settings::{Args, ChatsArgs, Command, LoginArgs, Sessions, SessionsCommand};
use crate::watch::Wanted;

/// Whether a command was asked for, rather than the service.
#[must_use]
pub fn is_command(args: &Args) -> bool {
    matches!(
        args.command,
        Some(Command::Login(_) | Command::Sessions(_) | Command::Chats(_) | Command::Backfill(_))
    )
}

/// Runs a command to its exit code: 0, 1 for a failure, 64 for bad settings.
#[must_use]
pub fn main(args: &Args) -> ExitCode {
    let mut faults = Faults::default();
    let (Some(work), true) = (Work::read(args, &mut faults), faults.is_empty()) else {
        for line in faults.lines() {
            eprintln!("tgmesh-listener: {line}");
        }
        return ExitCode::from(EXIT_USAGE);
    };
    // Waiting for NATS is told on standard error.
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter("warn,grammers=error")
        .init();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("tgmesh-listener: couldn't start the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    // Its end is not that of the work.
    let is_detachable = matches!(work, Work::Backfill(..));
    let done = runtime.block_on(async {
        tokio::select! {
            done = work.execute() => done,
            _ = tokio::signal::ctrl_c(), if !is_detachable => bail!("interrupted"),
        }
    });
    // What is under way is a connection that nobody needs any more.
    runtime.shutdown_background();
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("tgmesh-listener: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A command with all that it needs.
enum Work {
    Sessions(Box<SessionWork>),
    Backfill(backfill::Ask, NatsConfig),
}

/// A command about sessions, or with them.
struct SessionWork {
    sessions: Sessions,
    nats: NatsConfig,
    task: Task,
}

enum Task {
    Login {
        application: Application,
        account: Arc<str>,
        way: Way,
        again: bool,
    },
    /// The application where Telegram is asked.
    Sessions(SessionsCommand, Option<Application>),
    Chats(ChatsArgs, Application, Wanted),
}

impl Work {
    fn read(args: &Args, faults: &mut Faults) -> Option<Self> {
        if let Some(Command::Backfill(wanted)) = &args.command {
            let (ask, nats) = (backfill::read(wanted, faults), args.nats(faults));
            return Some(Self::Backfill(ask?, nats?));
        }
        let places = args.sessions_and_nats(faults);
        let task = match args.command.as_ref()? {
            Command::Run | Command::Backfill(_) => return None,
            Command::Login(login) => read_login(args, login, faults),
            Command::Sessions(command) => {
                let asks = matches!(command, SessionsCommand::Check { .. } | SessionsCommand::Revoke { .. });
                let application = if asks {
                    args.application(faults).map(Some)
                } else {
                    Some(None)
                };
                application.map(|application| Task::Sessions(command.clone(), application))
            }
            Command::Chats(chats) => {
                let (application, wanted) = (args.application(faults), args.wanted(faults));
                Some(Task::Chats(chats.clone(), application?, wanted?))
            }
        };
        let (sessions, nats) = places?;
        Some(Self::Sessions(Box::new(SessionWork {
            sessions,
            nats,
            task: task?,
        })))
    }

    /// Whether all was well.
    async fn execute(self) -> anyhow::Result<bool> {
        match self {
            Self::Sessions(work) => work.execute().await,
            Self::Backfill(ask, nats) => backfill::run(ask, &nats).await,
        }
    }
}

impl SessionWork {
    /// Whether all was well.
    async fn execute(self) -> anyhow::Result<bool> {
        let Self { sessions, nats, task } = self;
        let (store, mesh) = open(&sessions, &nats).await?;
        let keyring = &sessions.keyring;
        match task {
            Task::Login {
                application,
                account,
                way,
                again,
            } => {
                let who = login::login(&application, &store, keyring, &account, way, again).await?;
                println!(
                    "account {account} is signed in as {who}; its session is in {}",
                    sessions.place
                );
                Ok(true)
            }
            Task::Chats(args, application, wanted) => {
                let desk = Desk::open(mesh, &nats).await?;
                chats::list((&store, keyring), &desk, &application, &wanted, args).await
            }
            Task::Sessions(command, application) => match (command, application) {
                (SessionsCommand::Import { file }, _) => import::import(&store, keyring, &file).await.map(|()| true),
                (SessionsCommand::List { json }, _) => sessions::list(&store, keyring, &sessions.place, json)
                    .await
                    .map(|()| true),
                (SessionsCommand::Reseal, _) => sessions::reseal(&store, keyring).await,
                (SessionsCommand::Check { accounts }, Some(application)) => {
                    let desk = Desk::open(mesh, &nats).await?;
                    sessions::check((&store, keyring), &desk, &application, accounts).await
                }
                (SessionsCommand::Revoke { account, yes }, Some(application)) => {
                    sessions::revoke(&store, keyring, &application, &account, yes).await
                }
                // They were read with one.
                (SessionsCommand::Check { .. } | SessionsCommand::Revoke { .. }, None) => Ok(false),
            },
        }
    }
}

fn read_login(args: &Args, login: &LoginArgs, faults: &mut Faults) -> Option<Task> {
    let application = args.application(faults);
    let account = args.account(login.account.as_deref(), faults);
    let way = match (login.qr, login.bot) {
        (true, _) => Some(Way::Qr),
        (_, true) => faults
            .secret("TELEGRAM_BOT_TOKEN", |token: &SecretString| Ok(token.clone()))
            .map(Way::Bot),
        _ => Some(Way::Phone(login.phone.clone())),
    };
    Some(Task::Login {
        application: application?,
        account: account?,
        way: way?,
        again: login.again,
    })
}

/// The sessions, and the mesh where they are kept in it.
async fn open(sessions: &Sessions, nats: &NatsConfig) -> anyhow::Result<(Store, Option<Mesh>)> {
    let mut kept_in = None;
    let opened = match &sessions.place {
        Place::Kv => {
            let mesh = Mesh::connect(nats, "tgmesh-listener sessions")
                .await
                .context("couldn't connect to NATS")?;
            topology::wait(&mesh).await;
            let store = Store::open(&sessions.place, &mesh).await;
            kept_in = Some(mesh);
            store
        }
        Place::Folder(path) => Store::folder(path).await,
    };
    let store = opened.with_context(|| format!("couldn't open SESSION_STORE, {}", sessions.place))?;
    Ok((store, kept_in))
}
