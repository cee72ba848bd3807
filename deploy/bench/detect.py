#!/usr/bin/env python3
"""Measures the detector, alone and beside others, and rewrites its block in RESULTS.md and
detect.json beside it.

    detect.py [--skip-others] [--messages N] [--cases FILE …] [--print]

Alone: the criterion benchmark (`cargo bench -p tgmesh-detect`). Beside others: F1 on labelled
messages, and messages per second on one core, of `tgmesh detect`, of iocsearcher (from PyPI, put
into .tools/bench/ at the versions of requirements.txt) and of the two usual regexes. Exits 1 when a
text costs more than its length explains.
"""
import argparse
import collections
import datetime
import json
import os
import pathlib
import re
import resource
import subprocess
import sys
import time

import bench

HERE, ROOT = bench.HERE, bench.ROOT
BEGIN, END = "<!-- detect:begin -->", "<!-- detect:end -->"
VENV = ROOT / ".tools/bench"

# What is asked for: messages per second, and milliseconds for a message of 4,096 characters.
ASCII, MIX, WORST_MS = 1_500_000, 400_000, 1.0
# Messages of one run of the criterion benchmark, its full length, and the longer one for growth.
MESSAGES, FULL, GROWN = 8192, 4096, 32768
# The cost for eight times the text; in proportion it is 8, quadratic 64.
MOST_GROWTH = 24

REGEXES = {"evm": re.compile(r"0x[a-fA-F0-9]{40}"), "solana": re.compile(r"[1-9A-HJ-NP-Za-km-z]{32,44}")}
IOC_TARGETS = {"ethereum": "evm", "solana": "solana", "tron": "tron"}
CLASSES = ["plain", "link", "obfuscated", "multi", "near_miss", "negative"]


def criterion():
    """Runs the benchmark; nanoseconds by group and name."""
    command = ["cargo", "bench", "--locked", "-p", "tgmesh-detect", "--bench", "speed"]
    started = time.time()
    if subprocess.run([*command, "--", "--noplot"], cwd=ROOT).returncode != 0:
        sys.exit("detect: the benchmark failed; nothing was written")
    out = {}
    for estimates in (ROOT / "target/criterion").glob("**/new/estimates.json"):
        # What an earlier version measured and this one does not is no result.
        if estimates.stat().st_mtime < started:
            continue
        about = json.loads((estimates.parent / "benchmark.json").read_text())
        figures = json.loads(estimates.read_text())
        name = about["function_id"] if about["value_str"] is None else f"{about['function_id']}/{about['value_str']}"
        out.setdefault(about["group_id"], {})[name] = figures["median"]["point_estimate"]
    return " ".join(command), out


def alone():
    command, measured = criterion()
    rates = {name: MESSAGES * 1e9 / took for name, took in measured["rate"].items()}
    texts = {}
    for name, took in measured["worst"].items():
        text, length = name.rsplit("/", 1)
        texts.setdefault(text, {})[int(length)] = took
    worst = sorted(
        (
            {"text": text, "ms": at[FULL] / 1e6, "growth": at[GROWN] / at[FULL] if GROWN in at else None}
            for text, at in texts.items()
        ),
        key=lambda row: -row["ms"],
    )
    return {"command": command, "messages_per_s": rates, "worst": worst}


def cases(files):
    """Labelled messages; those whose label is a matter of taste are left out."""
    out = []
    for file in files:
        with open(file, encoding="utf-8") as lines:
            out += [case for case in map(json.loads, filter(str.strip, lines)) if not case.get("ambiguous")]
    return out


def visible(message):
    """All a message holds as one text, so that those who read only text miss nothing by that."""
    parts = [message["text"]]
    parts += [entity["url"] for entity in message.get("entities", []) if entity.get("url")]
    parts += [next(iter(button.values())) for button in message.get("buttons", [])]
    parts += message.get("links", []) + [message.get("quote", "")]
    parts += [next(iter(name.values())) for name in message.get("names", [])]
    return "\n".join(part for part in parts if part)


def by_regex(messages):
    return [[(family, found) for family, regex in REGEXES.items() for found in regex.findall(visible(message))] for message in messages]


def by_tgmesh(messages, one_core=False):
    """Answers and CPU seconds of the shipped binary."""
    lines = "".join(json.dumps({key: message[key] for key in message if key not in ("expect", "allow", "class", "note")}) + "\n" for message in messages)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    pin = (lambda: os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})) if one_core else None
    done = subprocess.run([ROOT / "target/release/tgmesh", "detect"], input=lines.encode(), stdout=subprocess.PIPE, preexec_fn=pin)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        sys.exit("detect: tgmesh detect failed; nothing was written")
    took = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    return [[(find["family"], find["address"]) for find in answer["found"]] for answer in answers], took


WORKER = """
import json, sys, time
from iocsearcher.searcher import Searcher
targets = json.loads(sys.argv[1])
messages = json.load(sys.stdin)
searcher = Searcher()
searcher.search_matches(messages[0], targets=set(targets))
start = time.process_time()
found = [[(targets[match.name], match.value) for match in searcher.search_matches(text, targets=set(targets))] for text in messages]
took = time.process_time() - start
start = time.process_time()
for text in messages[: len(messages) // 10]:
    searcher.search_matches(text)
json.dump([found, took, (time.process_time() - start) * 10], sys.stdout)
"""


def by_iocsearcher(messages):
    """Answers, CPU seconds for the three families that it knows, and for all that it looks for."""
    given = json.dumps([visible(message) for message in messages])
    done = subprocess.run([VENV / "bin/python", "-c", WORKER, json.dumps(IOC_TARGETS)], input=given, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    if done.returncode != 0:
        sys.exit("detect: iocsearcher failed; nothing was written")
    found, took, took_all = json.loads(done.stdout)
    return [[tuple(find) for find in finds] for finds in found], took, took_all


def install():
    wanted = (HERE / "requirements.txt").read_text()
    stamp = VENV / "stamp"
    if not stamp.exists() or stamp.read_text() != wanted:
        print("detect: installing iocsearcher into .tools/bench/", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], check=True)
        subprocess.run([VENV / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", HERE / "requirements.txt"], check=True)
        stamp.write_text(wanted)


def key(family, address):
    """Two spellings of one address are one."""
    if family == "ton":
        return family, address.replace("+", "-").replace("/", "_")
    return family, address.lower() if family in ("evm", "sui", "aptos") else address


def score(cases, answers):
    """F1 by class; messages with a false find where a class has nothing to find."""
    rows = collections.defaultdict(lambda: [0, 0, 0, 0, 0])
    for case, found in zip(cases, answers, strict=True):
        expected = {key(find["family"], find["address"]) for find in case["expect"]}
        allowed = {key(find["family"], find["address"]) for find in case.get("allow", [])}
        got = {key(*find) for find in found}
        right, invented, missed = len(expected & got), len(got - expected - allowed), len(expected - got)
        for row in (rows[case["class"]], rows["total"]):
            for at, value in enumerate((right, invented, missed, 1, int(invented > 0))):
                row[at] += value
    f1 = lambda right, invented, missed: 2 * right / (2 * right + invented + missed) if right + invented + missed else None
    return {
        name: {"f1": f1(*row[:3]) if row[0] + row[2] else None, "right": row[0], "invented": row[1], "missed": row[2], "cases": row[3], "false_alarms": row[4]}
        for name, row in rows.items()
    }


def beside(files, count):
    install()
    labelled = cases(files)
    print(f"== beside others: {len(labelled)} labelled messages, then {count} of the mix", flush=True)
    chat = subprocess.run(
        ["cargo", "run", "--quiet", "--release", "--locked", "-p", "tgmesh-detect", "--example", "chat", "--", "mix", str(count)],
        cwd=ROOT, stdout=subprocess.PIPE, check=True,
    ).stdout
    messages = [json.loads(line) for line in chat.splitlines()]
    # The slow one takes a part of the same messages.
    few = messages[: max(1000, count // 40)]
    rows = {}
    _, took = by_tgmesh(messages, one_core=True)
    rows["tgmesh detect"] = {"score": score(labelled, by_tgmesh(labelled)[0]), "messages_per_s": len(messages) / took, "of": "JSON lines in and out, one core"}
    found, _, _ = by_iocsearcher(labelled)
    _, took, took_all = by_iocsearcher(few)
    version = next(line.split("==")[1] for line in (HERE / "requirements.txt").read_text().splitlines() if line.startswith("iocsearcher=="))
    rows[f"iocsearcher {version}"] = {"score": score(labelled, found), "messages_per_s": len(few) / took, "messages_per_s_all": len(few) / took_all, "of": "in Python, three families"}
    start = time.process_time()
    by_regex(messages)
    took = time.process_time() - start
    rows["two regexes"] = {"score": score(labelled, by_regex(labelled)), "messages_per_s": len(messages) / took, "of": "in Python"}
    return {"cases": len(labelled), "files": [os.path.relpath(file, ROOT) for file in files], "messages": count, "rows": rows}


def block(result):
    machine, alone, beside = result["machine"], result["alone"], result.get("beside")
    rates, worst = alone["messages_per_s"], alone["worst"]
    met = lambda good: "met" if good else "**missed**"
    growths = [row for row in worst if row["growth"]]
    steepest = max(growths, key=lambda row: row["growth"])
    lines = [
        BEGIN,
        f"Written by `deploy/bench/detect.py` on {result['date']} from {result['commit']}: {machine['cpus']} CPUs ({machine['model']}), "
        f"load {result['load']:.1f} at the start, one core used.",
        "",
        f"`{alone['command']}`",
        "",
        "| what | asked for | measured | |",
        "|---|---|---|---|",
        f"| ordinary ASCII chat with nothing in it, 100–200 bytes, {MESSAGES:,} different messages | ≥ {ASCII:,}/s | {rates['ascii']:,.0f}/s | {met(rates['ascii'] >= ASCII)} |",
        f"| realistic mix: 10 % with an address (3 % disguised), 30 % not ASCII, links and entities | ≥ {MIX:,}/s | {rates['mix']:,.0f}/s | {met(rates['mix'] >= MIX)} |",
        f"| the slowest of {len(worst)} messages of {FULL:,} characters (`{worst[0]['text']}`) | < {WORST_MS:g} ms | {worst[0]['ms']:.3f} ms | {met(worst[0]['ms'] < WORST_MS)} |",
        f"| the steepest growth for 8 times the text (`{steepest['text']}`) | 8 times the time | {steepest['growth']:.1f} times | {met(steepest['growth'] <= MOST_GROWTH)} |",
        "",
        "The hard messages are made for one step each; `found-…` are what a hill climb found (`cargo run --release -p tgmesh-detect --example worst -- 600`). "
        "The slowest ten: " + ", ".join(f"`{row['text']}` {row['ms']:.3f} ms" for row in worst[:10]) + ".",
    ]
    if beside:
        names = [name for name in CLASSES if any(name in row["score"] for row in beside["rows"].values())]
        lines += [
            "",
            f"Beside others, on the same {beside['cases']:,} labelled messages ({', '.join(f'`{file}`' for file in beside['files'])}): F1 by class "
            "(where there is nothing to find: messages with a false find), and messages of the mix per second and core. "
            "Links, buttons and quotes are given to the others as text.",
            "",
            "| | total | " + " | ".join(names) + " | messages/s |",
            "|---|---|" + "---|" * (len(names) + 1),
        ]
        def cell(at):
            if at is None:
                return "–"
            return f"{at['f1']:.4f}" if at["f1"] is not None else f"{at['false_alarms']} of {at['cases']}"
        for name, row in beside["rows"].items():
            rate = f"{row['messages_per_s']:,.0f} ({row['of']})"
            if "messages_per_s_all" in row:
                rate += f"; {row['messages_per_s_all']:,.0f} with all its kinds"
            lines.append(f"| {name} | {cell(row['score']['total'])} | " + " | ".join(cell(row["score"].get(at)) for at in names) + f" | {rate} |")
    return "\n".join([*lines, END])


def main():
    corpus = ROOT / "services/detect/corpus"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--skip-others", action="store_true", help="the detector alone")
    parser.add_argument("--messages", type=int, default=200_000, help="of the mix, for the rate beside others")
    parser.add_argument("--cases", nargs="+", type=pathlib.Path, default=[corpus / "held.jsonl"], help="labelled messages")
    parser.add_argument("--print", action="store_true", help="print, and write nothing down")
    given = parser.parse_args()
    result = {"date": datetime.date.today().isoformat(), "commit": bench.commit(), "machine": bench.machine(), "load": os.getloadavg()[0], "alone": alone()}
    if not given.skip_others:
        result["beside"] = beside([file.resolve() for file in given.cases], given.messages)
    if given.print:
        print(block(result))
    else:
        page = HERE / "RESULTS.md"
        text = page.read_text(encoding="utf-8")
        head, rest = text.split(BEGIN, 1)
        page.write_text(head + block(result) + rest.split(END, 1)[1], encoding="utf-8")
        (HERE / "detect.json").write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"detect: wrote {page.relative_to(ROOT)} and detect.json beside it")
    grown = [row for row in result["alone"]["worst"] if row["growth"] and row["growth"] > MOST_GROWTH]
    if grown:
        sys.exit("detect: more than in proportion: " + ", ".join(f"{row['text']} {row['growth']:.0f} times" for row in grown))


if __name__ == "__main__":
    main()
