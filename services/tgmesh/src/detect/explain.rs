//! What was found and why, for people.

use std::io::{Result, Write};

use serde_json::Value;
use tgmesh_detect::Find;

use crate::terminal;

/// Characters of the message that are shown.
const SHOWN: usize = 160;

/// Writes a message and its finds.
pub(super) fn write(out: &mut impl Write, id: &Value, text: &str, finds: &[Find]) -> Result<()> {
    let more = if text.chars().nth(SHOWN).is_some() { "…" } else { "" };
    writeln!(
        out,
        "{id}: {}{more}",
        visible(text).chars().take(SHOWN).collect::<String>()
    )?;
    if finds.is_empty() {
        writeln!(out, "  nothing found")?;
    }
    for find in finds {
        let coin_type = find
            .coin_type
            .as_deref()
            .map(|name| format!(" ({name})"))
            .unwrap_or_default();
        writeln!(out, "  {}{coin_type}", find.address)?;
        writeln!(
            out,
            "    {} on {}, {}, found {}, {:.1} % sure",
            find.family,
            find.chain.unwrap_or("an unknown chain"),
            find.role,
            find.method,
            find.confidence * 100.0
        )?;
        let evidence: Vec<&str> = find.evidence.iter().map(AsRef::as_ref).collect();
        writeln!(out, "    because of {}", evidence.join(", "))?;
        if find.raw != find.address {
            writeln!(out, "    written as {}", visible(&find.raw))?;
        }
    }
    writeln!(out)
}

/// Chat text without what a terminal would obey.
fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if terminal::obeys(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}
