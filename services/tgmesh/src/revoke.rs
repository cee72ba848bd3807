//! `tgmesh revoke`: takes a token, or all tokens of a subject, back.

use std::io::Read as _;
use std::process::ExitCode;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use tgmesh_lifecycle::clock;
use tgmesh_lifecycle::settings::Faults;
use tgmesh_stream::{Mesh, NatsArgs, revocations};

use crate::audit;
use crate::cli::{Failure, Outcome};

/// Longest `sub` and `jti` that the gateway takes, in bytes.
const MAX_NAME_BYTES: usize = 256;
/// Longest token that is read.
const MAX_TOKEN_BYTES: u64 = 64 << 10;

/// What `tgmesh revoke` takes.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("whose").required(true))]
pub struct Args {
    /// All tokens of this subject, those signed later too
    #[arg(long, value_name = "NAME", group = "whose")]
    sub: Option<String>,
    /// The token with this id (jti)
    #[arg(long, value_name = "ID", group = "whose")]
    token_id: Option<String>,
    /// The token on standard input; its signature is not looked at
    // No flag takes it: others see the arguments of a process.
    #[arg(long, group = "whose")]
    token_stdin: bool,
    /// Give the rights back
    #[arg(long)]
    undo: bool,
    #[command(flatten)]
    nats: NatsArgs,
}

#[derive(Deserialize)]
struct Claims {
    jti: String,
}

pub(crate) async fn run(args: Args) -> Outcome {
    let mut faults = Faults::default();
    let config = faults.absorb(args.nats.read());
    let (flag, kind, name) = match (args.sub, args.token_id) {
        (Some(subject), _) => ("--sub", "subject", Ok(subject)),
        (None, Some(id)) => ("--token-id", "token", Ok(id)),
        (None, None) => (
            "--token-stdin",
            "token",
            std::io::read_to_string(std::io::stdin().take(MAX_TOKEN_BYTES))
                .map_err(|error| error.to_string())
                .and_then(|token| id_of(token.trim())),
        ),
    };
    let name = name.and_then(|name| {
        if (1..=MAX_NAME_BYTES).contains(&name.len()) {
            Ok(name)
        } else {
            Err(format!("must have 1 to {MAX_NAME_BYTES} bytes"))
        }
    });
    let name = name.map_err(|fault| faults.add(flag, fault)).ok();
    let (Some(name), Some(config), true) = (name, config, faults.is_empty()) else {
        return Err(Failure::Usage(faults));
    };
    let mesh = Mesh::connect(&config, "tgmesh-revoke").await?;
    if args.undo {
        revocations::restore(&mesh, &name).await?;
    } else {
        revocations::revoke(&mesh, &name, &audit::user(), clock::now_ms()).await?;
    }
    let event = if args.undo { "restore" } else { "revoke" };
    audit::note(&mesh, event, &format!("{kind}:{name}"), [])
        .await
        .context("it is done, but the audit log did not take it")?;
    eprintln!("tgmesh: {event}d {kind} {}", name.escape_debug());
    Ok(ExitCode::SUCCESS)
}

/// The id in a token, as it is written there.
fn id_of(token: &str) -> Result<String, String> {
    let claims = token
        .split('.')
        .nth(1)
        .and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    claims
        .and_then(|json| serde_json::from_slice::<Claims>(&json).ok())
        .map(|claims| claims.jti)
        .ok_or_else(|| "is no JWT with an id (jti)".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_read_out_of_a_token() {
        let part = URL_SAFE_NO_PAD.encode(r#"{"sub":"ann","jti":"t-1"}"#);
        assert_eq!(id_of(&format!("e30.{part}.sig")), Ok("t-1".to_owned()));
        for bad in ["", "a.b.c", "e30.e30.sig"] {
            assert!(id_of(bad).is_err(), "{bad}");
        }
    }
}
