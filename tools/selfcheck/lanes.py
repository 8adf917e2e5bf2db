"""Lanes: what is empty is red, a broken promise is red, and nothing reaches a network."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping

from tools.selfcheck import plants
from tools.selfcheck.check import check, expect, expect_same
from tools.selfcheck.plants import Plant
from tools.selfcheck.scratch import Scratch

FOLDERS = {
    "acceptance/pinned": "acceptance_pinned",
    "acceptance/pr": "acceptance_pr",
    "contracts": "contracts",
    "integration": "integration",
    "property": "property",
    "smoke": "smoke",
    "unit": "unit",
}
_PLUGIN = "tools/testing/lanes.py"
# How a test ran is not part of what Bazel remembers it by.
_RERUN = ("--nocache_test_results", "--test_output=summary")
_SECRETS = {"OPENAI_API_KEY": "planted-value-1", "PLANTED_SECRET": "planted-value-2"}


def _sow(scratch: Scratch, planted: Iterable[Plant]) -> None:
    """Replace every lane folder, and lint (which lists their files), by what is planted.

    An image that tests have of their own has a test beside it, which is of a lane too.
    """
    for folder in ("tests/lint", "tests/fixtures/processors/polyglot/alone"):
        scratch.clear(folder)
    for folder in FOLDERS:
        scratch.clear(f"tests/{folder}")
        scratch.write(
            f"tests/{folder}/BUILD.bazel", 'load("//tools/rules:defs.bzl", "lane_test")\n'
        )
    for plant in planted:
        package = f"tests/{plant.lane}"
        scratch.write(f"{package}/test_{plant.name}.py", plant.source)
        tags = json.dumps(plant.tags)
        target = (
            f'\nlane_test(\n    name = "test_{plant.name}",\n    tags = {tags},\n'
            '    deps = ["@pypi//pytest"],\n)\n'
        )
        scratch.write(f"{package}/BUILD.bazel", scratch.read(f"{package}/BUILD.bazel") + target)


def _expect_verdicts(
    scratch: Scratch, planted: Iterable[Plant], env: Mapping[str, str] | None = None
) -> None:
    planted = tuple(planted)
    _sow(scratch, planted)
    labels = [plant.label for plant in planted]
    done = scratch.bazel("test", *_RERUN, "--keep_going", *labels, env=env)
    for plant in planted:
        line = next(
            (row for row in done.stdout.splitlines() if row.startswith(plant.label + " ")), ""
        )
        log = scratch.testlog(plant.label) if "ED" in line else done.text[-1500:]
        wanted = "PASSED" if plant.passes else "FAILED"
        expect(wanted in line, f"{plant.label} must be {wanted}, is {line!r}: {log[-600:]}")
        expect(plant.says in log, f"{plant.label}: no word of {plant.says!r}: {log[-900:]}")


@check(
    "a lane whose tests are all skipped, absent, deselected or uncollectable is red",
    "HR-8",
    "BZ-3",
    sabotage=[
        ("tools/testing/runner.py", "and shards.emptied", ""),
        (_PLUGIN, "if report.skipped:", "if False:"),
    ],
)
def empty_is_red(scratch: Scratch) -> None:
    """Exit status 5 of pytest must come through."""
    _expect_verdicts(scratch, plants.EMPTY)


@check(
    "every selection of an emptied lane is Bazel's exit 4, by tag, by config and by folder",
    "HR-8",
    "BZ-3",
    sabotage=[
        (".bazelrc", "test:pr --test_tag_filters=", "test:pr --test_tag_filters=-none #"),
        (".bazelrc", "test:main --test_tag_filters=", "test:main --test_tag_filters=-none #"),
        (
            "tools/rules/private/lane_test.bzl",
            "tags = tags + [LANES[folder]]",
            'tags = tags + ["unit"]',
        ),
    ],
)
def empty_selection(scratch: Scratch) -> None:
    """One good test in some other lane shows that the selection, not the repository, is empty."""
    for full, empty in (("unit", ("staging", "main")), ("smoke", ("pr",))):
        _sow(scratch, [Plant(full, "good", "def test_good() -> None: ...\n")])
        selections = [f"--config={name}" for name in empty]
        selections += [f"--test_tag_filters={tag}" for name, tag in FOLDERS.items() if name != full]
        for selection in selections:
            code = scratch.bazel("test", selection, "//tests/...").code
            expect(
                code == 4, f"bazel test {selection} with tests in {full} alone: exit {code}, not 4"
            )
        for folder in FOLDERS:
            code = scratch.bazel("test", f"//tests/{folder}/...").code
            wanted = 0 if folder == full else 4
            expect(code == wanted, f"bazel test //tests/{folder}/...: exit {code}, not {wanted}")
        own = "--config=pr" if full == "unit" else "--config=staging"
        for selection in (own, f"--test_tag_filters={FOLDERS[full]}"):
            code = scratch.bazel("test", selection, "//tests/...").code
            expect(code == 0, f"bazel test {selection} with a test in {full}: exit {code}, not 0")


@check(
    "a unit test that spawns, opens a socket or sleeps is red, even if it swallows the error",
    "TS-1",
    sabotage=[(_PLUGIN, '(*_PROCESS, *_SOCKET, "time.sleep")', "(*_PROCESS, *_SOCKET)")],
)
def unit_promise(scratch: Scratch) -> None:
    """The good test shows that the lane itself works."""
    _expect_verdicts(scratch, plants.UNIT)


@check(
    "an integration test reaches loopback, and is red when it dials anywhere else",
    "TS-2",
    sabotage=[(_PLUGIN, 'event == "socket.connect" and not', 'event == "nothing" and not')],
)
def integration_promise(scratch: Scratch) -> None:
    """The plugin's part; the sandbox has a check of its own."""
    _expect_verdicts(scratch, plants.INTEGRATION)


@check(
    "a contract test may spawn the current interpreter and read its streams",
    "TS-3",
    sabotage=[(_PLUGIN, '"contracts": ()', '"contracts": _PROCESS')],
)
def contracts_promise(scratch: Scratch) -> None:
    """What the lane is for is possible in it."""
    _expect_verdicts(scratch, plants.CONTRACTS)


@check(
    "an acceptance/pr test may spawn, and is red when it opens a socket",
    "TS-4",
    "HR-6",
    sabotage=[(_PLUGIN, '"acceptance_pr": _SOCKET', '"acceptance_pr": ()')],
)
def pr_promise(scratch: Scratch) -> None:
    """The lane without egress refuses the socket before the sandbox has to."""
    _expect_verdicts(scratch, plants.PR)


@check(
    "an unexpected skip fails its lane, and what is deselected is counted",
    "TS-9",
    sabotage=[
        (_PLUGIN, "if report.skipped:", "if False:"),
        (_PLUGIN, '["deselected"] = len(absent)', '["deselected"] = 0'),
    ],
)
def skips_are_loud(scratch: Scratch) -> None:
    """A capability that was not announced deselects; nothing else may leave a test out."""
    _expect_verdicts(scratch, plants.SKIPS + plants.COUNTS)


@check(
    "tests have loopback alone and none of the caller's secrets, whatever CI says",
    "HR-6",
    "BZ-4",
    sabotage=[
        (
            ".bazelrc",
            "--sandbox_default_allow_network=false",
            "--sandbox_default_allow_network=true",
        ),
        (".bazelrc", "build --incompatible_strict_action_env", "test --test_env=OPENAI_API_KEY"),
    ],
)
def hermetic(scratch: Scratch) -> None:
    """A child process dials and resolves, where no plugin listens."""
    for env in ({**_SECRETS, "CI": "true"}, {**_SECRETS, "CI": ""}):
        _expect_verdicts(scratch, plants.HERMETIC, env)


@check(
    "linux-sandbox is the only way that anything runs",
    "BZ-4",
    sabotage=[
        (".bazelrc", "--spawn_strategy=linux-sandbox", "--spawn_strategy=linux-sandbox,local"),
    ],
)
def one_strategy(scratch: Scratch) -> None:
    """What asks to be outside the sandbox does not run at all, instead of running outside it."""
    _sow(scratch, plants.UNSANDBOXED + plants.CONTRACTS)
    for plant in plants.UNSANDBOXED:
        done = scratch.bazel("test", *_RERUN, plant.label)
        expect(done.code != 0, f"{plant.label} with tags {plant.tags} ran")
        expect("strateg" in done.text, f"{plant.label} failed otherwise: {done.text[-600:]}")
    log = scratch.root / "bazel-spawns.json"
    done = scratch.bazel(
        "test",
        *_RERUN,
        f"--execution_log_json_file={log}",
        plants.CONTRACTS[0].label,
    )
    expect(done.code == 0, f"the sandboxed one fails: {done.text[-600:]}")
    text = log.read_text(encoding="utf-8")
    log.unlink()
    runners = set(re.findall(r'"runner": ?"([^"]+)"', text))
    expect_same("runners", sorted(runners), ["linux-sandbox"])


@check(
    "a hand-written lane tag and a lane_test outside the seven folders do not load",
    "TS-8",
    sabotage=[
        ("tools/rules/private/lane_test.bzl", "if tag in LANES.values()]", "if tag == 0]"),
        (
            "tools/rules/private/lane_test.bzl",
            '    "unit": "unit",',
            '    "unit": "unit",\n    "odd": "unit",',
        ),
    ],
)
def lanes_are_folders(scratch: Scratch) -> None:
    """Bazel stops at the BUILD file and says what is wrong."""
    good = "def test_good() -> None: ...\n"
    _sow(scratch, [Plant("unit", "good", good, tags=("integration",))])
    done = scratch.bazel("query", "//tests/unit:all")
    expect(done.code != 0, "a hand-written lane tag loads")
    expect("a test's lane is its folder and never a tag" in done.stderr, done.stderr[-600:])
    _sow(scratch, [])
    scratch.write("tests/odd/BUILD.bazel", 'load("//tools/rules:defs.bzl", "lane_test")\n')
    _append_plant(scratch, Plant("odd", "good", good))
    done = scratch.bazel("query", "//tests/odd:all")
    expect(done.code != 0, "a lane_test outside the seven folders loads")
    expect("tests live in tests/" in done.stderr, done.stderr[-600:])


def _append_plant(scratch: Scratch, plant: Plant) -> None:
    build = f"tests/{plant.lane}/BUILD.bazel"
    scratch.write(f"tests/{plant.lane}/test_{plant.name}.py", plant.source)
    scratch.write(build, scratch.read(build) + f'\nlane_test(name = "test_{plant.name}")\n')
