//! The listener's figures.

use tgmesh_lifecycle::metrics::{Counter, Gauge, Histogram, Metrics};
use tgmesh_lifecycle::summary::Plan;
use tgmesh_proto::detection::Family;
use tgmesh_proto::matched::MatchKind;

use crate::flood::Method;
use crate::ledger::Outcome;

/// The line in the log.
pub const SUMMARY: Plan = Plan {
    counts: &[("messages", "messages_total"), ("detections", "detections_total")],
    successes: "published_total",
    failures: &["publish_failures_total"],
    queue: ("queued bytes", "queue_bytes"),
    latencies: &[
        ("received → detected", "received_to_detected_seconds"),
        ("received → stream", "received_to_published_seconds"),
    ],
    errors: &["publish_failures_total", "unreachable_total"],
};

/// All of them. Clones share.
#[derive(Debug, Clone)]
pub struct Stats {
    /// Messages that went through the detector, edits included.
    pub messages: Counter,
    /// Messages that came as edits.
    pub edits: Counter,
    /// Deleted messages.
    pub deletions: Counter,
    /// Deleted messages of which nothing is known.
    pub unknown_deletions: Counter,
    /// States of a message that were older than the one that is known.
    pub stale: Counter,
    /// Edits of messages whose finds are forgotten.
    pub forgotten: Counter,
    /// Events by family, in the order of [`Family::ALL`].
    detections: [Counter; Family::ALL.len()],
    /// Matches by event, in the order of [`MatchKind::ALL`].
    matches: [Counter; MatchKind::ALL.len()],
    /// Events that the stream confirmed.
    pub published: Counter,
    /// Confirmed events that the stream had already.
    pub duplicates: Counter,
    /// Events that the stream refused for good, or that are too large.
    pub publish_failures: Counter,
    /// Events that were sent again.
    pub publish_retries: Counter,
    /// From the socket to the stream's confirmation.
    pub received_to_published: Histogram,
    /// From the socket to the detector's end.
    pub received_to_detected: Histogram,
    /// From Telegram's date of a live message to the socket; its whole seconds make it up to one
    /// second too long.
    pub post_to_received: Histogram,
    /// The same for channels' posts that were not pushed and had to be asked for.
    pub post_to_received_polled: Histogram,
    /// Live messages that were received before their date.
    pub post_to_received_negative: Counter,
    /// Differences fetched.
    pub differences: Counter,
    /// Messages that came by a difference instead of the socket.
    pub recovered: Counter,
    /// Messages that came from history.
    pub backfilled: Counter,
    /// Message ids by what became of them, in the order of [`Outcome::ALL`].
    accounted: [Counter; Outcome::ALL.len()],
    /// Those that no request brought, alone: an operator should look at them.
    unreachable: Counter,
    /// Message ids that were accounted for, and are fetched again: their events were thrown out
    /// of the stream before they were archived.
    pub reopened: Counter,
    /// Message ids that are missing and being asked for.
    pub ledger_open: Gauge,
    /// Those of them whose answers cannot be read by this client.
    pub ledger_unreadable: Gauge,
    /// Updates that were refused for lack of room, to be fetched later.
    pub refused: Counter,
    /// Times that updates may have been lost before they were seen; all differences were ordered.
    pub overflows: Counter,
    /// Updates in differences that this client cannot read, and passed.
    pub unreadable: Counter,
    /// Connections lost.
    pub reconnects: Counter,
    /// Accounts whose lease this process holds.
    pub accounts: Gauge,
    /// Leases that were lost.
    pub leases_lost: Counter,
    /// Accounts whose session Telegram ended.
    pub accounts_stopped: Counter,
    /// Channels that an account took over from another one.
    pub chats_taken: Counter,
    /// Channels that were left to another account because of a long wait.
    pub chats_passed: Counter,
    /// Bytes between the socket and the detector.
    pub queue_bytes: Gauge,
    /// Chats whose difference is outstanding.
    pub chats_behind: Gauge,
    /// Messages whose finds are remembered.
    pub remembered: Gauge,
    /// Messages whose matches are remembered.
    pub remembered_matches: Gauge,
    /// Watch rules in force.
    pub watch_rules: Gauge,
    /// Times that changed watch rules were taken over.
    pub rule_reloads: Counter,
    /// Times that changed watch rules could not be used.
    pub rule_reload_failures: Counter,
    /// Addresses that were seen within the window.
    pub seen_addresses: Gauge,
    /// Messages that they were seen in.
    pub seen_sightings: Gauge,
    /// Chats that were joined because `MONITORED_CHATS` names them.
    pub joined: Counter,
    /// Times that a chat could not be found or joined.
    pub join_failures: Counter,
    /// Entries of `MONITORED_CHATS` that no account of this process sees.
    pub chats_missing: Gauge,
    /// Sightings that were forgotten before their time, for want of room.
    pub crowded_out: Counter,
    /// Requests to Telegram.
    pub requests: Requests,
}

/// Requests to Telegram by method, in the order of [`Method::ALL`].
#[derive(Debug, Clone)]
pub struct Requests {
    made: [Counter; Method::ALL.len()],
    refused: [Counter; Method::ALL.len()],
    held_back: [Counter; Method::ALL.len()],
    flood_waits: [Counter; Method::ALL.len()],
    flood_seconds: [Counter; Method::ALL.len()],
}

impl Requests {
    /// Registers them.
    #[must_use]
    pub fn new(metrics: &Metrics) -> Self {
        let by_method =
            |name, help| Method::ALL.map(|method| metrics.counter_with(name, help, &[("method", method.name())]));
        Self {
            made: by_method("requests_total", "Requests to Telegram that were answered or given up"),
            refused: by_method(
                "requests_refused_total",
                "Requests to Telegram without a good answer: refused, flooded, or not answered in time",
            ),
            held_back: by_method(
                "requests_held_back_total",
                "Requests that were not made because Telegram had asked to wait with their method",
            ),
            flood_waits: by_method("flood_waits_total", "Times that Telegram asked to wait with a method"),
            flood_seconds: by_method(
                "flood_wait_seconds_total",
                "For how long methods were closed because Telegram asked to wait",
            ),
        }
    }

    /// Requests that were made.
    #[must_use]
    pub fn made(&self, method: Method) -> &Counter {
        // `ALL` is in the order of the variants.
        &self.made[method as usize]
    }

    /// Requests without a good answer.
    #[must_use]
    pub fn refused(&self, method: Method) -> &Counter {
        &self.refused[method as usize]
    }

    /// Requests that were not made.
    #[must_use]
    pub fn held_back(&self, method: Method) -> &Counter {
        &self.held_back[method as usize]
    }

    /// Waits that Telegram asked for.
    #[must_use]
    pub fn flood_waits(&self, method: Method) -> &Counter {
        &self.flood_waits[method as usize]
    }

    /// For how long a method was closed, in seconds.
    #[must_use]
    pub fn flood_seconds(&self, method: Method) -> &Counter {
        &self.flood_seconds[method as usize]
    }
}

impl Stats {
    /// Registers all of them.
    #[must_use]
    pub fn new(metrics: &Metrics) -> Self {
        let detections = Family::ALL.map(|family| {
            let labels = [("family", family.as_str())];
            metrics.counter_with("detections_total", "Events by address family", &labels)
        });
        let accounted = Outcome::ALL.map(|outcome| {
            let labels = [("outcome", outcome.as_str())];
            metrics.counter_with("ledger_ids_total", "Message ids by what became of them", &labels)
        });
        let matches = MatchKind::ALL.map(|kind| {
            let labels = [("event", kind.as_str())];
            metrics.counter_with("matches_total", "Events without an address, by kind", &labels)
        });
        let counter = |name, help| metrics.counter(name, help);
        Self {
            messages: counter(
                "messages_total",
                "Messages that went through the detector, edits included",
            ),
            edits: counter("edits_total", "Messages that came as edits"),
            deletions: counter("deletions_total", "Deleted messages"),
            unknown_deletions: counter("unknown_deletions_total", "Deleted messages of which nothing is known"),
            stale: counter(
                "stale_total",
                "States of a message that were older than the known one, or repeats of an edit",
            ),
            forgotten: counter("forgotten_total", "Edits of messages whose finds are forgotten"),
            detections,
            matches,
            published: counter("published_total", "Events that the stream confirmed"),
            duplicates: counter(
                "publish_duplicates_total",
                "Confirmed events that the stream had already",
            ),
            publish_failures: counter("publish_failures_total", "Events that the stream will never take"),
            publish_retries: counter("publish_retries_total", "Events that were sent again"),
            received_to_published: metrics.histogram(
                "received_to_published_seconds",
                "From the socket to the stream's confirmation",
            ),
            received_to_detected: metrics.histogram(
                "received_to_detected_seconds",
                "From the socket to the detector's end, for messages with finds",
            ),
            post_to_received: metrics.histogram(
                "post_to_received_seconds",
                "From Telegram's date of a live message to the socket; dates have whole seconds",
            ),
            post_to_received_polled: metrics.histogram(
                "post_to_received_polled_seconds",
                "From Telegram's date of a channel's post that was not pushed to the answer that brought it; dates have \
                 whole seconds",
            ),
            post_to_received_negative: counter(
                "post_to_received_negative_total",
                "Live messages that were received before their date",
            ),
            differences: counter("differences_total", "Differences fetched"),
            recovered: counter(
                "recovered_total",
                "Messages that came by a difference instead of the socket",
            ),
            backfilled: counter("backfilled_total", "Messages that came from history"),
            accounted,
            unreachable: counter("unreachable_total", "Message ids that no request brought"),
            reopened: counter(
                "ledger_reopened_total",
                "Message ids that are fetched again: the stream dropped their events before they were archived",
            ),
            ledger_open: metrics.gauge("ledger_open", "Message ids that are missing and being asked for"),
            ledger_unreadable: metrics.gauge(
                "ledger_unreadable",
                "Missing message ids whose answers hold something that this client cannot read",
            ),
            refused: counter(
                "refused_total",
                "Updates that were refused for lack of room, to be fetched later",
            ),
            overflows: counter(
                "overflows_total",
                "Times that updates may have been lost unseen; all differences were ordered",
            ),
            unreadable: counter(
                "unreadable_total",
                "Updates in differences that this client cannot read, and passed",
            ),
            reconnects: counter("reconnects_total", "Connections to Telegram that were lost"),
            accounts: metrics.gauge("accounts", "Accounts whose lease this process holds"),
            leases_lost: counter("leases_lost_total", "Leases that were lost"),
            accounts_stopped: counter(
                "accounts_stopped_total",
                "Accounts whose session Telegram ended: each is to be signed in anew",
            ),
            chats_taken: counter(
                "chats_taken_total",
                "Channels that an account took over from another one",
            ),
            chats_passed: counter(
                "chats_passed_total",
                "Channels that were left to other accounts because Telegram had asked to wait long",
            ),
            queue_bytes: metrics.gauge("queue_bytes", "Bytes between the socket and the detector"),
            chats_behind: metrics.gauge("chats_behind", "Chats whose difference is outstanding"),
            remembered: metrics.gauge("remembered_messages", "Messages whose finds are remembered"),
            remembered_matches: metrics.gauge("remembered_matches", "Messages whose matches are remembered"),
            watch_rules: metrics.gauge("watch_rules", "Watch rules in force"),
            rule_reloads: counter("rule_reloads_total", "Times that changed watch rules were taken over"),
            rule_reload_failures: counter(
                "rule_reload_failures_total",
                "Times that changed watch rules could not be used",
            ),
            joined: counter(
                "chats_joined_total",
                "Chats that were joined because MONITORED_CHATS names them",
            ),
            join_failures: counter(
                "chat_join_failures_total",
                "Times that a chat of MONITORED_CHATS could not be found or joined",
            ),
            chats_missing: metrics.gauge(
                "chats_missing",
                "Entries of MONITORED_CHATS that no account of this process sees",
            ),
            seen_addresses: metrics.gauge("seen_addresses", "Addresses that were seen within the window"),
            seen_sightings: metrics.gauge("seen_sightings", "Sightings of addresses within the window"),
            requests: Requests::new(metrics),
            crowded_out: counter(
                "seen_crowded_out_total",
                "Sightings that were forgotten before their time, for want of room",
            ),
        }
    }

    /// Counts message ids by what became of them.
    pub fn account(&self, outcome: Outcome, ids: u64) {
        // `ALL` is in the order of the variants.
        self.accounted[outcome as usize].add(ids);
        if outcome == Outcome::Unreachable {
            self.unreachable.add(ids);
        }
    }

    /// The counter of a kind of matches.
    #[must_use]
    pub fn matches(&self, kind: MatchKind) -> &Counter {
        // `ALL` is in the order of the variants.
        &self.matches[kind as usize]
    }

    /// The counter of a family's events.
    #[must_use]
    pub fn detections(&self, family: Family) -> &Counter {
        // `ALL` is in the order of the variants.
        &self.detections[family as usize]
    }
}
