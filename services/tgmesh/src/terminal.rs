//! What a terminal shows, and what must not reach one as it is: chat text is hostile.

use std::io::IsTerminal as _;

/// Whether a terminal obeys this character rather than shows it: C0 and C1 controls, DEL, and the
/// marks that turn the direction of text or hide it.
pub(crate) fn obeys(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Columns where nothing tells.
const COLUMNS: usize = 100;
/// Columns below which nothing can be read.
const FEWEST: usize = 20;

/// How the output is to look.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    /// Whether colours are welcome.
    pub(crate) colour: bool,
    /// Columns of a row.
    pub(crate) columns: usize,
}

impl Style {
    /// Without colours.
    #[cfg(test)]
    pub(crate) const PLAIN: Self = Self {
        colour: false,
        columns: COLUMNS,
    };

    /// What standard output is: colours on a terminal alone, and there not where `NO_COLOR` is set
    /// (<https://no-color.org>) or the terminal has none.
    pub(crate) fn of_stdout() -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let stdout = std::io::stdout();
        let columns = rustix::termios::tcgetwinsize(&stdout).map_or(0, |size| usize::from(size.ws_col));
        Self {
            colour: stdout.is_terminal() && !set("NO_COLOR") && !dumb,
            columns: if columns == 0 { COLUMNS } else { columns.max(FEWEST) },
        }
    }

    /// What is looked for.
    pub(crate) fn bold(self, text: &str) -> String {
        self.with("1;32", text)
    }

    /// What may be passed over.
    pub(crate) fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.colour {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}
