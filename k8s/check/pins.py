"""`make k8s-pin`, with a registry that knows every image: each of others' images gets its digest, and
nothing is written where one answer is none."""

import hashlib
import os
import pathlib
import subprocess
import sys
import tempfile

from manifests import Build, containers, kustomize

REGISTRY = """#!/bin/sh
[ "$1" = digest ] && printf 'sha256:%s\\n' "$(printf %s "$2" | sha256sum | cut -c -{length})"
"""


def pin(root: pathlib.Path, scratch: pathlib.Path, length: int) -> subprocess.CompletedProcess:
    crane = scratch / "crane"
    crane.write_text(REGISTRY.replace("{length}", str(length)))
    crane.chmod(0o755)
    path = f"{scratch}:{os.environ['PATH']}"
    words = [sys.executable, root / "deploy/pin_images.py", scratch / "pinned"]
    return subprocess.run(words, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False)


def digest(image: str) -> str:
    return "sha256:" + hashlib.sha256(image.encode()).hexdigest()


def every_image_can_be_pinned(root: pathlib.Path):
    with tempfile.TemporaryDirectory() as folder:
        scratch = pathlib.Path(folder).resolve()
        if pin(root, scratch, 63).returncode == 0 or (scratch / "pinned").exists():
            yield "what is no digest was written down"
        done = pin(root, scratch, 64)
        if done.returncode != 0:
            yield done.stderr.strip()
            return
        overlay = scratch / "overlay"
        overlay.mkdir()
        base = os.path.relpath(root / "k8s/overlays/dev", overlay)
        (overlay / "kustomization.yaml").write_text(
            "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
            f"resources: [{base}]\ncomponents: [../pinned]\n"
        )
        for workload in Build("pinned", kustomize(overlay)).workloads():
            for one in containers(workload):
                image, _, found = one["image"].partition("@")
                if not image.startswith("tgmesh:") and found != digest(image):
                    yield f"{one['image']} is not pinned"
        arguments = dict(line.split("=", 1) for line in (scratch / "pinned/build-args").read_text().splitlines())
        dockerfile = (root / "deploy/Dockerfile").read_text()
        for line in dockerfile.splitlines():
            image = line.split("${")[-1].partition("}")[0]
            if line.startswith("FROM ") and "${" in line and image not in arguments:
                yield f"{line}: is not pinned"
        for name, pinned in arguments.items():
            image, _, found = pinned.partition("@")
            if found != digest(image) or f"ARG {name}={image}\n" not in dockerfile:
                yield f"{name}={pinned}"


CHECKS = [every_image_can_be_pinned]
