//! JSON lines: `{"id","text","entities":[…]}`.

use std::borrow::Cow;
use std::io::{BufRead, BufReader, Read, Write};

use serde::Deserialize;
use serde_json::Value;
use tgmesh_detect::{Entity, EntityKind, Input};

use super::Printer;

/// A line that is longer than any message with its entities could be.
const MAX_LINE_BYTES: u64 = 16 << 20;

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(default)]
    id: Value,
    #[serde(borrow)]
    text: Cow<'a, str>,
    #[serde(borrow, default)]
    entities: Vec<Mark<'a>>,
}

/// A formatting mark, with UTF-16 offsets as Telegram counts.
#[derive(Deserialize)]
struct Mark<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    offset: usize,
    length: usize,
    #[serde(borrow, default)]
    url: Option<Cow<'a, str>>,
}

/// Reads one line, its end included, into `line`.
pub(super) fn next(input: &mut impl BufRead, line: &mut Vec<u8>) -> std::io::Result<usize> {
    input.take(MAX_LINE_BYTES).read_until(b'\n', line)
}

/// Answers `first`, the line of this number, and every line behind it; empty lines are passed over.
pub(super) fn read(
    first: Vec<u8>,
    mut number: u64,
    mut input: BufReader<impl Read>,
    printer: &mut Printer<impl Write>,
) -> anyhow::Result<()> {
    let mut line = first;
    loop {
        if !line.trim_ascii().is_empty() {
            answer(&line, number, printer)?;
        }
        if input.buffer().is_empty() {
            // Whoever waits for an answer before writing on shall not wait for a full buffer.
            printer.out.flush()?;
        }
        line.clear();
        number += 1;
        if next(&mut input, &mut line)? == 0 {
            return Ok(());
        }
    }
}

fn answer(line: &[u8], number: u64, printer: &mut Printer<impl Write>) -> std::io::Result<()> {
    let line: Line<'_> = match serde_json::from_slice(line) {
        Ok(line) => line,
        Err(error) => return printer.unreadable(format!("line {number} can't be read: {error}")),
    };
    let entities: Vec<Entity<'_>> = line
        .entities
        .iter()
        .map(|mark| Entity {
            kind: EntityKind::from_name(&mark.kind),
            offset: mark.offset,
            length: mark.length,
            url: mark.url.as_deref(),
        })
        .collect();
    printer.answer(
        &line.id,
        &Input {
            text: &line.text,
            entities: &entities,
            ..Input::default()
        },
    )
}
