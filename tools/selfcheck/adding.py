"""A processor is added by the guide's words and no more: its folder, and one line of the list."""

from __future__ import annotations

import re
import shlex
import tempfile

from tools.selfcheck.check import check, expect, expect_same
from tools.selfcheck.scratch import Scratch

_GUIDE = "docs/guides/processors.md"
_LIST = "processors/processors.bzl"
_START = "PROCESSORS = [\n"
_FOLDER = "processors/text/count/v1"
_ONE = f"//{_FOLDER}"
_THIN = "//tests/contracts:test_thin_processors"
_NEW = ("processors/text", "processors/text/count", _FOLDER)

# What must come to name it: an attribute of a target, and which target of the processor is there.
_DERIVED = (
    *(("data", f"//:{name}", "v1") for name in ("achieve", "deploy_modal", "plan")),
    *(("data", f"//:{name}", "image_built") for name in ("build_processor", "pin_processor")),
    ("data", "//tests/acceptance/pinned:test_judges", "image_built"),
    ("data", "//tests/fixtures:pin_trees", "registry.yaml"),
    ("deps", "//tests/lint:mypy", "third_party"),
)


def _block(guide: str, language: str, start: str) -> str:
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", guide, re.DOTALL | re.MULTILINE)
    found = [text for named, text in blocks if named == language and text.startswith(start)]
    expect(len(found) == 1, f"{len(found)} blocks of the guide start with {start!r}")
    return str(found[0])


def _add(scratch: Scratch) -> None:
    """Do what the guide says; a folder on the way is like its neighbour."""
    guide = scratch.read(_GUIDE)
    scratch.write(f"{_FOLDER}/main.py", _block(guide, "python", '"""text/count@1'))
    scratch.write(f"{_FOLDER}/registry.yaml", _block(guide, "yaml", "schema:"))
    scratch.write(f"{_FOLDER}/BUILD.bazel", _block(guide, "starlark", "load("))
    build = scratch.read("processors/doc/BUILD.bazel")
    scratch.write("processors/text/BUILD.bazel", build)
    build = scratch.read("processors/doc/extract/BUILD.bazel").replace("/doc:", "/text:")
    scratch.write("processors/text/count/BUILD.bazel", build)
    for folder in _NEW:
        scratch.write(f"{folder}/__init__.py", '"""A package."""\n')
    line = _block(guide, "starlark", "    ")
    scratch.write(_LIST, scratch.read(_LIST).replace(_START, _START + line))


@check(
    "a processor is added by the guide's words: a folder, and one line that all else follows",
    sabotage=[
        (_GUIDE, "ref: text/count@1", "ref: text/words@1"),
        ("BUILD.bazel", "data = PROCESSORS,", 'data = ["//processors/doc/extract/v1"],'),
        (
            "tests/contracts/BUILD.bazel",
            'data = PROCESSORS + of_each("image_example")',
            'data = ["//processors/llm/chat/v1", "//processors/llm/chat/v1:image_example"]',
        ),
        (
            "tests/acceptance/pinned/BUILD.bazel",
            'of_each("image_test")',
            '["//processors/llm/chat/v1:image_test"]',
        ),
        (
            "tests/unit/BUILD.bazel",
            'of_each("registry.yaml")',
            '["//processors/llm/chat/v1:registry.yaml"]',
        ),
        (_LIST, "range(1, len(steps) + 1)", "range(len(steps), len(steps) + 1)"),
    ],
)
def by_the_guide(scratch: Scratch) -> None:
    """What is derived is asked of the build, and what each processor must pass is run."""
    _add(scratch)
    for attribute, target, part in _DERIVED:
        found = scratch.query(f"labels({attribute}, {target})")
        expect(f"{_ONE}:{part}" in found, f"{attribute} of {target} has no {part} of it: {found}")
    suite = scratch.query("tests(//tests/acceptance/pinned:test_structure)")
    expect(f"{_ONE}:image_test" in suite, f"the images' tests are {suite}")
    linted = scratch.query("labels(srcs, //tests/lint:product_sources)")
    wanted = [f"//{folder}:sources" for folder in _NEW]
    expect_same("folders of the new processor in lint", [x for x in linted if "/text" in x], wanted)

    tests = (_THIN, "//tests/unit:test_known_processors", "//tests/lint/...")
    done = scratch.bazel("test", *tests, f"{_ONE}:image_test")
    expect(done.code == 0, f"exit {done.code}: {done.text[-1500:]}")
    seen = scratch.read("bazel-testlogs/tests/contracts/test_thin_processors/test.xml")
    expect("[text/count@1]" in seen, f"{_THIN} does not look at it")
    _runs(scratch)


def _runs(scratch: Scratch) -> None:
    """The guide's own command, in a world of its own."""
    command = _block(scratch.read(_GUIDE), "", "tools/bazel run //:run_processor")
    _, *words = shlex.split(command.replace("\\\n", " "))
    with tempfile.TemporaryDirectory() as world:
        done = scratch.bazel(*words, "--world", f"{world}/world", "--json")
    expect(done.code == 0, f"exit {done.code}: {done.stdout or done.stderr[-800:]}")
    expect("/outputs/count.json" in done.stdout, f"printed {done.stdout[:500]}")
