//! Latencies by hop.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::Serialize;

/// A piece of the way, or all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Hop {
    /// From the simulator's socket to the listener's.
    SendToReceive,
    /// Through the detector.
    ReceiveToDetect,
    /// From the detector into the client of the stream.
    DetectToPublish,
    /// Into the stream.
    PublishToStore,
    /// From the stream to a WebSocket client.
    StoreToClient,
    /// From the stream to a committed row.
    StoreToRow,
    /// The whole way to a client.
    SendToClient,
    /// The whole way to a row.
    SendToRow,
}

impl Hop {
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::SendToReceive => "sent → received",
            Self::ReceiveToDetect => "received → detected",
            Self::DetectToPublish => "detected → published",
            Self::PublishToStore => "published → in the stream",
            Self::StoreToClient => "in the stream → client",
            Self::StoreToRow => "in the stream → row",
            Self::SendToClient => "sent → client",
            Self::SendToRow => "sent → row",
        }
    }
}

/// A histogram for each hop, in µs.
#[derive(Default)]
pub(super) struct Hops {
    all: BTreeMap<Hop, Recorded>,
}

struct Recorded {
    histogram: Histogram<u64>,
    negative: u64,
}

/// What is told of a hop, in milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Quantiles {
    pub count: u64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub p999_ms: f64,
    pub max_ms: f64,
    /// Times that ran backwards, which the clock of one machine does when it is set.
    pub negative: u64,
}

impl Hops {
    pub(super) fn record(&mut self, hop: Hop, from_us: i64, to_us: i64) {
        let recorded = self.all.entry(hop).or_insert_with(|| Recorded {
            // Three digits from 1 µs on; it grows as it must. These bounds are valid.
            histogram: Histogram::new(3).expect("three significant digits are allowed"),
            negative: 0,
        });
        match u64::try_from(to_us - from_us) {
            // A histogram that grows takes every value.
            Ok(took_us) => recorded.histogram.record(took_us).unwrap_or_default(),
            Err(_) => recorded.negative += 1,
        }
    }

    pub(super) fn quantiles(&self) -> BTreeMap<Hop, Quantiles> {
        let quantiles = |recorded: &Recorded| {
            let ms = |us: u64| us as f64 / 1000.0;
            let at = |quantile| ms(recorded.histogram.value_at_quantile(quantile));
            Quantiles {
                count: recorded.histogram.len(),
                p50_ms: at(0.5),
                p99_ms: at(0.99),
                p999_ms: at(0.999),
                max_ms: ms(recorded.histogram.max()),
                negative: recorded.negative,
            }
        };
        self.all
            .iter()
            .map(|(hop, recorded)| (*hop, quantiles(recorded)))
            .collect()
    }
}
