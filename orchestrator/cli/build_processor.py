"""``build_processor``: tell which image was built for a processor, after measuring all of it.

Bazel has built it when this starts: the image is an input of the program.
"""

from __future__ import annotations

from orchestrator.cli import program
from orchestrator.cli.places import REF, ref_of
from orchestrator.cli.program import Call, Command
from orchestrator.images import built
from orchestrator.images.records import Records
from processors.protocol.canonical import Json

SUMMARY = "build a processor's image and tell its digest"


def main(argv: list[str], root: str) -> int:
    """Run the command; return its exit status."""
    return program.run_alone(command(root), argv)


def command(root: str) -> Command:
    """The command, over what was built below a root."""
    return Command("build_processor", SUMMARY, (REF,), lambda call: _build(call, root), alone=True)


def _build(call: Call, root: str) -> tuple[dict[str, Json], list[str]]:
    ref = ref_of(call.given.require(REF.name))
    with Records(call.world) as records:
        image = built.load(root, ref)
        fact: dict[str, Json] = {
            "ref": str(ref),
            "digest": image.digest,
            "platforms": list[Json](image.platforms),
        }
        records.add("image.built", fact)
    roots = dict[str, Json](image.content_roots)
    result: dict[str, Json] = {**fact, "content_roots": roots, "layout": image.layout.folder}
    lines = [f"built  {ref}  {image.digest}"]
    lines += [f"  {platform}  content root {roots[platform]}" for platform in image.platforms]
    return result, [*lines, f"  {image.layout.folder}"]
