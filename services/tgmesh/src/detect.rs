//! `tgmesh detect`: contract addresses out of text, line by line.

mod desktop;
mod explain;
mod lines;

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use serde::Serialize;
use serde_json::Value;
use tgmesh_detect::{Detector, Find, Findings};

use crate::cli::Outcome;

/// What `tgmesh detect` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// JSON lines, or Telegram Desktop's result.json; standard input when absent or '-'
    file: Option<PathBuf>,
    /// Print what was found and why, for people
    #[arg(long)]
    explain: bool,
}

/// One line of output.
#[derive(Serialize)]
struct Answer<'a> {
    id: &'a Value,
    found: Vec<Found<'a>>,
    /// Only for a line that could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize)]
struct Found<'a> {
    family: &'a str,
    chain: Option<&'a str>,
    address: &'a str,
    coin_type: Option<&'a str>,
    role: &'a str,
    method: &'a str,
    confidence: f64,
    evidence: Vec<&'a str>,
}

impl<'a> Found<'a> {
    fn of(find: &'a Find) -> Self {
        Self {
            family: find.family.as_str(),
            chain: find.chain,
            address: &find.address,
            coin_type: find.coin_type.as_deref(),
            role: find.role.as_str(),
            method: find.method.as_str(),
            confidence: find.confidence,
            evidence: find.evidence.iter().map(AsRef::as_ref).collect(),
        }
    }
}

/// Where answers go: JSON lines or prose.
struct Printer<W> {
    out: W,
    explain: bool,
    detector: Detector,
    found: Findings,
    /// Lines that could not be read.
    unread: u64,
}

impl<W: Write> Printer<W> {
    fn new(out: W, explain: bool) -> Self {
        Self {
            out,
            explain,
            detector: Detector::new(),
            found: Findings::default(),
            unread: 0,
        }
    }

    fn answer(&mut self, id: &Value, input: &tgmesh_detect::Input<'_>) -> std::io::Result<()> {
        self.found.clear();
        self.detector.find(input, &mut self.found);
        if self.explain {
            return explain::write(&mut self.out, id, input.text, &self.found.finds);
        }
        let found = self.found.finds.iter().map(Found::of).collect();
        line(&mut self.out, &Answer { id, found, error: None })
    }

    fn unreadable(&mut self, why: String) -> std::io::Result<()> {
        self.unread += 1;
        if self.explain {
            return writeln!(self.out, "? {why}\n");
        }
        line(
            &mut self.out,
            &Answer {
                id: &Value::Null,
                found: Vec::new(),
                error: Some(why),
            },
        )
    }
}

fn line(out: &mut impl Write, answer: &Answer<'_>) -> std::io::Result<()> {
    serde_json::to_writer(&mut *out, answer)?;
    out.write_all(b"\n")
}

pub(crate) fn run(args: &Args) -> Outcome {
    let input: Box<dyn Read> = match args.file.as_deref().filter(|file| file.as_os_str() != "-") {
        Some(path) => {
            let file = File::open(path).with_context(|| format!("couldn't open {}", path.display()))?;
            Box::new(file)
        }
        None => Box::new(std::io::stdin()),
    };
    let mut printer = Printer::new(BufWriter::new(std::io::stdout().lock()), args.explain);
    read(BufReader::with_capacity(1 << 16, input), &mut printer)?;
    printer.out.flush()?;
    Ok(if printer.unread == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Tells the two formats apart by the first line: one of JSON lines is a message of its own, one
/// of an export is its beginning (or, unindented, the whole).
fn read(mut input: BufReader<impl Read>, printer: &mut Printer<impl Write>) -> anyhow::Result<()> {
    let mut first = Vec::new();
    let mut number = 0;
    // Byte order mark and empty lines before the first.
    while first.trim_ascii().is_empty() {
        first.clear();
        number += 1;
        if lines::next(&mut input, &mut first)? == 0 {
            return Ok(());
        }
        if first.starts_with(b"\xef\xbb\xbf") {
            first.drain(..3);
        }
    }
    if desktop::begins(&first) {
        return desktop::read(std::io::Cursor::new(first).chain(input), printer);
    }
    lines::read(first, number, input, printer)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const WIF: &str = "EKpQGSJtjMFqKZ9KQanSqYXRcF8fBopzLHYxdM65zcjm";

    fn run(text: &str) -> (Vec<Value>, u64) {
        let mut printer = Printer::new(Vec::new(), false);
        read(BufReader::new(text.as_bytes()), &mut printer).unwrap();
        let out = String::from_utf8(printer.out).unwrap();
        (
            out.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
            printer.unread,
        )
    }

    fn addresses(answer: &Value) -> Vec<&str> {
        answer["found"]
            .as_array()
            .unwrap()
            .iter()
            .map(|found| found["address"].as_str().unwrap())
            .collect()
    }

    #[test]
    fn one_line_each_in_order() {
        let text = format!(
            "\u{feff}{{\"id\":7,\"text\":\"ca: {WIF}\"}}\n\n{{\"id\":\"b\",\"text\":\"gm\"}}\r\nnonsense\n{{\"id\":{{}},\"text\":\"\"}}"
        );
        let (answers, unread) = run(&text);
        assert_eq!(
            answers.iter().map(|answer| answer["id"].clone()).collect::<Vec<_>>(),
            [json!(7), json!("b"), json!(null), json!({})]
        );
        assert_eq!(addresses(&answers[0]), [WIF]);
        assert!(addresses(&answers[1]).is_empty());
        assert!(
            answers[2]["error"].as_str().unwrap().contains("line 4"),
            "{}",
            answers[2]
        );
        assert_eq!(unread, 1);
        let keys: Vec<_> = answers[0]["found"][0].as_object().unwrap().keys().cloned().collect();
        let mut wanted = [
            "family",
            "chain",
            "address",
            "coin_type",
            "role",
            "method",
            "confidence",
            "evidence",
        ];
        wanted.sort_unstable();
        assert_eq!(keys, wanted);
    }

    #[test]
    fn entities_carry_hidden_links() {
        let line = json!({
            "id": 1, "text": "🚀 chart",
            "entities": [{"kind": "text_url", "offset": 3, "length": 5, "url": format!("https://pump.fun/coin/{WIF}")}],
        });
        let (answers, _) = run(&line.to_string());
        assert_eq!(addresses(&answers[0]), [WIF]);
        assert_eq!(answers[0]["found"][0]["method"], "entity");
    }

    #[test]
    fn reads_exports_of_telegram_desktop() {
        let messages = json!([
            {"id": 1, "type": "service", "text": ""},
            {"id": 2, "type": "message", "text": format!("ca {WIF}"), "text_entities": []},
            {"id": 3, "type": "message", "text": ["see ", {"type": "text_link", "text": "this", "href": format!("https://pump.fun/coin/{WIF}")}, "!"]},
        ]);
        let one = json!({"name": "a", "type": "private_group", "id": 5, "messages": messages});
        let all =
            json!({"about": "…", "chats": {"about": "…", "list": [one, {"name": "b", "id": 6, "messages": messages}]}});
        for export in [serde_json::to_string_pretty(&one).unwrap(), one.to_string()] {
            let (answers, _) = run(&export);
            assert_eq!(
                answers.iter().map(|answer| answer["id"].clone()).collect::<Vec<_>>(),
                [json!(2), json!(3)]
            );
            assert_eq!(addresses(&answers[0]), [WIF]);
            assert_eq!(addresses(&answers[1]), [WIF]);
        }
        let (answers, _) = run(&serde_json::to_string_pretty(&all).unwrap());
        let ids: Vec<_> = answers.iter().map(|answer| answer["id"].clone()).collect();
        assert_eq!(ids, [json!("5:2"), json!("5:3"), json!("6:2"), json!("6:3")]);
    }

    #[test]
    fn explains_for_people() {
        let mut printer = Printer::new(Vec::new(), true);
        let line = json!({"id": "x", "text": format!("buy \u{1b}[31m {WIF} now")}).to_string();
        read(BufReader::new(line.as_bytes()), &mut printer).unwrap();
        let out = String::from_utf8(printer.out).unwrap();
        assert!(
            out.contains(WIF) && out.contains("solana") && !out.contains('\u{1b}'),
            "{out}"
        );
    }
}
