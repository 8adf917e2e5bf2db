"""Killed before and after every durable operation, a goal comes to the end that it would have had.

The reference goal brings a file in and makes a chain of two steps of it, with real processors, from
an empty folder. Each durable operation of the process that drives it (``tests/fixtures/crashes.py``
says what counts) is a case twice: the process gets SIGKILL right before it, and right after it.
Then the same command runs to its end, and the world is judged beside one that nobody killed.
Killing processors and what SQLite does within a commit are not part of it: the first has nothing
durable but its own folder (``tests/contracts/test_recovery.py``), the second is killed at random
moments by ``tools/torture``.

Those that are killed after an operation lose, before they go on and after the end, what their
machine might have lost with them: the bytes of every content's file that was not waited for.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli import achieve
from orchestrator.goals import goal_file as _preloaded  # noqa: F401 - so that no child imports it
from orchestrator.loop import policy, readmit
from orchestrator.world import audit, commitments, heads
from orchestrator.world import world as world_module
from orchestrator.world.file_stats import RECENT_NS
from orchestrator.world.ledger import Ledger
from orchestrator.world.objects import Objects
from tests.fixtures.crashes import AFTER, BEFORE, Crash
from tests.harness import MOCK, ROOT

PARTS = 12  # shards; each takes every twelfth operation
AHEAD_MAX = 4  # so few are written ahead that the second step has to wait for those of the first
GOAL = """\
schema: v1
name: made
summary: of a test
budget_micro_usd: 1000
sources: {/artifacts/in/: papers}
predicates:
  - name: last
    predicate: artifact.exists
    for_each: "/artifacts/in/{name}"
    args: {path: "/artifacts/last/{name}/outputs/last.txt"}
  - name: history
    predicate: ledger.intact
    scope: invariant
"""


class Run:
    """How a run of the command ended.

    Attributes:
        status: The exit status; minus the signal that ended it.
        told: What it printed, parsed.
        seen: Its operations.
        missed: What it did without counting it.
    """

    def __init__(self, status: int, stdout: bytes, counts: bytes) -> None:
        self.status = status
        self.told: dict[str, Any] = json.loads(stdout) if stdout else {}
        counted = json.loads(counts) if counts else {"seen": [], "missed": []}
        self.seen: list[str] = counted["seen"]
        self.missed: list[str] = counted["missed"]


class Bench:
    """The reference goal, and the worlds that it is reached in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "papers").mkdir()
        (folder / "papers/a.txt").write_text("plain")
        (folder / "goal.yaml").write_text(GOAL)
        time.sleep(RECENT_NS / 10**9 + 0.1)  # or the first runs would not remember the file
        self.whole = folder / "whole"
        self.first = self.run(self.whole, None)
        self.expected = content(self.whole)

    def run(self, world: Path, at: int | None, when: str = BEFORE) -> Run:
        """Run the command in a child that was forked, so that it imports nothing."""
        files = [self.folder / name for name in ("stdout", "stderr", "counts")]
        waits(world).touch()
        for file in files:
            file.write_bytes(b"")
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            try:
                os._exit(self._child(world, files, at, when))
            finally:
                os._exit(99)  # a mistake of the test's own
        _, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        return Run(code, files[0].read_bytes(), files[2].read_bytes())

    def _child(self, world: Path, files: list[Path], at: int | None, when: str) -> int:
        null = os.open(os.devnull, os.O_RDONLY)
        streams = [null, *(os.open(file, os.O_WRONLY) for file in files[:2])]
        for fd, target in zip(streams, range(3), strict=True):
            os.dup2(fd, target)
        counts = os.open(files[2], os.O_WRONLY)
        waited = os.open(waits(world), os.O_WRONLY | os.O_APPEND)
        crash = Crash(str(world), at, when, waited)
        crash.install()
        world_module.AHEAD_MAX = AHEAD_MAX
        words = ("--goal", str(self.folder / "goal.yaml"), *MOCK, "--world", str(world), "--json")
        status = achieve.main(list(words), str(ROOT / "tests/fixtures"))
        os.write(counts, json.dumps({"seen": crash.seen, "missed": crash.missed}).encode())
        return status


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    return Bench(tmp_path_factory.mktemp("bench"))


def content(world: Path) -> dict[str, Any]:
    """What a world has come to, but for numbers of events, ids of attempts, and times."""
    with Ledger(str(world), make=False) as ledger:
        goal = ledger.goal("made")
        assert goal is not None
        made = {each.path: each.cid for each in ledger.artifacts("/artifacts/")}
        budget = commitments.budget(ledger, "made")
        assert budget is not None
        return {
            "artifacts": {
                path: None if "/execution/" in path or path.endswith("receipt.json") else cid
                for path, cid in made.items()
                if "/execution/" not in path
            },
            "goal": (goal.goal, goal.status, goal.must_hold),
            "proof": proof(world, goal.proof),
            "reserved": budget.reserved_micro_usd,
            "limit": budget.limit_micro_usd,
        }


def proof(world: Path, cid: str | None) -> object:
    """The goal's proof, without the numbers of the events that it names."""
    assert cid is not None
    return blank(json.loads((world / "store" / cid[7:9] / cid[9:]).read_bytes()))


def blank(value: object) -> object:
    if isinstance(value, dict):
        return {
            key: None if key in ("seq", "count", "hash") else blank(item)
            for key, item in value.items()
        }
    return [blank(item) for item in value] if isinstance(value, list) else value


def check_sound(world: Path) -> None:
    """Everything verifies, adds up, is at rest, and happened at most once too often."""
    with Ledger(str(world), make=False) as ledger:
        assert audit.problem(ledger) is None
        assert heads.problem(ledger, heads.read(str(world / heads.FILE)), None) is None
        readmit.readmit(ledger.events(), policy.current())
        told = [(event.type, event.data) for event in ledger.events()]
        assert list(commitments.leases(ledger)) == []
        assert ledger.running() == []
        budget = commitments.budget(ledger, "made")
        referred = ledger.cids()
    for cid in referred:
        assert Objects(str(world)).read(cid)
    assert budget is not None
    ended = [data for type_, data in told if type_ == "transition.settled"]
    assert budget.spent_micro_usd == sum(each["spent_micro_usd"] for each in ended)
    outcomes = sorted(each["outcome"] for each in ended)
    assert outcomes in (["success"] * 2, ["abandoned", "success", "success"])
    types = [type_ for type_, _ in told]
    once = ("world.created", "goal.declared", "budget.set", "artifact.put", "goal.satisfied")
    assert {type_: types.count(type_) for type_ in once} == dict.fromkeys(once, 1)
    assert types.count("transition.admitted") == len(ended)
    assert types.count("plan.proposed") <= 2
    staging = world / ".staging"
    assert list(staging.iterdir()) == []
    assert sorted(path.name for path in world.iterdir()) == [
        *(".staging", "head.json", "ledger.sqlite3", "sources.json", "store"),
    ]


LOSSES: tuple[Callable[[Path], object], ...] = (
    Path.unlink,
    lambda file: file.write_bytes(b""),
    lambda file: file.write_bytes(bytes(file.stat().st_size)),
)


def lose(world: Path, at: int) -> int:
    """Damage each content's file that was not waited for, or whose name was not; say how many."""
    waited = {line: number for number, line in enumerate(waits(world).read_text().split())}
    lost = 0
    for file in (world / "store").glob("[0-9a-f][0-9a-f]/*"):
        mine, folder = (waited.get(str(path.stat().st_ino), -1) for path in (file, file.parent))
        if not 0 <= mine < folder:
            file.chmod(0o644)
            LOSSES[at % len(LOSSES)](file)
            lost += 1
    return lost


def waits(world: Path) -> Path:
    """The numbers of the files that were waited for while a world was made, in order."""
    return world.with_name(f"{world.name}.waits")


@pytest.mark.proves("WL-12", "F-8")
@pytest.mark.parametrize("when", [BEFORE, AFTER])
@pytest.mark.parametrize("part", range(PARTS))
def test_killed_at_every_operation_it_ends_as_if_it_had_not_been(
    part: int, when: str, bench: Bench, tmp_path: Path
) -> None:
    assert bench.first.status == 0
    world = tmp_path / "w"
    for at in itertools.count(part, PARTS):
        name = bench.first.seen[at] if at < len(bench.first.seen) else "none"
        what = f"{when} operation {at}, {name}"

        killed = bench.run(world, at, when)
        if killed.status == 0:
            assert at >= len(killed.seen)  # it has no such operation: this was all of them
            return
        if when == AFTER:
            lose(world, at)
        again = bench.run(world, None)
        if when == AFTER:  # at rest, there is nothing to lose but what nothing refers to
            lose(world, at)

        assert killed.status == -signal.SIGKILL, what
        assert again.status == 0, (what, again.told)
        assert content(world) == bench.expected, what
        try:
            check_sound(world)
        except AssertionError as error:
            raise AssertionError(what) from error
        shutil.rmtree(world)
        waits(world).unlink()


# What the reference goal takes at least: contents whose names begin alike share a folder, so that
# one wait for the disk more or less is chance.
OPERATIONS = {
    "chmod": 15,
    "fsync": 38,
    "ledger": 52,
    "mkdir": 28,
    "open": 11,
    "rename": 14,
    "replace": 2,
    "rmdir": 17,
    "unlink": 4,
    "write": 9,
}


def test_what_is_enumerated_is_everything(bench: Bench, tmp_path: Path) -> None:
    seen = bench.first.seen
    kinds = [what.split()[0] for what in seen]

    assert bench.first.missed == []
    assert lose(bench.whole, 0) == 0
    assert {*kinds} == {*OPERATIONS}
    found = {kind: kinds.count(kind) for kind in OPERATIONS}
    assert {kind: min(found[kind], least) for kind, least in OPERATIONS.items()} == OPERATIONS
    assert {*bench.run(tmp_path / "other", None).seen} == {*seen}
    with Ledger(str(bench.whole), make=False) as ledger:
        assert seen.count("ledger INSERT INTO events") == ledger.head().count
    check_sound(bench.whole)
