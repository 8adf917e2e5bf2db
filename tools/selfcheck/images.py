"""Images: a function of the sources, whoever builds them, and where, and when."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.images import compare
from tools.selfcheck.check import check, expect, expect_same
from tools.selfcheck.scratch import Scratch

_IMAGES = {
    "doc/extract": "//processors/doc/extract/v1:image",
    "llm/chat": "//processors/llm/chat/v1:image",
}
_SOURCE = "processors/doc/extract/v1/main.py"
_PROTOCOL = "processors/protocol/paths.py"
_REGISTRY = "processors/doc/extract/v1/registry.yaml"
_LAYERS = ("base", "packages", "protocol", "processor")  # from the lowest

# An interpreter that sees another user, date, zone, home and umask than the one it starts. Package
# downloads keep the true date, by which certificates are judged.
_OTHER_PYTHON = """#!/bin/sh
umask 077
export TZ=Pacific/Kiritimati LANG=C USER=somebody HOME=/nowhere PYTHONHASHSEED=random
case "$*" in */wheels.py*) exec {python} "$@" ;; esac
export LD_PRELOAD=/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1 FAKETIME='-4000d'
exec unshare --map-user=4711 --map-group=4711 {python} "$@"
"""
_LONG_AGO = 981_173_106  # seconds; the time of every file of the other copy


@check(
    "an image is the same by another user, path, output base, date and zone, uncached, unsandboxed",
    "IL-1",
    "BZ-7",
    sabotage=[
        (
            "tools/build/pack_layer.py",
            'f"{root}\\n".encode()',
            "f\"{root}\\n{__import__('time').time() // 86400}\".encode()",
        ),
        (
            "tools/build/pack_layer.py",
            'f"{root}\\n".encode()',
            "f\"{root}\\n{__import__('os').getuid()}\".encode()",
        ),
        (
            "tools/build/pack_layer.py",
            'f"{root}\\n".encode()',
            "f\"{root}\\n{__import__('os').getcwd()}\".encode()",
        ),
    ],
)
def same_everywhere(scratch: Scratch) -> None:
    """On a difference it names the first layer and the first file in it."""
    with tempfile.TemporaryDirectory() as folder, _elsewhere(scratch) as (other, options):
        ours = _build(scratch, Path(folder, "here"))
        theirs = _build(other, Path(folder, "elsewhere"), *options)
        for name, layout in ours.items():
            found = compare.difference(layout, theirs[name])
            expect(found is None, f"{name}: {found}")


@check(
    "one byte of source moves its layer and those above it, and nothing else",
    "IL-1",
    sabotage=[("tools/rules/private/image.bzl", "if not _is_shared(file)", "if True")],
)
def one_byte(scratch: Scratch) -> None:
    """The bytes are a comment's: nothing but the digest may tell."""
    with tempfile.TemporaryDirectory() as folder:
        before = _build(scratch, Path(folder, "before"))
        for number, (changed, moved) in enumerate(
            (
                (_SOURCE, {"doc/extract": ["processor"], "llm/chat": []}),
                (_PROTOCOL, {name: ["protocol", "processor"] for name in _IMAGES}),
            )
        ):
            scratch.write(changed, scratch.read(changed) + "#\n")
            after = _build(scratch, Path(folder, str(number)))
            scratch.restore()
            for name, wanted in moved.items():
                layers = zip(_LAYERS, _layers(before[name]), _layers(after[name]))
                seen = [layer for layer, one, other in layers if one != other]
                expect_same(f"what {changed} moves in {name}", seen, wanted)
                same = compare.digest_of(before[name]) == compare.digest_of(after[name])
                expect(same == (not wanted), f"{name}: the digest says otherwise")


@check(
    "pinning an image does not change what is pinned",
    "F-13",
    sabotage=[
        (
            "tools/build/check_registry.py",
            'own = {key: value for key, value in document.items() if key != "image"}',
            "own = document",
        )
    ],
)
def pins_do_not_loop(scratch: Scratch) -> None:
    """Build, pin what was built, build: the same digest, so a second pin changes nothing."""
    with tempfile.TemporaryDirectory() as folder:
        before = compare.digest_of(_build(scratch, Path(folder, "before"))["doc/extract"])
        unpinned = scratch.read(_REGISTRY)
        expect("digest: null" in unpinned, f"{_REGISTRY} is pinned already")
        scratch.write(_REGISTRY, unpinned.replace("digest: null", f'digest: "{before}"'))
        after = compare.digest_of(_build(scratch, Path(folder, "after"))["doc/extract"])
        expect_same("the digest after the pin", after, before)


@contextmanager
def _elsewhere(scratch: Scratch) -> Iterator[tuple[Scratch, list[str]]]:
    """Another copy, with the options that build it as somebody else would."""
    other = scratch.twin("elsewhere/below")
    try:
        for path in other.root.rglob("*"):
            os.utime(path, (_LONG_AGO, _LONG_AGO), follow_symlinks=False)
        python = other.root.with_name("root") / "usr/bin/python3.13"
        python.parent.mkdir(parents=True, exist_ok=True)
        python.write_text(_OTHER_PYTHON.format(python=_python(scratch)), encoding="utf-8")
        python.chmod(0o755)
        other.bazel("clean")
        root = python.parents[2]
        yield (
            other,
            [
                f"--repo_env=MONOREPO_PRIVATE_ROOT={root}",
                "--spawn_strategy=local",
                "--disk_cache=",
                "--action_env=TZ=Asia/Kathmandu",
            ],
        )
    finally:
        other.close()


def _python(scratch: Scratch) -> str:
    """The interpreter that builds start."""
    launcher = scratch.bazel("cquery", "--output=files", "//tools/build:pack_layer").stdout.split()
    built = scratch.bazel("build", "//tools/build:pack_layer")
    expect(built.code == 0, built.text[-800:])
    text = scratch.read(launcher[0])
    [line] = [line for line in text.splitlines() if line.startswith("interpreter=")]
    return line.partition("=")[2].strip("'")


def _build(scratch: Scratch, target: Path, *options: str) -> dict[str, Path]:
    """Build every image and keep its layout."""
    done = scratch.bazel("build", *options, *_IMAGES.values())
    expect(done.code == 0, f"the images do not build: {done.text[-1500:]}")
    found = {}
    for name, label in _IMAGES.items():
        package, _, target_name = label[2:].partition(":")
        found[name] = target / name
        shutil.copytree(scratch.root / "bazel-bin" / package / target_name, found[name])
    return found


def _layers(layout: Path) -> list[str]:
    [image] = compare.images_of(layout)
    return [str(json.dumps(layer)) for layer in image.manifest["layers"]]
