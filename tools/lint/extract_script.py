"""Copy a program out of the wheel that carries it.

Some wheels hold a compiled program and nothing to import (binary distribution format, folder
``*.data/scripts``). Run by Bazel with the toolchain's interpreter; standard library only.
"""

from __future__ import annotations

import argparse
import fnmatch
import sys
import zipfile
from pathlib import Path


def main() -> None:
    """Write the program that the command line names, or say what the wheel has instead."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--wheel", type=Path, required=True)
    parser.add_argument("--script", required=True, help="the program's name")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    with zipfile.ZipFile(given.wheel) as archive:
        scripts = fnmatch.filter(archive.namelist(), "*.data/scripts/*")
        found = [name for name in scripts if name.endswith(f"/{given.script}")]
        if len(found) != 1:
            has = ", ".join(name.rpartition("/")[2] for name in scripts) or "none"
            sys.exit(f"{given.wheel.name}: no program {given.script}; it has: {has}")
        given.out.write_bytes(archive.read(found[0]))
    given.out.chmod(0o755)


if __name__ == "__main__":
    main()
