//! What was found and why, for people: the message with the places underlined, then each address
//! with its evidence.

use std::fmt::Write as _;
use std::ops::Range;

use serde_json::Value;
use tgmesh_detect::{Find, Findings, Method};

use super::message::Message;
use super::sheet::{self, Cell, visible};
use crate::terminal::Style;

/// Before each row of the message.
const MARGIN: &str = "  │ ";
const MARGIN_COLUMNS: usize = 4;
/// Rows of a message in which nothing is underlined.
const ROWS_AT_REST: usize = 3;

/// A place to underline, and the number of what stands there.
struct Place {
    number: usize,
    at: Range<usize>,
}

/// Appends a message and what was found in it.
pub(super) fn write(out: &mut Vec<u8>, message: &Message<'_>, found: &Findings, style: Style) {
    let mut page = String::new();
    // Writing to a string never fails.
    let _ = told(&mut page, message, found, style);
    out.extend(page.into_bytes());
}

fn told(out: &mut String, message: &Message<'_>, found: &Findings, style: Style) -> std::fmt::Result {
    let spans = found
        .finds
        .iter()
        .map(|find| &find.span)
        .chain(found.unresolved.iter().map(|link| &link.span));
    let places: Vec<Place> = (1..)
        .zip(spans)
        .filter_map(|(number, span)| {
            Some(Place {
                number,
                at: span.clone()?,
            })
        })
        .collect();
    let id = match &message.id {
        Value::String(id) => visible(id),
        other => other.to_string(),
    };
    writeln!(out, "{}", style.dim(&format!("message {id}")))?;
    text(out, &message.text, &places, style)?;
    if found.finds.is_empty() && found.unresolved.is_empty() {
        writeln!(out, "  nothing found")?;
    }
    for (number, find) in (1..).zip(&found.finds) {
        address(out, number, find, message, style)?;
    }
    for (number, link) in (found.finds.len() + 1..).zip(&found.unresolved) {
        writeln!(
            out,
            "  {number}. {} can't be read back from this link",
            style.bold("an address")
        )?;
        writeln!(
            out,
            "     {} on {}: {}",
            link.site,
            link.chain.unwrap_or("an unknown chain"),
            visible(&link.link)
        )?;
    }
    writeln!(out)
}

/// The rows around the places, the places underlined.
fn text(out: &mut String, text: &str, places: &[Place], style: Style) -> std::fmt::Result {
    let rows = sheet::rows(text, style.columns.saturating_sub(MARGIN_COLUMNS + 4).max(8));
    let marked: Vec<bool> = rows
        .iter()
        .map(|row| places.iter().any(|place| row.iter().any(|cell| overlaps(cell, place))))
        .collect();
    let shown = |index: usize| {
        let near = marked[index.saturating_sub(1)..(index + 2).min(rows.len())].contains(&true);
        near || (!marked.contains(&true) && index < ROWS_AT_REST)
    };
    let mut left_out = false;
    for (index, row) in rows.iter().enumerate() {
        if !shown(index) {
            if !left_out {
                writeln!(out, "{MARGIN}{}", style.dim("…"))?;
            }
            left_out = true;
            continue;
        }
        left_out = false;
        if sheet::turns(row) {
            // Where columns tell nothing, brackets stand beside the place itself.
            writeln!(out, "{MARGIN}{}", bracketed(row, places, style))?;
            continue;
        }
        let line: String = row
            .iter()
            .map(|cell| {
                if places.iter().any(|place| overlaps(cell, place)) {
                    style.bold(&cell.shown)
                } else {
                    cell.shown.clone()
                }
            })
            .collect();
        writeln!(out, "{MARGIN}{}", line.trim_end())?;
        for place in places
            .iter()
            .filter(|place| row.iter().any(|cell| overlaps(cell, place)))
        {
            let mut under = String::new();
            for cell in row {
                let mark = if overlaps(cell, place) { '^' } else { ' ' };
                under.extend(std::iter::repeat_n(mark, cell.width));
            }
            writeln!(
                out,
                "{MARGIN}{}",
                style.bold(&format!("{} {}", under.trim_end(), place.number))
            )?;
        }
    }
    Ok(())
}

fn overlaps(cell: &Cell, place: &Place) -> bool {
    cell.at.start < place.at.end && place.at.start < cell.at.end
}

fn bracketed(row: &[Cell], places: &[Place], style: Style) -> String {
    let mut out = String::new();
    for (index, cell) in row.iter().enumerate() {
        let inside = |index: usize, place: &Place| row.get(index).is_some_and(|cell| overlaps(cell, place));
        for place in places {
            if inside(index, place) && (index == 0 || !inside(index - 1, place)) {
                let _ = write!(out, "⟦{} ", place.number);
            }
        }
        let any = places.iter().any(|place| overlaps(cell, place));
        out += &if any {
            style.bold(&cell.shown)
        } else {
            cell.shown.clone()
        };
        for place in places {
            if inside(index, place) && !inside(index + 1, place) {
                out.push('⟧');
            }
        }
    }
    out
}

fn address(out: &mut String, number: usize, find: &Find, message: &Message<'_>, style: Style) -> std::fmt::Result {
    writeln!(out, "  {number}. {}", style.bold(&find.address))?;
    if let Some(coin_type) = &find.coin_type {
        writeln!(out, "     coin type {coin_type}")?;
    }
    writeln!(
        out,
        "     {} on {}, role {}, {:.1} % sure",
        find.family,
        find.chain.unwrap_or("an unknown chain"),
        find.role,
        find.confidence * 100.0
    )?;
    let evidence: Vec<&str> = find.evidence.iter().map(AsRef::as_ref).collect();
    writeln!(
        out,
        "     {}, because of {}",
        found_where(find, message),
        evidence.join(", ")
    )?;
    if find.raw != find.address {
        writeln!(out, "     written as {}", visible(&find.raw))?;
    }
    Ok(())
}

/// Where it stands, as a reader of the message would say.
fn found_where(find: &Find, message: &Message<'_>) -> String {
    match (find.method, &find.span) {
        (Method::Plain, Some(_)) => "in the text".to_owned(),
        (Method::Link, Some(_)) => "in a link".to_owned(),
        (Method::Deobfuscated, Some(_)) => "in the text, disguised".to_owned(),
        (Method::Entity, _) => {
            let holds = |url: &str| url.contains(find.raw.as_str());
            let mark = message
                .entities
                .iter()
                .find(|mark| mark.url.as_deref().is_some_and(holds));
            let words = mark
                .map(|mark| words(&message.text, mark.offset, mark.length))
                .filter(|words| !words.is_empty());
            words.map_or_else(
                || "in a hidden link".to_owned(),
                |words| format!("in the link behind “{}”", visible(&words)),
            )
        }
        (Method::Button, _) => "on a button".to_owned(),
        (_, None) => "beside the text".to_owned(),
    }
}

/// A part of a text by UTF-16 units, as far as it lies inside.
fn words(text: &str, offset: usize, length: usize) -> String {
    let units: Vec<u16> = text.encode_utf16().skip(offset).take(length.min(40)).collect();
    String::from_utf16_lossy(&units)
}
