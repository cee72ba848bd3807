//! `tgmesh tail`: live detections as JSON lines.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use tgmesh_lifecycle::settings::Faults;
use tgmesh_proto::codec;
use tgmesh_stream::tail::{Start, Tail, TailError};
use tgmesh_stream::{Delivery, Mesh, NatsArgs};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{Failure, Outcome};
use crate::terminal;
use crate::token::family;

/// What `tgmesh tail` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only this chat (Bot API id)
    #[arg(long, value_name = "ID", allow_hyphen_values = true)]
    chat: Option<String>,
    /// Only this address family
    #[arg(long, value_name = "F")]
    family: Option<String>,
    #[command(flatten)]
    nats: NatsArgs,
}

pub(crate) async fn run(args: Args) -> Outcome {
    let mut faults = Faults::default();
    let chat = faults.optional("--chat", args.chat.as_deref(), |id| {
        id.parse::<i64>().map_err(|_| "is no Bot API id".to_owned())
    });
    let family = faults.optional("--family", args.family.as_deref(), family);
    let config = faults.absorb(args.nats.read());
    let (Some(chat), Some(family), Some(config), true) = (chat, family, config, faults.is_empty()) else {
        return Err(Failure::Usage(faults));
    };
    let chat = chat.map_or_else(|| "*".to_owned(), |id| id.to_string());
    let family = family.map_or("*", |family| family.as_str());
    let subject = format!("tgmesh.v1.detections.{chat}.{family}");
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        result = follow(&config, &subject) => result,
        _ = tokio::signal::ctrl_c() => Ok(ExitCode::SUCCESS),
        _ = terminate.recv() => Ok(ExitCode::SUCCESS),
    }
}

async fn follow(config: &tgmesh_stream::NatsConfig, subject: &str) -> Outcome {
    let mesh = Mesh::connect(config, "tgmesh-tail").await?;
    let mut tail = Tail::open(&mesh, "DETECTIONS", Start::New, Some(subject))
        .await
        .context("couldn't follow DETECTIONS")?;
    loop {
        let delivery = match tail.next().await {
            Ok(delivery) => delivery,
            Err(TailError::Epoch { epoch }) => {
                eprintln!("tgmesh: the stream was made anew (epoch {epoch}); going on with its first message");
                continue;
            }
            Err(TailError::Stream(error)) => return Err(Failure::from(error)),
        };
        if let Some((from, to)) = tail.take_missed() {
            eprintln!("tgmesh: the stream discarded the messages {from} to {to} before they could be read");
        }
        print(&delivery)?;
    }
}

/// Prints a detection as a line of JSON.
pub(crate) fn print(delivery: &Delivery) -> anyhow::Result<()> {
    match codec::decode(&delivery.payload) {
        Ok(detection) => {
            let mut line = String::new();
            escape(&serde_json::to_string(&detection)?, &mut line);
            line.push('\n');
            std::io::stdout().write_all(line.as_bytes())?;
        }
        // It may quote bytes from outside.
        Err(error) => eprintln!(
            "tgmesh: the message {} can't be read: {}",
            delivery.seq,
            error.to_string().escape_debug()
        ),
    }
    Ok(())
}

/// Escapes what JSON leaves as it is and a terminal obeys. Outside of strings JSON has none of it.
fn escape(json: &str, out: &mut String) {
    for c in json.chars() {
        if terminal::obeys(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_passes() {
        let text = "a\u{1b}[2J\u{9b}31m\u{7f}\u{202e}evil\u{2066}\u{200b}\u{e0041}ok é 漢 🚀";
        let json = serde_json::to_string(text).unwrap();
        let mut line = String::new();
        escape(&json, &mut line);
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
        assert!(line.contains("ok é 漢 🚀"));
        assert!(
            !line.contains([
                '\u{1b}',
                '\u{9b}',
                '\u{7f}',
                '\u{202e}',
                '\u{2066}',
                '\u{200b}',
                '\u{e0041}'
            ]),
            "{line}"
        );
    }
}
