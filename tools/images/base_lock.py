"""The lock of the base image: which package files it is made of. It names no host.

Read by a Bazel rule (``debian.bzl``) and by programs; written by ``refresh_base`` alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

_SHAPES: Final = {
    "name": r"[a-z0-9][a-z0-9+.-]+",
    "version": r"[0-9][A-Za-z0-9.+:~-]*",
    "architecture": r"all|amd64|arm64",
    "sha256": r"[0-9a-f]{64}",
    # From the mirror's root, so that a join with one slash is right for every mirror.
    "path": r"pool/[A-Za-z0-9+._~%/-]+\.deb",
}


class LockError(Exception):
    """The lock is not in its form; the message says where."""


@dataclass(frozen=True)
class Package:
    """One package file."""

    name: str
    version: str
    architecture: str
    sha256: str
    size_bytes: int
    path: str


def read(file: Path) -> list[Package]:
    """Return the packages of a lock.

    Raises:
        LockError: there are none, an entry has another form, or they are not sorted and each
            named once.
    """
    return parse(file.read_text(encoding="utf-8"))


def parse(text: str) -> list[Package]:
    """Return the packages of a lock's text.

    Raises:
        LockError: see ``read``.
    """
    try:
        packages = [Package(**entry) for entry in json.loads(text)["packages"]]
    except (ValueError, TypeError, KeyError) as error:
        raise LockError(f"not the lock of a base: {error!r}") from error
    if not packages:
        raise LockError("it lists no packages")
    for package in packages:
        _check(package)
    names = [package.name for package in packages]
    if names != sorted(set(names)):
        raise LockError("packages are not sorted by name, each once")
    return packages


def dump(packages: Iterable[Package]) -> str:
    """Return a lock's text; the same packages give the same bytes."""
    entries = [asdict(package) for package in sorted(packages, key=lambda each: each.name)]
    return json.dumps({"packages": entries}, indent=2) + "\n"


def changes(old: Sequence[Package], new: Sequence[Package]) -> Iterator[str]:
    """Say line by line what a refresh changed; nothing if it changed nothing."""
    before = {package.name: package for package in old}
    after = {package.name: package for package in new}
    for name in sorted({*before, *after}):
        was, now = before.get(name), after.get(name)
        if was is None and now is not None:
            yield f"+ {name} {now.version}, {now.size_bytes} bytes"
        elif now is None and was is not None:
            yield f"- {name} {was.version}, {was.size_bytes} bytes"
        elif was is not None and now is not None and was != now:
            more = now.size_bytes - was.size_bytes
            if was.version == now.version:
                yield f"! {name} {now.version}: another file under the same version"
            else:
                yield f"  {name} {was.version} -> {now.version}, {more:+} bytes"


def _check(package: Package) -> None:
    for field, shape in _SHAPES.items():
        value = getattr(package, field)
        if not isinstance(value, str) or not re.fullmatch(shape, value):
            raise LockError(f"{package.name}: {field} is {value!r}")
    if "//" in package.path or ".." in package.path.split("/"):
        raise LockError(f"{package.name}: path is {package.path!r}")
    if type(package.size_bytes) is not int or package.size_bytes <= 0:
        raise LockError(f"{package.name}: size_bytes is {package.size_bytes!r}")
