"""Run ruff over the files that the test target names.

``run_ruff.py RUFF check|format FILE...``
"""

from __future__ import annotations

import os
import sys

OPTIONS = {
    "check": ("check", "--no-cache", "--output-format=concise"),
    "format": ("format", "--no-cache", "--check", "--diff"),
}
FIX = {"check": "check --fix", "format": "format"}


def main() -> None:
    """Become ruff; a selection without a file is an error."""
    ruff, verb, *files = sys.argv[1:]
    if not files:
        sys.exit("no file to check: the target's list of sources is empty")
    print(f"ruff {verb}: {len(files)} files. To put them right:")
    print(f'  tools/bazel run //tools/lint:ruff -- {FIX[verb]} "$PWD"', flush=True)
    os.execv(ruff, [ruff, *OPTIONS[verb], "--config", "pyproject.toml", *files])  # noqa: S606


if __name__ == "__main__":
    main()
