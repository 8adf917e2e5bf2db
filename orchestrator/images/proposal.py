"""What follows an edited pin: a patch for review, the record of what was verified, the next words.

Nothing here runs anything. A pin goes where changes go, by a person and a review.
"""

from __future__ import annotations

import difflib
import shlex

from orchestrator.images.branch import Tree
from orchestrator.images.pin import Source
from processors.protocol import shapes
from processors.protocol.canonical import Json

_NO_NEWLINE = "\\ No newline at end of file\n"


def of(source: Source, data: bytes, tree: Tree, result: dict[str, Json]) -> dict[str, Json]:
    """The patch, the commit's message, and the commands that propose the change.

    Args:
        source: The file before.
        data: Its bytes now.
        tree: The working tree that it lies in.
        result: What was pinned, and what was verified before.
    """
    changed = data != source.data
    message = _message(result)
    return {
        "file": source.shown,
        "patch": patch(source.data, data, tree.path_of(source.path)),
        "message": message,
        "next": list[Json](_commands(source.shown, tree.name, message) if changed else []),
    }


def patch(before: bytes, after: bytes, path: str) -> str:
    """The difference between two texts, in the form that ``git apply`` takes."""
    old, new = (data.decode("utf-8").split("\n") for data in (before, after))
    sides = []
    for parts in (old, new):
        lines = [f"{line}\n" for line in parts[:-1]]
        sides.append([*lines, parts[-1]] if parts[-1] else lines)
    found = difflib.unified_diff(sides[0], sides[1], f"a/{path}", f"b/{path}")
    return "".join(line if line.endswith("\n") else f"{line}\n{_NO_NEWLINE}" for line in found)


def lines(result: dict[str, Json]) -> list[str]:
    """The answer for people."""
    state = "pinned" if result["changed"] else "pinned already"
    todo = result["next"]
    assert isinstance(todo, list)
    head = [f"{state}  {result['ref']}  {result['digest']}", f"  in {result['file']}"]
    record = shapes.text(result, "message").split("\n\n")[1].splitlines()
    after = ["  next:", *(f"    {command}" for command in todo)] if todo else []
    return [*head, *(f"  {line}" for line in record), *after]


def _message(result: dict[str, Json]) -> str:
    """A commit's message that carries the record of what was verified."""
    verified = shapes.members(result, "verified")
    platforms = verified["platforms"]
    assert isinstance(platforms, list)
    rows = [
        f"{name.removeprefix('image_')}: {state}"
        for name, state in shapes.members(verified, "referrers").items()
    ]
    return "\n".join(
        [
            f"Pin {result['ref']} to {str(result['digest'])[:19]}",
            "",
            f"image: {result['digest']}",
            f"fetched back by digest from: {result['repository']} ({result['kind']})",
            f"platforms: {', '.join(str(each) for each in platforms)}",
            *rows,
        ]
    )


def _commands(file: str, branch: str, message: str) -> list[str]:
    subject, _, body = message.partition("\n\n")
    paragraphs = [word for line in (subject, *body.splitlines()) for word in ("-m", line)]
    return [
        shlex.join(["git", "diff", "--", file]),
        shlex.join(["git", "commit", *paragraphs, "--", file]),
        shlex.join(["git", "push", "origin", branch]),
        "open it for review",
    ]
