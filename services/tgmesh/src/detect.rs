//! `tgmesh detect`: contract addresses out of text, message by message.
//!
//! One thread reads and cuts the input into batches, one a core searches them, and the main thread
//! writes the answers in the order of the input. A batch is what one read gives: whoever writes one
//! line gets its answer before writing the next, and a file of any size is read with the same few
//! megabytes.

mod answer;
mod desktop;
mod explain;
mod lines;
mod message;
mod pipeline;
mod progress;
pub(crate) mod sheet;
mod table;

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::ValueEnum;

use self::pipeline::{Job, Tally};
use self::progress::Progress;
use crate::cli::Outcome;
use crate::terminal::Style;

/// What `tgmesh detect` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// JSON lines, or Telegram Desktop's result.json; standard input when absent or '-'
    file: Option<PathBuf>,
    /// What to write: a JSON line for each message, or a row for each address, for people
    #[arg(long, value_enum, default_value_t = Format::Jsonl, conflicts_with = "explain")]
    format: Format,
    /// Print what was found and why, with the place in the text underlined, for people
    #[arg(long)]
    explain: bool,
}

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A JSON object for each message.
    Jsonl,
    /// A row for each address.
    Table,
    /// The message, its addresses and their evidence.
    #[value(skip)]
    Explain,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let (input, size): (Box<dyn Read + Send>, _) = match args.file.as_deref().filter(|file| file.as_os_str() != "-") {
        Some(path) => {
            let file = File::open(path).with_context(|| format!("couldn't open {}", path.display()))?;
            let size = file
                .metadata()
                .ok()
                .filter(std::fs::Metadata::is_file)
                .map(|meta| meta.len());
            (Box::new(file), size)
        }
        None => (Box::new(io::stdin()), None),
    };
    let format = if args.explain { Format::Explain } else { args.format };
    let job = Job {
        format,
        style: Style::of_stdout(),
    };
    let (input, read) = progress::counted(input);
    let mut progress = Progress::new(read, size);
    let mut out = io::stdout().lock();
    if format == Format::Table {
        out.write_all(table::HEAD.as_bytes())?;
    }
    let mut faults = Faults::default();
    let done = pipeline::run(input, job, |answers, tally| {
        out.write_all(&answers)?;
        // Whoever waits for an answer before writing on shall not wait for a full buffer.
        out.flush()?;
        faults.add(&tally, format, &progress);
        progress.add(&tally);
        Ok(())
    });
    progress.end();
    done?;
    faults.end(format);
    Ok(if faults.count == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Lines that could not be read.
#[derive(Debug, Default)]
struct Faults {
    count: u64,
    first: Option<String>,
}

impl Faults {
    /// Tells of each at once where the output has no place for it.
    fn add(&mut self, tally: &Tally, format: Format, progress: &Progress) {
        self.count += tally.faults.len() as u64;
        if self.first.is_none() {
            self.first = tally.faults.first().cloned();
        }
        if format != Format::Jsonl && !tally.faults.is_empty() {
            progress.clear();
            for fault in &tally.faults {
                eprintln!("tgmesh: {fault}");
            }
        }
    }

    /// In JSON lines each stands in its own answer; this says that there are some.
    fn end(&self, format: Format) {
        if let (Format::Jsonl, Some(first)) = (format, &self.first) {
            match self.count {
                1 => eprintln!("tgmesh: {first}"),
                count => eprintln!("tgmesh: {count} lines can't be read, the first: {first}"),
            }
        }
    }
}

#[cfg(test)]
mod tests;
