//! Questions on the terminal, and their answers, which may as well come from a pipe.

use std::io::{BufRead as _, IsTerminal as _, Read as _, Write as _};

use anyhow::{Context as _, bail};
use rustix::termios::{self, LocalModes, OptionalActions};
use secrecy::SecretString;
use tokio::sync::mpsc;
use zeroize::Zeroizing;

/// Longest answer that is taken, in bytes.
const MAX_ANSWER: u64 = 4096;

/// Asks on standard error and reads standard input, so that output can be redirected.
pub struct Prompt {
    lines: Option<mpsc::UnboundedReceiver<std::io::Result<Zeroizing<String>>>>,
}

impl Prompt {
    /// Nothing is read before the first question.
    #[must_use]
    pub fn stdin() -> Self {
        Self { lines: None }
    }

    /// Asks for something that may be seen.
    ///
    /// # Errors
    /// When the input has ended.
    pub async fn ask(&mut self, question: &str) -> anyhow::Result<String> {
        Ok(self.line(question).await?.trim().to_owned())
    }

    /// Asks for a secret; the terminal does not show what is typed.
    ///
    /// # Errors
    /// When the input has ended.
    pub async fn ask_secret(&mut self, question: &str) -> anyhow::Result<SecretString> {
        let hidden = Hidden::begin();
        let line = self.line(question).await;
        if hidden.is_some() {
            // The typed line break was hidden too.
            say("");
        }
        drop(hidden);
        Ok(SecretString::from(line?.as_str()))
    }

    async fn line(&mut self, question: &str) -> anyhow::Result<Zeroizing<String>> {
        {
            let mut out = std::io::stderr();
            let _ = write!(out, "{question} ");
            let _ = out.flush();
        }
        let lines = self.lines.get_or_insert_with(read_lines);
        match lines.recv().await {
            Some(line) => line.context("couldn't read the answer"),
            None => bail!("the input ended before the answer: run it in a terminal, or give all answers, a line each"),
        }
    }
}

/// Says something where questions are asked.
pub fn say(text: &str) {
    // Nobody may be reading; the sign-in goes on.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Reads in a thread of its own, which may wait for ever: the process ends without it.
fn read_lines() -> mpsc::UnboundedReceiver<std::io::Result<Zeroizing<String>>> {
    let (sender, lines) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        loop {
            let mut line = Zeroizing::new(String::with_capacity(256));
            let read = input.by_ref().take(MAX_ANSWER).read_line(&mut line);
            let is_over = !matches!(read, Ok(1..));
            if matches!(read, Ok(0)) || sender.send(read.map(|_| without_break(line))).is_err() || is_over {
                return;
            }
        }
    });
    lines
}

fn without_break(mut line: Zeroizing<String>) -> Zeroizing<String> {
    while line.ends_with(['\n', '\r']) {
        line.pop();
    }
    line
}

/// While it lives, the terminal shows nothing of what is typed.
struct Hidden {
    before: termios::Termios,
}

impl Hidden {
    fn begin() -> Option<Self> {
        let input = std::io::stdin();
        if !input.is_terminal() {
            return None;
        }
        let before = termios::tcgetattr(&input).ok()?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        termios::tcsetattr(&input, OptionalActions::Flush, &silent).ok()?;
        Some(Self { before })
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // The terminal may be gone.
        let _ = termios::tcsetattr(std::io::stdin(), OptionalActions::Now, &self.before);
    }
}
