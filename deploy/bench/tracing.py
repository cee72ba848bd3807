#!/usr/bin/env python3
"""What tracing costs: the mesh's CPU and latencies at 5,000 messages a second, by share of sampled messages.

    tracing.py [--short] [--rate N] [--rounds N] [--seconds N] [--binary target/release/tgmesh] [--json OUT]

Runs `tgmesh load` without a receiver, and with one at 0, 1 and 100 %, in turn, so that what changes on the
machine meanwhile meets all of them. The receiver is this script: it takes spans and counts their bytes, and its
own CPU is in no sum. Cost is the CPU of listener, archiver, gateway and nats-server a message, compared with
the run without a receiver of the same round; the table has the medians. Exits 1 when a run lost something.
"""
import argparse
import http.server
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading

import bench

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
MESH = ("listener", "archiver", "gateway", "nats")
# Share of sampled messages; nothing for no receiver at all.
CASES = {"off": None, "0 %": "0", "1 %": "0.01", "100 %": "1"}
BOUNDS = {"1 %": 2.0, "100 %": 25.0}
HOPS = ("send_to_client", "send_to_row")


class Sink(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    taken = 0

    def do_POST(self):
        Sink.taken += len(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def run(given, ratio, endpoint):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    if ratio is not None:
        clean |= {
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
            "OTEL_TRACES_SAMPLER_ARG": ratio,
        }
    before = Sink.taken
    with tempfile.TemporaryDirectory() as scratch:
        out = pathlib.Path(scratch, "report.json")
        command = [given.binary, "load", "--rate", str(given.rate), "--duration", f"{given.seconds}s", "--ws-clients", "10"]
        done = subprocess.run([*command, "--json", out], env=clean, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"tracing.py: the run failed with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        report = json.loads(out.read_text())
    cpu = {process["name"]: process["cpu_s"] for process in report["processes"]}
    hops = report["hops"]
    return {
        "cpu_us": sum(cpu[name] for name in MESH) / report["messages"] * 1e6,
        "cpu_s": {name: cpu[name] for name in MESH},
        "p99_ms": {hop: hops[hop]["p99_ms"] for hop in HOPS if hop in hops},
        "otlp_bytes": Sink.taken - before,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="one round of 5 s")
    parser.add_argument("--rate", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--binary", default=ROOT / "target/release/tgmesh")
    parser.add_argument("--json", type=pathlib.Path)
    given = parser.parse_args()
    if given.short:
        given.rounds, given.seconds = 1, 5
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    runs = {case: [] for case in CASES}
    for number in range(given.rounds):
        # Every other round the other way round: what warms up or wears out favours none.
        for case in list(CASES)[:: 1 if number % 2 == 0 else -1]:
            one = run(given, CASES[case], endpoint)
            runs[case].append(one)
            print(f"round {number + 1}, {case}: {one['cpu_us']:.1f} µs of CPU a message", file=sys.stderr, flush=True)
    table = {}
    for case, of_case in runs.items():
        added = [100 * (one["cpu_us"] / off["cpu_us"] - 1) for one, off in zip(of_case, runs["off"])]
        table[case] = {
            "cpu_us_a_message": statistics.median(one["cpu_us"] for one in of_case),
            "added_percent": statistics.median(added),
            "added_percent_all": added,
            "bound_percent": BOUNDS.get(case),
            "p99_ms": {hop: statistics.median(one["p99_ms"][hop] for one in of_case) for hop in of_case[0]["p99_ms"]},
            "otlp_bytes_a_message": of_case[0]["otlp_bytes"] / (given.rate * given.seconds),
        }
    print(f"{given.rate} messages/s for {given.seconds} s, medians of {given.rounds} rounds\n")
    print("| sampled | CPU µs a message | added | at most | p99 to client ms | p99 to row ms | OTLP bytes a message |")
    print("|---|---|---|---|---|---|---|")
    for case, row in table.items():
        bound = f"{row['bound_percent']:.0f} %" if row["bound_percent"] else "–"
        p99 = " | ".join(f"{row['p99_ms'].get(hop, float('nan')):.1f}" for hop in HOPS)
        print(f"| {case} | {row['cpu_us_a_message']:.1f} | {row['added_percent']:+.1f} % | {bound} | {p99} | {row['otlp_bytes_a_message']:.0f} |")
    if given.json:
        result = {"machine": bench.machine(), "commit": bench.commit(), "rate": given.rate, "seconds": given.seconds}
        given.json.write_text(json.dumps({**result, "cases": table, "runs": runs}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
