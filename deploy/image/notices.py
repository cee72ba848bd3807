#!/usr/bin/env python3
"""Who wrote what the binaries are made of, and under which terms: one line for each crate that is
linked into them, then the texts of the licences that come with the sources."""

import json
import pathlib
import subprocess
import sys


def main() -> None:
    metadata = json.loads(
        subprocess.run(["cargo", "metadata", "--format-version", "1", "--locked", "--offline"], check=True, capture_output=True, text=True).stdout
    )
    packages = {package["id"]: package for package in metadata["packages"]}
    # From our crates along what is linked: neither build scripts' nor tests' own dependencies.
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    wanted, seen = list(metadata["workspace_members"]), set()
    while wanted:
        one = wanted.pop()
        if one in seen:
            continue
        seen.add(one)
        wanted += [dep["pkg"] for dep in nodes[one]["deps"] if any(kind["kind"] is None for kind in dep["dep_kinds"])]
    foreign = sorted((packages[one] for one in seen if packages[one]["source"]), key=lambda one: (one["name"], one["version"]))
    for package in foreign:
        print(f"{package['name']} {package['version']}: {package['license'] or 'see its licence file'}; {', '.join(package['authors']) or package['repository'] or ''}")
    texts: dict[str, list[str]] = {}
    for package in foreign:
        folder = pathlib.Path(package["manifest_path"]).parent
        for file in sorted(folder.glob("*")):
            if file.is_file() and file.name.upper().startswith(("LICENSE", "LICENCE", "COPYING", "NOTICE")):
                texts.setdefault(file.read_text(errors="replace").strip(), []).append(f"{package['name']} {package['version']}")
    for text, users in sorted(texts.items(), key=lambda item: item[1]):
        print(f"\n\n======== {', '.join(users)}\n\n{text}")
    if not foreign:
        sys.exit("no crates were found")


if __name__ == "__main__":
    main()
