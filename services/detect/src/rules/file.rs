//! The rule file: TOML in, checked rules out, every fault with its place.
//!
//! The document is walked by hand instead of deserialised, so that one look tells all that is
//! wrong with it, each at the value that it is about.

use std::collections::HashMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::{Fault, Faults};
use super::{MAX_FILE_BYTES, MAX_RULES, Scope, expressions};

/// Longest name, in bytes.
const MAX_NAME_BYTES: usize = 64;
/// Longest literal, in bytes.
const MAX_LITERAL_BYTES: usize = 256;
/// Most chats of a rule.
const MAX_CHATS: usize = 1000;
/// Most expressions of a file: each costs memory, and compiling it time.
const MAX_EXPRESSIONS: usize = 1000;

/// A rule as the file has it, checked.
#[derive(Debug)]
pub(super) struct Found {
    pub name: String,
    pub looks_for: LooksFor,
    pub case_sensitive: bool,
    pub scope: Option<Scope>,
    pub publish: bool,
}

/// What a rule looks for.
#[derive(Debug)]
pub(super) enum LooksFor {
    Literals(Vec<String>),
    Expressions(Vec<String>),
}

/// Reads a file.
pub(super) fn read(text: &str) -> Result<Vec<Found>, Vec<Fault>> {
    let mut faults = Faults::of(text);
    if text.len() > MAX_FILE_BYTES {
        faults.add(
            0,
            format!("the file has {} bytes, more than {MAX_FILE_BYTES}", text.len()),
        );
        return Err(faults.into_list());
    }
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        for error in errors {
            let at = error.span().map_or(0, |span| span.start);
            faults.add(at, error.message());
        }
        // What was recovered would be blamed for what the parser left out.
        return Err(faults.into_list());
    }
    let mut reader = Reader {
        text,
        faults,
        names: HashMap::new(),
        expressions: 0,
    };
    let rules = reader.document(document.get_ref());
    if reader.faults.is_empty() {
        Ok(rules)
    } else {
        Err(reader.faults.into_list())
    }
}

type Value<'i> = Spanned<DeValue<'i>>;

struct Reader<'t> {
    text: &'t str,
    faults: Faults<'t>,
    /// Where each name was first.
    names: HashMap<String, usize>,
    expressions: usize,
}

impl Reader<'_> {
    fn document(&mut self, document: &DeTable<'_>) -> Vec<Found> {
        let mut rules = Vec::new();
        for (key, value) in document {
            if key.get_ref() != "rule" {
                let problem = format!("unknown key {:?}: a file has [[rule]] alone", key.get_ref());
                self.faults.add(key.span().start, problem);
                continue;
            }
            let Some(list) = value.get_ref().as_array() else {
                self.faults
                    .add(key.span().start, "rule is no list: each begins with [[rule]]");
                continue;
            };
            if list.len() > MAX_RULES {
                let problem = format!("{} rules are more than {MAX_RULES}", list.len());
                self.faults.add(value.span().start, problem);
                continue;
            }
            for item in list {
                match item.get_ref() {
                    DeValue::Table(table) => rules.extend(self.rule(item.span().start, table)),
                    other => self.is_no(item, other, "table"),
                }
            }
        }
        rules
    }

    fn rule(&mut self, at: usize, table: &DeTable<'_>) -> Option<Found> {
        let (mut name, mut literal, mut regex, mut chats) = (None, None, None, None);
        let (mut case_sensitive, mut publish) = (Some(false), Some(false));
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "name" => name = Some(value),
                "literal" => literal = Some((key.span().start, value)),
                "regex" => regex = Some((key.span().start, value)),
                "chats" => chats = Some(value),
                "case_sensitive" => case_sensitive = self.boolean(value),
                "publish" => publish = self.boolean(value),
                other => {
                    let known = "name, literal, regex, chats, case_sensitive, publish";
                    self.faults
                        .add(key.span().start, format!("unknown key {other:?}: a rule has {known}"));
                }
            }
        }
        let name = match name {
            Some(name) => self.name(name),
            None => self.missing(at, "the rule has no name"),
        };
        let looks_for = match (literal, regex) {
            (Some((_, value)), None) => self.list(value, Self::literal).map(LooksFor::Literals),
            (None, Some((_, value))) => self.list(value, Self::expression).map(LooksFor::Expressions),
            (Some((first, _)), Some((second, _))) => {
                self.missing(first.max(second), "the rule has both literal and regex: it needs one")
            }
            (None, None) => self.missing(at, "the rule has neither literal nor regex"),
        };
        let scope = match chats {
            Some(value) => self.scope(value).map(Some),
            None => Some(None),
        };
        Some(Found {
            name: name?,
            looks_for: looks_for?,
            case_sensitive: case_sensitive?,
            scope: scope?,
            publish: publish?,
        })
    }

    fn name(&mut self, value: &Value<'_>) -> Option<String> {
        let (name, at) = (self.string(value)?, value.span().start);
        if name.trim().is_empty() || name.trim() != name {
            return self.missing(at, "a name is not empty, and has no space at its ends");
        }
        if name.len() > MAX_NAME_BYTES {
            return self.missing(at, format!("a name has at most {MAX_NAME_BYTES} bytes"));
        }
        if name.chars().any(char::is_control) {
            return self.missing(at, "a name has no control characters");
        }
        if let Some(&first) = self.names.get(name) {
            let line = self.text[..first].matches('\n').count() + 1;
            return self.missing(at, format!("the name {name:?} is taken by the rule in line {line}"));
        }
        self.names.insert(name.to_owned(), at);
        Some(name.to_owned())
    }

    /// A string, or a list of them.
    fn list(
        &mut self,
        value: &Value<'_>,
        mut check: impl FnMut(&mut Self, &Value<'_>) -> Option<String>,
    ) -> Option<Vec<String>> {
        let DeValue::Array(items) = value.get_ref() else {
            return check(self, value).map(|one| vec![one]);
        };
        if items.is_empty() {
            return self.missing(value.span().start, "the list is empty: the rule would never match");
        }
        // Every item is looked at, so that every fault is told.
        let checked: Vec<_> = items.iter().map(|item| check(self, item)).collect();
        checked.into_iter().collect()
    }

    fn literal(&mut self, value: &Value<'_>) -> Option<String> {
        let text = self.string(value)?;
        if text.is_empty() || text.len() > MAX_LITERAL_BYTES {
            let problem = format!("a literal has 1 to {MAX_LITERAL_BYTES} bytes");
            return self.missing(value.span().start, problem);
        }
        Some(text.to_owned())
    }

    fn expression(&mut self, value: &Value<'_>) -> Option<String> {
        let expression = self.string(value)?;
        self.expressions += 1;
        if self.expressions > MAX_EXPRESSIONS {
            if self.expressions == MAX_EXPRESSIONS + 1 {
                let problem = format!("this is expression {}: more than {MAX_EXPRESSIONS}", self.expressions);
                self.faults.add(value.span().start, problem);
            }
            return None;
        }
        if let Err((offset, problem)) = expressions::check(expression) {
            let at = offset_in_source(self.text, &value.span(), expression, offset);
            return self.missing(at, problem);
        }
        Some(expression.to_owned())
    }

    fn scope(&mut self, value: &Value<'_>) -> Option<Scope> {
        let DeValue::Array(items) = value.get_ref() else {
            self.is_no(value, value.get_ref(), "list of chats");
            return None;
        };
        if items.is_empty() || items.len() > MAX_CHATS {
            let problem = format!("chats has 1 to {MAX_CHATS} entries; without it a rule is for every chat");
            return self.missing(value.span().start, problem);
        }
        let mut scope = Scope::default();
        let mut is_good = true;
        for item in items {
            let id = item.get_ref().as_integer();
            let id = id.and_then(|id| i64::from_str_radix(id.as_str(), id.radix()).ok());
            let name = item.get_ref().as_str().and_then(username);
            match (id, name) {
                (Some(id), _) if id != 0 => drop(scope.ids.insert(id)),
                (_, Some(name)) => drop(scope.usernames.insert(name)),
                _ => {
                    is_good = false;
                    let problem = "a chat is an id as the Bot API shows it, such as -1001234567890, or \"@name\"";
                    self.faults.add(item.span().start, problem);
                }
            }
        }
        is_good.then_some(scope)
    }

    fn string<'v>(&mut self, value: &'v Value<'_>) -> Option<&'v str> {
        let text = value.get_ref().as_str();
        if text.is_none() {
            self.is_no(value, value.get_ref(), "string");
        }
        text
    }

    fn boolean(&mut self, value: &Value<'_>) -> Option<bool> {
        let given = value.get_ref().as_bool();
        if given.is_none() {
            self.is_no(value, value.get_ref(), "boolean (true or false)");
        }
        given
    }

    fn is_no(&mut self, value: &Value<'_>, is: &DeValue<'_>, wanted: &str) {
        let problem = format!("this is of type {}, not a {wanted}", is.type_str());
        self.faults.add(value.span().start, problem);
    }

    fn missing<T>(&mut self, at: usize, problem: impl Into<String>) -> Option<T> {
        self.faults.add(at, problem);
        None
    }
}

/// The name of an `@name`, in lower case.
fn username(text: &str) -> Option<String> {
    let name = text.strip_prefix('@')?;
    let is_good = (4..=32).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    is_good.then(|| name.to_ascii_lowercase())
}

/// Where a byte of a string's value stands in the file: exactly where the string is written as it
/// is, else at its beginning.
fn offset_in_source(text: &str, span: &Range<usize>, value: &str, offset: usize) -> usize {
    let source = text.get(span.clone()).unwrap_or_default();
    match source.find(value) {
        Some(start) => span.start + start + offset.min(value.len()),
        None => span.start,
    }
}
