"""Holds the manifests against the API's schemas, against the rules of the house, against the code
that they start, and against the picture of who talks to whom. `make k8s-check`.

Each check is a function whose name says what must be so; what it yields is a fault. The last line
says how many passed."""

import pathlib
import sys
import tempfile

import arrows
import code_facts
import crds
import dockerfile
import live
import manifests
import names
import operators
import pins
import policies
import sabotage

ROOT = pathlib.Path(__file__).resolve().parents[2]


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        builds = manifests.build_all(ROOT, pathlib.Path(folder))
    checks = []
    for build in builds:
        checks += [(build.name, check) for check in manifests.CHECKS + names.CHECKS + crds.CHECKS + operators.CHECKS + policies.CHECKS + code_facts.CHECKS]
        if build.name in arrows.INTENDED:
            checks += [(build.name, check) for check in arrows.CHECKS]
    by_name = {build.name: build for build in builds}
    checks.append(("dev", live.every_part_works_with_its_own_user))
    failed = 0
    for name, check in checks:
        faults = list(check(by_name[name], ROOT))
        failed += bool(faults)
        for fault in faults:
            print(f"FAILED {name}: {check.__name__}: {fault}")
    of_the_tree = code_facts.OF_THE_TREE + dockerfile.CHECKS + pins.CHECKS
    for check in of_the_tree:
        faults = list(check(ROOT))
        failed += bool(faults)
        for fault in faults:
            print(f"FAILED {check.__name__}: {fault}")
    for fault in sabotage.unnoticed(by_name, ROOT):
        failed += 1
        print(f"FAILED {fault}")
    total = len(sabotage.DEEDS) + len(sabotage.DEEDS_WITH_OPERATORS) + len(checks) + len(of_the_tree)
    objects = sum(len(build.objects) for build in builds)
    print(f"{len(builds)} builds, {objects} objects")
    print(f"k8s-check: {total - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
