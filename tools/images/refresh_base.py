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
from tools.images.base_lock import LockError, Package
from tools.images.debian_apt import AptError

LOCK = "tools/images/base.lock.json"


def main() -> None:
    """Write the lock into the workspace."""
    file = Path(os.environ["BUILD_WORKSPACE_DIRECTORY"], LOCK)
    try:
        old = _old(file)
        with tempfile.TemporaryDirectory() as folder:
            resolved = debian_apt.resolve(debian_apt.mirror(), Path(folder))
        new = debian_apt.without_left_out(resolved)
        text = base_lock.dump(new)
        base_lock.parse(text)  # What is written can be read.
        verdict = "stays as it was" if _is_there(file, text) else "is new"
        _write(file, text)
    except (AptError, LockError, OSError) as error:
        sys.exit(f"refresh_base: {error}")
    for line in base_lock.changes(old, new):
        print(line)
    for name, reason in sorted(contents.LEFT_OUT.items()):
        print(f"  without {name}: {reason}")
    size = sum(package.size_bytes for package in new)
    print(f"{len(new)} packages, {size} bytes; the lock {verdict}: {LOCK}")


def _old(file: Path) -> list[Package]:
    """What is locked now; nothing where that cannot be read, since it is about to be replaced."""
    try:
        return base_lock.read(file) if file.exists() else []
    except LockError as error:
        print(f"refresh_base: {error}; it counts as empty", file=sys.stderr)
        return []


def _is_there(file: Path, text: str) -> bool:
    return file.exists() and file.read_bytes() == text.encode()


def _write(file: Path, text: str) -> None:
    """Put the lock in its place: afterwards the old one or the new one is there, whole."""
    scratch = file.with_suffix(".new")
    scratch.write_text(text, encoding="utf-8")
    scratch.replace(file)


if __name__ == "__main__":
    main()
