"""Proofs, as test runs and the self check leave them on disk."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from tools.rows.table import LANES


@dataclass(frozen=True)
class Case:
    """One test case of the last run.

    Attributes:
        name: What it is called.
        place: The folder below ``tests/`` that it lies in, or ``selfcheck``.
        passed: Whether it ran to its end and was right.
        proves: The rows it claims.
    """

    name: str
    place: str
    passed: bool
    proves: tuple[str, ...]


def from_testlogs(folder: Path) -> Iterator[Case]:
    """Every test case below ``bazel-testlogs``."""
    for file in sorted(folder.rglob("test.xml")):
        relative = file.relative_to(folder).as_posix()
        # Written by Bazel or by pytest in the run before; not input from outside.
        for case in ET.parse(file).iter("testcase"):  # noqa: S314
            bad = any(case.find(kind) is not None for kind in ("failure", "error", "skipped"))
            properties = case.iter("property")
            yield Case(
                name=f"{case.get('classname', relative)}::{case.get('name', '')}",
                place=place_of(relative),
                passed=not bad,
                proves=tuple(
                    item.get("value", "") for item in properties if item.get("name") == "proves"
                ),
            )


def place_of(path: str) -> str:
    """The lane folder of a result file, or its folder as it is when that is none."""
    inner = path.partition("tests/")[2] if path.startswith("tests/") else path
    parts = inner.split("/")
    for length in (2, 1):
        if "/".join(parts[:length]) in LANES:
            return "/".join(parts[:length])
    return parts[0]


def from_selfcheck(file: Path) -> Iterator[Case]:
    """Every check of the self check's last run; none if it was not run."""
    if not file.exists():
        return
    for check in json.loads(file.read_text(encoding="utf-8"))["checks"]:
        yield Case(check["name"], "selfcheck", check["passed"], tuple(check["proves"]))
