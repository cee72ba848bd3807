#!/usr/bin/env python3
"""Writes open.jsonl and held.jsonl, the labelled messages that the detector is judged by.

  python3 generate.py [--out FOLDER] [--check] [--counts]

Standard library only; the same bytes on every run and every version of Python since 3.8.
"""

import argparse
import collections
import json
import os
import sys

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import addresses  # noqa: E402
import make  # noqa: E402
import others  # noqa: E402
import held_disguises  # noqa: E402
import held_sites  # noqa: E402
import held_words  # noqa: E402
import open_disguises  # noqa: E402
import open_sites  # noqa: E402
import open_words  # noqa: E402


def open_part():
    part = make.Part("open", open_words, open_sites, open_disguises)
    make.assembled(part, 420)
    make.in_languages(part, 3)
    make.short(part, 160)
    make.places(part, 110)
    make.links(part, 6)
    make.surfaces(part, 90)
    make.cards(part, 70)
    make.long_ones(part, 60)
    make.marked_links(part, 70)
    make.disguised(part, 90, 45)
    others.several(part, 160)
    others.near(part, 30)
    others.near_links(part, 60)
    others.none(part, 1, 22)
    others.arguable(part, 24)
    return part


def held_part():
    part = make.Part("held", held_words, held_sites, held_disguises)
    make.assembled(part, 300)
    make.in_languages(part, 2)
    make.short(part, 160)
    make.places(part, 90)
    make.links(part, 3)
    make.surfaces(part, 60)
    make.cards(part, 50)
    make.long_ones(part, 50)
    make.marked_links(part, 50)
    make.disguised(part, 65, 30)
    others.several(part, 150)
    others.near(part, 24)
    others.near_links(part, 50)
    others.none(part, 1, 16)
    others.arguable(part, 16)
    return part


PARTS = [open_part, held_part]


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--out", default=HERE, help="folder to write to")
    options.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file is stale")
    options.add_argument("--counts", action="store_true", help="print how many cases each class and kind has")
    options = options.parse_args()
    addresses.verify()
    stale = []
    for build in PARTS:
        part = build()
        path, fresh = os.path.join(options.out, part.name + ".jsonl"), part.lines().encode()
        if options.check:
            with open(path, "rb") as file:
                if file.read() != fresh:
                    stale.append(path)
        else:
            with open(path, "wb") as file:
                file.write(fresh)
        if options.counts:
            classes = collections.Counter(case["class"] for case in part.cases)
            notes = collections.Counter((case["class"], case.get("note", "")) for case in part.cases)
            languages = {case["lang"] for case in part.cases if "lang" in case}
            print(part.name, len(part.cases), "cases,", len(fresh), "bytes,", len(languages), "languages", json.dumps(classes))
            for (kind, note), count in sorted(notes.items()):
                print("  %5d %s / %s" % (count, kind, note))
    if stale:
        sys.exit("stale: %s; run generate.py" % ", ".join(stale))


if __name__ == "__main__":
    main()
