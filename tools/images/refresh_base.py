"""Resolve the base image's packages anew, write their lock and say what changed.

    tools/bazel run //tools/images:refresh_base

Needs apt, and a mirror: DEBIAN_MIRROR, else the one that this machine's apt uses. The names that
are wanted and those that are left out are in ``contents.py``.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from tools.images import base_lock, contents, debian_apt
from tools.images.base_lock import LockError
from tools.images.debian_apt import AptError

LOCK = "tools/images/base.lock.json"


def main() -> None:
    """Write the lock into the workspace."""
    file = Path(os.environ["BUILD_WORKSPACE_DIRECTORY"], LOCK)
    try:
        old = base_lock.read(file) if file.exists() else []
        with tempfile.TemporaryDirectory() as folder:
            resolved = debian_apt.resolve(debian_apt.mirror(), Path(folder))
        new = debian_apt.without_left_out(resolved)
        text = base_lock.dump(new)
        base_lock.parse(text)  # What is written can be read.
    except (AptError, LockError) as error:
        sys.exit(f"refresh_base: {error}")
    for line in base_lock.changes(old, new):
        print(line)
    for name, reason in sorted(contents.LEFT_OUT.items()):
        print(f"  without {name}: {reason}")
    size = sum(package.size_bytes for package in new)
    print(f"{len(new)} packages, {size} bytes; the lock {_verdict(file, text)}: {LOCK}")
    file.write_text(text, encoding="utf-8")


def _verdict(file: Path, text: str) -> str:
    same = file.exists() and file.read_text(encoding="utf-8") == text
    return "stays as it was" if same else "is new"


if __name__ == "__main__":
    main()
