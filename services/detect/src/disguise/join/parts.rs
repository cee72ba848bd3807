//! Addresses in parts that are numbered or named, in any order: "part 2: … part 1: …", "1) … 2) …",
//! "1/2 …", "first half: … second half: …", "第一段：…".

use std::{collections::HashMap, ops::Range, sync::LazyLock};

use super::{Atoms, Joined, LONGEST, whole};
use crate::{
    Family,
    disguise::alphabet,
    families::{Proof, Seen},
};

/// More parts than this nobody writes.
const MOST: usize = 8;

/// How far before a part its label may begin, in bytes.
const REACH: usize = 40;

/// The place of a part among the others. Names for the beginning sort before all numbers, names for
/// the end behind them.
type Order = u8;

const MIDDLE: Order = 50;
const END: Order = 99;

/// Words that say where a part goes, in small letters. Those of one letter count only right before
/// a mark.
const ORDERS: [(&str, Order); 74] = [
    ("first", 1),
    ("1st", 1),
    ("one", 1),
    ("start", 0),
    ("begin", 0),
    ("beginning", 0),
    ("front", 0),
    ("left", 0),
    ("top", 0),
    ("head", 0),
    ("a", 1),
    ("b", 2),
    ("c", 3),
    ("i", 1),
    ("ii", 2),
    ("iii", 3),
    ("second", 2),
    ("2nd", 2),
    ("two", 2),
    ("third", 3),
    ("3rd", 3),
    ("three", 3),
    ("fourth", 4),
    ("4th", 4),
    ("four", 4),
    ("middle", MIDDLE),
    ("mid", MIDDLE),
    ("end", END),
    ("last", END),
    ("final", END),
    ("back", END),
    ("right", END),
    ("bottom", END),
    ("tail", END),
    ("rest", END),
    ("primera", 1),
    ("primero", 1),
    ("primeira", 1),
    ("segunda", 2),
    ("segundo", 2),
    ("tercera", 3),
    ("terceira", 3),
    ("erste", 1),
    ("erster", 1),
    ("zweite", 2),
    ("zweiter", 2),
    ("première", 1),
    ("deuxième", 2),
    ("prima", 1),
    ("seconda", 2),
    ("birinci", 1),
    ("ikinci", 2),
    ("pertama", 1),
    ("kedua", 2),
    ("первая", 1),
    ("первый", 1),
    ("вторая", 2),
    ("второй", 2),
    ("третья", 3),
    ("начало", 0),
    ("середина", MIDDLE),
    ("конец", END),
    ("inicio", 0),
    ("fin", END),
    ("final", END),
    ("前半", 0),
    ("后半", END),
    ("後半", END),
    ("上半", 0),
    ("下半", END),
    ("一", 1),
    ("二", 2),
    ("三", 3),
    ("四", 4),
];

/// Finds addresses whose parts carry labels.
pub(super) fn numbered(atoms: &Atoms<'_>, found: &mut dyn FnMut(Joined)) {
    let mut parts: Vec<(Order, Range<usize>)> = Vec::new();
    let mut end = 0;
    for index in 0..atoms.atoms.len() {
        if atoms.atoms[index].range.start < end {
            continue;
        }
        let Some((order, part)) = part(atoms, index, end) else {
            continue;
        };
        end = part.end;
        // A second beginning begins a second address.
        let again = parts.iter().any(|(known, _)| *known == order);
        if again && order <= 1 {
            assemble(atoms, &mut parts, found);
            parts.clear();
        } else if again {
            continue;
        }
        if parts.len() < MOST {
            parts.push((order, part));
        }
    }
    assemble(atoms, &mut parts, found);
}

/// The piece that begins with an atom, with the dashes and underlines that may belong to it, and
/// the place that the label before it names. `from` is where the last part ended.
fn part(atoms: &Atoms<'_>, index: usize, from: usize) -> Option<(Order, Range<usize>)> {
    let text = atoms.text;
    let atom = atoms.atoms[index].range.start;
    let from = from.max(text.floor_char_boundary(atom.saturating_sub(REACH)));
    let label = text[from..atom].rsplit('\n').next().unwrap_or("");
    // A dash that touches the piece behind a space belongs to it.
    let own = label.len() - label.trim_end_matches(['-', '_']).len();
    let own = if label[..label.len() - own].ends_with([' ', ':', '：', '=']) {
        own
    } else {
        0
    };
    let label = &label[..label.len() - own];
    let start = atom - own;
    let rest = &text[start..];
    let end = start
        + rest
            .bytes()
            .take(LONGEST)
            .position(|b| !b.is_ascii_alphanumeric() && b != b'-' && b != b'_')
            .unwrap_or(rest.len().min(LONGEST));
    let piece = &text[start..end];
    if piece.len() >= LONGEST || (piece.len() < 3 && !text[end..].trim_start_matches(' ').starts_with('\n')) {
        return None;
    }
    let (order, marked) = order(label)?;
    // "first half": the word behind an order is no part.
    let reads = piece.len() < 8 && piece.chars().all(|c| c.is_ascii_lowercase());
    (marked || !reads).then_some((order, start..end))
}

/// The place that a label ends with, and whether a mark stands behind it.
fn order(label: &str) -> Option<(Order, bool)> {
    let marks = |c: char| {
        c == ' '
            || matches!(
                c,
                ':' | '.'
                    | ')'
                    | ']'
                    | '-'
                    | '–'
                    | '—'
                    | '='
                    | '：'
                    | '）'
                    | '】'
                    | '➜'
                    | '→'
                    | '👉'
                    | '>'
                    | '"'
                    | '`'
                    | '*'
                    | '|'
                    | '、'
            )
            || c == '\u{20e3}'
    };
    let named = label.trim_end_matches(marks);
    let mark = &label[named.len()..];
    // A piece that touches its label would be one atom with it, or a list "1-abc".
    if mark.is_empty() && named.is_ascii() || mark == "-" && named.ends_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let named = named.trim_end_matches(['段', '半', '部', '分', '节', '截', '份']);
    let word_start = named
        .char_indices()
        .rev()
        .find(|&(_, c)| !alphabet::is_word(c))
        .map_or(0, |(at, c)| at + c.len_utf8());
    let word = &named[word_start..];
    let before = named[..word_start].trim_end();
    let digits = word.trim_start_matches(|c: char| !c.is_ascii_digit());
    if !digits.is_empty() && digits.len() == 1 {
        let lead = &word[..word.len() - 1];
        if lead.chars().count() > 8 {
            return None;
        }
        let number = digits.parse::<Order>().ok()?;
        // "1/2" and "1 of 2" name the first.
        let first = before
            .strip_suffix(['/', '⁄'])
            .or_else(|| before.strip_suffix("of"))
            .map(str::trim_end);
        let first = first
            .and_then(|first| first.chars().next_back())
            .and_then(|c| c.to_digit(10));
        let number = first
            .filter(|_| lead.is_empty())
            .and_then(|n| Order::try_from(n).ok())
            .unwrap_or(number);
        let marked = mark.chars().any(|c| c != ' ') || !lead.is_empty() || before.ends_with('#') || first.is_some();
        let worded = before.ends_with(char::is_alphabetic) || before.ends_with(['(', '[', '№', '#']);
        return (usize::from(number) <= MOST && number > 0 && (marked || worded)).then_some((number, marked));
    }
    // "first half", "primera parte": the last word or the one before it.
    let last_two = [
        word,
        before.rsplit(|c: char| !alphabet::is_word(c)).next().unwrap_or(""),
    ];
    last_two.into_iter().find_map(|word| {
        let word = word.trim_start_matches('第').trim_end_matches(['段', '半', '部', '分']);
        let order = named_order(word)?;
        let marked = mark.contains([':', ')', '=', '：', '.', '-', '→', '>', ']']);
        // "the end" is told of other things too.
        let counts = (1..MIDDLE).contains(&order) && word.chars().nth(2).is_some();
        (marked || counts).then_some((order, marked))
    })
}

/// The place that a word of any case names.
fn named_order(word: &str) -> Option<Order> {
    static NAMED: LazyLock<HashMap<&'static str, Order>> = LazyLock::new(|| {
        let trimmed = |(name, order): &(&'static str, Order)| (name.trim_end_matches('半'), *order);
        ORDERS.iter().rev().map(trimmed).collect()
    });
    /// The longest of them, in bytes.
    const LONGEST_NAME: usize = 16;
    if word.is_empty() || word.len() > LONGEST_NAME {
        return None;
    }
    if word.is_ascii() {
        let mut lower = [0; LONGEST_NAME];
        let lower = &mut lower[..word.len()];
        lower.copy_from_slice(word.as_bytes());
        lower.make_ascii_lowercase();
        return NAMED.get(str::from_utf8(lower).ok()?).copied();
    }
    NAMED.get(word.to_lowercase().as_str()).copied()
}

fn assemble(atoms: &Atoms<'_>, parts: &mut [(Order, Range<usize>)], found: &mut dyn FnMut(Joined)) {
    parts.sort_by_key(|(order, _)| *order);
    let follows = |before: Order, after: Order| {
        after == before + 1 || (after == MIDDLE && before < MIDDLE) || after == END || (before == 0 && after == 2)
    };
    let whole_chain = parts.first().is_some_and(|(order, _)| *order <= 1);
    let count = if whole_chain {
        1 + parts
            .windows(2)
            .take_while(|pair| follows(pair[0].0, pair[1].0))
            .count()
    } else {
        0
    };
    let parts = &parts[..count];
    let (Some(start), Some(end)) = (
        parts.iter().map(|(_, part)| part.start).min(),
        parts.iter().map(|(_, part)| part.end).max(),
    ) else {
        return;
    };
    let length: usize = parts.iter().map(|(_, part)| part.len()).sum();
    if parts.len() < 2 || length > LONGEST {
        return;
    }
    let mut word = String::with_capacity(LONGEST);
    for (_, part) in parts {
        word.push_str(&atoms.text[part.clone()]);
    }
    let Some(seen) = whole(&word) else { return };
    let random = seen.families != [Family::Solana]
        || seen.proof != Proof::Base58
        || word.bytes().filter(u8::is_ascii_digit).count() >= 2;
    if random {
        found(Joined {
            seen: Seen {
                span: start..end,
                ..seen
            },
            steps: vec!["join:parts"],
            needs_label: false,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(text: &str) -> Vec<String> {
        let mut out = Vec::new();
        numbered(&Atoms::of(text), &mut |joined| out.push(joined.seen.address));
        out
    }

    #[test]
    fn parts_come_together_in_order() {
        let key = "9dR6KNm4EnhfE1ecpJoGUj9x7c9XJz2ZtrSMfkWYhqZT";
        let (a, b) = key.split_at(15);
        for text in [
            format!("часть 1: {a}\nчасть 2: {b}"),
            format!("Part 2 - {b}\nPart 1 - {a}"),
            format!("1/2: {a} and 2/2: {b}"),
            format!("1/2 {a}\n2/2 {b}"),
            format!("#1 {a}\n#2 {b}"),
            format!("part1={a}\npart2={b}"),
            format!("CA1: {a}\nCA2: {b}"),
            format!("第一段：{a}\n第二段：{b}\n拼起来"),
            format!("第1段：{a}\n第2段：{b}"),
            format!("first half: {a}\nsecond half: {b}"),
            format!("Start: {a}\nEnd: {b}"),
            format!("последнее\nконец: {b}\nначало: {a}"),
            format!("A: {a}\nB: {b}"),
            format!("primera parte: {a}\nsegunda parte: {b}"),
            format!("前半: {a}\n后半: {b}"),
            format!("часть первая {a}\nчасть вторая {b}"),
            format!("1\u{20e3}{a}\n2\u{20e3}{b}"),
        ] {
            assert_eq!(joined(&text), [key], "{text}");
        }
    }

    #[test]
    fn lists_are_no_parts() {
        let (a, b) = "9dR6KNm4EnhfE1ecpJoGUj9x7c9XJz2ZtrSMfkWYhqZT".split_at(15);
        for text in [
            "1. copy 2. paste 3. pray".to_owned(),
            format!("1. $AAA {a}\n2. $BBB {b}"),
            format!("at the start {a} we sold\nthe end {b}"),
        ] {
            assert_eq!(joined(&text), [""; 0], "{text}");
        }
    }
}
