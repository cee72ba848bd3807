"""Reads every golden vector of proto/vectors and compares its MessagePack with its JSON. Needs PyPI `msgpack`."""
import json
import math
import pathlib
import sys

import msgpack

VECTORS = pathlib.Path(__file__).resolve().parent.parent / "vectors"


def same(a, b):
    """Equal in value and kind: 1 is not 1.0, and neither is True."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b or (isinstance(a, float) and math.isnan(a) and math.isnan(b))


def main():
    names = sorted({path.stem for path in VECTORS.iterdir() if path.suffix in (".json", ".msgpack")})
    passed = failed = 0
    for name in names:
        try:
            packed = msgpack.unpackb((VECTORS / f"{name}.msgpack").read_bytes(), raw=False, strict_map_key=True)
            plain = json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))
            problem = None if same(packed, plain) else f"{packed!r} is not {plain!r}"
        except (OSError, ValueError, msgpack.UnpackException) as error:
            problem = repr(error)
        if problem is None:
            passed += 1
        else:
            failed += 1
            print(f"{name}: {problem}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
