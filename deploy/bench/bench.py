#!/usr/bin/env python3
"""Runs the load tests, and rewrites its block in RESULTS.md and results.json beside it.

    bench.py [--only NAME] [--binary target/release/tgmesh]

Exits 1 when a run lost or duplicated something: then nothing is written.
"""
import argparse
import datetime
import json
import os
import pathlib
import platform
import socket
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"

# What the chain that tgmesh replaces took for 10,000 messages, in seconds.
REPLACED_S = 8.2

RUNS = {
    "steady": "--rate 1000 --duration 30s --chats 50 --ws-clients 50",
    "ten-thousand": "--messages 10000 --chats 50 --ws-clients 10",
    "flood": "--messages 200000 --chats 50 --ws-clients 10",
    "fan-out": "--rate 100 --duration 20s --chats 50 --ws-clients 1000",
}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def machine():
    model = "unknown"
    for line in open("/proc/cpuinfo", encoding="utf-8"):
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    memory_kib = int(next(line.split()[1] for line in open("/proc/meminfo") if line.startswith("MemTotal")))
    return {
        "cpus": os.cpu_count(),
        "model": model,
        "memory_gib": round(memory_kib / 2**20, 1),
        "kernel": platform.release(),
    }


def commit():
    git = lambda *args: subprocess.run(["git", *args], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    # What the bench itself writes does not count.
    changed = [line for line in git("status", "--porcelain", "-uno").splitlines() if "deploy/bench/" not in line]
    return git("rev-parse", "--short=12", "HEAD") + ("+changes" if changed else "")


def run(binary, name, arguments):
    print(f"== {name}: tgmesh load {arguments}", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        out = pathlib.Path(scratch, "report.json")
        status = subprocess.run([binary, "load", *arguments.split(), "--json", out]).returncode
        report = json.loads(out.read_text()) if out.exists() else None
    if status != 0 or report is None:
        sys.exit(f"bench: {name} failed with {status}; nothing was written")
    return {"command": f"tgmesh load {arguments}", **report}


def block(result):
    machine, runs = result["machine"], result["runs"]
    lines = [
        BEGIN,
        f"Written by `make bench` on {result['date']} from {result['commit']}: {machine['cpus']} CPUs "
        f"({machine['model']}), {machine['memory_gib']} GiB, Linux {machine['kernel']}. "
        "Everything runs on this one machine: both servers, the simulator, the mesh and the clients.",
        "",
        "| run | detections/s | lost | duplicated | sent → client p50 / p99 / p99.9 ms | sent → row p50 / p99 / p99.9 ms | limited by |",
        "|---|---|---|---|---|---|---|",
    ]
    def hop(report, name):
        at = report["hops"].get(name)
        return f"{at['p50_ms']:.1f} / {at['p99_ms']:.1f} / {at['p999_ms']:.1f}" if at else "–"
    for name, report in runs.items():
        lines.append(
            f"| `{report['command']}` | {report['throughput']['end_to_end']:,.0f} | {report['lost']} | {report['duplicated']} "
            f"| {hop(report, 'send_to_client')} | {hop(report, 'send_to_row')} | {report['limit']} |"
        )
    if "ten-thousand" in runs:
        took = runs["ten-thousand"]["took_s"]
        lines += ["", f"The chain that tgmesh replaces took {REPLACED_S} s for 10,000 messages; here they take {took:.2f} s, {REPLACED_S / took:.1f} times the rate."]
    for name, report in runs.items():
        lines += ["", f"`{report['command']}`, by hop and by process:", "", "| ms | p50 | p99 | p99.9 | max |", "|---|---|---|---|---|"]
        for hop_name, at in report["hops"].items():
            lines.append(f"| {hop_name.replace('_', ' ')} | {at['p50_ms']:.2f} | {at['p99_ms']:.2f} | {at['p999_ms']:.2f} | {at['max_ms']:.2f} |")
        lines += ["", "| process | CPU s | CPUs | peak MiB |", "|---|---|---|---|"]
        for process in report["processes"]:
            lines.append(f"| {process['name']} | {process['cpu_s']:.2f} | {process['cpu_s'] / report['took_s']:.2f} | {process['peak_rss_bytes'] / 2**20:.0f} |")
    return "\n".join([*lines, END])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=RUNS, help="one run, printed and not written down")
    parser.add_argument("--binary", default=ROOT / "target/release/tgmesh")
    given = parser.parse_args()
    if given.only:
        run(given.binary, given.only, RUNS[given.only])
        return
    result = {
        "date": datetime.date.today().isoformat(),
        "commit": commit(),
        "machine": machine(),
        "runs": {name: run(given.binary, name, arguments) for name, arguments in RUNS.items()},
    }
    page = HERE / "RESULTS.md"
    text = page.read_text(encoding="utf-8")
    head, rest = text.split(BEGIN, 1)
    page.write_text(head + block(result) + rest.split(END, 1)[1], encoding="utf-8")
    (HERE / "results.json").write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"bench: wrote {page.relative_to(ROOT)} and results.json beside it")


if __name__ == "__main__":
    main()
