//! JSON lines: `{"id","text","entities":[…]}`.

use std::io::{self, BufRead as _, BufReader, Read};

use super::message::Message;
use super::pipeline::{Batch, Closed};

/// A line that is longer than any message with its entities could be.
const MAX_LINE_BYTES: usize = 16 << 20;
/// What is read at once.
const CHUNK: usize = 1 << 18;

/// The first line with something on it, its number, and what follows. The line tells JSON lines
/// from an export; a byte order mark is left off.
pub(super) fn first<R: Read>(input: R) -> io::Result<(Vec<u8>, u64, BufReader<R>)> {
    let mut input = BufReader::with_capacity(CHUNK, input);
    let mut line = Vec::new();
    let mut number = 0;
    while line.trim_ascii().is_empty() {
        line.clear();
        number += 1;
        if input
            .by_ref()
            .take(MAX_LINE_BYTES as u64)
            .read_until(b'\n', &mut line)?
            == 0
        {
            break;
        }
        if line.starts_with(b"\xef\xbb\xbf") {
            line.drain(..3);
        }
    }
    Ok((line, number, input))
}

/// Cuts the input into batches of whole lines: what one read gave, as soon as it is there.
pub(super) fn read(
    mut input: impl Read,
    mut number: u64,
    send: &mut dyn FnMut(Batch) -> Result<(), Closed>,
) -> io::Result<()> {
    let mut bytes = Vec::new();
    loop {
        let from = bytes.len();
        let ended = fill(&mut input, &mut bytes)?;
        let end = bytes[from..].iter().rposition(|&b| b == b'\n').map(|at| from + at + 1);
        let whole = if ended { Some(bytes.len()) } else { end };
        if let Some(whole) = whole.filter(|&whole| whole > 0) {
            let rest = bytes.split_off(whole);
            let lines = bytes.split(|&b| b == b'\n').count() as u64 - 1;
            if send(Batch::Lines(bytes, number)).is_err() {
                return Ok(());
            }
            number += lines;
            bytes = rest;
        }
        if ended {
            return Ok(());
        }
        if bytes.len() > MAX_LINE_BYTES {
            let why = format!(
                "line {number} can't be read: it is longer than {} MiB",
                MAX_LINE_BYTES >> 20
            );
            if send(Batch::Fault(why)).is_err() {
                return Ok(());
            }
            number += 1;
            bytes = skip_line(&mut input, bytes)?;
        }
    }
}

/// Appends what one read gives; whether the input has ended.
fn fill(input: &mut impl Read, bytes: &mut Vec<u8>) -> io::Result<bool> {
    let from = bytes.len();
    bytes.resize(from + CHUNK, 0);
    let read = loop {
        match input.read(&mut bytes[from..]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => break read,
        }
    };
    bytes.truncate(from + read.as_ref().map_or(0, |&read| read));
    Ok(read? == 0)
}

/// Reads on to the end of a line that is too long, and gives what stands behind it.
fn skip_line(input: &mut impl Read, mut bytes: Vec<u8>) -> io::Result<Vec<u8>> {
    loop {
        bytes.clear();
        let ended = fill(input, &mut bytes)?;
        if let Some(end) = bytes.iter().position(|&b| b == b'\n') {
            return Ok(bytes.split_off(end + 1));
        }
        if ended {
            return Ok(bytes);
        }
    }
}

/// The message on a line, or what is wrong with it.
pub(super) fn parse(line: &[u8]) -> Result<Message<'_>, String> {
    serde_json::from_slice(line.trim_ascii_end()).map_err(|error| {
        // Its line is always the first: ours is another.
        let text = error.to_string();
        let what = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what);
        format!("{what} (column {})", error.column())
    })
}
