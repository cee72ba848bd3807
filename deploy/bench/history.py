#!/usr/bin/env python3
"""Times every query of the history API through a gateway, over a month of detections.

    history.py [--rows 10000000] [--requests 200] [--bin target/release] [--explain services/kit/store/QUERIES.md]

Starts a Postgres, a nats-server, an archiver (which makes the tables) and a gateway of its own, all on
loopback, in a temporary folder. Short form: --rows 1000000 --requests 50. 10 million rows take about
9 GB of disk. Prints a line a query, and JSON with --json FILE; exits 1 when a p99 is not below
50 ms. --explain writes what Postgres did for each (EXPLAIN ANALYZE, BUFFERS), by auto_explain, so
that the plans are those of the very statements that the gateway sends.
"""
import argparse
import base64
import glob
import hashlib
import hmac
import http.client
import json
import os
import pathlib
import pwd
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

import bench

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SECRET = "a secret of the benchmark, 32 bytes or more"
MONTH = "2026-10-01"
CHATS, SENDERS, ADDRESSES = 250, 50_000, 200_000
LIMIT_MS = 50.0
SQL_ROWS = """
INSERT INTO detections (message_date, id, stream_epoch, stream_seq, event, family, chain, address, coin_type, role,
    method, confidence, chat_id, message_id, revision, edit_date, sender_id, received_at, detected_at, published_at,
    stored_at, text, detail)
SELECT at, md5(n::text)::uuid, 'bench', n,
    (ARRAY['called','called','called','added_by_edit','retracted'])[(1 + n % 5)::int],
    (ARRAY['solana','evm','ton'])[(1 + a % 3)::int], (ARRAY['solana','base','bsc','ton',NULL])[(1 + a % 5)::int],
    CASE a % 3 WHEN 1 THEN '0x' || substr(md5(a::text) || md5(a::text), 1, 40) ELSE 'So' || substr(md5(a::text) || md5(a::text), 1, 42) END,
    NULL, 'token', 'plain', (1 + n % 100) / 100.0, -1000000000000 - c, n, '0-00000000', NULL, 1 + s, at, at, at, at,
    'gm number ' || n || ' of a chat that talks about moons and lambos all day long',
    jsonb_build_object('schema_version', '1.0.0', 'evidence', '["word:sol"]'::jsonb, 'raw', 'So' || n,
        'chat', jsonb_build_object('title', 'Chat ' || c, 'kind', 'supergroup'), 'message', '{{}}'::jsonb,
        'sender', jsonb_build_object('name', 'Sender ' || s, 'kind', 'user'),
        'rules', CASE WHEN n % 50 = 0 THEN '["launch"]' ELSE '[]' END::jsonb,
        'listener', jsonb_build_object('instance', 'l-1', 'account', 'sim-1', 'shard', 0, 'lease_epoch', 1,
            'backfill', n % 20 = 0, 'detector', '1', 'layer', 230))
FROM (
    SELECT n, timestamptz '{month} 00:00:00+00' + floor(n * 2592000.0 / {rows}) * interval '1 second' AS at,
        -- A few chats, senders and addresses have most of it, as in life.
        floor({chats} * power(random(), 2))::bigint AS c, floor({senders} * power(random(), 2))::bigint AS s,
        floor({addresses} * power(random(), 3))::bigint AS a
    FROM generate_series({first}::bigint, {last}::bigint) AS n
) AS numbers
"""


class Postgres:
    def __init__(self, folder):
        bins = sorted(glob.glob("/usr/lib/postgresql/*/bin")) or [os.path.dirname(shutil.which("postgres") or "")]
        self.bin, self.folder, self.port = bins[-1], folder, bench.free_port()
        self.user = {"user": "postgres"} if os.geteuid() == 0 else {}
        if self.user:
            os.chmod(folder.parent, 0o755)
            folder.mkdir()
            os.chown(folder, pwd.getpwnam("postgres").pw_uid, -1)
        initdb = [f"{self.bin}/initdb", "-D", str(folder / "data"), "-U", "bench", "-A", "trust", "--no-locale", "-E", "UTF8", "--no-sync"]
        subprocess.run(initdb, check=True, stdout=subprocess.DEVNULL, cwd="/", **self.user)
        options = ["listen_addresses=127.0.0.1", "unix_socket_directories=", f"port={self.port}", "fsync=off", "timezone=UTC",
                   "shared_buffers=512MB", "max_wal_size=4GB", "checkpoint_timeout=1h", "maintenance_work_mem=512MB"]
        arguments = [part for option in options for part in ("-c", option)]
        self.log = open(folder.parent / "postgres.log", "wb")
        self.process = subprocess.Popen([f"{self.bin}/postgres", "-D", str(folder / "data"), *arguments], cwd="/",
                                        stdout=self.log, stderr=self.log, **self.user)
        wait(lambda: self.sql("SELECT 1", quiet=True) == "1")

    def url(self, user="bench"):
        return f"postgres://{user}@127.0.0.1:{self.port}/postgres"

    def sql(self, text, quiet=False):
        done = subprocess.run([f"{self.bin}/psql", "-XqAt", "-v", "ON_ERROR_STOP=1", self.url()], input=text, text=True, capture_output=True)
        if done.returncode and not quiet:
            sys.exit(f"psql: {done.stderr}")
        return done.stdout.strip()


def wait(condition, seconds=60):
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            sys.exit("something did not start in time")
        time.sleep(0.1)


def token(n, role="operator", **claims):
    now = int(time.time())
    claims = {"sub": f"bench-{n}", "jti": f"bench-{n}", "iat": now, "exp": now + 36_000, "aud": "tgmesh", "role": role, "chats": ["*"], **claims}
    part = lambda value: base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")
    signed = part({"alg": "HS256", "typ": "JWT"}) + b"." + part(claims)
    mac = hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()
    return (signed + b"." + base64.urlsafe_b64encode(mac).rstrip(b"=")).decode()


def queries(pick):
    chat = lambda: -1_000_000_000_000 - int(CHATS * pick.random() ** 2)
    address = lambda: pick.choice(pick.addresses)
    day = lambda: 1 + pick.randrange(20)
    return {
        "newest": lambda: "/api/detections",
        "one chat": lambda: f"/api/detections?chats={chat()}",
        "ten chats": lambda: "/api/detections?chats=" + ",".join(str(chat()) for _ in range(10)),
        "one address": lambda: f"/api/detections?addresses={address()}",
        "one sender": lambda: f"/api/detections?senders={1 + int(SENDERS * pick.random() ** 2)}",
        "family, chain, confidence": lambda: f"/api/detections?families=evm&chains=base&min_confidence=0.{pick.randrange(10, 99)}",
        "rare confidence": lambda: "/api/detections?min_confidence=1&chains=ton&limit=1000",
        "a rule nobody has": lambda: "/api/detections?rules=nobody",
        "a rule": lambda: "/api/detections?rules=launch",
        "events of a day": lambda: f"/api/detections?events=retracted&until=2026-10-{day():02}T12:00:00Z",
        "unique addresses": lambda: f"/api/detections?unique_within=1h&chats={chat()}",
        "unique addresses of all": lambda: "/api/detections?unique_within=24h",
        "text": lambda: text(pick, chat()),
        "matches": lambda: "/api/detections?matches=true",
        "an address": lambda: f"/api/addresses/{address()}",
        "chats": lambda: "/api/chats?limit=1000",
        "a sender": lambda: f"/api/senders/{1 + int(SENDERS * pick.random() ** 2)}",
        "audit": lambda: "/api/audit",
        "200 chats of a token": lambda: "/api/detections?min_confidence=0.5",
        "a sender, some chats": lambda: f"/api/senders/{1 + int(SENDERS * pick.random() ** 2)}",
        "an address, some confidence": lambda: f"/api/addresses/{address()}",
    }


def text(pick, chat):
    day = 1 + pick.randrange(20)
    return f"/api/detections?text=number%20%5B0-9%5D*77&chats={chat}&since=2026-10-{day:02}T00:00:00Z&until=2026-10-{day + 6:02}T00:00:00Z"


CLAIMS = {
    "200 chats of a token": {"chats": [-1_000_000_000_000 - n for n in range(200)]},
    "a sender, some chats": {"chats": [-1_000_000_000_000 - n for n in range(0, 250, 2)]},
    "an address, some confidence": {"min_confidence": 0.5},
}


class Gateway:
    def __init__(self, binary, nats, database, folder):
        self.port = bench.free_port()
        env = {**os.environ, "NATS_URL": nats, "DATABASE_URL": database, "JWT_SECRET": SECRET, "RUST_LOG": "warn",
               "GATEWAY_LISTEN": f"127.0.0.1:{self.port}", "ADMIN_LISTEN": "127.0.0.1:0"}
        self.process = subprocess.Popen([binary], env=env, stdout=open(folder / "gateway.log", "ab"), stderr=subprocess.STDOUT)
        wait(lambda: self.get("/readyz", "", True)[0] == 200)

    def get(self, path, bearer, quiet=False):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            start = time.perf_counter()
            connection.request("GET", path, headers={"Authorization": f"Bearer {bearer}"} if bearer else {})
            answer = connection.getresponse()
            body = answer.read()
            took = (time.perf_counter() - start) * 1000
            connection.close()
            return answer.status, took, body
        except OSError:
            if quiet:
                return 0, 0, b""
            raise

    def stop(self):
        self.process.terminate()
        self.process.wait(20)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--bin", type=pathlib.Path, default=ROOT / "target/release")
    parser.add_argument("--seed", type=int, default=6)
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--explain", type=pathlib.Path)
    args = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="history-"))
    processes = []
    try:
        ok = measure(args, folder, processes)
    finally:
        for process in reversed(processes):
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(0 if ok else 1)


def measure(args, folder, processes):
    postgres = Postgres(folder / "pg")
    processes.append(postgres.process)
    port = bench.free_port()
    server = shutil.which("nats-server", path=f"{ROOT / '.tools/venv/bin'}:{os.environ['PATH']}")
    processes.append(subprocess.Popen([server, "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", str(folder / "js")], stderr=subprocess.DEVNULL))
    nats = f"nats://127.0.0.1:{port}"
    wait(lambda: subprocess.run([args.bin / "tgmesh", "topology", "apply"], env={**os.environ, "NATS_URL": nats}, capture_output=True).returncode == 0)
    archiver = subprocess.Popen([args.bin / "tgmesh-archiver"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                env={**os.environ, "NATS_URL": nats, "DATABASE_URL": postgres.url(), "ADMIN_LISTEN": "127.0.0.1:0"})
    migrated = "SELECT count(*) FROM pg_proc WHERE proname = 'settle_roles'"
    wait(lambda: postgres.sql(migrated, quiet=True) == "1")
    time.sleep(1)
    archiver.terminate()
    archiver.wait(30)
    start = time.monotonic()
    fill(postgres, args.rows)
    print(f"{args.rows} rows, counted and analyzed, in {time.monotonic() - start:.0f} s; "
          f"{postgres.sql('SELECT pg_size_pretty(pg_database_size(current_database()))')}", flush=True)
    postgres.sql("CREATE ROLE bench_reader LOGIN IN ROLE tgmesh_reader")
    binary = args.bin / "tgmesh-gateway"
    gateway = Gateway(binary, nats, postgres.url("bench_reader"), folder)
    processes.append(gateway.process)
    pick = random.Random(args.seed)
    pick.addresses = postgres.sql("SELECT address FROM addresses WHERE family <> 'evm' ORDER BY md5(address) LIMIT 1000").split("\n")
    results = {}
    for number, (name, path) in enumerate(queries(pick).items()):
        claims = CLAIMS.get(name, {})
        # A subject may ask 20 times a second: each of these is another.
        for warm in range(5):
            gateway.get(path(), token(f"w{number}-{warm}", **claims))
        times, rows = [], 0
        for n in range(args.requests):
            status, took, body = gateway.get(path(), token(f"{number}-{n // 20}", **claims))
            if status not in (200, 404):
                sys.exit(f"{name}: {status} {body[:300]}")
            rows += len(json.loads(body).get("items", []))
            times.append(took)
        times.sort()
        quantile = lambda q: times[min(len(times) - 1, int(q * len(times)))]
        results[name] = {"p50_ms": round(quantile(0.5), 2), "p99_ms": round(quantile(0.99), 2), "rows": round(rows / len(times), 1)}
        print(f"{name:32} p50 {quantile(0.5):8.2f} ms   p99 {quantile(0.99):8.2f} ms   {rows / len(times):7.1f} rows", flush=True)
    if args.json:
        args.json.write_text(json.dumps({"rows": args.rows, "requests": args.requests, "queries": results}, indent=2) + "\n")
    if args.explain:
        gateway.stop()
        explain(args, postgres, nats, folder, processes, pick)
    return all(result["p99_ms"] < LIMIT_MS for result in results.values())


def fill(postgres, rows):
    postgres.sql(f"SELECT make_month('detections', '{MONTH}'); SELECT setseed(0.5)")
    step = 250_000
    for first in range(0, rows, step):
        last = min(first + step, rows) - 1
        postgres.sql(f"SELECT setseed({(first // step % 1000) / 1000.0});" + SQL_ROWS.format(
            month=MONTH, rows=rows, chats=CHATS, senders=SENDERS, addresses=ADDRESSES, first=first, last=last))
    while postgres.sql("SELECT counted FROM roll_up(500000)") not in ("0", ""):
        pass
    postgres.sql("VACUUM ANALYZE")


def explain(args, postgres, nats, folder, processes, pick):
    for setting in ("session_preload_libraries = 'auto_explain'", "auto_explain.log_min_duration = 0", "auto_explain.log_analyze = on",
                    "auto_explain.log_buffers = on"):
        postgres.sql(f"ALTER ROLE bench_reader SET {setting}")
    gateway = Gateway(args.bin / "tgmesh-gateway", nats, postgres.url("bench_reader"), folder)
    processes.append(gateway.process)
    log = folder / "postgres.log"
    page = [f"# What Postgres does for the history API\n\nWritten by `deploy/bench/history.py --explain` over {args.rows:,} rows of one month. "
            "Each query of the API once, with every statement it sends: first the date down to which the page looks, then the page.\n"]
    for number, (name, path) in enumerate(queries(pick).items()):
        before, asked = log.stat().st_size, path()
        gateway.get(asked, token(f"e{number}", **CLAIMS.get(name, {})))
        time.sleep(0.2)
        with open(log, "rb") as file:
            file.seek(before)
            text = file.read().decode(errors="replace")
        plans = re.findall(r"duration: [\d.]+ ms  plan:\n(.*?)(?=\n\d{4}-\d\d-\d\d |\Z)", text, re.S)
        page.append(f"## {name}\n\n`{asked}`\n")
        for plan in plans:
            lines = [line.removeprefix("\t")[:400] for line in plan.split("\n") if line.strip()]
            page.append("```\n" + "\n".join(lines) + "\n```\n")
    args.explain.write_text("\n".join(page))
    gateway.stop()


if __name__ == "__main__":
    main()
