"""``push_processor``: push a processor's image by digest, to a registry or to a folder.

Bazel has built it when this starts. A second push sends nothing; one that was killed goes on.
"""

from __future__ import annotations

from orchestrator.cli import program
from orchestrator.cli.places import LAYOUT, ONE_OF, REF, REGISTRY, TIMEOUT, ref_of, store_of
from orchestrator.cli.program import Call, Command
from orchestrator.images import built
from orchestrator.images.push import push
from orchestrator.images.records import Records
from processors.protocol import shapes
from processors.protocol.canonical import Json

SUMMARY = "push a processor's image, by digest, with what refers to it"
FLAGS = (REF, REGISTRY, LAYOUT, TIMEOUT)


def main(argv: list[str], root: str) -> int:
    """Run the command; return its exit status."""
    return program.run_alone(command(root), argv)


def command(root: str) -> Command:
    """The command, over what was built below a root."""
    return Command(
        "push_processor", SUMMARY, FLAGS, lambda call: _push(call, root), one_of=ONE_OF, alone=True
    )


def _push(call: Call, root: str) -> tuple[dict[str, Json], list[str]]:
    ref = ref_of(call.given.require(REF.name))
    with Records(call.world) as records:
        image = built.load(root, ref)
        result = push(image, store_of(call.given, image, root))
        fact = {key: result[key] for key in ("ref", "digest", "kind", "repository")}
        records.add("image.pushed", fact)
    lines = [
        f"pushed  {ref}  {result['repository']}@{result['digest']}",
        f"  {_count(result, 'uploaded')} sent, {_count(result, 'existing')} were there",
    ]
    referrers = shapes.members(result, "referrers")
    return result, [*lines, *(f"  {name}  {digest}" for name, digest in referrers.items())]


def _count(result: dict[str, Json], key: str) -> int:
    found = result[key]
    assert isinstance(found, list)
    return len(found)
