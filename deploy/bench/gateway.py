#!/usr/bin/env python3
"""Measures the gateway's fan-out and prints what came of it; `--json FILE` writes it down.

    gateway.py [--quick] [--only PART …] [--json FILE]

Each part starts a nats-server and a gateway of its own, publishes 1,000 events a second to 50 chats,
and holds its clients in one process beside them, all on this machine:

live-1000  1,000 clients of one chat each (2 % of the events): publish to frame
live-10    10 clients of everything
stalled    200 of 2,000 stop reading while more comes for them than their sockets hold: the p99 of
           the others, with those 200 and without them, in alternating pairs, medians
herd       5,000 clients are dropped at once and come back by their positions: time until all are
           whole (each has an event that was published after it came back), and the p99 of 200 others
idle       memory of each of 10,000 clients that are authenticated, have a subscription and get nothing,
           and the time until all are connected; idle-tls over TLS
all-10000  10,000 clients of everything: 20 events a second, and more until the p99 is above 250 ms
fan-out    1,000 clients of everything at rising rates until the p99 is above 25 ms
fan-out-ws, fan-out-socket.io, idle-ws, idle-socket.io
           the same of Node servers on the packages ws and socket.io (rivals/), which get the same events
           from the same nats-server, and the same clients
restart    two gateways are replaced one after the other under 5,000 clients and 1,000 events a second:
           whether each client had every event of its chat, and how long it was without
churn      5,000 clients that stay 5 to 60 s and come back, a minute or TGMESH_SOAK_S: memory and open
           files over time, and when all have left

Times are the host's wall clock: `times.published_us`, taken before an event is handed to the
publisher, against the client's clock after the read that brought the frame. Exits 1 when a client
lost an event or was told one twice; a figure that is missed is marked and counted.
"""
import argparse
import datetime
import json
import pathlib
import resource
import subprocess
import sys

import bench

# Sockets of 10,000 clients, which are one process's, and a margin.
FILES = 12_288
RIVALS = bench.HERE / "rivals"


def highest(runs, most_ms):
    """The run with the most deliveries a second among those whose frames came in time."""
    return max((run["deliveries_per_s"] for run in runs if run["p99_ms"] <= most_ms), default=0)


def grown(samples):
    """Memory of the last quarter, of that of the second: the first is still filling."""
    mib = [sample["mib"] for sample in samples]
    quarter = max(len(mib) // 4, 1)
    return sum(mib[-quarter:]) / sum(mib[quarter:2 * quarter])


def left_open(figures):
    return figures["when_all_left"]["files"] - figures["files_before"]


# What is asked for: a name, its value out of the figures, and the most or least that it may be.
ASKED = {
    "live-1000": [
        ("p50_ms", lambda f: f["live"]["p50_ms"], "most", 1.5),
        ("p99_ms", lambda f: f["live"]["p99_ms"], "most", 5.0),
    ],
    "live-10": [
        ("p50_ms", lambda f: f["live"]["p50_ms"], "most", 0.6),
        ("p99_ms", lambda f: f["live"]["p99_ms"], "most", 1.5),
    ],
    "stalled": [("p99_change", lambda f: f["p99_change"], "most", 0.1)],
    "herd": [],
    "idle": [
        ("KiB each", lambda f: f["kib_each"], "most", 8),
        ("all connected, s", lambda f: f["all_connected_s"], "most", 30),
    ],
    "idle-tls": [("all connected, s", lambda f: f["all_connected_s"], "most", 30)],
    "all-10000": [
        ("p99_ms at 20 events/s", lambda f: f["runs"][0]["p99_ms"], "most", 250),
        ("deliveries/s with p99 <= 250 ms", lambda f: highest(f["runs"], 250), "least", 200_000 * 0.99),
    ],
    "fan-out": [("deliveries/s with p99 <= 25 ms", lambda f: highest(f["runs"], 25), "least", 300_000 * 0.99)],
    "fan-out-ws": [],
    "fan-out-socket.io": [],
    "idle-ws": [],
    "idle-socket.io": [],
    "restart": [("clients without all", lambda f: f["behind"], "most", 0)],
    "churn": [
        ("clients without all", lambda f: f["behind"], "most", 0),
        ("memory at the end, of that after a quarter", lambda f: grown(f["samples"]), "most", 1.1),
        ("files when all have left, more than before", lambda f: left_open(f), "most", 50),
    ],
}


def build():
    """Builds the gateway and the crowd; the path of the latter. The whole workspace, because a part of
    it would be built with fewer features of the dependencies, and them anew."""
    subprocess.run(["cargo", "build", "--release", "--quiet", "--workspace"], cwd=bench.ROOT, check=True)
    built = subprocess.run(
        ["cargo", "bench", "--quiet", "--profile", "release", "--workspace", "--bench", "crowd", "--no-run",
         "--message-format", "json"],
        cwd=bench.ROOT, check=True, stdout=subprocess.PIPE, text=True,
    )
    for line in built.stdout.splitlines():
        artefact = json.loads(line)
        if artefact.get("executable") and artefact["target"]["name"] == "crowd":
            return artefact["executable"]
    sys.exit("gateway: cargo named no executable")


def raise_file_limit():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < FILES:
        sys.exit(f"gateway: {FILES} open files are needed, the hard limit is {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, hard))


def faults(figures):
    """Events that were lost or doubled, wherever they are told."""
    if isinstance(figures, dict):
        own = figures.get("lost_or_doubled", 0)
        return own + sum(faults(value) for value in figures.values())
    return sum(map(faults, figures)) if isinstance(figures, list) else 0


def tell(part, figures):
    """Prints the figures. Returns how many hold and how many are missed."""
    held = missed = 0
    for name, value_of, kind, bound in ASKED[part]:
        value = value_of(figures)
        holds = value <= bound if kind == "most" else value >= bound
        print(f"   {name} {value:.3f}, asked for: at {kind} {bound}{'' if holds else '  MISSED'}")
        held, missed = held + holds, missed + (not holds)
    for name, value in figures.items():
        if name != "runs":
            print(f"   {name}: {json.dumps(value)}")
    return held, missed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes, fewer clients in the herd")
    parser.add_argument("--only", choices=ASKED, action="append", help="this part alone; may be repeated")
    parser.add_argument("--json", type=pathlib.Path, help="where to write the figures")
    given = parser.parse_args()
    chosen = given.only or ASKED
    if any(part.endswith(("-ws", "-socket.io")) for part in chosen):
        subprocess.run(["npm", "ci", "--silent"], cwd=RIVALS, check=True)
    crowd = build()
    raise_file_limit()
    parts = {}
    held = missed = 0
    for part in chosen:
        print(f"== {part}", flush=True)
        command = [crowd, part, *(["--quick"] if given.quick else [])]
        run = subprocess.run(command, cwd=bench.ROOT, stdout=subprocess.PIPE, text=True)
        if run.returncode != 0:
            sys.exit(f"gateway: {part} failed with {run.returncode}")
        parts[part] = json.loads(run.stdout.splitlines()[-1])
        now_held, now_missed = tell(part, parts[part])
        held, missed = held + now_held, missed + now_missed
    print(f"{held} figures hold\n{missed} figures missed")
    if given.json:
        result = {
            "date": datetime.date.today().isoformat(), "commit": bench.commit(), "machine": bench.machine(),
            "quick": given.quick, "parts": parts,
        }
        given.json.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    lost = faults(parts)
    if lost:
        sys.exit(f"gateway: {lost} events were lost or told twice")


if __name__ == "__main__":
    main()
