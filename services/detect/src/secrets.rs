//! Secrets that people paste by mistake or by fraud: seed phrases and private keys.
//!
//! What is found is proven: by a checksum, by a public key that belongs to it, or, for 64 hex
//! digits, by a word beside it that calls it a key. Nothing here keeps, prints or compares a
//! secret: a [`Secret`] says where one stands.
//!
//! ```
//! use tgmesh_detect::Masker;
//!
//! let masker = Masker::new();
//! let text = "1. legal 2. winner 3. thank 4. year 5. wave 6. sausage 7. worth 8. useful 9. legal \
//!             10. winner 11. thank 12. yellow, buy EKpQGSJtjMFqKZ9KQanSqYXRcF8fBopzLHYxdM65zcjm";
//! assert_eq!(
//!     masker.mask(text),
//!     "1. [masked: seed phrase], buy EKpQGSJtjMFqKZ9KQanSqYXRcF8fBopzLHYxdM65zcjm"
//! );
//! ```

mod encodings;
mod key;
mod letters;
mod near;
mod numbers;
mod pair;
mod phrase;
mod words;

use std::{borrow::Cow, fmt, ops::Range};

use near::Near;
use words::Words;

/// Finds and masks secrets. Built once, shared by reference, holds no state between texts.
pub struct Masker {
    words: Words,
    near: Near,
}

/// Where a secret stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    /// What it is.
    pub kind: SecretKind,
    /// Its place in the text, in bytes, on character boundaries.
    pub span: Range<usize>,
}

/// Kinds of secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SecretKind {
    /// 12, 15, 18, 21 or 24 words of a BIP-39 list with a valid checksum.
    SeedPhrase,
    /// 64 bytes whose second half is the ed25519 public key of the first (Solana and others), in
    /// base58, in hex or as an array of numbers.
    SecretKey,
    /// 32 bytes that a checksum or a word beside them proves to be a key: WIF, extended private
    /// keys, bech32 forms, 64 hex digits.
    PrivateKey,
}

impl SecretKind {
    /// What stands in the secret's place when it is masked.
    #[must_use]
    pub const fn mask(self) -> &'static str {
        match self {
            Self::SeedPhrase => "[masked: seed phrase]",
            Self::SecretKey => "[masked: secret key]",
            Self::PrivateKey => "[masked: private key]",
        }
    }
}

impl Default for Masker {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Masker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Masker").finish_non_exhaustive()
    }
}

impl Masker {
    /// A masker with the official word lists. Takes about a millisecond and half a megabyte.
    #[must_use]
    pub fn new() -> Self {
        Self {
            words: Words::new(),
            near: Near::new(),
        }
    }

    /// Appends the secrets of `text` to `out`, in their order; they do not overlap.
    ///
    /// Allocates nothing unless something looks like a part of a secret. Takes any text, of any
    /// length, in time that grows with the length alone: what would take too many checksums is
    /// taken for a secret instead.
    pub fn find(&self, text: &str, out: &mut Vec<Secret>) {
        let first = out.len();
        let mut budget = Budget::default();
        phrase::find(&self.words, text, &mut budget, &mut |span| {
            out.push(Secret {
                kind: SecretKind::SeedPhrase,
                span,
            });
        });
        numbers::find(text, &mut budget, &mut |span| {
            out.push(Secret {
                kind: SecretKind::SecretKey,
                span,
            });
        });
        settle(out, first);
        key::find(&self.near, text, &mut budget, first, out);
        settle(out, first);
    }

    /// `text` with every secret replaced by [`SecretKind::mask`], what stands around it kept.
    ///
    /// Masked once is masked: nothing is found in what comes out.
    #[must_use]
    pub fn mask<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut secrets = Vec::new();
        self.find(text, &mut secrets);
        if secrets.is_empty() {
            return Cow::Borrowed(text);
        }
        Cow::Owned(masked(text, &secrets))
    }
}

/// What every mask begins with.
const MASK: &str = "[masked: ";

/// Whether the word at `at` is one of a mask's.
fn is_mask(text: &str, at: usize) -> bool {
    let lead = &text[..at];
    let first = ["seed ", "secret ", "private "]
        .iter()
        .find_map(|word| lead.strip_suffix(word));
    first.unwrap_or(lead).ends_with(MASK)
}

fn masked(text: &str, secrets: &[Secret]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    for Secret { kind, span } in secrets {
        out.push_str(&text[at..span.start]);
        out.push_str(kind.mask());
        at = span.end;
    }
    out.push_str(&text[at..]);
    out
}

/// Puts the secrets of one text in order and makes one of those that overlap.
fn settle(out: &mut Vec<Secret>, first: usize) {
    if out.len() - first < 2 {
        return;
    }
    out[first..].sort_by_key(|secret| (secret.span.start, secret.span.end));
    let mut kept = first;
    for at in first + 1..out.len() {
        let span = out[at].span.clone();
        let last = &mut out[kept].span;
        if span.start < last.end {
            last.end = last.end.max(span.end);
        } else {
            kept += 1;
            out.swap(kept, at);
        }
    }
    out.truncate(kept + 1);
}

/// What may be spent on proofs for one text.
#[derive(Debug)]
struct Budget {
    checksums: u32,
    pairs: u32,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            // 0.2 µs each: a message made to cost as much as it can stays below half a millisecond.
            checksums: 1024,
            // 15 µs each.
            pairs: 16,
        }
    }
}

impl Budget {
    /// Whether one more checksum may be computed.
    fn checksum(&mut self) -> bool {
        spend(&mut self.checksums)
    }

    /// Whether one more public key may be computed.
    fn pair(&mut self) -> bool {
        spend(&mut self.pairs)
    }
}

fn spend(left: &mut u32) -> bool {
    let some = *left > 0;
    *left = left.saturating_sub(1);
    some
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_secrets_are_one() {
        let secret = |span| Secret {
            kind: SecretKind::SeedPhrase,
            span,
        };
        let mut out = vec![secret(9..20), secret(6..8), secret(1..4), secret(2..3), secret(3..6)];
        settle(&mut out, 1);
        let spans: Vec<_> = out.into_iter().map(|secret| secret.span).collect();
        assert_eq!(spans, [9..20, 1..6, 6..8]);
    }
}
