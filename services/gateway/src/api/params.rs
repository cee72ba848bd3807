//! Query parameters: each is read once, and what is left over is refused.

use std::fmt;

/// Most pairs in one query; the request's head bounds their length.
const MAX_PAIRS: usize = 2000;
/// Most entries of a list.
const MAX_LIST: usize = 1000;

/// What is wrong with a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bad {
    /// Its name; nothing where the query as a whole cannot be read.
    pub parameter: Option<String>,
    /// For people, without what was sent.
    pub problem: String,
}

impl Bad {
    /// A problem of one parameter.
    pub fn new(parameter: &str, problem: impl Into<String>) -> Self {
        Self {
            // Only unknown names are not our own words.
            parameter: Some(parameter.chars().filter(|c| !c.is_control()).take(64).collect()),
            problem: problem.into(),
        }
    }

    fn query(problem: &str) -> Self {
        Self {
            parameter: None,
            problem: problem.to_owned(),
        }
    }
}

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.parameter {
            Some(name) => write!(f, "parameter {name} {}", self.problem),
            None => f.write_str(&self.problem),
        }
    }
}

/// The parameters of a query that nobody has read yet.
#[derive(Debug)]
pub struct Params(Vec<(String, String)>);

impl Params {
    /// Reads a query (what stands behind `?`).
    ///
    /// # Errors
    /// When it is no form-encoded UTF-8 text, or has too many parameters.
    pub fn parse(query: &str) -> Result<Self, Bad> {
        let mut pairs = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            if pairs.len() == MAX_PAIRS {
                return Err(Bad::query("the query has too many parameters"));
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decoded = decode(name).zip(decode(value));
            pairs.push(decoded.ok_or_else(|| Bad::query("the query is not percent-encoded UTF-8 text"))?);
        }
        Ok(Self(pairs))
    }

    /// A parameter that stands there at most once.
    ///
    /// # Errors
    /// When it stands there more often.
    pub fn one(&mut self, name: &str) -> Result<Option<String>, Bad> {
        let mut values = self.take(name);
        match values.len() {
            0 | 1 => Ok(values.pop()),
            _ => Err(Bad::new(name, "may be given once only")),
        }
    }

    /// As [`Self::one`], read by a function whose error says what is wrong.
    ///
    /// # Errors
    /// When it stands there more often, or cannot be read.
    pub fn read<T>(&mut self, name: &str, read: impl FnOnce(&str) -> Result<T, String>) -> Result<Option<T>, Bad> {
        let value = self.one(name)?;
        value
            .map(|value| read(&value).map_err(|problem| Bad::new(name, problem)))
            .transpose()
    }

    /// A list: comma separated, repeated, or both.
    ///
    /// # Errors
    /// When an entry cannot be read, or there are too many.
    pub fn list<T>(&mut self, name: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<Option<Vec<T>>, Bad> {
        let values = self.take(name);
        if values.is_empty() {
            return Ok(None);
        }
        let mut list = Vec::new();
        for entry in values.iter().flat_map(|value| value.split(',')) {
            if list.len() == MAX_LIST {
                return Err(Bad::new(name, format!("has more than {MAX_LIST} entries")));
            }
            if entry.is_empty() {
                return Err(Bad::new(name, "has an empty entry"));
            }
            list.push(read(entry).map_err(|problem| Bad::new(name, problem))?);
        }
        Ok(Some(list))
    }

    /// To be called last.
    ///
    /// # Errors
    /// When a parameter was not read, for then its author expects something that would not happen.
    pub fn finish(self) -> Result<(), Bad> {
        match self.0.into_iter().next() {
            None => Ok(()),
            Some((name, _)) => Err(Bad::new(&name, "is unknown here")),
        }
    }

    fn take(&mut self, name: &str) -> Vec<String> {
        let found = self.0.extract_if(.., |pair| pair.0 == name);
        found.map(|(_, value)| value).collect()
    }
}

/// A text that Postgres can compare with: it holds no NUL.
pub fn text(value: &str) -> Result<String, String> {
    if value.contains('\0') {
        Err("holds a NUL character".to_owned())
    } else {
        Ok(value.to_owned())
    }
}

/// A Bot API id.
pub fn id(value: &str) -> Result<i64, String> {
    value.parse().map_err(|_| "is no id".to_owned())
}

/// `true` or `false`.
pub fn flag(value: &str) -> Result<bool, String> {
    value.parse().map_err(|_| "must be true or false".to_owned())
}

/// Milliseconds since the epoch, or a time of RFC 3339 in UTC; in µs.
pub fn time(value: &str) -> Result<i64, String> {
    // Year 10000: what Postgres and RFC 3339 both have.
    const END_MS: i64 = 253_402_300_800_000;
    let is_number = value
        .strip_prefix('-')
        .unwrap_or(value)
        .bytes()
        .all(|byte| byte.is_ascii_digit());
    let ms = if is_number {
        value.parse().ok()
    } else {
        let time = humantime::parse_rfc3339(value).ok();
        let since = time.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
        since.and_then(|since| i64::try_from(since.as_millis()).ok())
    };
    ms.filter(|ms| (0..END_MS).contains(ms))
        .map(|ms| ms * 1000)
        .ok_or_else(|| "must be milliseconds since the epoch, or a time like 2026-11-23T12:00:00Z".to_owned())
}

/// A whole number within bounds.
pub fn number(range: std::ops::RangeInclusive<u64>) -> impl Fn(&str) -> Result<u64, String> {
    move |value| {
        let number = value.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| format!("must be a whole number from {} to {}", range.start(), range.end()))
    }
}

/// A segment of a path, where a plus is a plus.
///
/// # Errors
/// When it is no percent-encoded UTF-8 text.
pub fn decode_path(segment: &str) -> Result<String, Bad> {
    let decoded = decode(&segment.replace('+', "%2B"));
    decoded.ok_or_else(|| Bad::query("the path is not percent-encoded UTF-8 text"))
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let (high, low) = (digit(rest.next())?, digit(rest.next())?);
                (high * 16 + low) as u8
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lists_by_commas_and_repetition() {
        let mut params = Params::parse("chats=-1,2&rules=a%2Cb+c&chats=3").expect("a query");
        assert_eq!(params.list("chats", id), Ok(Some(vec![-1, 2, 3])));
        assert_eq!(
            params.list("rules", text),
            Ok(Some(vec!["a".to_owned(), "b c".to_owned()]))
        );
        assert_eq!(params.list("senders", id), Ok(None));
        assert_eq!(params.finish(), Ok(()));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let bad = |query: &str| {
            let mut params = Params::parse(query).expect("a query");
            let one = params.read("limit", number(1..=1000)).map(|_| ());
            let list = params.list("chats", id).map(|_| ());
            one.and(list).and_then(|()| params.finish())
        };
        for (query, name) in [
            ("limit=0", "limit"),
            ("limit=1&limit=2", "limit"),
            ("limit=", "limit"),
            ("chats=1,,2", "chats"),
            ("chats=", "chats"),
            ("chats=x", "chats"),
            ("limit=5&nonsense=1", "nonsense"),
        ] {
            assert_eq!(bad(query).expect_err(query).parameter.as_deref(), Some(name), "{query}");
        }
        assert!(Params::parse("a=%zz").is_err() && Params::parse("a=%f").is_err() && Params::parse("a=%ff").is_err());
        assert!(text("a\0b").is_err());
    }

    #[test]
    fn times_in_both_forms() {
        assert_eq!(time("1795435200000"), Ok(1_795_435_200_000_000));
        assert_eq!(time("2026-11-23T12:00:00Z"), Ok(1_795_435_200_000_000));
        for bad in ["-1", "", "-", "yesterday", "99999999999999999", "2026-11-23"] {
            assert!(time(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(query in ".{0,200}") {
            if let Ok(mut params) = Params::parse(&query) {
                let _ = params.list("chats", id);
                let _ = params.read("since", time);
                let _ = params.finish();
            }
        }
    }
}
