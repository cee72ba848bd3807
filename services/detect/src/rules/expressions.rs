//! All expressions of a file, in as few sets as read quickly.
//!
//! A set is searched at once for all its expressions, by an automaton whose states are made while it
//! reads. When these outgrow their room the search falls back to one that is thousands of times
//! slower, so a set that compiles to more than [`MAX_SET_MEMORY`] is cut in two: then time grows
//! with the number of sets, without a cliff.

use regex::{RegexBuilder, RegexSet, RegexSetBuilder};

use super::file::{Found, LooksFor};

/// Longest expression, in bytes.
const MAX_BYTES: usize = 1024;
/// Memory of one compiled expression: a short one can unfold to millions of states.
const MAX_MEMORY: usize = 256 << 10;
/// Memory of one compiled set.
const MAX_SET_MEMORY: usize = 8 << 20;
/// Memory in which a set's states are kept while it reads; when it is full it begins anew.
const CACHE_MEMORY: usize = 16 << 20;
/// Most sets.
const MAX_SETS: usize = 8;

#[derive(Debug, Default)]
pub(super) struct Expressions {
    sets: Vec<Set>,
}

#[derive(Debug)]
struct Set {
    expressions: RegexSet,
    /// Index of the rule of each expression.
    owners: Vec<u32>,
}

impl Expressions {
    /// The expressions of these rules, each of which passed [`check`].
    pub fn new(rules: &[Found]) -> Result<Self, String> {
        let mut sets = Vec::new();
        for case_sensitive in [true, false] {
            let (mut owners, mut expressions) = (Vec::new(), Vec::new());
            for (at, rule) in (0..)
                .zip(rules)
                .filter(|(_, rule)| rule.case_sensitive == case_sensitive)
            {
                if let LooksFor::Expressions(list) = &rule.looks_for {
                    owners.extend(list.iter().map(|_| at));
                    expressions.extend(list.iter().map(String::as_str));
                }
            }
            split(&owners, &expressions, !case_sensitive, &mut sets)?;
        }
        Ok(Self { sets })
    }

    /// Notes the rules whose expressions match a text.
    pub fn find(&self, text: &str, hits: &mut Vec<u32>) {
        for set in &self.sets {
            // Without knowing which ones, it allocates nothing.
            if set.expressions.is_match(text) {
                let matches = set.expressions.matches(text);
                hits.extend(matches.iter().filter_map(|at| set.owners.get(at)));
            }
        }
    }
}

/// Makes sets of these expressions, each small enough.
fn split(owners: &[u32], expressions: &[&str], ignore_case: bool, sets: &mut Vec<Set>) -> Result<(), String> {
    if expressions.is_empty() {
        return Ok(());
    }
    let built = RegexSetBuilder::new(expressions)
        .case_insensitive(ignore_case)
        .size_limit(MAX_SET_MEMORY)
        .dfa_size_limit(CACHE_MEMORY)
        .build();
    match built {
        Ok(_) if sets.len() == MAX_SETS => Err("the expressions are too large together".to_owned()),
        Ok(expressions) => {
            let owners = owners.to_vec();
            sets.push(Set { expressions, owners });
            Ok(())
        }
        Err(regex::Error::CompiledTooBig(_)) if expressions.len() > 1 => {
            let half = expressions.len() / 2;
            split(&owners[..half], &expressions[..half], ignore_case, sets)?;
            split(&owners[half..], &expressions[half..], ignore_case, sets)
        }
        // Each was checked by itself.
        Err(error) => Err(format!("the expressions cannot be used together: {error}")),
    }
}

/// Whether an expression can be used; else the byte at which it cannot, and why.
pub(super) fn check(expression: &str) -> Result<(), (usize, String)> {
    if expression.is_empty() || expression.len() > MAX_BYTES {
        return Err((0, format!("an expression has 1 to {MAX_BYTES} bytes")));
    }
    match regex_syntax::parse(expression) {
        Ok(_) => {}
        Err(regex_syntax::Error::Parse(error)) => return Err((error.span().start.offset, error.kind().to_string())),
        Err(regex_syntax::Error::Translate(error)) => {
            return Err((error.span().start.offset, error.kind().to_string()));
        }
        Err(error) => return Err((0, error.to_string())),
    }
    let compiled = RegexBuilder::new(expression)
        .case_insensitive(true)
        .size_limit(MAX_MEMORY)
        .build();
    match compiled {
        Ok(_) => Ok(()),
        Err(regex::Error::CompiledTooBig(_)) => Err((0, "the expression unfolds to too many states".to_owned())),
        Err(error) => Err((0, error.to_string())),
    }
}
