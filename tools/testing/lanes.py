"""A lane is a promise; this plugin makes a test that breaks it fail.

The guard listens to the interpreter's audit events (PEP 578), so it sees what a test does through
any library. It is the same on every machine; the sandbox without a network comes on top.
"""

from __future__ import annotations

import sys
from collections.abc import Generator

import pytest

_PROCESS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty")
_SOCKET = ("socket.__new__", "socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo")

# Audit events that a lane forbids altogether. tests/README.md has the same table for people.
FORBIDDEN: dict[str, tuple[str, ...]] = {
    "unit": (*_PROCESS, *_SOCKET, "time.sleep"),
    "property": _SOCKET,
    "acceptance_pr": _SOCKET,
    "integration": (),
    "contracts": (),
    "acceptance_pinned": (),
    "smoke": (),
}

_LOOPBACK = ("127.", "::1", "localhost")


class LaneViolationError(Exception):
    """A test did what its lane forbids."""


class LanePlugin:
    """Holds the tests of one lane to its promise, and its results to a plain count."""

    def __init__(self, lane: str, have: frozenset[str]) -> None:
        self._lane = lane
        self._have = have
        self._forbidden = frozenset(FORBIDDEN[lane])
        self._watching = False
        self._violations: list[str] = []
        self._counts = {"run": 0, "skipped": 0, "deselected": 0}
        sys.addaudithook(self._audit)

    def pytest_configure(self, config: pytest.Config) -> None:
        """Register the two marks that a test may carry; lane marks do not exist."""
        config.addinivalue_line("markers", "proves(*ids): rows of docs/acceptance.md it proves")
        config.addinivalue_line("markers", "requires(what): a capability named by --have")

    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        """Deselect what needs a capability that was not announced; note proved rows and seeds."""
        absent = [item for item in items if not self._needs(item) <= self._have]
        if absent:
            config.hook.pytest_deselected(items=absent)
            items[:] = [item for item in items if item not in absent]
        self._counts["deselected"] = len(absent)
        for item in items:
            for mark in item.iter_markers("proves"):
                item.user_properties += [("proves", row) for row in mark.args]
            if (seed := self._seed(item)) is not None:
                item.user_properties.append(("seed", seed))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(
        self,
        item: pytest.Item,  # noqa: ARG002 - pytest's own signature
    ) -> Generator[None, object, object]:
        """Watch the test, its fixtures included."""
        self._violations.clear()
        self._watching = True
        try:
            return (yield)
        finally:
            self._watching = False

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self,
        item: pytest.Item,
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Turn an unannounced skip, and a violation that the test swallowed, into a failure."""
        report = yield
        if report.skipped:
            self._counts["skipped"] += 1
            self._fail(report, "a skip nobody announced; mark it requires(...) or fix it")
        elif self._violations and report.passed:
            self._fail(report, f"lane {self._lane} forbids {', '.join(self._violations)}")
        elif report.failed and (seed := self._seed(item)) is not None:
            report.sections.append(("seed", f"the search started from seed {seed}"))
        self._counts["run"] += report.when == "call"
        return report

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the lane's counts."""
        counts = ", ".join(f"{count} {name}" for name, count in self._counts.items())
        terminalreporter.write_line(f"lane {self._lane}: {counts}")

    @staticmethod
    def _needs(item: pytest.Item) -> set[str]:
        return {what for mark in item.iter_markers("requires") for what in mark.args}

    @staticmethod
    def _seed(item: pytest.Item) -> str | None:
        """What the search starts from, if the test is one."""
        is_search = getattr(getattr(item, "obj", None), "is_hypothesis_test", False)
        return str(item.config.getoption("--hypothesis-seed")) if is_search else None

    @staticmethod
    def _fail(report: pytest.TestReport, why: str) -> None:
        report.outcome = "failed"
        report.longrepr = f"{report.nodeid}: {why}\n{report.longrepr or ''}"

    def _audit(self, event: str, args: tuple[object, ...]) -> None:
        if not self._watching:
            return
        if event in self._forbidden or (event == "socket.connect" and not _is_local(args[1])):
            self._violations.append(event)
            raise LaneViolationError(f"lane {self._lane} forbids {event}")


def _is_local(address: object) -> bool:
    """Whether a socket address stays on this machine: loopback, or a path or name (AF_UNIX)."""
    if isinstance(address, tuple):
        return str(address[0]).startswith(_LOOPBACK)
    return isinstance(address, str | bytes)
