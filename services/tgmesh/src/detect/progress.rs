//! How far it is, for whoever watches: a line on standard error that is written over itself.

use std::io::{self, IsTerminal as _, Read, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::pipeline::Tally;

const EVERY: Duration = Duration::from_millis(200);

/// Bytes that have been read.
pub(super) type Read64 = Arc<AtomicU64>;

/// `input`, with a count of what was read of it.
pub(super) fn counted<R: Read>(input: R) -> (Counted<R>, Read64) {
    let read = Read64::default();
    (Counted(input, Arc::clone(&read)), read)
}

/// A reader that counts.
pub(super) struct Counted<R>(R, Read64);

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(buffer)?;
        self.1.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// The line. Shown only where a person sees it and it does not run into the answers: on a terminal,
/// with the answers going elsewhere and the messages not being typed.
pub(super) struct Progress {
    shown: bool,
    start: Instant,
    last: Instant,
    read: Read64,
    size: Option<u64>,
    messages: u64,
    finds: u64,
    faults: u64,
}

impl Progress {
    pub(super) fn new(read: Read64, size: Option<u64>) -> Self {
        let typed = size.is_none() && io::stdin().is_terminal();
        let now = Instant::now();
        Self {
            shown: io::stderr().is_terminal() && !io::stdout().is_terminal() && !typed,
            start: now,
            last: now,
            read,
            size,
            messages: 0,
            finds: 0,
            faults: 0,
        }
    }

    pub(super) fn add(&mut self, tally: &Tally) {
        self.messages += tally.messages;
        self.finds += tally.finds;
        self.faults += tally.faults.len() as u64;
        if self.shown && self.last.elapsed() >= EVERY {
            self.last = Instant::now();
            eprint!("\r{}\x1b[K", self.line());
            let _ = io::stderr().flush();
        }
    }

    /// Makes room for a line of its own.
    pub(super) fn clear(&self) {
        if self.shown {
            eprint!("\r\x1b[K");
        }
    }

    /// Leaves the last state standing.
    pub(super) fn end(&self) {
        if self.shown {
            eprintln!("\r{}\x1b[K", self.line());
        }
    }

    fn line(&self) -> String {
        let seconds = self.start.elapsed().as_secs_f64().max(1e-3);
        let mut line = format!(
            "{} messages, {} finds, {}/s",
            grouped(self.messages),
            grouped(self.finds),
            grouped((self.messages as f64 / seconds) as u64)
        );
        if self.faults > 0 {
            line.extend([", ", &grouped(self.faults), " unreadable"]);
        }
        match self.size {
            Some(size) if size > 0 => {
                let part = self.read.load(Ordering::Relaxed).min(size) as f64 / size as f64;
                line.extend([", ", &(part * 100.0).round().to_string(), " %"]);
            }
            _ => {}
        }
        line
    }
}

/// `1234567` as `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_grouped() {
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(grouped),
            ["0", "999", "1,000", "1,234,567"]
        );
    }
}
