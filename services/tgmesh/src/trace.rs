//! `tgmesh trace`: one message's way through the mesh, out of the spans that `tgmesh up` collects;
//! and the share of messages that is traced.

mod receiver;
mod shelf;
mod waterfall;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use tgmesh_lifecycle::clock;
use tgmesh_lifecycle::settings::{self, Faults};
use tgmesh_lifecycle::trace::TraceParent;
use tgmesh_proto::{headers, subject};
use tgmesh_stream::tail::{Start, Tail};
use tgmesh_stream::traces::{self, Sampling};
use tgmesh_stream::{Mesh, NatsArgs, NatsConfig, stream_state};

use crate::audit;
use crate::cli::{Failure, Outcome};
use crate::mesh::Folder;
use crate::terminal::Style;
use receiver::Answer;
pub(crate) use receiver::Receiver;

/// Where in the state folder it stands what a running `up` listens on.
const UP: &str = "up.json";
/// How long spans of a message that has just come may take to be here: exporters send twice a second.
const PATIENCE: Duration = Duration::from_secs(2);
/// Messages at the end of the stream in which an event is looked for.
const LOOK_BACK: u64 = 50_000;
const LOOK_LIMIT: Duration = Duration::from_secs(20);

/// What `tgmesh trace` takes.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true))]
pub struct Args {
    /// A trace's id, an event's id, or a traceparent
    #[arg(value_name = "ID", group = "what")]
    id: Option<String>,
    /// Sample this share of new messages from now on, 0 to 1; `default` for what the settings say
    #[arg(long, value_name = "RATIO", group = "what")]
    sampling: Option<String>,
    /// How long --sampling holds; without it until it is changed
    #[arg(long = "for", value_name = "DURATION", requires = "sampling")]
    duration: Option<String>,
    /// The spans as one JSON document
    #[arg(long, requires = "id")]
    json: bool,
    /// The state folder of `tgmesh up`
    #[arg(long, value_name = "DIR", default_value = ".tgmesh")]
    state: PathBuf,
    #[command(flatten)]
    nats: NatsArgs,
}

/// What a running `up` listens on.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Place {
    /// The receiver of spans; nothing where somebody else's is used.
    pub(crate) traces: Option<String>,
    /// Its NATS servers.
    pub(crate) nats: String,
}

impl Place {
    /// Leaves word in the state folder.
    pub(crate) fn keep(&self, state: &Folder) -> anyhow::Result<()> {
        // The servers' URL may hold a password.
        state.keep_secret(UP, &SecretString::from(serde_json::to_string(self)?))
    }

    /// Takes the word back: nothing runs any more.
    pub(crate) fn forget(state: &Folder) {
        // What is gone is gone.
        let _ = std::fs::remove_file(state.path(UP));
    }

    fn read(state: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(state.join(UP)).ok()?).ok()
    }
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Asked {
    Trace(String),
    /// A trace's id or an event's: they look the same.
    Either(String),
}

enum Config {
    Show(Asked),
    /// Nothing for what the settings say.
    Sample(Option<f64>, Option<Duration>),
}

pub(crate) async fn run(args: Args) -> Outcome {
    let mut faults = Faults::default();
    let id = faults.optional("ID", args.id.as_deref(), parse);
    let sampling = faults.optional("--sampling", args.sampling.as_deref(), |raw| match raw {
        "default" => Ok(None),
        ratio => settings::ratio(ratio).map(Some),
    });
    let duration = faults.optional("--for", args.duration.as_deref(), settings::positive_duration);
    let nats = faults.absorb(args.nats.read());
    let (Some(id), Some(sampling), Some(duration), Some(nats)) = (id, sampling, duration, nats) else {
        return Err(Failure::Usage(faults));
    };
    let config = match (id, sampling) {
        (Some(asked), _) => Config::Show(asked),
        (None, Some(ratio)) => Config::Sample(ratio, duration),
        // clap asks for one of them; both may be empty.
        (None, None) => {
            faults.add("ID", "is required");
            return Err(Failure::Usage(faults));
        }
    };
    let place = Place::read(&args.state);
    let nats = nearest(nats, place.as_ref());
    match config {
        Config::Show(asked) => show(&asked, place.as_ref(), &nats, &args.state, args.json).await,
        Config::Sample(ratio, duration) => sample(ratio, duration, &nats).await,
    }
}

/// The NATS servers of the running `up`, where none were given.
fn nearest(given: NatsConfig, place: Option<&Place>) -> NatsConfig {
    let is_default = NatsConfig::new("nats://127.0.0.1:4222").is_ok_and(|default| default.servers == given.servers);
    let of_up = place.and_then(|place| NatsConfig::new(&place.nats).ok());
    match of_up {
        Some(of_up) if is_default && std::env::var_os("NATS_URL").is_none() => NatsConfig {
            servers: of_up.servers,
            ..given
        },
        _ => given,
    }
}

fn parse(id: &str) -> Result<Asked, String> {
    let id = id.trim().to_ascii_lowercase();
    if let Some(context) = TraceParent::parse(&id) {
        return Ok(Asked::Trace(format!("{:032x}", context.trace_id())));
    }
    // As Postgres writes an event's id.
    let plain = if id.len() == 36 { id.replace('-', "") } else { id };
    if plain.len() == 32 && plain.bytes().all(|b| b.is_ascii_hexdigit()) {
        Ok(Asked::Either(plain))
    } else {
        Err("is no trace id or event id (32 hex digits), nor a traceparent".to_owned())
    }
}

async fn show(asked: &Asked, place: Option<&Place>, nats: &NatsConfig, state: &Path, json: bool) -> Outcome {
    let Some(place) = place else {
        return Err(anyhow!(
            "no `tgmesh up` runs with {}: it collects the spans (another folder: --state DIR)",
            state.display()
        )
        .into());
    };
    let Some(url) = &place.traces else {
        return Err(anyhow!(
            "this `tgmesh up` collects no spans, because OTEL_EXPORTER_OTLP_ENDPOINT names another receiver: look there"
        )
        .into());
    };
    let (Asked::Trace(id) | Asked::Either(id)) = asked;
    let mut answer = ask(url, id).await?;
    if answer.spans.is_empty() {
        // An event's id that no span has may still be in the stream, with its trace.
        let carried = match asked {
            Asked::Trace(_) => None,
            Asked::Either(id) => carried_by(nats, id).await?,
        };
        let id = carried.map_or_else(|| id.clone(), |context| format!("{:032x}", context.trace_id()));
        answer = patiently(url, &id).await?;
        if answer.spans.is_empty() {
            return Err(match carried {
                Some(context) => absent(&id, context.is_sampled(), &answer),
                None => unknown(&id, &answer),
            }
            .into());
        }
    }
    let mut out = if json {
        serde_json::to_string_pretty(&serde_json::json!({
            "trace_id": answer.trace_id,
            "spans": answer.spans,
        }))?
    } else {
        waterfall::draw(&answer.trace_id, &answer.spans, Style::of_stdout())
    };
    if !out.ends_with('\n') {
        out.push('\n');
    }
    std::io::stdout().write_all(out.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// The message is there, and its spans are not.
fn absent(trace_id: &str, is_sampled: bool, answer: &Answer) -> anyhow::Error {
    let mut text = format!("the message is in the stream, under trace {trace_id}; ");
    if is_sampled {
        text += "it was sampled, but its spans are not here any more";
        aged(&mut text, answer);
    } else {
        text += "it was not sampled, and nothing about it was slow or faulty. For new messages: `tgmesh trace \
                 --sampling 1 --for 10m`";
    }
    anyhow!(text)
}

fn unknown(id: &str, answer: &Answer) -> anyhow::Error {
    let mut text = format!(
        "neither a trace nor one of the last {LOOK_BACK} messages has the id {id}; {} traces are here",
        answer.shelf.traces
    );
    aged(&mut text, answer);
    anyhow!(text)
}

fn aged(text: &mut String, answer: &Answer) {
    let aged_out = answer.shelf.aged_out;
    if aged_out > 0 {
        // Writing to a string never fails.
        let _ = write!(text, "; {aged_out} older ones had to make room");
    }
}

async fn ask(url: &str, id: &str) -> anyhow::Result<Answer> {
    let answer = async {
        // Only ever to loopback.
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE * 5).build()?;
        let answer = http.get(format!("{url}/traces/{id}")).send().await?;
        answer.error_for_status()?.json::<Answer>().await
    };
    answer
        .await
        .with_context(|| format!("couldn't ask {url}: has that `tgmesh up` ended?"))
}

/// Asks again for a moment: exporters gather spans before they send them.
async fn patiently(url: &str, id: &str) -> anyhow::Result<Answer> {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let answer = ask(url, id).await?;
        if !answer.spans.is_empty() || tokio::time::Instant::now() >= deadline {
            return Ok(answer);
        }
        tokio::time::sleep(PATIENCE / 10).await;
    }
}

/// The trace context of an event that is near the end of the stream.
async fn carried_by(nats: &NatsConfig, event: &str) -> anyhow::Result<Option<TraceParent>> {
    let look = async {
        let mesh = Mesh::connect(nats, "tgmesh-trace").await?;
        let last = stream_state(&mesh, subject::DETECTIONS).await?.last_seq;
        if last == 0 {
            return Ok(None);
        }
        let mut tail = Tail::open(&mesh, subject::DETECTIONS, Start::Last(LOOK_BACK), None).await?;
        loop {
            let delivery = tail.next().await?;
            if delivery.header(headers::MSG_ID) == Some(event) {
                return Ok(delivery.header(headers::TRACEPARENT).and_then(TraceParent::parse));
            }
            if delivery.pending == 0 || delivery.seq >= last {
                return anyhow::Ok(None);
            }
        }
    };
    match tokio::time::timeout(LOOK_LIMIT, look).await {
        Ok(found) => found.context("couldn't look for the event in the stream"),
        Err(_) => bail!("NATS did not answer in time; the event may be in the stream all the same"),
    }
}

async fn sample(ratio: Option<f64>, duration: Option<Duration>, nats: &NatsConfig) -> Outcome {
    let mesh = Mesh::connect(nats, "tgmesh-trace").await?;
    let until_ms = duration
        .map(|duration| clock::now_ms().saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)));
    let sampling = ratio.map(|ratio| Sampling {
        ratio,
        until_ms,
        by: audit::user(),
    });
    traces::resample(&mesh, sampling.as_ref()).await?;
    let told = ratio.map_or_else(|| "default".to_owned(), |ratio| ratio.to_string());
    audit::note(&mesh, "sampling", &format!("traces:{told}"), [])
        .await
        .context("it is done, but the audit log did not take it")?;
    match ratio {
        Some(ratio) => eprintln!("tgmesh: listeners that export sample {ratio} of new messages now"),
        None => eprintln!("tgmesh: listeners sample as they are set"),
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_in_three_forms() {
        let id = "0af7651916cd43dd8448eb211c80319c";
        assert_eq!(parse(id), Ok(Asked::Either(id.to_owned())));
        assert_eq!(
            parse("0AF76519-16cd-43dd-8448-eb211c80319c"),
            Ok(Asked::Either(id.to_owned()))
        );
        let traceparent = format!("00-{id}-b7ad6b7169203331-00");
        assert_eq!(parse(&traceparent), Ok(Asked::Trace(id.to_owned())));
        for bad in ["", "0af7", "00-x-y-01", &"g".repeat(32), &"é".repeat(16)] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
