//! Secret keys as arrays of numbers, as Solana's command line tool writes them: `[12,34,…]`.

use std::ops::Range;

use super::{Budget, pair::is_pair};

/// Numbers of a key: one a byte.
const COUNT: usize = 64;
/// The fewest bytes that so many numbers take.
const SHORTEST: usize = 2 * COUNT - 1;
/// In a row that is not much longer every place is tried; in others those behind a bracket or a line
/// break.
const SLACK: usize = 8;

/// A number of a row.
#[derive(Debug)]
struct Number {
    range: Range<usize>,
    value: u8,
    /// Something that opens an array stands before it.
    opens: bool,
}

/// Finds the arrays of a text.
pub(super) fn find(text: &str, budget: &mut Budget, found: &mut dyn FnMut(Range<usize>)) {
    let bytes = text.as_bytes();
    let mut at = 0;
    loop {
        let probe = at + SHORTEST - 1;
        if probe >= bytes.len() {
            return;
        }
        let mut start = probe + 1;
        while start > at && belongs(bytes[start - 1]) {
            start -= 1;
        }
        if start > at {
            at = start;
            continue;
        }
        let end = bytes[probe..].iter().position(|&b| !belongs(b));
        let end = end.map_or(bytes.len(), |more| probe + more);
        for row in rows(bytes, start..end) {
            check(&row, budget, found);
        }
        at = end;
    }
}

fn belongs(byte: u8) -> bool {
    matches!(
        byte,
        b'0'..=b'9' | b',' | b' ' | b'\n' | b'\r' | b'\t' | b';' | b'[' | b']' | b'(' | b')' | b'{' | b'}' | b'|'
    )
}

/// The rows of neighbouring bytes; a number that is no byte parts two.
fn rows(bytes: &[u8], run: Range<usize>) -> Vec<Vec<Number>> {
    let mut rows = vec![Vec::new()];
    let mut at = run.start;
    let mut opens = true;
    while at < run.end {
        let digits = bytes[at..run.end].iter().take_while(|b| b.is_ascii_digit()).count();
        if digits == 0 {
            opens |= matches!(bytes[at], b'[' | b'(' | b'{' | b'\n');
            at += 1;
            continue;
        }
        let range = at..at + digits;
        at = range.end;
        let value = range
            .clone()
            .try_fold(0_u8, |value, at| value.checked_mul(10)?.checked_add(bytes[at] - b'0'));
        match (value, rows.last_mut()) {
            (Some(value), Some(row)) => row.push(Number { range, value, opens }),
            _ => rows.push(Vec::new()),
        }
        opens = false;
    }
    rows
}

fn check(row: &[Number], budget: &mut Budget, found: &mut dyn FnMut(Range<usize>)) {
    let mut at = 0;
    while let Some(window) = row.get(at..at + COUNT) {
        let tried = at == 0 || window[0].opens || row.len() <= COUNT + SLACK;
        let mut pair = [0; COUNT];
        for (byte, number) in pair.iter_mut().zip(window) {
            *byte = number.value;
        }
        if tried && is_pair(&pair, budget) {
            found(window[0].range.start..window[COUNT - 1].range.end);
            at += COUNT;
        } else {
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_bytes() {
        let values = |text: &str| -> Vec<Vec<u8>> {
            let rows = rows(text.as_bytes(), 0..text.len());
            rows.iter()
                .map(|row| row.iter().map(|number| number.value).collect())
                .collect()
        };
        assert_eq!(values("[1, 22;255]"), [vec![1, 22, 255]]);
        assert_eq!(values("1 256 2 00000000003"), [vec![1], vec![2, 3]]);
        assert_eq!(values(" "), [Vec::<u8>::new()]);
    }
}
