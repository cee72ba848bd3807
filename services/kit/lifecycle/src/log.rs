//! Log lines on standard error: for people or as JSON, with the trace and span that each belongs to.

use std::fmt::{self, Write as _};
use std::io::IsTerminal as _;

use opentelemetry::trace::TraceContextExt as _;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber, dispatcher};
use tracing_opentelemetry::get_otel_context;
use tracing_subscriber::fmt::format::{DefaultFields, Format, Full, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer, fmt as lines};

use crate::settings::LogFormat;

/// The lines as a layer, for what `filter` lets through.
pub(crate) fn layer<S>(format: LogFormat, filter: &str) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let filter = EnvFilter::new(filter);
    match format {
        LogFormat::Json => lines::layer()
            .with_writer(std::io::stderr)
            .event_format(Json)
            .with_filter(filter)
            .boxed(),
        LogFormat::Pretty => {
            let is_terminal = std::io::stderr().is_terminal();
            lines::layer()
                .with_writer(std::io::stderr)
                .with_ansi(is_terminal)
                .event_format(Pretty(Format::default().with_ansi(is_terminal)))
                .with_filter(filter)
                .boxed()
        }
    }
}

/// One line for people; the ids stand at its end.
struct Pretty(Format<Full>);

/// One object a line: `timestamp`, `level`, `target`, `message`, the event's fields, and `trace_id`
/// and `span_id` within a span that is recorded.
struct Json;

impl<S> FormatEvent<S, DefaultFields> for Pretty
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, DefaultFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Some((trace_id, span_id)) = ids(context) else {
            return self.0.format_event(context, writer, event);
        };
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        writeln!(
            writer,
            "{} trace_id={trace_id} span_id={span_id}",
            line.trim_end_matches('\n')
        )
    }
}

impl<S> FormatEvent<S, DefaultFields> for Json
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, DefaultFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let metadata = event.metadata();
        let mut object = Map::new();
        event.record(&mut Fields(&mut object));
        // Behind the event's own fields: none of them may pass for one of these.
        object.insert("timestamp".to_owned(), Value::from(time));
        object.insert("level".to_owned(), Value::from(metadata.level().as_str()));
        object.insert("target".to_owned(), Value::from(metadata.target()));
        if let Some((trace_id, span_id)) = ids(context) {
            object.insert("trace_id".to_owned(), Value::from(trace_id));
            object.insert("span_id".to_owned(), Value::from(span_id));
        }
        writeln!(writer, "{}", Value::from(object))
    }
}

/// The trace and span that a line belongs to; nothing outside of those that are recorded.
fn ids<S, N>(context: &FmtContext<'_, S, N>) -> Option<(String, String)>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'w> FormatFields<'w> + 'static,
{
    let span = context.lookup_current()?.id();
    let context = dispatcher::get_default(|dispatch| get_otel_context(&span, dispatch))?;
    let context = context.span().span_context().clone();
    (context.is_valid() && context.is_sampled())
        .then(|| (context.trace_id().to_string(), context.span_id().to_string()))
}

/// Collects an event's fields.
struct Fields<'a>(&'a mut Map<String, Value>);

impl Fields<'_> {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields<'_> {
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        // Writing to a string fails only where the value's own Debug does.
        let _ = write!(text, "{value:?}");
        self.put(field, text);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn json_lines_are_objects_whatever_they_hold() {
        let written = Lines::default();
        let writer = written.clone();
        let layer = lines::layer().with_writer(move || writer.clone()).event_format(Json);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::info!(seq = 7_u64, level = "mine", what = ?"a\n\"b\"", "line\nbreak \u{1b}[31m");
        });
        let bytes = written.0.lock().unwrap().clone();
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text.matches('\n').count(), 1, "{text}");
        let line: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (&line["message"], &line["seq"]),
            (&"line\nbreak \u{1b}[31m".into(), &7.into())
        );
        assert_eq!(
            (&line["level"], &line["what"]),
            (&"INFO".into(), &"\"a\\n\\\"b\\\"\"".into())
        );
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'), "{line}");
        assert_eq!(line.get("trace_id"), None);
    }
}
