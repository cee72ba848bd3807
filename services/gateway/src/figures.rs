//! The gateway's own metrics.

use tgmesh_lifecycle::metrics::{Counter, Gauge, Histogram, Metrics};
use tgmesh_lifecycle::summary::Plan;
use tgmesh_proto::frame::CloseCode;

use crate::auth::RingFigures;
use crate::registry::Limit;
use crate::tls::TlsFigures;

/// The line in the log.
pub const SUMMARY: Plan = Plan {
    counts: &[("events", "events_total"), ("deliveries", "deliveries_total")],
    successes: "deliveries_total",
    failures: &["gaps_total"],
    queue: ("clients", "clients"),
    latencies: &[
        ("stream → client", "stream_to_client_seconds"),
        ("received → client", "received_to_client_seconds"),
    ],
    errors: &["undecodable_events_total", "client_panics_total"],
};

/// Every metric of the gateway. `/metrics` puts `tgmesh_gateway_` before the names.
#[derive(Debug, Clone)]
pub struct Figures {
    /// Events that came from the stream and were handed to the fan-out.
    pub events: Counter,
    /// Events whose id was seen before within the last hour.
    pub repeats: Counter,
    /// Messages that are no readable event.
    pub undecodable: Counter,
    /// Events that came out of order. Always 0.
    pub out_of_order: Counter,
    /// Matches that were handed to those who want them.
    pub matches: Counter,
    /// Match frames written to sockets.
    pub match_deliveries: Counter,
    /// Matches that were left out because a client was too slow.
    pub missed_matches: Counter,
    /// Detection frames written to sockets.
    pub deliveries: Counter,
    /// Connections that were upgraded.
    pub connections: Counter,
    /// Streams of Server-Sent Events that were begun.
    pub event_streams: Counter,
    /// Upgrades that were refused.
    pub refused: Counter,
    /// Tokens that were refused.
    pub bad_tokens: Counter,
    /// Subscriptions that were accepted.
    pub subscriptions: Counter,
    /// Subscriptions with a resume position or `last`.
    pub resumes: Counter,
    /// Windows of the stream that were read for subscriptions that were behind.
    pub windows: Counter,
    /// Times a subscription was put behind because its client was too slow.
    pub slowed: Counter,
    /// Gap frames.
    pub gaps: Counter,
    /// Error frames.
    pub errors: Counter,
    /// Client tasks that panicked. Always 0.
    pub panics: Counter,
    /// Deliveries that were written before they were stored or received, by two hosts' clocks.
    pub negative_latency: Counter,
    /// Detections that a client said to have painted.
    pub rendered: Counter,
    /// Entries of the audit log that found no room while NATS was away, or were too many.
    pub audit_lost: Counter,
    /// Requests below `/api`.
    pub api_requests: Counter,
    /// Requests below `/api` that came too fast.
    pub api_limited: Counter,
    /// Requests below `/api` that the database did not answer.
    pub api_unanswered: Counter,
    /// The keys that tokens are checked with.
    pub ring: RingFigures,
    /// The certificate on the port for clients.
    pub tls: TlsFigures,
    /// Open, authenticated connections.
    pub clients: Gauge,
    /// Live subscriptions.
    pub live: Gauge,
    /// Bytes that wait for clients.
    pub buffered_bytes: Gauge,
    /// Time from the stream's timestamp to the frame's last byte in the socket.
    pub stream_to_client: Histogram,
    /// Time from the listener's socket to the frame's last byte in the client's.
    pub received_to_client: Histogram,
    closes: Vec<(u16, Counter)>,
    limits: Vec<(Limit, Counter)>,
}

impl Figures {
    /// Registers them.
    #[must_use]
    pub fn new(metrics: &Metrics) -> Self {
        let codes = [
            CloseCode::GoingAway,
            CloseCode::Malformed,
            CloseCode::Unauthorized,
            CloseCode::Forbidden,
            CloseCode::TooSlow,
            CloseCode::Expired,
            CloseCode::TooLarge,
            CloseCode::RateLimited,
        ];
        let close = |code: u16| {
            let label = code.to_string();
            metrics.counter_with(
                "closes_total",
                "Connections closed by the gateway, by close code.",
                &[("code", &label)],
            )
        };
        Self {
            events: metrics.counter("events_total", "Events handed to the fan-out."),
            repeats: metrics.counter(
                "repeated_events_total",
                "Events left out because their id was seen before.",
            ),
            undecodable: metrics.counter(
                "undecodable_events_total",
                "Messages of the stream that are no readable event.",
            ),
            out_of_order: metrics.counter(
                "out_of_order_events_total",
                "Events that the stream's reader gave out of order.",
            ),
            matches: metrics.counter("matches_total", "Matches handed to those who want them."),
            match_deliveries: metrics.counter("match_deliveries_total", "Match frames written to sockets."),
            missed_matches: metrics.counter(
                "missed_matches_total",
                "Matches left out because a client was too slow for them.",
            ),
            deliveries: metrics.counter("deliveries_total", "Detection frames written to sockets."),
            connections: metrics.counter("connections_total", "Connections upgraded to WebSockets."),
            event_streams: metrics.counter("event_streams_total", "Streams of Server-Sent Events that were begun."),
            refused: metrics.counter("refused_upgrades_total", "Upgrades refused: bad Origin, bad request."),
            bad_tokens: metrics.counter("bad_tokens_total", "Tokens refused, on WebSockets and in the API."),
            subscriptions: metrics.counter("subscriptions_total", "Subscriptions accepted."),
            resumes: metrics.counter("resumes_total", "Subscriptions with a resume position or `last`."),
            windows: metrics.counter(
                "windows_total",
                "Windows of the stream read for subscriptions that were behind.",
            ),
            slowed: metrics.counter(
                "slowed_total",
                "Times a subscription fell behind because its client was too slow.",
            ),
            gaps: metrics.counter("gaps_total", "Gap frames sent."),
            errors: metrics.counter("error_frames_total", "Error frames sent."),
            panics: metrics.counter("client_panics_total", "Client tasks that panicked."),
            negative_latency: metrics.counter(
                "negative_latency_total",
                "Deliveries before their stream timestamp or their receipt, by two hosts' clocks.",
            ),
            rendered: metrics.counter("rendered_total", "Detections that clients said to have painted."),
            audit_lost: metrics.counter(
                "audit_lost_total",
                "Audit entries that found no room while NATS was away, or were too many.",
            ),
            api_requests: metrics.counter("api_requests_total", "Requests below /api."),
            api_limited: metrics.counter(
                "api_limited_total",
                "Requests below /api refused because their subject asks too often.",
            ),
            api_unanswered: metrics.counter(
                "api_unanswered_total",
                "Requests below /api that the database did not answer: away, busy, or too long a query.",
            ),
            tls: TlsFigures::new(metrics),
            ring: RingFigures {
                keys: metrics.gauge("verification_keys", "Keys that tokens are checked with."),
                taken: metrics.counter(
                    "key_sets_total",
                    "Key sets taken over from the file or URL of `JWT_JWKS`.",
                ),
                failures: metrics.counter(
                    "key_set_failures_total",
                    "Times that `JWT_JWKS` gave no usable key set; the keys from before stayed in force.",
                ),
            },
            clients: metrics.gauge("clients", "Open, authenticated connections."),
            live: metrics.gauge("live_subscriptions", "Subscriptions that get events as they come."),
            buffered_bytes: metrics.gauge(
                "buffered_bytes",
                "Bytes that wait for all clients together, as `MAX_BUFFERED_BYTES` counts them.",
            ),
            stream_to_client: metrics.histogram(
                "stream_to_client_seconds",
                "From the stream's timestamp to the frame in the socket.",
            ),
            received_to_client: metrics.histogram(
                "received_to_client_seconds",
                "From the listener's socket to the frame in the client's, for live messages.",
            ),
            limits: Limit::ALL
                .into_iter()
                .map(|limit| {
                    let counter = metrics.counter_with(
                        "limited_total",
                        "Limits that clients met, by limit.",
                        &[("limit", limit.word())],
                    );
                    (limit, counter)
                })
                .collect(),
            closes: codes.iter().map(|code| (code.code(), close(code.code()))).collect(),
        }
    }

    /// Counts a limit that a client met.
    pub fn limited(&self, limit: Limit) {
        if let Some((_, counter)) = self.limits.iter().find(|(one, _)| *one == limit) {
            counter.inc();
        }
    }

    /// Counts a close.
    pub fn closed(&self, code: CloseCode) {
        if let Some((_, counter)) = self.closes.iter().find(|(number, _)| *number == code.code()) {
            counter.inc();
        }
    }
}
