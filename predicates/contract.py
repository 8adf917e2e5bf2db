"""What a predicate of one's own is given, and what it gives: types alone, for the type checker.

Nothing here is imported when a goal is judged, and a predicate imports nothing of the orchestrator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NotRequired, Protocol, TypedDict

type Args = dict[str, Any]


class Artifact(Protocol):
    """What lies at a world path."""

    path: str
    cid: str
    size_bytes: int
    mime: str
    seq: int


class View(Protocol):
    """What a predicate may look at; all of it becomes the witness."""

    def artifact(self, path: str) -> Artifact | None:
        """What lies at a path, or None."""

    def matching(self, pattern: str) -> Iterator[tuple[Artifact, dict[str, str]]]:
        """What lies at the paths of a pattern, sorted, and what its wildcards stand for."""

    def read(self, artifact: Artifact) -> bytes:
        """The bytes of an artifact."""

    def text(self, artifact: Artifact) -> str | None:
        """The text that an artifact is in UTF-8, or None if it is none."""


class Own(TypedDict):
    """A predicate.

    ``judge`` is pure, and answers with a bool and with what it found: plain JSON without floats.
    ``args`` is a schema of the subset that registries use; ``paths`` names the arguments that are
    world paths; ``check`` says what is wrong with arguments that fit the schema, or None.
    """

    summary: str
    args: Args
    paths: list[str]
    judge: Callable[[Args, View], tuple[bool, Args]]
    check: NotRequired[Callable[[Args], str | None]]
