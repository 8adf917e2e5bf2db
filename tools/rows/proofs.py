"""Proofs, as test runs and the self check leave them on disk."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from tools.rows.table import LANES


class RunError(Exception):
    """Nothing tells what the last run did; the message says what does."""


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


def from_run(file: Path) -> Iterator[Case]:
    """Every test case of one run of Bazel, from the events that it wrote.

    The folder of results would not do: it keeps those of deleted tests and of shards that are no
    more. The events name the results that this run has, remembered ones among them.

    Raises:
        RunError: there is no such file, the run did not end, or its results are gone.
    """
    for event in _events(file):
        if "testResult" in event["id"]:
            label = event["id"]["testResult"]["label"]
            result = event.get("testResult", {"status": "never ran"})
            cases = [case for xml in _results(result) for case in _cases(xml, label)]
            yield from cases
            # As when it ran out of time, or had no case to run.
            if result["status"] != "PASSED" and all(case.passed for case in cases):
                yield Case(
                    f"{label}: {result['status']}", place_of("", label), passed=False, proves=()
                )


def _events(file: Path) -> list[dict[str, Any]]:
    again = f"run: tools/bazel test //tests/... --build_event_json_file={file.name}"
    if not file.exists():
        raise RunError(f"{file} is not there, so no test counts; {again}")
    try:
        events = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    except ValueError:
        events = []
    if not events or not events[-1].get("lastMessage"):
        raise RunError(f"{file} is of a run that did not end; {again}")
    return events


def _results(result: dict[str, Any]) -> Iterator[Path]:
    for output in result.get("testActionOutput", ()):
        if output["name"] == "test.xml":
            address = urllib.parse.urlsplit(output["uri"])
            path = Path(urllib.parse.unquote(address.path))
            if address.scheme != "file" or not path.exists():
                raise RunError(f"the run's results are not here any more: {output['uri']}")
            yield path


def _cases(xml: Path, label: str) -> Iterator[Case]:
    try:
        # Written by Bazel or by pytest in the run before; not input from outside.
        tree = ET.parse(xml)  # noqa: S314
    except ET.ParseError as error:
        yield Case(f"{label}: {xml.name}: {error}", place_of("", label), passed=False, proves=())
        return
    for case in tree.iter("testcase"):
        bad = any(case.find(kind) is not None for kind in ("failure", "error", "skipped"))
        yield Case(
            name=f"{case.get('classname', label)}::{case.get('name', '')}",
            place=place_of(case.get("file", ""), label),
            passed=not bad,
            proves=tuple(
                item.get("value", "")
                for item in case.iter("property")
                if item.get("name") == "proves"
            ),
        )


def place_of(file: str, label: str) -> str:
    """The lane folder that a case's file lies in, else that of its target, else a plain folder.

    An image's test is a target beside the image, and its file lies in a lane. A case may also be
    inherited from a library, whose file lies in none.
    """
    package = label.partition("//")[2].partition(":")[0]
    for path in (file, package):
        folder, _, inner = path.partition("/")
        parts = inner.split("/")
        for length in (2, 1):
            if folder == "tests" and "/".join(parts[:length]) in LANES:
                return "/".join(parts[:length])
    return package.removeprefix("tests/").partition("/")[0]


def from_selfcheck(file: Path) -> Iterator[Case]:
    """Every check of the self check's last run; none if it was not run."""
    if not file.exists():
        return
    for check in json.loads(file.read_text(encoding="utf-8"))["checks"]:
        yield Case(check["name"], "selfcheck", check["passed"], tuple(check["proves"]))
