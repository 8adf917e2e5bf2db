"""Images: a function of the sources, whoever builds them, and where, and when."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tools.images import compare
from tools.selfcheck.check import check, expect, expect_same
from tools.selfcheck.scratch import Scratch

_ONE = "//processors/doc/extract/v1:image"
_SOURCE = "processors/doc/extract/v1/main.py"
_PROTOCOL = "processors/protocol/paths.py"
_REGISTRY = "processors/doc/extract/v1/registry.yaml"
_PIN = re.compile(r'(\bdigest: )(null|"sha256:[0-9a-f]{64}")')
_LAYERS = ("base", "packages", "protocol", "app", "processor")  # from the lowest
_RULE = "tools/rules/private/image.bzl"
_PRIVATE = ("--private",)

# An interpreter that sees another user, date, zone, home and umask than the one it starts. Package
# downloads keep the true date, by which certificates are judged. A library that is not there to be
# preloaded is no error of the loader's, so it is looked for.
_OTHER_PYTHON = """#!/bin/sh
umask 077
export TZ=Pacific/Kiritimati LANG=C USER=somebody HOME=/nowhere PYTHONHASHSEED=random
case "$*" in */wheels.py*) exec {python} "$@" ;; esac
export LD_PRELOAD=/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1 FAKETIME='-4000d'
[ -r "$LD_PRELOAD" ] || exit 97
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
    """On a difference it names the first layer and the first file in it.

    By the private Bazel in both places: only its builds can be given another interpreter.
    """
    with tempfile.TemporaryDirectory() as folder, _elsewhere(scratch) as (other, options):
        ours = _build(scratch, Path(folder, "here"), startup=_PRIVATE)
        theirs = _build(other, Path(folder, "elsewhere"), *options, startup=_PRIVATE)
        for name, layout in ours.items():
            found = compare.difference(layout, theirs[name])
            expect(found is None, f"{name}: {found}")


@check(
    "one byte of source moves its layer and those above it, and nothing else",
    "IL-1",
    sabotage=[
        (
            _RULE,
            "return _pack(ctx, wheels = ctx.attr.processor[ProcessorInfo].wheels)",
            (
                "return _pack(ctx, wheels = ctx.attr.processor[ProcessorInfo].wheels, "
                "sources = {file.short_path + '.copy': file "
                "for file in ctx.attr.processor[ProcessorInfo].sources.values()})"
            ),
        ),
        (_RULE, '"_packages"] + shared +', '"_packages"] +'),
    ],
)
def one_byte(scratch: Scratch) -> None:
    """The bytes are a comment's: nothing but the digest may tell."""
    with tempfile.TemporaryDirectory() as folder:
        before = _build(scratch, Path(folder, "before"))
        expect(_ONE in before, f"there is no {_ONE} among {sorted(before)}")
        for number, (changed, moved) in enumerate(
            (
                (_SOURCE, {name: ["processor"] if name == _ONE else [] for name in before}),
                (_PROTOCOL, {name: ["protocol", "processor"] for name in before}),
            )
        ):
            scratch.write(changed, scratch.read(changed) + "#\n")
            after = _build(scratch, Path(folder, str(number)))
            scratch.restore()
            for name, wanted in moved.items():
                were, are = _layers(before[name]), _layers(after[name])
                for layers in (were, are):
                    expect(len(layers) == len(_LAYERS), f"{name} has {len(layers)} layers")
                seen = [layer for layer, one, other in zip(_LAYERS, were, are) if one != other]
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
    """Build, pin another digest than the one that stands there, build: the same image."""
    with tempfile.TemporaryDirectory() as folder:
        before = compare.digest_of(_build(scratch, Path(folder, "before"))[_ONE])
        registry = scratch.read(_REGISTRY)
        pins = [pin for _, pin in _PIN.findall(registry)]
        expect(len(pins) == 1, f"{_REGISTRY} has {len(pins)} pins")
        other = next(pin for pin in (f'"{before}"', f'"sha256:{"0" * 64}"') if pin != pins[0])
        scratch.write(_REGISTRY, _PIN.sub(rf"\g<1>{other}", registry))
        after = compare.digest_of(_build(scratch, Path(folder, "after"))[_ONE])
        expect(after == before, f"{before} became {after}, after a pin")


@check(
    "the bill of an image on another base lists no package of ours",
    sabotage=[
        (_RULE, '    "//conditions:default": None,', '    "//conditions:default": _BASE_LOCK,'),
        (
            _RULE,
            '    "//tools/images/base:own": _BASE_LOCK,',
            '    "//tools/images/base:own": None,',
        ),
    ],
)
def bill_of_another_base(scratch: Scratch) -> None:
    """The base is exchanged by the flag, as the guide says; it is a layer without a file."""
    scratch.write("tools/images/planted/BUILD.bazel", _OTHER_BASE)
    flag = "--//tools/images/base=//tools/images/planted:base"
    own, other = _packages(scratch), _packages(scratch, flag)
    expect(len(own) > 5, f"on our base the bill lists {own}")
    expect(not other, f"on another base the bill lists {other[:3]}")


_OTHER_BASE = """\
load("@rules_oci//oci:defs.bzl", "oci_image")

genrule(
    name = "layer",
    outs = ["layer.tar"],
    cmd = "head -c 1024 /dev/zero > $@",  # A tar's end, twice a block of zeros.
)

oci_image(
    name = "base",
    architecture = "amd64",
    os = "linux",
    tars = [":layer"],
    visibility = ["//processors:__subpackages__"],
)
"""


def _packages(scratch: Scratch, *options: str) -> list[str]:
    """The Debian packages that the bill of an image lists."""
    done = scratch.bazel("build", *options, f"{_ONE}_sbom")
    expect(done.code == 0, f"the bill is not made: {done.text[-1500:]}")
    layout = scratch.root / "bazel-bin" / f"{_ONE[2:].replace(':', '/')}_sbom"
    blobs = (layout / "blobs/sha256").glob("*")
    [bill] = [
        document
        for document in (json.loads(blob.read_bytes()) for blob in blobs)
        if "components" in document
    ]
    found = [component["purl"] for component in bill["components"]]
    expect(bool(found), "the bill is empty")
    return [purl for purl in found if purl.startswith("pkg:deb/")]


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
        other.bazel("clean", startup=_PRIVATE)
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
    program = "//tools/build:pack_layer"
    asked = scratch.bazel("cquery", "--output=files", program, startup=_PRIVATE)
    launcher = asked.stdout.split()
    built = scratch.bazel("build", program, startup=_PRIVATE)
    expect(built.code == 0, built.text[-800:])
    text = scratch.read(launcher[0])
    [line] = [line for line in text.splitlines() if line.startswith("interpreter=")]
    return line.partition("=")[2].strip("'")


def _build(
    scratch: Scratch, target: Path, *options: str, startup: Sequence[str] = ()
) -> dict[str, Path]:
    """Build every processor's image and keep its layout, by the image's label."""
    listed = "kind('oci_image_index rule', //processors/...)"
    labels = scratch.bazel("query", listed, startup=startup).stdout.split()
    expect(bool(labels), "no processor has an image")
    done = scratch.bazel("build", *options, *labels, startup=startup)
    expect(done.code == 0, f"the images do not build: {done.text[-1500:]}")
    found = {}
    for label in labels:
        place = label[2:].replace(":", "/")
        found[label] = target / place
        shutil.copytree(scratch.root / "bazel-bin" / place, found[label])
    return found


def _layers(layout: Path) -> list[str]:
    [image] = compare.images_of(layout)
    return [str(json.dumps(layer)) for layer in image.manifest["layers"]]
