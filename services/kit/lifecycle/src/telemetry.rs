//! Log lines to standard error, spans to an OTLP receiver where one is set.

use anyhow::Context as _;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing_subscriber::Layer as _;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::metrics::Metrics;
use crate::settings::Common;
use crate::trace::export::{Counts, Exporter};
use crate::trace::{Bridge, Value};
use crate::{log, trace};

/// A batch's span links to each of its messages; the SDK's own limit of 128 drops the rest in
/// silence.
const MAX_LINKS: u32 = 10_000;

/// Holds the exporter; [`Telemetry::flush`] sends what is left.
pub(crate) struct Telemetry {
    exporter: Option<Exporter>,
    _provider: Option<SdkTracerProvider>,
}

impl Telemetry {
    /// Must be called outside of the async runtime, because the exporter blocks. The metrics tell
    /// what becomes of spans.
    pub(crate) fn start(common: &Common, metrics: &Metrics) -> anyhow::Result<Self> {
        let counts = Counts::of(metrics);
        let endpoint = common.otlp_endpoint.as_deref();
        let exporter = endpoint
            .map(|endpoint| exporter(endpoint, common, counts))
            .transpose()?;
        let provider = exporter.as_ref().map(|_| {
            trace::start(common.sampler);
            trace::late::slow_from(common.trace_slow);
            SdkTracerProvider::builder()
                // Whether a batch has a span is decided before there is one.
                .with_sampler(Sampler::AlwaysOn)
                .with_max_links_per_span(MAX_LINKS)
                .with_span_processor(Bridge)
                .build()
        });
        let spans = provider.as_ref().map(|provider| {
            tracing_opentelemetry::layer()
                .with_tracer(provider.tracer("tgmesh"))
                // Threads and source lines of a span tell nothing about a message's way.
                .with_threads(false)
                .with_location(false)
                .with_target(false)
                // Nor does what a task waited for: that is in the spans below it.
                .with_tracked_inactivity(false)
                // Libraries have spans of their own, which nobody asked for.
                .with_filter(tracing_subscriber::filter::filter_fn(|metadata| {
                    metadata.is_span() && metadata.target().starts_with("tgmesh")
                }))
        });
        tracing_subscriber::registry()
            .with(log::layer(common.log_format, &common.log_filter))
            .with(spans)
            .try_init()
            .context("couldn't set up logging")?;
        Ok(Self {
            exporter,
            _provider: provider,
        })
    }

    /// Sends what is left, on good and on bad exits.
    pub(crate) fn flush(self) {
        if let Some(exporter) = self.exporter {
            exporter.finish();
        }
    }
}

fn exporter(endpoint: &str, common: &Common, counts: Counts) -> anyhow::Result<Exporter> {
    let resource = [
        ("service.name", Value::Str(&common.service_name)),
        ("service.namespace", Value::Str("tgmesh")),
        ("service.instance.id", Value::Str(&common.instance)),
        ("service.version", Value::Str(env!("CARGO_PKG_VERSION"))),
    ];
    Exporter::start(endpoint, common.otlp_headers.clone(), &resource, counts)
}
