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

Times are the host's wall clock: `times.published_us`, taken before an event is handed to the
publisher, against the client's clock after the read that brought the frame. Exits 1 when a client
lost an event or was told one twice; a figure that is missed is marked.
"""
import argparse
import datetime
import json
import pathlib
import resource
import subprocess
import sys

import bench

# Sockets of 5,200 clients on both sides, and a margin.
FILES = 16_384
# Milliseconds, and the share by which the others' p99 may change.
ASKED = {
    "live-1000": [("live", "p50_ms", 1.5), ("live", "p99_ms", 5.0)],
    "live-10": [("live", "p50_ms", 0.6), ("live", "p99_ms", 1.5)],
    "stalled": [(None, "p99_change", 0.1)],
    "herd": [],
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
    for group, name, most in ASKED[part]:
        value = figures[group][name] if group else figures[name]
        print(f"   {name} {value:.3f}, asked for: below {most}{'' if value < most else '  MISSED'}")
    for name, value in figures.items():
        if name != "runs":
            print(f"   {name}: {json.dumps(value)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes, fewer clients in the herd")
    parser.add_argument("--only", choices=ASKED, action="append", help="this part alone; may be repeated")
    parser.add_argument("--json", type=pathlib.Path, help="where to write the figures")
    given = parser.parse_args()
    crowd = build()
    raise_file_limit()
    parts = {}
    for part in given.only or ASKED:
        print(f"== {part}", flush=True)
        command = [crowd, part, *(["--quick"] if given.quick else [])]
        run = subprocess.run(command, cwd=bench.ROOT, stdout=subprocess.PIPE, text=True)
        if run.returncode != 0:
            sys.exit(f"gateway: {part} failed with {run.returncode}")
        parts[part] = json.loads(run.stdout.splitlines()[-1])
        tell(part, parts[part])
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
