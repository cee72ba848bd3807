//! What is wrong with a rule file, and where.

use std::fmt;

/// Most faults that are told of one file.
pub const MAX_FAULTS: usize = 20;

/// One thing that is wrong with a rule file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Line, counted from 1.
    pub line: usize,
    /// Column in characters, counted from 1.
    pub column: usize,
    /// What is wrong there.
    pub problem: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, column, problem } = self;
        write!(f, "line {line}, column {column}: {problem}")
    }
}

impl std::error::Error for Fault {}

impl Fault {
    /// A fault of the file as a whole.
    pub(super) fn at_start(problem: String) -> Self {
        Self {
            line: 1,
            column: 1,
            problem,
        }
    }
}

/// Collects faults by their place in the text.
pub(super) struct Faults<'t> {
    text: &'t str,
    found: Vec<(usize, String)>,
}

impl<'t> Faults<'t> {
    pub fn of(text: &'t str) -> Self {
        Self {
            text,
            found: Vec::new(),
        }
    }

    /// Notes a fault at a byte of the text.
    pub fn add(&mut self, at: usize, problem: impl Into<String>) {
        self.found.push((at, problem.into()));
    }

    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// All of them in the order of the text; those that are too many are counted in the last.
    pub fn into_list(mut self) -> Vec<Fault> {
        self.found.sort_by_key(|(at, _)| *at);
        let more = self.found.len().saturating_sub(MAX_FAULTS);
        self.found.truncate(MAX_FAULTS);
        let mut list: Vec<_> = self
            .found
            .into_iter()
            .map(|(at, problem)| {
                let (line, column) = place(self.text, at);
                Fault { line, column, problem }
            })
            .collect();
        if let (1.., Some(last)) = (more, list.last_mut()) {
            last.problem = format!("{} (and {more} more faults after it)", last.problem);
        }
        list
    }
}

/// Line and column of a byte.
fn place(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..text.floor_char_boundary(at)];
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    (line, before[start..].chars().count() + 1)
}
