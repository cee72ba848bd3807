//! Reader, searchers and writer, and how the order is kept: batches go round the searchers, and
//! answers are taken round them again.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use anyhow::Context as _;
use tgmesh_detect::{Detector, Findings};

use super::message::Message;
use super::{Format, answer, desktop, explain, lines, table};
use crate::terminal::Style;

/// More searchers than this wait for the reader.
const MOST_SEARCHERS: usize = 8;
/// Batches that wait for a searcher, and answers that wait for the writer.
const WAITING: usize = 2;

/// What to write, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Job {
    pub(super) format: Format,
    pub(super) style: Style,
}

/// A part of the input.
#[derive(Debug)]
pub(super) enum Batch {
    /// Whole lines, and the number of the first.
    Lines(Vec<u8>, u64),
    /// Messages of an export.
    Messages(Vec<Message<'static>>),
    /// What cannot be read, and why.
    Fault(String),
}

/// What a batch came to.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) messages: u64,
    pub(super) finds: u64,
    /// One line each, with the number of the line.
    pub(super) faults: Vec<String>,
}

/// Nobody wants more: the writer has gone.
#[derive(Debug)]
pub(super) struct Closed;

/// Answers everything in `input`, calling `write` with the answers to each batch, in order.
///
/// # Errors
///
/// The first fault of reading or writing. After one of writing nothing is waited for: the reader
/// may stand before an input that never ends.
pub(super) fn run(
    input: impl Read + Send + 'static,
    job: Job,
    mut write: impl FnMut(Vec<u8>, Tally) -> io::Result<()>,
) -> anyhow::Result<()> {
    let count = thread::available_parallelism()
        .map_or(1, usize::from)
        .min(MOST_SEARCHERS);
    let detector = Arc::new(Detector::new());
    let mut lanes = Vec::with_capacity(count);
    let mut answers = Vec::with_capacity(count);
    let mut searchers = Vec::with_capacity(count);
    for index in 0..count {
        let (lane, batches) = sync_channel(WAITING);
        let (answer, answered) = sync_channel(WAITING);
        let searcher = Searcher {
            detector: Arc::clone(&detector),
            job,
            found: Findings::default(),
            out: Vec::new(),
            tally: Tally::default(),
        };
        searchers.push(spawn(&format!("search-{index}"), move || {
            searcher.run(&batches, &answer);
        })?);
        lanes.push(lane);
        answers.push(answered);
    }
    let reader = spawn("read", move || read(input, &lanes))?;
    // The first lane without an answer is the one whose turn never came: the end.
    let mut turn = 0;
    while let Ok((out, tally)) = answers[turn % count].recv() {
        write(out, tally)?;
        turn += 1;
    }
    for searcher in searchers {
        joined(searcher);
    }
    joined(reader)
}

fn spawn<T: Send + 'static>(name: &str, job: impl FnOnce() -> T + Send + 'static) -> anyhow::Result<JoinHandle<T>> {
    let thread = thread::Builder::new().name(name.to_owned()).spawn(job);
    thread.context("couldn't start a thread")
}

/// A panic there is one here.
fn joined<T>(thread: JoinHandle<T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn read(input: impl Read, lanes: &[SyncSender<Batch>]) -> anyhow::Result<()> {
    let mut turn = 0;
    let mut send = |batch| {
        let lane = &lanes[turn % lanes.len()];
        turn += 1;
        lane.send(batch).map_err(|_| Closed)
    };
    let (first, number, rest) = lines::first(input).context("couldn't read the input")?;
    if desktop::begins(&first) {
        return desktop::read(io::Cursor::new(first).chain(rest), &mut send);
    }
    lines::read(io::Cursor::new(first).chain(rest), number, &mut send).context("couldn't read the input")
}

struct Searcher {
    detector: Arc<Detector>,
    job: Job,
    found: Findings,
    out: Vec<u8>,
    tally: Tally,
}

impl Searcher {
    fn run(mut self, batches: &Receiver<Batch>, answers: &SyncSender<(Vec<u8>, Tally)>) {
        for batch in batches {
            match batch {
                Batch::Lines(bytes, first) => {
                    for (line, number) in bytes.split_inclusive(|&b| b == b'\n').zip(first..) {
                        if !line.trim_ascii().is_empty() {
                            match lines::parse(line) {
                                Ok(message) => self.answer(&message),
                                Err(why) => self.fault(format!("line {number} can't be read: {why}")),
                            }
                        }
                    }
                }
                Batch::Messages(messages) => messages.iter().for_each(|message| self.answer(message)),
                Batch::Fault(why) => self.fault(why),
            }
            let capacity = self.out.capacity();
            let out = std::mem::replace(&mut self.out, Vec::with_capacity(capacity.min(1 << 20)));
            if answers.send((out, std::mem::take(&mut self.tally))).is_err() {
                return;
            }
        }
    }

    fn answer(&mut self, message: &Message<'_>) {
        self.found.clear();
        message.lend(|input| self.detector.find(input, &mut self.found));
        self.tally.messages += 1;
        self.tally.finds += self.found.finds.len() as u64;
        match self.job.format {
            Format::Jsonl => answer::write(&mut self.out, &message.id, &self.found.finds),
            Format::Table => table::write(&mut self.out, &message.id, &self.found, self.job.style),
            Format::Explain => explain::write(&mut self.out, message, &self.found, self.job.style),
        }
    }

    fn fault(&mut self, why: String) {
        if self.job.format == Format::Jsonl {
            answer::write_fault(&mut self.out, &why);
        }
        self.tally.faults.push(why);
    }
}
