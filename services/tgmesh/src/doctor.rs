//! `tgmesh doctor`: looks at everything on a running mesh, and says of each finding what it means
//! and what to do. It changes nothing.

mod broker;
mod database;
mod machine;
mod services;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use tgmesh_lifecycle::settings::Faults;
use tgmesh_store::DbConfig;
use tgmesh_stream::{NatsArgs, NatsConfig};

use crate::cli::{Failure, Outcome};
use crate::mesh::{DATABASE_URL, PLACES, Places};

/// Whoever does not answer within this time counts as away.
const PATIENCE: Duration = Duration::from_secs(5);
const RUNBOOK: &str = "deploy/RUNBOOK.md";

/// What `tgmesh doctor` takes.
///
/// Without `--state`, the mesh of `.tgmesh` is looked at where `tgmesh up` has left one and
/// `DATABASE_URL` is not set; else the one that the flags, `DATABASE_URL` and `DATABASE_URL_FILE` name.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// State folder of a mesh that `tgmesh up` runs
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Admin port of a service, `http://host:9090`; may be given several times
    #[arg(long = "admin", value_name = "URL")]
    admin: Vec<String>,
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    nats: NatsArgs,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
enum Level {
    Ok,
    /// To be looked at.
    Warn,
    /// Something does not work, or is about to be lost.
    Fail,
}

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize)]
struct Finding {
    level: Level,
    /// What was looked at.
    subject: String,
    /// What was found, and what it means.
    found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
    /// The entry of the runbook.
    #[serde(skip_serializing_if = "Option::is_none")]
    runbook: Option<String>,
}

/// Everything that was looked at.
#[derive(Debug, Default, Serialize)]
struct Findings(Vec<Finding>);

/// Where the mesh is.
struct Target {
    nats: NatsConfig,
    database: Option<DbConfig>,
    admin: BTreeMap<String, String>,
    state: Option<PathBuf>,
}

pub(crate) async fn run(args: Args) -> Outcome {
    let target = target(&args)?;
    let mut findings = Findings::default();
    machine::look(target.state.as_deref(), &mut findings);
    let (broker, database, services) = tokio::join!(
        broker::look(&target.nats),
        database::look(target.database.as_ref()),
        services::look(&target.admin),
    );
    for found in [broker, database, services] {
        findings.0.extend(found.0);
    }
    if args.json {
        println!("{}", serde_json::to_string_pretty(&findings.0)?);
    } else {
        print!("{findings}");
    }
    Ok(ExitCode::from(u8::from(findings.worst() == Level::Fail)))
}

fn target(args: &Args) -> Result<Target, Failure> {
    let default = Path::new(".tgmesh");
    let is_set = ["DATABASE_URL", "DATABASE_URL_FILE"]
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
    let local = (!is_set && default.join(PLACES).exists()).then(|| default.to_owned());
    if let Some(state) = args.state.clone().or(local) {
        return Ok(of_folder(state)?);
    }
    let mut faults = Faults::default();
    let nats = faults.absorb(args.nats.read());
    let database = faults.secret("DATABASE_URL", |url| DbConfig::parse(url.expose_secret()));
    let mut admin = BTreeMap::new();
    for url in &args.admin {
        let read = faults.value("--admin", url, tgmesh_lifecycle::settings::http_url);
        admin.extend(read.map(|url| (url.clone(), url)));
    }
    match (nats, database) {
        (Some(nats), Some(database)) if faults.is_empty() => Ok(Target {
            nats,
            database,
            admin,
            state: None,
        }),
        _ => Err(Failure::Usage(faults)),
    }
}

fn of_folder(state: PathBuf) -> anyhow::Result<Target> {
    let path = state.join(PLACES);
    let places = std::fs::read(&path)
        .with_context(|| format!("couldn't read {}: has `tgmesh up` run there?", path.display()))?;
    let places: Places =
        serde_json::from_slice(&places).with_context(|| format!("couldn't read {}", path.display()))?;
    let url = std::fs::read_to_string(state.join(DATABASE_URL)).map(SecretString::from);
    let database = url.ok().map(|url| DbConfig::parse(url.expose_secret().trim()));
    Ok(Target {
        nats: NatsConfig::new(&places.nats).map_err(anyhow::Error::msg)?,
        database: database.transpose().map_err(anyhow::Error::msg)?,
        admin: places.admin,
        state: Some(state),
    })
}

impl Findings {
    fn ok(&mut self, subject: &str, found: impl Into<String>) {
        self.add(Level::Ok, subject, found, None);
    }

    /// `advice`: what to do, and the alert whose entry in the runbook says more.
    fn warn(&mut self, subject: &str, found: impl Into<String>, advice: (&str, Option<&str>)) {
        self.add(Level::Warn, subject, found, Some(advice));
    }

    fn fail(&mut self, subject: &str, found: impl Into<String>, advice: (&str, Option<&str>)) {
        self.add(Level::Fail, subject, found, Some(advice));
    }

    fn add(&mut self, level: Level, subject: &str, found: impl Into<String>, advice: Option<(&str, Option<&str>)>) {
        let alert = advice.and_then(|(_, alert)| alert);
        self.0.push(Finding {
            level,
            subject: subject.to_owned(),
            found: found.into(),
            advice: advice.map(|(advice, _)| advice.to_owned()),
            runbook: alert.map(|alert| format!("{RUNBOOK}#{}", alert.to_lowercase())),
        });
    }

    fn worst(&self) -> Level {
        self.0.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok)
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.0 {
            let word = match finding.level {
                Level::Ok => "OK",
                Level::Warn => "WARN",
                Level::Fail => "FAIL",
            };
            // Reasons come from servers and other processes: nothing of them may move the cursor.
            let found: String = finding
                .found
                .chars()
                .map(|c| if c.is_control() { ' ' } else { c })
                .collect();
            writeln!(f, "{word:<5}{}: {found}", finding.subject)?;
            if let Some(advice) = &finding.advice {
                writeln!(f, "     → {advice}")?;
            }
            if let Some(runbook) = &finding.runbook {
                writeln!(f, "     → {runbook}")?;
            }
        }
        let count = |level| self.0.iter().filter(|finding| finding.level == level).count();
        let (ok, warn, fail) = (count(Level::Ok), count(Level::Warn), count(Level::Fail));
        writeln!(f, "{ok} OK, {warn} WARN, {fail} FAIL")
    }
}
