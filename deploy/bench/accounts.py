#!/usr/bin/env python3
"""What many chats and many accounts cost one listener: time until it is ready, memory, threads.

    accounts.py [--short] [--bin target/release] [--json OUT]

Starts nats-server, the simulator and the listener for each case, waits until the listener is ready,
plays a load for a while, and prints a line. Exits 1 when an event is missing. `--short` plays the
load for 3 s instead of 30 s.
"""
import argparse
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import bench

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
LIMIT_S = 120
CASES = [
    ("1 account, 10 chats", 1, 10),
    ("1 account, 500 chats", 1, 500),
    ("20 accounts, 100 chats", 20, 100),
    ("20 accounts, 1000 chats", 20, 1000),
]


def get(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


def post(url, body):
    data = json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method="POST")
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read().decode()


def wait(what, done):
    """Polls until `done` gives something true, and gives it."""
    end = time.monotonic() + LIMIT_S
    while time.monotonic() < end:
        with contextlib.suppress(OSError, ValueError):
            if found := done():
                return found
        time.sleep(0.02)
    sys.exit(f"accounts.py: {what} did not happen within {LIMIT_S} s")


def status(pid, name):
    for line in open(f"/proc/{pid}/status", encoding="utf-8"):
        if line.startswith(name + ":"):
            return int(line.split()[1])
    raise ValueError(name)


def cpu_s(pid):
    fields = open(f"/proc/{pid}/stat", encoding="utf-8").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def metric(admin, name):
    for line in get(f"http://{admin}/metrics").splitlines():
        if line.startswith(f"tgmesh_listener_{name} "):
            return float(line.split()[1])
    raise ValueError(name)


def nats_server():
    found = shutil.which("nats-server")
    tools = sorted(ROOT.glob(".tools/**/nats-server"))
    return found or (str(tools[0]) if tools else sys.exit("accounts.py: nats-server isn't there; `make run` gets it"))


@contextlib.contextmanager
def process(log, *command, **variables):
    child = subprocess.Popen([str(part) for part in command], stdout=log, stderr=log, env={**os.environ, **variables})
    try:
        yield child
    finally:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(30)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def case(bins, name, accounts, chats, load_s):
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as stack:
        scratch = pathlib.Path(scratch)
        log = stack.enter_context(open(scratch / "log", "w", encoding="utf-8"))
        port, ready = bench.free_port(), scratch / "ready.json"
        stack.enter_context(process(log, nats_server(), "-js", "-a", "127.0.0.1", "-p", port, "-sd", scratch / "nats"))
        wait("nats-server", lambda: socket.create_connection(("127.0.0.1", port), 1).close() or True)
        stack.enter_context(
            process(
                log,
                bins / "tgmesh-telegram-sim",
                SIM_ACCOUNTS=str(accounts),
                SIM_CHATS=str(chats),
                SIM_READY=str(ready),
                ADMIN_LISTEN=f"127.0.0.1:{bench.free_port()}",
            )
        )
        sim = json.loads(wait("the simulator", lambda: ready.exists() and ready.read_text()))
        known = json.loads(get(sim["control"] + "/accounts"))
        (scratch / "accounts.json").write_text(json.dumps(known))
        admin = f"127.0.0.1:{bench.free_port()}"
        settings = {
            "TELEGRAM_API_ID": "1",
            "TELEGRAM_API_HASH": "0" * 32,
            "TELEGRAM_ENCRYPTION_KEY": "07" * 32,
            "TELEGRAM_ACCOUNTS": ",".join(account["name"] for account in known),
            "TELEGRAM_DC": sim["mtproto"],
            "NATS_URL": f"nats://127.0.0.1:{port}",
            "STREAM_MAX_BYTES": "256MiB",
            "ADMIN_LISTEN": admin,
            "RUST_LOG": "warn",
        }
        env = {**os.environ, **settings}
        subprocess.run([bins / "tgmesh", "topology", "apply"], env=env, check=True, stdout=log, stderr=log)
        importing = [bins / "tgmesh-listener", "sessions", "import", scratch / "accounts.json"]
        subprocess.run(importing, env=env, check=True, stdout=log, stderr=log)

        figures = {"case": name, "accounts": accounts, "chats": chats}
        # The first start makes the ledger and the assignments, the second finds them.
        for start in ("first_start_s", "next_start_s"):
            began = time.monotonic()
            with process(log, bins / "tgmesh-listener", **settings) as listener:
                wait("the listener", lambda: get(f"http://{admin}/readyz"))
                figures[start] = round(time.monotonic() - began, 2)
                pid = listener.pid
                if start == "first_start_s":
                    continue
                figures["rss_idle_mib"] = round(status(pid, "VmRSS") / 1024, 1)
                figures["threads"] = status(pid, "Threads")
                used = cpu_s(pid)
                time.sleep(5)
                figures["cpu_idle_percent"] = round((cpu_s(pid) - used) * 20, 2)
                used, count = cpu_s(pid), 500 * load_s
                post(sim["control"] + "/load", {"messages": count, "rate": 500.0, "address_share": 1.0, "seed": 1})
                wait("the load's end", lambda: json.loads(get(sim["control"] + "/load"))["state"] == "done")
                # Basic groups are told once by each account in them.
                found = wait("every event", lambda: (n := metric(admin, "published_total")) >= count and n)
                figures["cpu_us_per_event"] = round((cpu_s(pid) - used) * 1e6 / found, 1)
                figures["rss_loaded_mib"] = round(status(pid, "VmRSS") / 1024, 1)
                figures["duplicates"] = int(metric(admin, "publish_duplicates_total"))
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--bin", type=pathlib.Path, default=ROOT / "target/release")
    parser.add_argument("--json", type=pathlib.Path)
    args = parser.parse_args()
    results = []
    for name, accounts, chats in CASES:
        figures = case(args.bin, name, accounts, chats, 3 if args.short else 30)
        results.append(figures)
        print(json.dumps(figures), flush=True)
    if args.json:
        args.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
