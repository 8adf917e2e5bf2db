"""Write ``processor.json``, what the orchestrator knows of a processor.

Its checked registry and how to start it from source, the digests of its sources and of the lock.
Run by Bazel with the toolchain's interpreter and the standard library alone, since it is on the way
from each changed line to a new image.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path


def main() -> None:
    """Write the file that the command line asks for."""
    parser = argparse.ArgumentParser(fromfile_prefix_chars="@", allow_abbrev=False)
    parser.add_argument("--checked", type=Path, required=True, help="what check_registry wrote")
    parser.add_argument("--source", action="append", default=[], help="PLACE=FILE in app/")
    parser.add_argument("--lock", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    described = {
        "schema": "v1",
        **json.loads(given.checked.read_text(encoding="utf-8")),
        "source_root": source_root(given.source),
        "lock": digest(given.lock.read_bytes()),
    }
    given.out.write_text(_sorted(described) + "\n", encoding="utf-8")


def source_root(sources: list[str]) -> str:
    """The digest of the files in app/: their places and contents, in order of place."""
    files = {}
    for item in sources:
        place, _, name = item.partition("=")
        files[place] = digest(Path(name).read_bytes())
    return digest(_sorted(files).encode())


def digest(data: bytes) -> str:
    """SHA-256, as it is written everywhere."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _sorted(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


if __name__ == "__main__":
    main()
