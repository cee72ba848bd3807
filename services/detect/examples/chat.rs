//! Prints the benchmark's messages as JSON lines, the input of `tgmesh detect` and of
//! `deploy/bench/detect.py`.
//!
//! `cargo run --release -p tgmesh-detect --example chat -- ascii|mix COUNT`

#[path = "../benches/speed/chat.rs"]
mod chat;
#[path = "../tests/it/make.rs"]
#[allow(dead_code, reason = "the tests use the rest of it")]
mod make;

use std::io::Write as _;
use std::process::ExitCode;

fn main() -> std::io::Result<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    let kind = arguments.next().unwrap_or_default();
    let count = arguments.next().and_then(|count| count.parse().ok()).unwrap_or(10_000);
    let messages = match kind.as_str() {
        "ascii" => chat::ascii(count),
        "mix" => chat::mix(count),
        _ => {
            eprintln!("chat ascii|mix COUNT");
            return Ok(ExitCode::from(64));
        }
    };
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for (id, message) in messages.iter().enumerate() {
        let entities: Vec<_> = message
            .hidden
            .iter()
            .map(|(offset, length, url)| serde_json::json!({ "kind": "text_url", "offset": offset, "length": length, "url": url }))
            .collect();
        writeln!(
            out,
            "{}",
            serde_json::json!({ "id": id, "text": message.text, "entities": entities })
        )?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}
