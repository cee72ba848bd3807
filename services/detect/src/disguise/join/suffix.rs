//! Solana keys whose suffix stands apart: "…Yfs (add pump at the end)".

use super::{Atoms, Joined, whole};
use crate::families::{Seen, solana};

/// Suffixes that stand apart and look like words.
const SUFFIXES: [&str; 3] = ["pump", "bonk", "moon"];
/// Words that say where such a suffix goes.
const ADDS: [&str; 51] = [
    "add",
    "word",
    "append",
    "plus",
    "attach",
    "end",
    "ends",
    "ending",
    "then",
    "finish",
    "suffix",
    "last",
    "tail",
    "fin",
    "добав",
    "конец",
    "конце",
    "конч",
    "приб",
    "допи",
    "添加",
    "加",
    "结尾",
    "結尾",
    "末尾",
    "最后",
    "後",
    "끝",
    "追加",
    "añad",
    "agreg",
    "termin",
    "acab",
    "final",
    "ajout",
    "anhäng",
    "endung",
    "sonu",
    "ekle",
    "akhir",
    "tambah",
    "cuối",
    "thêm",
    "aggiung",
    "końc",
    "dodaj",
    "آخر",
    "أضف",
    "نهاية",
    "पीछे",
    "जोड़",
];
/// How many marks may stand between a key and its suffix.
const WIDEST_MARK: usize = 6;

/// Finds keys whose suffix stands apart, with words or marks before it that say so.
pub(super) fn suffixed(atoms: &Atoms<'_>, found: &mut dyn FnMut(Joined)) {
    for index in 0..atoms.atoms.len() {
        suffix(atoms, index, found);
    }
}

/// Whether a piece is a suffix, a part of one, or ends with one.
pub(super) fn is_suffix(piece: &str) -> bool {
    SUFFIXES
        .iter()
        .any(|suffix| suffix.ends_with(piece) || piece.ends_with(suffix))
}

/// Whether a piece ends with a suffix.
pub(super) fn ends_in_one(piece: &str) -> bool {
    piece.len() >= 4 && SUFFIXES.iter().any(|suffix| piece.ends_with(suffix))
}

/// Whether the pieces up to `last` spell a suffix.
pub(super) fn ends_in_suffix(atoms: &Atoms<'_>, last: usize) -> bool {
    let mut tail = String::new();
    for index in (last.saturating_sub(3)..=last).rev() {
        tail.insert_str(0, atoms.piece(index));
    }
    ends_in_one(&tail)
}

/// "…Yfs (add pump at the end)", "…Yfs (+pump)", "…Yfs ends with pump".
fn suffix(atoms: &Atoms<'_>, index: usize, found: &mut dyn FnMut(Joined)) {
    let piece = atoms.piece(index);
    if !(34..=41).contains(&piece.len()) || solana::is_key(piece) {
        return;
    }
    if let Some(suffix) = told_before(atoms, index)
        && let Some(seen) = whole(&format!("{piece}{suffix}"))
    {
        let span = atoms.atoms[index].range.clone();
        found(Joined {
            seen: Seen { span, ..seen },
            steps: vec!["fold:suffix"],
            needs_label: false,
        });
        return;
    }
    let from = atoms.atoms[index].range.end;
    for next in index + 1..atoms.atoms.len().min(index + 9) {
        let word = atoms.piece(next);
        let Some(suffix) = SUFFIXES.iter().find(|suffix| word.eq_ignore_ascii_case(suffix)) else {
            continue;
        };
        let between = &atoms.text[from..atoms.atoms[next].range.start];
        let touches = next == index + 1 && between.chars().count() <= WIDEST_MARK && !between.contains('$');
        let between = between.to_lowercase();
        let tail: String = atoms.text[atoms.atoms[next].range.end..]
            .chars()
            .take(24)
            .collect::<String>()
            .to_lowercase();
        if !touches && !ADDS.iter().any(|add| between.contains(add) || tail.contains(add)) {
            continue;
        }
        if let Some(seen) = whole(&format!("{piece}{suffix}")) {
            let end = if touches { atoms.atoms[next].range.end } else { from };
            let span = atoms.atoms[index].range.start..end;
            found(Joined {
                seen: Seen { span, ..seen },
                steps: vec!["fold:suffix"],
                needs_label: false,
            });
        }
        return;
    }
}

/// "append pump: 4rZ9…", "结尾加 pump：4rZ9…": the suffix that an order right before a piece names.
fn told_before(atoms: &Atoms<'_>, index: usize) -> Option<&'static str> {
    /// How far before the piece the order may begin, in bytes.
    const REACH: usize = 64;
    let at = atoms.atoms[index].range.start;
    let lead = &atoms.text[atoms.text.ceil_char_boundary(at.saturating_sub(REACH))..at];
    let lead = lead.trim_end();
    // It ends in a colon, or on the line above.
    let order = lead.strip_suffix([':', '：', '👉', '→'])?;
    let order = order.rsplit('\n').next()?.to_lowercase();
    let words: Vec<&str> = order.split(|c: char| !c.is_ascii_alphabetic()).collect();
    let suffix = SUFFIXES.iter().find(|suffix| words.contains(suffix))?;
    let told = order.contains("without") || ADDS.iter().any(|add| order.contains(add));
    told.then_some(*suffix)
}
