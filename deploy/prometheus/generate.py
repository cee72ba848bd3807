#!/usr/bin/env python3
"""Writes rules/*.yaml and tests/*.yaml, and the same rules for prometheus-operator, all of which are
checked in: one table holds each alert together with a series that must fire it and one that must not,
so that no alert is without its test.

    python3 deploy/prometheus/generate.py [--check]
"""

import json
import os
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
# Within the repository; who publishes it elsewhere says where.
RUNBOOK = os.environ.get("RUNBOOK_URL", "deploy/RUNBOOK.md")
SERVICES = "listener|archiver|gateway"

# Share of failures that each objective allows.
BUDGET = 0.001
WINDOWS = ["5m", "30m", "1h", "2h", "6h", "1d", "3d"]
# Burn rates of the Site Reliability Workbook, chapter 5: severity, then (long, short, rate).
BURNS = {
    "page": [("1h", "5m", 14.4), ("6h", "30m", 6)],
    "ticket": [("1d", "2h", 3), ("3d", "6h", 1)],
}


def misses(metric, bound):
    """Share of observations above a bound; nothing where nothing was observed."""

    def over(window):
        good = f'sum(rate({metric}_bucket{{le="{bound}"}}[{window}]))'
        every = f"sum(rate({metric}_count[{window}]))"
        return f"1 - {good} / ({every} > 0)"

    return over


# Name of the objective: record, its share of failures within a window, what it says.
OBJECTIVES = {
    "Client": (
        "tgmesh:client_misses:ratio_rate",
        misses("tgmesh_gateway_received_to_client_seconds", "0.02"),
        "Detections reach sockets later than 20 ms after they were received",
    ),
    "Row": (
        "tgmesh:row_misses:ratio_rate",
        misses("tgmesh_archiver_received_to_commit_seconds", "1.0"),
        "Detections reach Postgres later than 1 s after they were received",
    ),
    "Availability": (
        "tgmesh:bad_minutes:ratio",
        lambda window: f"1 - avg_over_time(tgmesh:good_minute:bool[{window}])",
        "No gateway answers, or chats are without a living listener",
    ),
}
GOOD_MINUTE = (
    "(max(min_over_time(tgmesh_gateway_ready[1m])) == bool 1)"
    " * (max(max_over_time(tgmesh_gateway_unwatched_chats[1m])) == bool 0)"
    " or vector(0)"
)



def any_of(metric, parts, window):
    """Whether one of these counters rose. (One matcher for all of them would give several series of
    the same labels, since a rate has no name.)"""
    return " or ".join(f"increase({metric.format(part)}[{window}]) > 0" for part in parts)


# name, expression, for, severity, summary, (series that fire, labels of the alert), quiet series.
# Series are in promtool's notation, one value a minute.
L, A, G = 'instance="l1"', 'instance="a1"', 'instance="g1"'
ALERTS = [
    ("TgmeshDown", f'up{{job=~"tgmesh-({SERVICES})"}} == 0', "2m", "page",
     "A process cannot be asked for its metrics",
     ({'up{job="tgmesh-gateway",instance="g1"}': "0x30"}, {"job": "tgmesh-gateway", "instance": "g1"}),
     {'up{job="tgmesh-gateway",instance="g1"}': "1x30"}),
    ("TgmeshNotReady", f'{{__name__=~"tgmesh_({SERVICES})_ready"}} == 0', "5m", "page",
     "A process runs and takes no work: a part that it needs is away",
     ({f"tgmesh_archiver_ready{{{A}}}": "0x30"}, {"instance": "a1"}),
     {f"tgmesh_archiver_ready{{{A}}}": "0x3 1x30"}),
    ("TgmeshChatsUnwatched", "max(tgmesh_gateway_unwatched_chats) > 0", "1m", "page",
     "Chats are assigned to accounts that are with no living listener",
     ({f"tgmesh_gateway_unwatched_chats{{{G}}}": "7x30"}, {}),
     {f"tgmesh_gateway_unwatched_chats{{{G}}}": "0x5 7 0x25"}),
    ("TgmeshAccountStopped", "increase(tgmesh_listener_accounts_stopped_total[1h]) > 0", "1m", "page",
     "Telegram ended the session of an account: it must be signed in anew",
     ({f"tgmesh_listener_accounts_stopped_total{{{L}}}": "0x5 1x30"}, {"instance": "l1"}),
     {f"tgmesh_listener_accounts_stopped_total{{{L}}}": "1x30"}),
    ("TgmeshSilence",
     "sum(rate(tgmesh_listener_messages_total[15m])) == 0 and sum(tgmesh_listener_accounts) > 0", "15m", "ticket",
     "Accounts are connected, and no message came for half an hour",
     ({f"tgmesh_listener_messages_total{{{L}}}": "5x60", f"tgmesh_listener_accounts{{{L}}}": "1x60"}, {}),
     {f"tgmesh_listener_messages_total{{{L}}}": "0+1x60", f"tgmesh_listener_accounts{{{L}}}": "1x60"}),
    ("TgmeshLeasesLost", "increase(tgmesh_listener_leases_lost_total[10m]) > 0", "1m", "ticket",
     "A listener lost the lease of an account while it ran",
     ({f"tgmesh_listener_leases_lost_total{{{L}}}": "0x25 1x5"}, {"instance": "l1"}),
     {f"tgmesh_listener_leases_lost_total{{{L}}}": "1x30"}),
    ("TgmeshFloodWaits", "sum by (instance) (increase(tgmesh_listener_flood_wait_seconds_total[15m])) > 300", "5m", "ticket",
     "Telegram asks to wait for more than a third of the time",
     ({f"tgmesh_listener_flood_wait_seconds_total{{{L}}}": "0+60x30"}, {"instance": "l1"}),
     {f"tgmesh_listener_flood_wait_seconds_total{{{L}}}": "0+5x30"}),
    ("TgmeshUpdatesOverflow", "increase(tgmesh_listener_overflows_total[10m]) > 0", "1m", "ticket",
     "A listener may have lost updates unseen, and asks for all differences",
     ({f"tgmesh_listener_overflows_total{{{L}}}": "0x25 2x5"}, {"instance": "l1"}),
     {f"tgmesh_listener_overflows_total{{{L}}}": "2x30"}),
    ("TgmeshLedgerHoles", "tgmesh_listener_ledger_open > 0", "15m", "ticket",
     "Message ids are missing, and asking for them did not bring them",
     ({f"tgmesh_listener_ledger_open{{{L}}}": "3x30"}, {"instance": "l1"}),
     {f"tgmesh_listener_ledger_open{{{L}}}": "3x10 0x20"}),
    ("TgmeshMessagesUnreachable", "increase(tgmesh_listener_unreachable_total[15m]) > 0", "1m", "ticket",
     "Message ids were given up: no request brought them",
     ({f"tgmesh_listener_unreachable_total{{{L}}}": "0x25 4x5"}, {"instance": "l1"}),
     {f"tgmesh_listener_unreachable_total{{{L}}}": "4x30"}),
    ("TgmeshPublishFailures", "increase(tgmesh_listener_publish_failures_total[10m]) > 0", "1m", "page",
     "The stream refuses events for good: they are lost",
     ({f"tgmesh_listener_publish_failures_total{{{L}}}": "0x25 1x5"}, {"instance": "l1"}),
     {f"tgmesh_listener_publish_failures_total{{{L}}}": "1x30"}),
    ("TgmeshWatchRulesBad", "increase(tgmesh_listener_rule_reload_failures_total[10m]) > 0", "1m", "ticket",
     "A changed file of watch rules cannot be used: the old rules stay in force",
     ({f"tgmesh_listener_rule_reload_failures_total{{{L}}}": "0x25 1x5"}, {"instance": "l1"}),
     {f"tgmesh_listener_rule_reload_failures_total{{{L}}}": "0x30"}),
    ("TgmeshChatsMissing", "min(tgmesh_listener_chats_missing) > 0", "30m", "ticket",
     "Entries of MONITORED_CHATS are seen by no account of any listener",
     ({f"tgmesh_listener_chats_missing{{{L}}}": "1x60"}, {}),
     {f"tgmesh_listener_chats_missing{{{L}}}": "1x60", 'tgmesh_listener_chats_missing{instance="l2"}': "0x60"}),
    ("TgmeshQueueGrows",
     "max(tgmesh_archiver_unacked_messages) > 10000 and max(deriv(tgmesh_archiver_unacked_messages[10m])) > 0",
     "5m", "page",
     "The archivers take less out of the stream than comes in",
     ({f"tgmesh_archiver_unacked_messages{{{A}}}": "9000+500x30"}, {}),
     {f"tgmesh_archiver_unacked_messages{{{A}}}": "30000-500x30"}),
    ("TgmeshQueueOld", "max(tgmesh_archiver_oldest_unacked_seconds) > 60", "2m", "page",
     "A message has waited for longer than a minute for its row",
     ({f"tgmesh_archiver_oldest_unacked_seconds{{{A}}}": "90x30"}, {}),
     {f"tgmesh_archiver_oldest_unacked_seconds{{{A}}}": "20x30"}),
    ("TgmeshHeadroomLow",
     "min(tgmesh_archiver_headroom_ratio) < 0.5 and max(tgmesh_archiver_unacked_messages) > 0", "1m", "page",
     "The stream is half way to discarding messages that have no row yet",
     ({f"tgmesh_archiver_headroom_ratio{{{A}}}": "0.4x30", f"tgmesh_archiver_unacked_messages{{{A}}}": "9x30"}, {}),
     {f"tgmesh_archiver_headroom_ratio{{{A}}}": "0.6x30", f"tgmesh_archiver_unacked_messages{{{A}}}": "9x30"}),
    ("TgmeshMessagesExpired",
     any_of("tgmesh_archiver_{}expired_total", ("", "matches_", "audit_"), "1h"), "1m", "page",
     "The stream discarded messages that had no row: they are lost to the database",
     ({f"tgmesh_archiver_matches_expired_total{{{A}}}": "0x25 8x5"}, {"instance": "a1"}),
     {f"tgmesh_archiver_matches_expired_total{{{A}}}": "8x30"}),
    ("TgmeshDatabaseHeldUp", "max(tgmesh_archiver_held_up) > 0", "1m", "page",
     "Postgres takes no rows: messages wait in the stream",
     ({f"tgmesh_archiver_held_up{{{A}}}": "1x30"}, {}),
     {f"tgmesh_archiver_held_up{{{A}}}": "0x5 1 0x25"}),
    ("TgmeshDeadLetters",
     any_of("tgmesh_archiver_{}deadletters_total", ("", "matches_", "audit_"), "15m"), "1m", "ticket",
     "Messages can never be rows, and lie in the dead letters",
     ({f"tgmesh_archiver_deadletters_total{{{A}}}": "0x25 1x5"}, {"instance": "a1"}),
     {f"tgmesh_archiver_deadletters_total{{{A}}}": "1x30"}),
    ("TgmeshRedeliveries",
     "sum(rate(tgmesh_archiver_redeliveries_total[5m])) > 0.05 * sum(rate(tgmesh_archiver_messages_total[5m]))",
     "10m", "ticket",
     "More than one in twenty messages comes to the archivers again",
     ({f"tgmesh_archiver_redeliveries_total{{{A}}}": "0+10x30", f"tgmesh_archiver_messages_total{{{A}}}": "0+100x30"}, {}),
     {f"tgmesh_archiver_redeliveries_total{{{A}}}": "0+1x30", f"tgmesh_archiver_messages_total{{{A}}}": "0+100x30"}),
    ("TgmeshRollUpsBehind", "min(tgmesh_archiver_roll_up_behind) > 0", "30m", "ticket",
     "The counting of addresses, chats and senders does not keep up",
     ({f"tgmesh_archiver_roll_up_behind{{{A}}}": "1x60"}, {}),
     {f"tgmesh_archiver_roll_up_behind{{{A}}}": "1x20 0x40"}),
    ("TgmeshPostgresConnections",
     "max(tgmesh_archiver_postgres_connections) > 0.8 * min(tgmesh_archiver_postgres_max_connections)", "5m", "ticket",
     "Postgres has few connections left",
     ({f"tgmesh_archiver_postgres_connections{{{A}}}": "90x30", f"tgmesh_archiver_postgres_max_connections{{{A}}}": "100x30"}, {}),
     {f"tgmesh_archiver_postgres_connections{{{A}}}": "20x30", f"tgmesh_archiver_postgres_max_connections{{{A}}}": "100x30"}),
    ("TgmeshLongTransaction", "max(tgmesh_archiver_postgres_longest_transaction_seconds) > 600", "5m", "ticket",
     "A transaction in Postgres is open for ten minutes, and holds back roll-ups and cleaning",
     ({f"tgmesh_archiver_postgres_longest_transaction_seconds{{{A}}}": "700x30"}, {}),
     {f"tgmesh_archiver_postgres_longest_transaction_seconds{{{A}}}": "3x30"}),
    ("TgmeshClientsDrop",
     "sum(tgmesh_gateway_clients) < 0.5 * sum(max_over_time(tgmesh_gateway_clients[30m]))"
     " and sum(max_over_time(tgmesh_gateway_clients[30m])) > 20", "5m", "page",
     "More than half of the clients are gone",
     ({f"tgmesh_gateway_clients{{{G}}}": "100x10 10x20"}, {}),
     {f"tgmesh_gateway_clients{{{G}}}": "100x10 80x20"}),
    ("TgmeshClientsTooSlow", 'sum(rate(tgmesh_gateway_closes_total{code="4408"}[10m])) * 60 > 1', "10m", "ticket",
     "Clients are sent away because they do not read as fast as they asked to be told",
     ({f'tgmesh_gateway_closes_total{{code="4408",{G}}}': "0+5x40"}, {}),
     {f'tgmesh_gateway_closes_total{{code="4408",{G}}}': "3x40"}),
    ("TgmeshBadTokens", "sum(rate(tgmesh_gateway_bad_tokens_total[10m])) * 60 > 60", "10m", "ticket",
     "More than one token a second is refused",
     ({f"tgmesh_gateway_bad_tokens_total{{{G}}}": "0+200x40"}, {}),
     {f"tgmesh_gateway_bad_tokens_total{{{G}}}": "0+3x40"}),
    ("TgmeshKeySetStale", "increase(tgmesh_gateway_key_set_failures_total[30m]) > 3", "5m", "ticket",
     "The keys of tokens cannot be fetched: those from before stay in force",
     ({f"tgmesh_gateway_key_set_failures_total{{{G}}}": "0+1x40"}, {"instance": "g1"}),
     {f"tgmesh_gateway_key_set_failures_total{{{G}}}": "1x40"}),
    ("TgmeshHistoryUnanswered", "sum(rate(tgmesh_gateway_api_unanswered_total[5m])) * 60 > 1", "5m", "ticket",
     "Requests for the past are not answered by the database",
     ({f"tgmesh_gateway_api_unanswered_total{{{G}}}": "0+5x30"}, {}),
     {f"tgmesh_gateway_api_unanswered_total{{{G}}}": "5x30"}),
    ("TgmeshAuditLost", "increase(tgmesh_gateway_audit_lost_total[10m]) > 0", "1m", "ticket",
     "Entries of the audit log were lost",
     ({f"tgmesh_gateway_audit_lost_total{{{G}}}": "0x25 9x5"}, {"instance": "g1"}),
     {f"tgmesh_gateway_audit_lost_total{{{G}}}": "9x30"}),
    ("TgmeshGatewayFaults",
     any_of("tgmesh_gateway_{}_total", ("client_panics", "undecodable_events", "out_of_order_events"), "15m"),
     "1m", "ticket",
     "A gateway met what should never happen: a panic, an unreadable or a misplaced event",
     ({f"tgmesh_gateway_undecodable_events_total{{{G}}}": "0x25 1x5"}, {"instance": "g1"}),
     {f"tgmesh_gateway_undecodable_events_total{{{G}}}": "1x30"}),
    ("TgmeshClocksDiffer",
     "sum(increase(tgmesh_archiver_clock_skew_total[10m])) + sum(increase(tgmesh_gateway_negative_latency_total[10m])) > 100",
     "5m", "ticket",
     "The clocks of the hosts differ by more than messages need",
     ({f"tgmesh_archiver_clock_skew_total{{{A}}}": "0+50x30", f"tgmesh_gateway_negative_latency_total{{{G}}}": "0x30"}, {}),
     {f"tgmesh_archiver_clock_skew_total{{{A}}}": "0+1x30", f"tgmesh_gateway_negative_latency_total{{{G}}}": "0x30"}),
    ("TgmeshMemoryGrows",
     f'{{__name__=~"tgmesh_({SERVICES})_heap_bytes"}} > 268435456 and'
     f' deriv({{__name__=~"tgmesh_({SERVICES})_heap_bytes"}}[1h]) * 3600 > 67108864', "30m", "ticket",
     "The memory of a process grows by more than 64 MiB an hour",
     ({f"tgmesh_listener_heap_bytes{{{L}}}": "300000000+2000000x120"}, {"instance": "l1"}),
     {f"tgmesh_listener_heap_bytes{{{L}}}": "900000000x120"}),
    ("TgmeshFileDescriptors",
     " or ".join(f"tgmesh_{s}_open_fds / tgmesh_{s}_max_fds > 0.8" for s in SERVICES.split("|")), "5m", "page",
     "A process has few file descriptors left",
     ({f"tgmesh_gateway_open_fds{{{G}}}": "900x30", f"tgmesh_gateway_max_fds{{{G}}}": "1024x30"}, {"instance": "g1"}),
     {f"tgmesh_gateway_open_fds{{{G}}}": "90x30", f"tgmesh_gateway_max_fds{{{G}}}": "1024x30"}),
]


def q(text):
    """A YAML string: JSON is YAML."""
    return json.dumps(text, ensure_ascii=False)


def alert(name, expr, wait, severity, summary):
    return [
        f"      - alert: {name}",
        f"        expr: {q(expr)}",
        f"        for: {wait}",
        "        labels:",
        f"          severity: {severity}",
        "        annotations:",
        f"          summary: {q(summary)}",
        f"          runbook_url: {q(link(name))}",
    ]


def link(name):
    return f"{RUNBOOK}#{name.lower()}"


def burn(objective, severity):
    record, _, summary = OBJECTIVES[objective]
    parts = [
        f"({record}{long} > {rate} * {BUDGET} and {record}{short} > {rate} * {BUDGET})"
        for long, short, rate in BURNS[severity]
    ]
    name = f"Tgmesh{objective}Objective{'Fast' if severity == 'page' else 'Slow'}"
    wait = "2m" if severity == "page" else "15m"
    pace = "fast" if severity == "page" else "slowly"
    return name, " or ".join(parts), wait, severity, f"{summary}: the budget of 0.1 % is used up {pace}"


HEAD = ["# Written by deploy/prometheus/generate.py; change it there."]


def objectives():
    out = HEAD + ["groups:", "  - name: tgmesh-minutes", "    interval: 1m", "    rules:"]
    out += ["      - record: tgmesh:good_minute:bool", f"        expr: {q(GOOD_MINUTE)}"]
    for objective, (record, share, _) in OBJECTIVES.items():
        out += [f"  - name: tgmesh-{objective.lower()}-objective", "    interval: 1m", "    rules:"]
        for window in WINDOWS:
            out += [f"      - record: {record}{window}", f"        expr: {q(share(window))}"]
        for severity in BURNS:
            out += alert(*burn(objective, severity))
    return out


def alerts():
    out = HEAD + ["groups:", "  - name: tgmesh", "    rules:"]
    for name, expr, wait, severity, summary, _, _ in ALERTS:
        out += alert(name, expr, wait, severity, summary)
    return out


def operator_rules():
    """The groups of both files as one object of prometheus-operator's."""
    out = HEAD + [
        "apiVersion: monitoring.coreos.com/v1",
        "kind: PrometheusRule",
        "metadata:",
        "  name: tgmesh",
        "  namespace: tgmesh",
        "spec:",
        "  groups:",
    ]
    for groups in (alerts(), objectives()):
        out += [f"  {line}" for line in groups[len(HEAD) + 1 :]]
    return out


def case(name, series, at, labels, severity, summary):
    """One promtool test; without labels the alert must not fire."""
    out = ["  - interval: 1m", f"    name: {q(name + (' fires' if labels is not None else ' is quiet'))}"]
    out += ["    input_series:"]
    for one, values in series.items():
        out += [f"      - series: {q(one)}", f"        values: {q(values)}"]
    out += ["    alert_rule_test:", f"      - eval_time: {at}", f"        alertname: {name}"]
    if labels is None:
        return out + ["        exp_alerts: []"]
    out += ["        exp_alerts:", "          - exp_labels:", f"              severity: {severity}"]
    out += [f"              {key}: {q(value)}" for key, value in labels.items()]
    out += ["            exp_annotations:", f"              summary: {q(summary)}"]
    return out + [f"              runbook_url: {q(link(name))}"]


def length(values):
    """Minutes that a series in promtool's notation covers."""
    return sum(int(part.split("x")[1]) + 1 if "x" in part else 1 for part in values.split(" ")) - 1


def alert_tests():
    out = HEAD + ["rule_files: [../rules/alerts.yaml]", "evaluation_interval: 1m", "tests:"]
    for name, _, _, severity, summary, (firing, labels), quiet in ALERTS:
        for series, expected in ((firing, labels), (quiet, None)):
            at = f"{min(length(values) for values in series.values())}m"
            out += case(name, series, at, expected, severity, summary)
    return out


def objective_tests():
    out = HEAD + ["rule_files: [../rules/objectives.yaml]", "evaluation_interval: 1m", "tests:"]
    for objective in OBJECTIVES:
        for severity in BURNS:
            name, _, _, _, summary = burn(objective, severity)
            # A window that is longer than the series sees all of it.
            minutes = 70 if severity == "page" else 180
            at = f"{minutes}m"

            def series(misses_a_thousand):
                if objective == "Availability":
                    # A chat without a listener in so many minutes of every thousand.
                    unwatched = "1" if misses_a_thousand >= 4 else "0"
                    every = f"0x{10 if severity == 'page' else 40} {unwatched} "
                    values = " ".join([every.strip()] * (minutes // (12 if severity == "page" else 42) + 1))
                    return {
                        f"tgmesh_gateway_ready{{{G}}}": f"1x{minutes}",
                        f"tgmesh_gateway_unwatched_chats{{{G}}}": values,
                    }
                metric, bound = {
                    "Client": ("tgmesh_gateway_received_to_client_seconds", "0.02"),
                    "Row": ("tgmesh_archiver_received_to_commit_seconds", "1.0"),
                }[objective]
                return {
                    f'{metric}_bucket{{le="{bound}",{G}}}': f"0+{1000 - misses_a_thousand}x{minutes}",
                    f"{metric}_count{{{G}}}": f"0+1000x{minutes}",
                }

            # The fast one at 2 % of misses, the slow one at 0.4 %; neither at 0.05 % or none.
            many = 20 if severity == "page" else 4
            out += case(name, series(many), at, {}, severity, summary)
            out += case(name, series(0), at, None, severity, summary)
    return out


FILES = {
    "rules/objectives.yaml": objectives,
    "rules/alerts.yaml": alerts,
    "../../k8s/components/prometheus-operator/rules.yaml": operator_rules,
    "tests/alerts.yaml": alert_tests,
    "tests/objectives.yaml": objective_tests,
}


def main():
    stale = []
    for name, lines in FILES.items():
        path, text = HERE / name, "\n".join(lines()) + "\n"
        if "--check" in sys.argv[1:]:
            if not path.exists() or path.read_text() != text:
                stale.append(name)
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
    if stale:
        sys.exit(f"stale, run deploy/prometheus/generate.py: {', '.join(stale)}")


if __name__ == "__main__":
    main()
