"""The base image: what its lock names and the mirror lacks is said, to image targets alone."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from tools.selfcheck.check import check, expect
from tools.selfcheck.scratch import Scratch

_LOCK = "tools/images/base.lock.json"
_LAYER = "//tools/images/base:layer"
_RULE = "tools/images/debian.bzl"
_REFRESH = "tools/bazel run //tools/images:refresh_base"


def _lose_a_package(scratch: Scratch) -> str:
    """Lock one package to a version that no mirror has; return how the error must name it."""
    lock = json.loads(scratch.read(_LOCK))
    lost = lock["packages"][-1]
    lost["version"] = "0.0-vanished"
    lost["path"] = lost["path"].replace(".deb", "-vanished.deb")
    lost["sha256"] = "0" * 64
    scratch.write(_LOCK, json.dumps(lock, indent=2) + "\n")
    return f"{lost['name']} {lost['version']} ({lost['path']})"


@check(
    "a base package that vanished is named with the command to run, and turns no other lane red",
    sabotage=[
        (".bazelrc", "test:pr --build_tests_only", "test:pr --nobuild_tests_only"),
        (_RULE, "    if lost:\n", "    if False:\n"),
        (_RULE, '"  {name} {version} ({path})"', '"  {path}"'),
        (_RULE, "refresh the lock: {}", "refresh the lock"),
    ],
)
def vanished(scratch: Scratch) -> None:
    """The selection names the pinned lane too, whose tests the filter must leave out unanalysed."""
    line = _lose_a_package(scratch)
    done = scratch.bazel("build", _LAYER)
    expect(done.code == 1, f"exit {done.code}, expected 1: {done.text[-500:]}")
    for found in (line, _REFRESH):
        expect(found in done.stderr, f"no line says {found!r}: {done.stderr[-1500:]}")
    selection = ("//tests/unit:test_base_layer", "//tests/unit:test_debs")
    done = scratch.bazel("test", "--config=pr", *selection, "//tests/acceptance/pinned/...")
    expect(done.code == 0, f"exit {done.code}, expected 0: {done.text[-1500:]}")


@check(
    "a base without a mirror fails by name and says how to name one",
    sabotage=[
        (_RULE, "    if not found:", "    if len(found) > 9:"),
        (_RULE, "and release in releases", 'and "-" not in release'),
    ],
)
def no_mirror(scratch: Scratch) -> None:
    """Debian's apt is told to read a list of repositories that has a vendor's alone."""
    _lose_a_package(scratch)  # What is here already would not be fetched again.
    with tempfile.TemporaryDirectory() as folder:
        config, vendor = Path(folder, "apt.conf"), Path(folder, "sources.list")
        vendor.write_text("deb http://192.0.2.1/ nodistro main\n")  # Nobody's (RFC 5737).
        config.write_text(f'Dir::Etc::SourceList "{vendor}";\nDir::Etc::SourceParts "/dev/null";\n')
        done = scratch.bazel("build", _LAYER, env={"APT_CONFIG": str(config), "DEBIAN_MIRROR": ""})
    expect(done.code == 1, f"exit {done.code}, expected 1: {done.text[-500:]}")
    for found in ("this machine's apt knows no Debian repository", "--repo_env=DEBIAN_MIRROR="):
        expect(found in done.stderr, f"no line says {found!r}: {done.stderr[-1500:]}")
