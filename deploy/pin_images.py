#!/usr/bin/env python3
"""Writes down which bytes the tags of others' images stand for today, for those who want these and no
others: `make k8s-pin`.

    deploy/pin_images.py [FOLDER]

In FOLDER (k8s/pinned): kustomization.yaml, a component of digests for the `components:` of an overlay;
build-args, which `make image` gives to the Dockerfile. Check both in. Digests are asked of the registries,
by whichever of crane, skopeo, regctl or docker is installed, and are those of all platforms together.
"""

import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
OURS = "tgmesh"
ASKING = {
    "crane": ["crane", "digest", "{}"],
    "skopeo": ["skopeo", "inspect", "--no-tags", "--format", "{{.Digest}}", "docker://{}"],
    "regctl": ["regctl", "image", "digest", "{}"],
    "docker": ["docker", "buildx", "imagetools", "inspect", "--format", "{{.Manifest.Digest}}", "{}"],
}


def main() -> None:
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "k8s/pinned"
    asking = next((words for program, words in ASKING.items() if shutil.which(program)), None)
    if asking is None:
        sys.exit(f"needs one of {', '.join(ASKING)}, to ask the registries")
    # All are asked before anything is written.
    component = kustomization({image: digest(asking, image) for image in deployed()})
    arguments = [f"{name}={image}@{digest(asking, image)}" for name, image in built_on().items()]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "kustomization.yaml").write_text(component)
    (folder / "build-args").write_text("\n".join(arguments) + "\n")
    print(folder)


def deployed() -> list[str]:
    """Others' images in the manifests."""
    found = set()
    for path in [*ROOT.glob("k8s/base/**/*.yaml"), *ROOT.glob("k8s/overlays/**/*.yaml")]:
        found |= set(re.findall(r"^\s*(?:- )?image: (\S+)$", path.read_text(), re.M))
    return sorted(image for image in found if image.partition(":")[0] != OURS)


def built_on() -> dict[str, str]:
    """What the Dockerfile begins with, by the argument that names it."""
    return dict(re.findall(r"^ARG (\w+_IMAGE)=(\S+)$", (ROOT / "deploy/Dockerfile").read_text(), re.M))


def digest(asking: list[str], image: str) -> str:
    command = [word.replace("{}", image) if word.endswith("{}") else word for word in asking]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = done.stdout.strip()
    if done.returncode != 0 or not re.fullmatch(r"sha256:[0-9a-f]{64}", found):
        sys.exit(f"{' '.join(command)}: {done.stderr.strip() or found or 'no answer'}")
    return found


def kustomization(digests: dict[str, str]) -> str:
    lines = [
        "# Written by `make k8s-pin`.",
        "apiVersion: kustomize.config.k8s.io/v1alpha1",
        "kind: Component",
        "images:",
    ]
    for image, found in digests.items():
        name, _, tag = image.rpartition(":")
        lines += [f"  - name: {name}", f'    newTag: "{tag}"', f"    digest: {found}"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
