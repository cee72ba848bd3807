//! Log lines to standard error, spans to an OTLP receiver where one is set.

use std::io::IsTerminal as _;
use std::time::Duration;

use anyhow::Context as _;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{Protocol, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use crate::settings::{Common, LogFormat};
use crate::trace;

/// Room for a second of spans at full sampling; what exceeds it is dropped and counted by the SDK.
const SPAN_QUEUE: usize = 65_536;
const EXPORT_BATCH: usize = 4_096;
const EXPORT_DELAY: Duration = Duration::from_millis(500);
/// A batch span links to each of its messages; the SDK's own limit of 128 drops the rest in silence.
const MAX_LINKS: u32 = 4_096;
/// How long the last spans may take to leave on shutdown.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Holds the exporter; [`Telemetry::flush`] sends what is left.
pub(crate) struct Telemetry {
    provider: Option<SdkTracerProvider>,
}

impl Telemetry {
    /// Must be called outside of the async runtime: the exporter has a thread and a blocking
    /// client of its own, so that it never competes with the work it watches.
    pub(crate) fn start(common: &Common) -> anyhow::Result<Self> {
        let provider = common
            .otlp_endpoint
            .as_deref()
            .map(|endpoint| exporter(endpoint, common))
            .transpose()?;
        #[expect(
            clippy::redundant_closure_for_method_calls,
            reason = "the method itself fits one lifetime only"
        )]
        let spans = provider.as_ref().map(|provider| {
            trace::sample(common.sampling_ratio);
            tracing_opentelemetry::layer()
                .with_tracer(provider.tracer("tgmesh"))
                // Threads and source lines of a span tell nothing about a message's way.
                .with_threads(false)
                .with_location(false)
                .with_target(false)
                .with_filter(tracing_subscriber::filter::filter_fn(|metadata| metadata.is_span()))
        });
        let filter = || EnvFilter::new(&common.log_filter);
        let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
        let lines = match common.log_format {
            LogFormat::Json => lines.json().flatten_event(true).with_filter(filter()).boxed(),
            LogFormat::Pretty => lines
                .with_ansi(std::io::stderr().is_terminal())
                .with_filter(filter())
                .boxed(),
        };
        tracing_subscriber::registry()
            .with(lines)
            .with(spans)
            .try_init()
            .context("couldn't set up logging")?;
        Ok(Self { provider })
    }

    /// Sends what is left, on good and on bad exits.
    pub(crate) fn flush(self) {
        if let Some(provider) = self.provider
            && let Err(error) = provider.shutdown_with_timeout(FLUSH_TIMEOUT)
        {
            tracing::warn!(%error, "spans were lost at the end");
        }
    }
}

fn exporter(endpoint: &str, common: &Common) -> anyhow::Result<SdkTracerProvider> {
    // The variable names the receiver's base; the path is the specification's.
    let url = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(url)
        .build()
        .context("couldn't set up the OTLP exporter")?;
    let batches = BatchConfigBuilder::default()
        .with_max_queue_size(SPAN_QUEUE)
        .with_max_export_batch_size(EXPORT_BATCH)
        .with_scheduled_delay(EXPORT_DELAY)
        .build();
    let resource = Resource::builder()
        .with_service_name(common.service_name.clone())
        .with_attribute(KeyValue::new("service.namespace", "tgmesh"))
        .with_attribute(KeyValue::new("service.instance.id", common.instance.clone()))
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    Ok(SdkTracerProvider::builder()
        .with_resource(resource)
        // The ratio is applied before a span object is made, see `trace::root`.
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)))
        .with_max_links_per_span(MAX_LINKS)
        .with_span_processor(BatchSpanProcessor::builder(exporter).with_batch_config(batches).build())
        .build())
}
