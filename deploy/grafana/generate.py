#!/usr/bin/env python3
"""Writes dashboards/*.json, which are checked in: the panels are a table here, so that units,
legends and links are the same everywhere.

    python3 deploy/grafana/generate.py [--check]
"""

import json
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
PROMETHEUS = {"type": "prometheus", "uid": "${datasource}"}
RUNBOOK = "deploy/RUNBOOK.md"
I = '{instance=~"$instance"}'


def rate(metric, by=""):
    return f"sum{f' by ({by})' if by else ''} (rate({metric}{I}[$__rate_interval]))"


def quantiles(metric):
    """Median, 99th and 99.9th percentile over all processes."""
    return [
        (f"histogram_quantile({q}, sum by (le) (rate({metric}_bucket{I}[$__rate_interval])))", name)
        for q, name in ((0.5, "p50"), (0.99, "p99"), (0.999, "p99.9"))
    ]


def share(metric, bound, window):
    return f'sum(rate({metric}_bucket{{le="{bound}"}}[{window}])) / sum(rate({metric}_count[{window}]))'


# Kind, title, unit, [(query, legend)], thresholds (value from which it is that colour), alert.
def graph(title, unit, *queries, marks=(), alert=None):
    return ("timeseries", title, unit, queries, marks, alert)


def latency(title, metric, marks=()):
    return ("latency", title, "s", quantiles(metric), marks, None)


def number(title, unit, query, marks=(), alert=None):
    return ("stat", title, unit, [(query, "")], marks, alert)


def process(service):
    own = f"tgmesh_{service}_"
    return [
        graph("Memory", "bytes", (f"{own}resident_memory_bytes{I}", "resident {{instance}}"),
              (f"{own}heap_bytes{I}", "heap {{instance}}"), alert="TgmeshMemoryGrows"),
        graph("Processor", "short", (f"rate({own}cpu_seconds_total{I}[$__rate_interval])", "used {{instance}}"),
              (f"rate({own}runtime_busy_seconds_total{I}[$__rate_interval])", "workers busy {{instance}}")),
        graph("Tasks", "short", (f"{own}runtime_alive_tasks{I}", "alive {{instance}}"),
              (f"{own}runtime_queued_tasks{I}", "waiting {{instance}}")),
        graph("File descriptors", "percentunit", (f"{own}open_fds{I} / {own}max_fds{I}", "{{instance}}"),
              marks=((0.8, "red"),), alert="TgmeshFileDescriptors"),
    ]


L, A, G = "tgmesh_listener_", "tgmesh_archiver_", "tgmesh_gateway_"
CLIENT, ROW = f"{G}received_to_client_seconds", f"{A}received_to_commit_seconds"
GOOD = ((0, "red"), (0.999, "green"))
NONE = ((0, "green"), (1, "red"))

DASHBOARDS = {
    "overview": ("tgmesh: overview", [
        ("Objectives, of which each is 99.9 %", [
            number("On the socket within 20 ms (1 h)", "percentunit", share(CLIENT, "0.02", "1h"), GOOD, "TgmeshClientObjectiveFast"),
            number("In Postgres within 1 s (1 h)", "percentunit", share(ROW, "1.0", "1h"), GOOD, "TgmeshRowObjectiveFast"),
            number("Good minutes (1 d)", "percentunit", "avg_over_time(tgmesh:good_minute:bool[1d])", GOOD, "TgmeshAvailabilityObjectiveFast"),
            number("Processes that are ready", "short", 'sum({__name__=~"tgmesh_(listener|archiver|gateway)_ready"})', ((0, "red"), (3, "green")), "TgmeshNotReady"),
            number("Chats without a listener", "short", f"max({G}unwatched_chats)", NONE, "TgmeshChatsUnwatched"),
            number("Messages that wait", "short", f"max({A}unacked_messages)", ((0, "green"), (10000, "red")), "TgmeshQueueGrows"),
        ]),
        ("The way of a message", [
            graph("Throughput", "cps", (f"sum(rate({L}messages_total[$__rate_interval]))", "messages"),
                  (f"sum(rate({L}detections_total[$__rate_interval]))", "detections"),
                  (f"sum(rate({A}rows_total[$__rate_interval]))", "rows"),
                  (f"sum(rate({G}deliveries_total[$__rate_interval]))", "deliveries")),
            latency("Received → client", CLIENT, ((0.02, "red"),)),
            latency("Received → row", ROW, ((1, "red"),)),
            latency("Received → stream", f"{L}received_to_published_seconds"),
            graph("Budget burnt, times the allowed pace", "short",
                  ("tgmesh:client_misses:ratio_rate1h / 0.001", "client, 1 h"),
                  ("tgmesh:row_misses:ratio_rate1h / 0.001", "row, 1 h"),
                  ("tgmesh:bad_minutes:ratio1h / 0.001", "minutes, 1 h"), marks=((14.4, "red"),)),
            graph("Errors", "cps",
                  *[(f"sum(rate({name}[$__rate_interval]))", words) for name, words in (
                      (f"{L}publish_failures_total", "refused by the stream"), (f"{L}unreachable_total", "unreachable ids"),
                      (f"{A}batch_errors_total", "batches not taken"), (f"{A}deadletters_total", "dead letters"),
                      (f"{G}undecodable_events_total", "undecodable"), (f"{G}client_panics_total", "panics"))]),
            graph("Clients and accounts", "short", (f"sum({G}clients)", "clients"), (f"max({G}leased_accounts)", "accounts"),
                  (f"max({G}assigned_chats)", "chats"), alert="TgmeshClientsDrop"),
        ]),
    ]),
    "listener": ("tgmesh: listener", [
        ("Work", [
            graph("Messages", "cps", (rate(f"{L}messages_total"), "all"), (rate(f"{L}edits_total"), "edits"),
                  (rate(f"{L}deletions_total"), "deletions"), alert="TgmeshSilence"),
            graph("Detections by family", "cps", (rate(f"{L}detections_total", "family"), "{{family}}")),
            graph("Matches by kind", "cps", (rate(f"{L}matches_total", "event"), "{{event}}")),
            latency("Received → detected", f"{L}received_to_detected_seconds"),
            latency("Received → stream", f"{L}received_to_published_seconds"),
            latency("Telegram's date → received", f"{L}post_to_received_seconds"),
            graph("Published", "cps", (rate(f"{L}published_total"), "confirmed"), (rate(f"{L}publish_duplicates_total"), "known already"),
                  (rate(f"{L}publish_retries_total"), "sent again"), (rate(f"{L}publish_failures_total"), "refused"), alert="TgmeshPublishFailures"),
        ]),
        ("Telegram", [
            graph("Accounts", "short", (f"{L}accounts{I}", "{{instance}}")),
            graph("Connections and leases", "cps", (rate(f"{L}reconnects_total"), "reconnects"), (rate(f"{L}leases_lost_total"), "leases lost"),
                  (rate(f"{L}accounts_stopped_total"), "accounts stopped"), alert="TgmeshLeasesLost"),
            graph("Flood waits", "percentunit", (rate(f"{L}flood_wait_seconds_total"), "share of the time"), alert="TgmeshFloodWaits"),
            graph("Differences", "cps", (rate(f"{L}differences_total"), "fetched"), (rate(f"{L}recovered_total"), "messages recovered"),
                  (rate(f"{L}backfilled_total"), "messages from history"), (rate(f"{L}overflows_total"), "overflows"), alert="TgmeshUpdatesOverflow"),
            graph("Ledger: message ids by outcome", "cps", (rate(f"{L}ledger_ids_total", "outcome"), "{{outcome}}"), alert="TgmeshMessagesUnreachable"),
            graph("Ledger: holes", "short", (f"sum({L}ledger_open{I})", "open"), (f"sum({L}ledger_unreadable{I})", "unreadable"), alert="TgmeshLedgerHoles"),
            graph("Chats behind", "short", (f"sum({L}chats_behind{I})", "behind"), (f"min({L}chats_missing{I})", "missing"), alert="TgmeshChatsMissing"),
        ]),
        ("Process", [graph("Queue between socket and detector", "bytes", (f"{L}queue_bytes{I}", "{{instance}}")), *process("listener")]),
    ]),
    "stream": ("tgmesh: stream", [
        ("What waits for the archivers", [
            graph("Not acked", "short", *[(f"max({A}{of}unacked_messages)", name) for of, name in (("", "DETECTIONS"), ("matches_", "MATCHES"), ("audit_", "AUDIT"))],
                  marks=((10000, "red"),), alert="TgmeshQueueGrows"),
            graph("Not delivered", "short", *[(f"max({A}{of}lag_messages)", name) for of, name in (("", "DETECTIONS"), ("matches_", "MATCHES"), ("audit_", "AUDIT"))]),
            graph("Age of the oldest", "s", *[(f"max({A}{of}oldest_unacked_seconds)", name) for of, name in (("", "DETECTIONS"), ("matches_", "MATCHES"), ("audit_", "AUDIT"))],
                  marks=((60, "red"),), alert="TgmeshQueueOld"),
            graph("Headroom to the limits", "percentunit", *[(f"min({A}{of}headroom_ratio)", name) for of, name in (("", "DETECTIONS"), ("matches_", "MATCHES"), ("audit_", "AUDIT"))],
                  marks=((0, "red"), (0.5, "green")), alert="TgmeshHeadroomLow"),
            graph("Discarded before they were rows", "short", *[(f"sum(increase({A}{of}expired_total[$__rate_interval]))", name) for of, name in (("", "DETECTIONS"), ("matches_", "MATCHES"), ("audit_", "AUDIT"))],
                  alert="TgmeshMessagesExpired"),
        ]),
        ("In and out", [
            graph("In and out", "cps", (f"sum(rate({L}published_total[$__rate_interval]))", "confirmed"),
                  (f"sum(rate({A}messages_total[$__rate_interval]))", "to archivers"), (f"sum(rate({G}events_total[$__rate_interval]))", "to gateways")),
            graph("Again", "cps", (f"sum(rate({A}redeliveries_total[$__rate_interval]))", "redelivered"),
                  (f"sum(rate({A}slow_consumer_total[$__rate_interval]))", "dropped by the client"),
                  (f"sum(rate({A}lost_pulls_total[$__rate_interval]))", "lost pulls"), alert="TgmeshRedeliveries"),
            number("Consumer", "short", f"sum by (consumer) ({A}consumer_info)"),
        ]),
    ]),
    "archiver": ("tgmesh: archiver", [
        ("Work", [
            graph("Rows", "cps", (rate(f"{A}rows_total"), "new"), (rate(f"{A}duplicates_total"), "there already"), (rate(f"{A}too_old_total"), "too old")),
            graph("Batches", "cps", (rate(f"{A}batches_total"), "committed"), (rate(f"{A}batch_errors_total"), "not taken"), alert="TgmeshDatabaseHeldUp"),
            graph("Rows per batch", "short", (f"{A}rows_per_batch{I}", "{{instance}}")),
            latency("Batch: decoding → commit", f"{A}batch_seconds"),
            latency("Stream → row", f"{A}stream_to_commit_seconds"),
            latency("Received → row", ROW, ((1, "red"),)),
            graph("Held", "short", (f"{A}held_messages{I}", "messages {{instance}}"), (f"{A}held_up{I}", "held up {{instance}}")),
            graph("Dead letters", "short", (f"sum(increase({A}deadletters_total{I}[$__rate_interval]))", "DETECTIONS"),
                  (f"sum(increase({A}matches_deadletters_total{I}[$__rate_interval]))", "MATCHES"),
                  (f"sum(increase({A}audit_deadletters_total{I}[$__rate_interval]))", "AUDIT"), alert="TgmeshDeadLetters"),
        ]),
        ("Roll-ups and retention", [
            graph("Events counted", "cps", (rate(f"{A}rolled_up_total"), "events"), (rate(f"{A}roll_up_errors_total"), "errors")),
            graph("Behind", "short", (f"min({A}roll_up_behind{I})", "behind"), alert="TgmeshRollUpsBehind"),
            graph("Taken away", "short", (f"sum({A}months_dropped_total{I})", "months"), (f"sum({A}texts_cleared_total{I})", "texts")),
        ]),
        ("Process", process("archiver")),
    ]),
    "gateway": ("tgmesh: gateway", [
        ("Clients", [
            graph("Clients", "short", (f"sum({G}clients{I})", "connections"), (f"sum({G}live_subscriptions{I})", "live subscriptions"), alert="TgmeshClientsDrop"),
            graph("Coming and going", "cps", (rate(f"{G}connections_total"), "opened"), (rate(f"{G}closes_total", "code"), "closed {{code}}"), alert="TgmeshClientsTooSlow"),
            graph("Refused", "cps", (rate(f"{G}bad_tokens_total"), "tokens"), (rate(f"{G}refused_upgrades_total"), "upgrades"), (rate(f"{G}limited_total", "limit"), "limit {{limit}}"), alert="TgmeshBadTokens"),
            graph("Catching up", "cps", (rate(f"{G}resumes_total"), "resumes"), (rate(f"{G}windows_total"), "windows read"), (rate(f"{G}slowed_total"), "fell behind"), (rate(f"{G}gaps_total"), "gaps")),
        ]),
        ("Fan-out", [
            graph("Deliveries", "cps", (rate(f"{G}events_total"), "events"), (rate(f"{G}deliveries_total"), "frames"), (rate(f"{G}match_deliveries_total"), "match frames"), (rate(f"{G}rendered_total"), "painted")),
            latency("Stream → client", f"{G}stream_to_client_seconds"),
            latency("Received → client", CLIENT, ((0.02, "red"),)),
            graph("Faults", "cps", (rate(f"{G}undecodable_events_total"), "undecodable"), (rate(f"{G}client_panics_total"), "panics"), (rate(f"{G}error_frames_total"), "error frames"), (rate(f"{G}repeated_events_total"), "repeats"), alert="TgmeshGatewayFaults"),
            graph("API", "reqps", (rate(f"{G}api_requests_total"), "requests"), (rate(f"{G}api_limited_total"), "too fast"), (rate(f"{G}api_unanswered_total"), "not answered"), alert="TgmeshHistoryUnanswered"),
            graph("Chats without a listener", "short", (f"{G}unwatched_chats{I}", "{{instance}}"), marks=((1, "red"),), alert="TgmeshChatsUnwatched"),
        ]),
        ("Process", process("gateway")),
    ]),
    "postgres": ("tgmesh: Postgres", [
        ("As the archivers see it", [
            graph("Size", "bytes", (f"max({A}postgres_size_bytes)", "database")),
            graph("Connections", "short", (f"max({A}postgres_connections)", "open"), (f"max({A}postgres_max_connections)", "most"), alert="TgmeshPostgresConnections"),
            graph("Transactions", "cps", (f"max(rate({A}postgres_commits_total[$__rate_interval]))", "committed"),
                  (f"max(rate({A}postgres_rollbacks_total[$__rate_interval]))", "rolled back"), (f"max(rate({A}postgres_deadlocks_total[$__rate_interval]))", "deadlocks")),
            graph("Oldest transaction", "s", (f"max({A}postgres_longest_transaction_seconds)", "age"), marks=((600, "red"),), alert="TgmeshLongTransaction"),
            graph("Found in memory", "percentunit", (f"sum(increase({A}postgres_blocks_hit_total[5m])) / (sum(increase({A}postgres_blocks_hit_total[5m])) + sum(increase({A}postgres_blocks_read_total[5m])))", "share of blocks")),
            graph("Temporary files", "Bps", (f"max(rate({A}postgres_temporary_bytes_total[$__rate_interval]))", "written")),
            graph("Dead rows", "short", (f"max({A}postgres_dead_rows)", "rows")),
            graph("Partitions", "short", (f"max({A}postgres_partitions)", "months of all tables")),
            number("Schema version", "none", f"max({A}postgres_migration_version)"),
            latency("Batch: decoding → commit", f"{A}batch_seconds"),
            graph("Takes no rows", "short", (f"max({A}held_up)", "held up"), marks=((1, "red"),), alert="TgmeshDatabaseHeldUp"),
        ]),
    ]),
}


def panel(number_, kind, title, unit, queries, marks, alert, at):
    stat = kind == "stat"
    steps = [{"color": "green", "value": None}] if not marks or marks[0][0] != 0 else []
    steps += [{"color": color, "value": value if value else None} for value, color in marks]
    defaults = {"unit": unit, "thresholds": {"mode": "absolute", "steps": steps}}
    if unit == "percentunit":
        defaults |= {"max": 1, **({"decimals": 3} if stat else {})}
    if not stat:
        style = "line" if marks else "off"
        defaults["custom"] = {"lineWidth": 1, "fillOpacity": 8, "showPoints": "never", "thresholdsStyle": {"mode": style}}
        if kind != "latency":
            defaults["min"] = 0
    options = (
        {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "area"}
        if stat
        else {"legend": {"displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull", "max"]}, "tooltip": {"mode": "multi", "sort": "desc"}}
    )
    made = {
        "id": number_,
        "type": "stat" if stat else "timeseries",
        "title": title,
        "datasource": PROMETHEUS,
        "gridPos": at,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
        "targets": [
            {"refId": chr(ord("A") + n), "datasource": PROMETHEUS, "expr": query, "legendFormat": legend, "range": True,
             **({"exemplar": True} if kind == "latency" else {})}
            for n, (query, legend) in enumerate(queries)
        ],
    }
    if alert:
        made["links"] = [{"title": f"Runbook: {alert}", "url": f"{RUNBOOK}#{alert.lower()}", "targetBlank": True}]
    return made


def dashboard(name):
    title, rows = DASHBOARDS[name]
    panels, y, number_ = [], 0, 0
    for row, contents in rows:
        number_ += 1
        panels.append({"id": number_, "type": "row", "title": row, "collapsed": False, "panels": [], "gridPos": {"x": 0, "y": y, "w": 24, "h": 1}})
        y += 1
        x, line = 0, 0
        for kind, caption, unit, queries, marks, alert in contents:
            width, height = (4, 4) if kind == "stat" else (8, 8)
            if x + width > 24:
                x, y = 0, y + line
                line = 0
            number_ += 1
            at = {"x": x, "y": y, "w": width, "h": height}
            panels.append(panel(number_, kind, caption, unit, queries, marks, alert, at))
            x, line = x + width, max(line, height)
        y += line
    source = {"name": "datasource", "label": "Metrics", "type": "datasource", "query": "prometheus",
              "current": {"text": "Prometheus", "value": "tgmesh-prometheus"}, "hide": 0}
    traces = {"name": "traces", "label": "Traces", "type": "datasource", "query": "jaeger",
              "current": {"text": "Jaeger", "value": "tgmesh-jaeger"}, "hide": 0}
    service = {"stream": "archiver", "postgres": "archiver", "overview": "gateway"}.get(name, name)
    instance = {"name": "instance", "label": "Process", "type": "query", "datasource": PROMETHEUS, "includeAll": True, "multi": True,
                "allValue": ".*", "current": {"text": "All", "value": "$__all"}, "refresh": 2,
                "query": {"query": f"label_values(tgmesh_{service}_ready, instance)", "refId": "instance"}}
    links = [{"type": "dashboards", "title": "tgmesh", "tags": ["tgmesh"], "asDropdown": True, "includeVars": False, "keepTime": True},
             {"type": "link", "title": "Traces", "url": "/explore?left={\"datasource\":\"${traces}\"}", "keepTime": True},
             {"type": "link", "title": "Runbook", "url": RUNBOOK, "targetBlank": True}]
    return {
        "uid": f"tgmesh-{name}", "title": title, "tags": ["tgmesh"], "schemaVersion": 39, "version": 1, "editable": False,
        "refresh": "15s", "time": {"from": "now-1h", "to": "now"}, "timezone": "browser", "graphTooltip": 1,
        "templating": {"list": [source, traces, instance]}, "links": links, "panels": panels,
    }


def main():
    stale = []
    for name in DASHBOARDS:
        path = HERE / "dashboards" / f"{name}.json"
        text = json.dumps(dashboard(name), indent=1, ensure_ascii=False) + "\n"
        if "--check" in sys.argv[1:]:
            if not path.exists() or path.read_text() != text:
                stale.append(path.name)
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
    if stale:
        sys.exit(f"stale, run deploy/grafana/generate.py: {', '.join(stale)}")


if __name__ == "__main__":
    main()
