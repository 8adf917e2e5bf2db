"""``pin_processor``: write the built digest into a ``registry.yaml``, or check what is there.

It edits a file of the working tree and nothing else: it commits nothing, and refuses to edit on a
branch that changes by review alone.
"""

from __future__ import annotations

import os

from orchestrator.cli import program
from orchestrator.cli.flags import Flag, Given
from orchestrator.cli.places import LAYOUT, ONE_OF, REGISTRY, TIMEOUT, ref_of, store_of
from orchestrator.cli.program import Call, Command
from orchestrator.images import branch, built, freshness, pin, processors, proposal
from orchestrator.images.branch import Tree
from orchestrator.images.pin import Source
from orchestrator.images.records import Records
from orchestrator.lanes import LANES
from processors.protocol.canonical import Json
from processors.protocol.errors import inputs_error
from processors.protocol.refs import Ref

SUMMARY = "pin a processor's image in its registry.yaml, or check the pins"
ROOT = "processors"
FLAGS = (
    Flag("--ref", "NS/NAME@N", "the processor; with --check, every one by default"),
    REGISTRY,
    LAYOUT,
    Flag(
        "--registry-root",
        "DIR",
        f"the folder of the registry.yaml files; the workspace's {ROOT} by default",
    ),
    Flag("--check", "", "compare the pins with what is built, and edit nothing"),
    Flag("--lane", "pr|dev|staging|main", "with --check: the lane that asks"),
    TIMEOUT,
)

type Answer = tuple[dict[str, Json], list[str]]


def main(argv: list[str], root: str) -> int:
    """Run the command; return its exit status."""
    return program.run_alone(command(root), argv)


def command(root: str) -> Command:
    """The command, over what was built below a root."""
    return Command("pin_processor", SUMMARY, FLAGS, lambda call: _pin(call, root), alone=True)


def _pin(call: Call, root: str) -> Answer:
    given = call.given
    files = given.get("--registry-root") or _own_files()
    if given.has("--check"):
        _check_flags(given, needed=("--lane",), foreign=(*ONE_OF, TIMEOUT.name, "--world"))
        return _check(given, root, files)
    place = "--registry or --layout"
    _check_flags(given, needed=("--ref",), foreign=("--lane",))
    chosen = [name for name in ONE_OF if given.has(name)]
    if len(chosen) != 1:
        reason = "conflicting_flags" if chosen else "missing_flag"
        raise inputs_error(reason, f"exactly one of {place} says where the image is")
    ref = ref_of(given.require("--ref"))
    with Records(call.world) as records:
        source, _ = _open(files, ref)  # what cannot be edited is refused before anybody is asked
        image = built.load(root, ref)
        pin.check_source(source, image)
        store = store_of(given, image, root)
        verified = pin.verify(image, store)
        source, tree = _open(files, ref)  # that has taken its time: what there is now is edited
        pin.check_source(source, image)
        data = pin.edited(source.data, image.digest, ref, ascii(source.shown))
        if data != source.data:
            pin.write(source, data)
        fact: dict[str, Json] = {
            "ref": str(ref),
            "digest": image.digest,
            "kind": store.kind,
            "repository": store.name,
            "previous": source.digest,
        }
        records.add("image.pinned", fact)
    result = {**fact, "changed": data != source.data, "branch": tree.name, "verified": verified}
    result |= proposal.of(source, data, tree, result)
    return result, proposal.lines(result)


def _open(files: str, ref: Ref) -> tuple[Source, Tree]:
    """A ``registry.yaml`` as it is now, and its working tree, which is on no protected branch."""
    source = pin.read(files, ref)
    return source, branch.check(os.path.dirname(source.path), os.environ)


def _own_files() -> str:
    """The workspace's processors, as they are called from the caller's folder.

    "bazel run" tells where the workspace is; without it the caller is there.
    """
    workspace = os.environ.get("BUILD_WORKSPACE_DIRECTORY")
    return ROOT if workspace is None else os.path.relpath(os.path.join(workspace, ROOT))


def _check_flags(given: Given, needed: tuple[str, ...], foreign: tuple[str, ...]) -> None:
    missing = [name for name in needed if not given.has(name)]
    if missing:
        raise inputs_error("missing_flag", f"missing: {', '.join(missing)}")
    if others := [name for name in foreign if given.has(name)]:
        with_or_without = "with" if given.has("--check") else "without"
        words = f"{', '.join(others)} has no meaning {with_or_without} --check"
        raise inputs_error("conflicting_flags", words)


def _check(given: Given, root: str, files: str) -> Answer:
    lane = given.require("--lane")
    if lane not in LANES:
        raise inputs_error("bad_value", f"--lane {lane[:80]!a} is none of {', '.join(LANES)}")
    one = given.get("--ref")
    known = processors.known_refs(os.path.join(root, "processors"))
    refs = [ref_of(text) for text in (known if one is None else [one])]
    pins: list[Json] = []
    lines = []
    for ref in refs:
        pinned, digest = _compare(root, files, ref)
        if (wrong := freshness.problem(lane, str(ref), pinned, digest)) is not None:
            raise wrong
        state = freshness.state(pinned, digest)
        pins.append({"ref": str(ref), "pinned": pinned, "built": digest, "state": state})
        lines.append(f"{state:<9} {ref}  pinned {pinned}  built {digest}")
        if state != freshness.FRESH:
            lines.append(f"  to pin it, on a branch: {freshness.command(str(ref))}")
    return {"lane": lane, "pins": pins}, lines


def _compare(root: str, files: str, ref: Ref) -> tuple[str | None, str]:
    """A processor's pin as it is written, and its digest as it is built."""
    processors.load(os.path.join(root, "processors"), ref)
    return pin.written(files, ref), built.digest_of(root, ref)
