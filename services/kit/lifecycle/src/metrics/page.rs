//! Metrics as text: `OpenMetrics`, or Prometheus' older form for whoever does not ask for it.
//!
//! Written by hand because `prometheus-client` takes no examples (exemplars) from outside, and
//! keeps histograms of its own that could not be the stats reports' as well.

use std::fmt::{self, Display, Write as _};

use super::Labels;
use super::histogram::{Example, ForPage};

/// A form of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// `OpenMetrics` 1.0, with examples.
    Open,
    /// Prometheus' text form 0.0.4, which has none.
    Classic,
}

impl Form {
    /// The form for an `Accept` header.
    pub(crate) fn for_accept(accept: Option<&str>) -> Self {
        match accept {
            Some(accept) if accept.contains("application/openmetrics-text") => Self::Open,
            _ => Self::Classic,
        }
    }

    /// Its media type.
    pub(crate) const fn media_type(self) -> &'static str {
        match self {
            Self::Open => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Classic => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// A page under way.
pub(super) struct Page {
    form: Form,
    prefix: String,
    text: String,
}

impl Page {
    /// Of metrics whose names begin with `prefix`.
    pub(super) const fn new(form: Form, prefix: String) -> Self {
        Self {
            form,
            prefix,
            text: String::new(),
        }
    }

    /// Announces a family; `kind` is `counter`, `gauge` or `histogram`.
    pub(super) fn family(&mut self, name: &str, kind: &str, help: &str) {
        // OpenMetrics names a counter's family without the suffix of its samples.
        let name = match self.form {
            Form::Open if kind == "counter" => name.strip_suffix("_total").unwrap_or(name),
            _ => name,
        };
        self.line("# HELP ", format_args!("{name} {}.", help.trim_end_matches('.')));
        self.line("# TYPE ", format_args!("{name} {kind}"));
        if self.form == Form::Open
            && let Some(unit) = ["seconds", "bytes", "ratio"]
                .into_iter()
                .find(|unit| name.ends_with(unit))
        {
            self.line("# UNIT ", format_args!("{name} {unit}"));
        }
    }

    /// One sample.
    pub(super) fn sample(&mut self, name: &str, labels: &Labels, value: impl Display) {
        self.line("", format_args!("{name}{} {value}", Set(labels, None)));
    }

    /// The samples of a histogram.
    pub(super) fn histogram(&mut self, name: &str, labels: &Labels, histogram: &ForPage) {
        for (bound, count, example) in &histogram.buckets {
            let le = bound.map_or_else(|| "+Inf".to_owned(), |bound| format!("{bound:?}"));
            let example = Shown(example.as_ref().filter(|_| self.form == Form::Open));
            let labels = Set(labels, Some(&le));
            self.line("", format_args!("{name}_bucket{labels} {count}{example}"));
        }
        self.sample(&format!("{name}_sum"), labels, histogram.sum_s);
        self.sample(&format!("{name}_count"), labels, histogram.count);
    }

    /// The whole page.
    pub(super) fn end(mut self) -> String {
        if self.form == Form::Open {
            self.text.push_str("# EOF\n");
        }
        self.text
    }

    /// Writes a line with the prefix between its two halves.
    fn line(&mut self, before: &str, behind: fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "{before}{}{behind}", self.prefix);
    }
}

/// `{key="value",le="0.02"}`, or nothing.
struct Set<'a>(&'a Labels, Option<&'a str>);

impl Display for Set<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(labels, le) = *self;
        let own = labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        for (n, (key, value)) in own.chain(le.map(|le| ("le", le))).enumerate() {
            write!(f, "{}{key}=\"{}\"", if n == 0 { '{' } else { ',' }, Escaped(value))?;
        }
        if labels.is_empty() && le.is_none() {
            Ok(())
        } else {
            f.write_char('}')
        }
    }
}

/// ` # {trace_id="…"} 0.0123 1700000000.123`, or nothing.
struct Shown<'a>(Option<&'a Example>);

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(example) = self.0 else { return Ok(()) };
        let (us, at_s) = (example.us as f64 / 1e6, example.at_ms as f64 / 1e3);
        write!(f, " # {{trace_id=\"{:032x}\"}} {us} {at_s:.3}", example.trace_id)
    }
}

struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_what_was_asked_for() {
        let prometheus = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";
        assert_eq!(Form::for_accept(Some(prometheus)), Form::Open);
        assert_eq!(Form::for_accept(Some("*/*")), Form::Classic);
        assert_eq!(Form::for_accept(None), Form::Classic);
    }
}
