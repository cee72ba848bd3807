//! The frame around every service: settings, telemetry, admin port, work, drain, exit code.

use std::future::Future;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;

use crate::health::Health;
use crate::metrics::Metrics;
use crate::settings::{Common, EXIT_USAGE, Faults, Settings};
use crate::shutdown::Shutdown;
use crate::summary::Summary;
use crate::tasks::Tasks;
use crate::telemetry::Telemetry;
use crate::{admin, profile};

/// After the hard token: time for tasks to notice it before they are dropped.
const ABORT_TIMEOUT: Duration = Duration::from_millis(500);

/// What a service is given besides its settings. Clones share everything.
#[derive(Debug, Clone)]
pub struct Process {
    /// Name of this process.
    pub instance: Arc<str>,
    /// When to stop.
    pub shutdown: Shutdown,
    /// Its background tasks.
    pub tasks: Tasks,
    /// What it depends on.
    pub health: Health,
    /// Its figures.
    pub metrics: Metrics,
    /// The line in its log that tells how it is doing.
    pub summary: Summary,
}

impl Process {
    /// A process frame without settings, signals or an admin port, for tests that run a service
    /// in their own process.
    #[must_use]
    pub fn detached(service: &str, instance: &str) -> Self {
        let shutdown = Shutdown::default();
        let metrics = Metrics::new(service, instance);
        Self {
            instance: instance.into(),
            tasks: Tasks::new(shutdown.clone()),
            health: Health::new(shutdown.clone()),
            summary: Summary::new(metrics.clone()),
            metrics,
            shutdown,
        }
    }
}

/// Runs a service from its command line to its exit code: 0 after a clean end, 64 for bad
/// settings, 1 for a failure.
///
/// `run` works until [`Shutdown::soft`] is cancelled, then finishes what is in flight and returns.
pub fn main<S, F, R>(service: &'static str, run: R) -> ExitCode
where
    S: Settings,
    F: Future<Output = anyhow::Result<()>>,
    R: FnOnce(S::Config, Process) -> F,
{
    let settings = match S::try_parse() {
        Ok(settings) => settings,
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
    let mut faults = Faults::default();
    let common = settings.common().read(service, &mut faults);
    let config = settings.read(&mut faults);
    let (Some(common), Some(config), true) = (common, config, faults.is_empty()) else {
        for line in faults.lines() {
            eprintln!("tgmesh-{service}: {line}");
        }
        return ExitCode::from(EXIT_USAGE);
    };
    if common.pprof_listen.is_some() {
        profile::prepare_heap();
    }
    match start(service, &common, config, run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Also where logging could not be set up.
            eprintln!("tgmesh-{service}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start<C, F, R>(service: &'static str, common: &Common, config: C, run: R) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>>,
    R: FnOnce(C, Process) -> F,
{
    let process = Process::detached(service, &common.instance);
    let telemetry = Telemetry::start(common, &process.metrics)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("couldn't start the runtime")?;
    let result = runtime.block_on(async {
        let listener = admin::bind(common.admin_listen, "ADMIN_LISTEN").await?;
        // The port may have been 0.
        let admin_addr = listener.local_addr().context("couldn't read the admin port")?;
        // Until the very end, so that a probe can see the process drain.
        let until = process.shutdown.hard();
        let admin = admin::serve(listener, process.health.clone(), process.metrics.clone(), until);
        let admin = tokio::spawn(admin);
        if let Some(addr) = common.pprof_listen {
            let listener = admin::bind(addr, "PPROF_LISTEN").await?;
            let pprof_addr = listener.local_addr().context("couldn't read the port of profiles")?;
            tracing::info!(%pprof_addr, "profiles can be taken");
            tokio::spawn(profile::serve(listener, process.shutdown.hard()));
        }
        let over = CancellationToken::new();
        let summary = tokio::spawn(process.summary.clone().run(over.clone()));
        let signals = tokio::spawn(process.shutdown.clone().watch_signals());
        tracing::info!(service, instance = %common.instance, %admin_addr, version = env!("CARGO_PKG_VERSION"), "started");
        let result = work(config, &process, run).await;
        over.cancel();
        let _ = tokio::time::timeout(ABORT_TIMEOUT, summary).await;
        process.shutdown.abort();
        let _ = tokio::time::timeout(ABORT_TIMEOUT, admin).await;
        signals.abort();
        result
    });
    match &result {
        Ok(()) => tracing::info!(service, "stopped"),
        Err(error) => tracing::error!(service, error = format!("{error:#}"), "failed"),
    }
    runtime.shutdown_timeout(ABORT_TIMEOUT);
    telemetry.flush();
    result
}

async fn work<C, F, R>(config: C, process: &Process, run: R) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>>,
    R: FnOnce(C, Process) -> F,
{
    let hard = process.shutdown.hard();
    let drained = async {
        let ran = run(config, process.clone()).await;
        process.shutdown.trigger();
        let drained = process.tasks.drain().await;
        ran.and(drained)
    };
    tokio::select! {
        result = drained => result,
        () = async {
            hard.cancelled().await;
            tokio::time::sleep(ABORT_TIMEOUT).await;
        } => Err(anyhow::anyhow!("work in flight was not finished in time")),
    }
}
