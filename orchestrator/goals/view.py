"""What a predicate sees of a snapshot, and the witness of what it looked at.

Everything a predicate learns goes through a ``View``, which writes down each path it looked at with
what lay there, and each pattern it went through to the end. That list, with what the predicate
found, is the witness: over a ``Narrowed`` snapshot, which shows what a witness names and nothing
else, the predicate must say the same again.
"""

from __future__ import annotations

from orchestrator.goals import goal as goals
from orchestrator.goals.templates import Template
from orchestrator.world import goal_facts
from processors.protocol import shapes
from processors.protocol.canonical import Json
from processors.protocol.errors import ContractError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orchestrator.goals.goal import Goal, Stated
    from orchestrator.goals.snapshot import Snapshot
    from orchestrator.goals.templates import Bindings
    from orchestrator.world.chain import Event
    from orchestrator.world.records import Artifact

    type Found = dict[str, Json]
    type Answer = tuple[bool, Found]
    type Evaluate = Callable[[Stated, View], Answer]

READ_BYTES_MAX = 16_777_216  # of one artifact; what is larger is judged by its size or its digest
MATCHES_MAX = 10_000  # of one pattern
BYTES_GONE = "bytes_gone"  # the reason of an error that making them again can mend
SOURCE_GONE = "source_gone"  # what is found of a path when something it was made from is not there
STALE = "stale"  # what is found of a path when making it again can make a predicate true
GOALS_DEEP_MAX = 16  # goals that rest on goals


class CannotTellError(Exception):
    """A predicate can be neither true nor false; its verdict is ``error``.

    Attributes:
        reason: A slug.
    """

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)


class View:
    """One look at a snapshot: hands out what is asked for, and remembers it.

    Attributes:
        proved: What was found of each goal that holds, by name, so that it is judged once however
            many others rest on it.
    """

    def __init__(self, snapshot: Snapshot, evaluate: Evaluate) -> None:
        self._snapshot = snapshot
        self._evaluate = evaluate
        self._seen: dict[str, Artifact | None] = {}
        self._whole: set[str] = set()
        self._goals: list[str] = []
        self.proved: dict[str, Found] = {}

    def artifact(self, path: str) -> Artifact | None:
        """What lies at a path, its bytes being there; None if nothing does."""
        if path not in self._seen:
            self._seen[path] = self._snapshot.artifact(path)
        found = self._seen[path]
        if found is not None and (wrong := self._snapshot.bytes_problem(found)) is not None:
            raise CannotTellError(BYTES_GONE, wrong)
        return found

    def matching(self, pattern: str) -> Iterator[tuple[Artifact, Bindings]]:
        """The artifacts at the paths of a pattern, sorted, and what its wildcards stand for."""
        template = Template(pattern)
        count = 0
        for artifact in self._snapshot.artifacts(template.folder):
            bindings = template.match(artifact.path)
            if bindings is None:
                continue
            count += 1
            if count > MATCHES_MAX:
                raise CannotTellError("too_many", f"more than {MATCHES_MAX} match {pattern}")
            self._seen[artifact.path] = artifact
            if (wrong := self._snapshot.bytes_problem(artifact)) is not None:
                raise CannotTellError(BYTES_GONE, wrong)
            yield artifact, bindings
        self._whole.add(pattern)

    def read(self, artifact: Artifact) -> bytes:
        """The bytes of an artifact that was looked at."""
        try:
            return self._snapshot.read(artifact, READ_BYTES_MAX)
        except ContractError as error:
            reason = "too_large" if error.reason == "too_large" else BYTES_GONE
            raise CannotTellError(reason, f"{artifact.path}: {error.message}") from None

    def text(self, artifact: Artifact) -> str | None:
        """The text that an artifact is in UTF-8, or None if it is none."""
        try:
            return self.read(artifact).decode("utf-8")
        except UnicodeDecodeError:
            return None

    def event(self, artifact: Artifact) -> Event:
        """The event that put an artifact where it lies."""
        return self._snapshot.event(artifact.seq)

    def taken(self, artifact: Artifact) -> dict[str, str]:
        """What an artifact was made from: content ids by path; empty for what came from outside."""
        maker = self.event(artifact).data.get("execution_id")
        asked = self._snapshot.request(maker) if isinstance(maker, str) else None
        given = {} if asked is None else shapes.members(asked.data, "artifacts")
        return {shapes.text(each, "path"): shapes.text(each, "cid") for each in given.values()}

    def ledger(self) -> tuple[str | None, Found]:
        """What is wrong with the ledger, or None, and which events that is said of."""
        try:
            wrong = self._snapshot.ledger_problem()
        except ContractError as error:
            raise CannotTellError("ledger_unread", error.message) from None
        return wrong, {"count": self._snapshot.head.count, "hash": self._snapshot.head.hash}

    def goal(self, name: str) -> Goal | None:
        """The goal of a name, or None; its predicates are judged until ``leave``."""
        if name in self._goals:
            raise CannotTellError("cycle", f"goal {name} rests on itself")
        if len(self._goals) >= GOALS_DEEP_MAX:
            raise CannotTellError(
                "too_many", f"more than {GOALS_DEEP_MAX} goals rest on each other"
            )
        kept = self.artifact(goal_facts.goal_path(name))
        if kept is None:
            return None
        try:
            found = goals.parse(self.read(kept))
        except ContractError as error:
            raise CannotTellError(BYTES_GONE, error.message) from None
        self._goals.append(name)
        return found

    def leave(self) -> None:
        """The goal that was asked for last is judged."""
        self._goals.pop()

    def holds(self, stated: Stated) -> bool:
        """Whether a predicate of a goal holds; what it looks at is part of this look."""
        return self._evaluate(stated, self)[0]

    def witness(self, found: Found) -> dict[str, Json]:
        """What was looked at, and what was found."""
        artifacts: list[Json] = [_named(path, self._seen[path]) for path in sorted(self._seen)]
        return {"artifacts": artifacts, "whole": list[Json](sorted(self._whole)), "found": found}


def _named(path: str, artifact: Artifact | None) -> Json:
    if artifact is None:
        return {"path": path, "cid": None, "size_bytes": None, "seq": None}
    return {
        "path": path,
        "cid": artifact.cid,
        "size_bytes": artifact.size_bytes,
        "seq": artifact.seq,
    }


class Narrowed:
    """A snapshot of which nothing shows but what a witness names."""

    def __init__(self, snapshot: Snapshot, witness: dict[str, Json]) -> None:
        self._snapshot = snapshot
        self.head = snapshot.head
        artifacts, whole = witness["artifacts"], witness["whole"]
        assert isinstance(artifacts, list)
        assert isinstance(whole, list)
        self._paths = {shapes.text(item, "path") for item in artifacts}
        self._folders = {Template(str(pattern)).folder for pattern in whole}

    def artifact(self, path: str) -> Artifact | None:
        """See ``Snapshot``."""
        if path not in self._paths:
            raise CannotTellError("not_witnessed", f"the witness does not name {path}")
        return self._snapshot.artifact(path)

    def artifacts(self, folder: str) -> Iterator[Artifact]:
        """See ``Snapshot``; the whole folder where the witness is about all of it."""
        if folder in self._folders:
            yield from self._snapshot.artifacts(folder)
            return
        for path in sorted(self._paths):
            if path.startswith(folder):
                found = self._snapshot.artifact(path)
                if found is not None:
                    yield found

    def bytes_problem(self, artifact: Artifact) -> str | None:
        """See ``Snapshot``."""
        return self._snapshot.bytes_problem(artifact)

    def read(self, artifact: Artifact, bytes_max: int) -> bytes:
        """See ``Snapshot``."""
        return self._snapshot.read(artifact, bytes_max)

    def event(self, seq: int) -> Event:
        """See ``Snapshot``."""
        return self._snapshot.event(seq)

    def request(self, execution_id: str) -> Event | None:
        """See ``Snapshot``."""
        return self._snapshot.request(execution_id)

    def ledger_problem(self) -> str | None:
        """See ``Snapshot``."""
        return self._snapshot.ledger_problem()
