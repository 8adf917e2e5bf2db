"""Anything wrong with a registry or a secret refuses, before anything starts and by name."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fixtures import traces
from tests.harness import REAL, ROOT, Result, zoo

GOOD = (ROOT / "tests/fixtures/processors/hostile/zoo/v1/registry.yaml").read_text()
REGISTRY_BYTES_MAX = 262_144  # docs/guides/processors.md

type Place = Callable[[Path], object]  # puts a fault where registry.yaml is due


def text(old: str, new: str) -> Place:
    """The good registry with another text in one place."""
    assert GOOD.count(old) == 1, old
    return lambda file: file.write_text(GOOD.replace(old, new))


def data(content: bytes) -> Place:
    return lambda file: file.write_bytes(content)


def link(target: str) -> Place:
    return lambda file: file.symlink_to(target)


def parent_is_a_file(file: Path) -> None:
    file.parent.rmdir()
    file.parent.write_text(GOOD)


BOMB = "a: &a [x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
DIGEST = "digest: null"
FAULTS: dict[str, tuple[Place, str]] = {
    # The file.
    "missing": (lambda _: None, "No such file"),
    "unreadable": (link("/proc/self/mem"), "Input/output error"),
    "a folder": (Path.mkdir, "not a regular file"),
    "a pipe": (os.mkfifo, "not a regular file"),
    "a device": (link("/dev/zero"), "not a regular file"),
    "a link to itself": (link("registry.yaml"), "symbolic links"),
    "a link to nothing": (link("/no/such"), "No such file"),
    "a file in its folder's place": (parent_is_a_file, "Not a directory"),
    "empty": (data(b""), "document"),
    "too large": (data(GOOD.encode() + b"#" * REGISTRY_BYTES_MAX), "larger than 262144 bytes"),
    # Its text.
    "not UTF-8": (data(GOOD.encode().replace(b"forbidden", b"\xff")), "utf-8"),
    "UTF-16": (data(GOOD.encode("utf-16")), "utf-8"),
    "a byte order mark": (data(b"\xef\xbb\xbf" + GOOD.encode()), "byte order mark"),
    "a NUL": (text("forbidden", "\0"), "special characters"),
    "cut in a word": (data(GOOD[: len(GOOD) // 2].encode()), ""),
    "cut in a bracket": (data(GOOD[: GOOD.index("digest")].encode()), "flow"),
    "not YAML": (data(b"%PDF-1.7\n%"), ""),
    "two documents": (data(f"{GOOD}---\n{GOOD}".encode()), "document"),
    "nested too deeply": (data(b"[" * 5_000), "recursion"),
    "a key twice": (text("schema: v1", "schema: v1\nschema: v1"), "line 2: a key is given twice"),
    "an inner key twice": (text(DIGEST, f"{DIGEST}, {DIGEST}"), "a key is given twice"),
    "an alias bomb": (data(BOMB.encode()), "an alias; spell the value out"),
    "an alias": (text("[ZOO_SECRET]", "&a [ZOO_SECRET]\nx: *a"), "an alias"),
    "a tag": (text("hostile/zoo@1", "!!str hostile/zoo@1"), "a tag; write the value plainly"),
    "a program in a tag": (text("[ZOO_SECRET]", "!!python/object/apply:os.getpid []"), "a tag"),
    "a merge key": (text("schema: v1", "<<: {schema: v1}"), "line 1: a key"),
    # Its values.
    "a list": (data(b"- schema: v1\n"), "dictionary"),
    "a key too many": (text("schema: v1", "schema: v1\nmodes: [dry]"), "modes"),
    "a key too few": (text("secrets: [ZOO_SECRET]\n", ""), "secrets: Field required"),
    "another schema": (text("schema: v1", "schema: v2"), "schema"),
    "null for a text": (text("does what the input names", "null #"), "summary"),
    "null for a ref": (text("hostile/zoo@1", "null"), "ref"),
    "null for a list": (text("[ZOO_SECRET]", "null"), "secrets"),
    "a text for a list": (text("[ZOO_SECRET]", "ZOO_SECRET"), "secrets"),
    "a text for a number": (text("time_s: 20", 'time_s: "20"'), "limits.time_s"),
    "a fraction for a number": (text("time_s: 20", "time_s: 20.0"), "limits.time_s"),
    "a boolean for a number": (text("time_s: 20", "time_s: true"), "limits.time_s"),
    "a number beyond its limit": (text("time_s: 20", "time_s: 86401"), "limits.time_s"),
    "a number for a text": (text("runtime: python3.13", "runtime: 3.13"), "runtime"),
    "a pin that is a tag": (text(DIGEST, "digest: latest"), "digest must be null or sha256:"),
    "a short pin": (text(DIGEST, f"digest: sha256:{'0' * 63}"), "digest must be"),
    "an upper-case pin": (text(DIGEST, f"digest: sha256:{'A' * 64}"), "digest must be"),
    "another algorithm": (text(DIGEST, f"digest: sha512:{'0' * 128}"), "digest must be"),
    "a pin that is a number": (text(DIGEST, "digest: 0"), "image.digest"),
    "a repository with a tag": (text("tests/hostile-zoo", "tests/hostile-zoo:v1"), "no part"),
    # What another build would run.
    "another runtime": (text("runtime: python3.13", "runtime: exec"), "python3.13 is what was"),
    "another program": (text("entrypoint: main.py", "entrypoint: other.py"), "main.py is what was"),
}


def registry_in(folder: Path, place: Place) -> tuple[str, str]:
    """The words that name a folder with one registry in it."""
    file = folder / "registries/hostile/zoo/v1/registry.yaml"
    file.parent.mkdir(parents=True)
    place(file)
    return "--registry-root", str(folder / "registries")


def refused(result: Result, code: str, reason: str, *says: str) -> None:
    """Judge a refusal: nothing has started, nothing is left."""
    assert result.error == (code, reason)
    message = result.envelope["error"]["message"]
    assert [piece for piece in says if piece not in message] == [], message
    assert traces.names(result) == ["execution.start", "execution.settle"]
    assert result.visible == []


@pytest.mark.proves("PA-3")
@pytest.mark.parametrize(("place", "says"), FAULTS.values(), ids=FAULTS)
def test_a_registry_with_a_fault_is_refused(place: Place, says: str, tmp_path: Path) -> None:
    words = registry_in(tmp_path, place)

    result = zoo("good", *words, world=tmp_path / "world", timeout_s=30)

    refused(result, "ERR_REGISTRY_MISMATCH", "invalid_registry", "/zoo/v1/registry.yaml", says)


@pytest.mark.proves("PA-3")
@pytest.mark.parametrize("root", ["/no/such", "/dev/null", "x" * 5_000])
def test_a_folder_of_registries_that_is_none_is_refused(root: str, tmp_path: Path) -> None:
    result = zoo("good", "--registry-root", root, world=tmp_path / "world")

    refused(result, "ERR_REGISTRY_MISMATCH", "invalid_registry")


@pytest.mark.proves("PA-3")
def test_a_registry_of_another_ref_is_a_mismatch(tmp_path: Path) -> None:
    words = registry_in(tmp_path, text("hostile/zoo@1", "hostile/zoo@2"))

    result = zoo("good", *words, world=tmp_path / "world")

    refused(result, "ERR_REGISTRY_MISMATCH", "ref_mismatch", "hostile/zoo@2", "hostile/zoo@1")


@pytest.mark.proves("PA-3")
def test_a_registry_from_a_folder_is_used(tmp_path: Path) -> None:
    words = registry_in(tmp_path, text("[behaviour]", "[behaviour, text]"))

    without = zoo("good", *words, world=tmp_path / "a")

    assert without.error == ("ERR_INPUTS", "schema_violation")
    assert zoo("good", *words, text="x", world=tmp_path / "b").exit_code == 0


@pytest.mark.proves("PA-3")
def test_the_registry_that_is_named_is_a_part_of_what_an_id_was_asked_for(tmp_path: Path) -> None:
    one = registry_in(tmp_path / "one", text("time_s: 20", "time_s: 19"))
    other = registry_in(tmp_path / "other", text("time_s: 20", "time_s: 18"))
    words = ("--execution-id", "x-1")

    first, again, *others = (
        zoo("good", *words, *registry, world=tmp_path / "w") for registry in (one, one, other, ())
    )

    assert first.exit_code == again.exit_code == 0
    assert first.envelope == again.envelope
    assert [each.error for each in others] == [("ERR_INPUTS", "execution_exists")] * 2


@pytest.mark.proves("PA-3")
@pytest.mark.parametrize(
    ("words", "value", "reason"),
    [
        ((), None, "absent"),
        ((), "long-enough-but-not-opted-in", "absent"),
        (("--allow-env", "ZOO_SECRET"), None, "absent"),
        (("--allow-env", "ZOO_SECRET"), "", "absent"),
        (("--allow-env", "ZOO_SECRET"), "seven.7", "too_short"),
        (("--allow-env", "ZOO_SECRET"), "not-utf-8-\udcff", "malformed"),
    ],
)
def test_a_secret_that_cannot_be_used_is_refused(
    words: tuple[str, ...], value: str | None, reason: str, tmp_path: Path
) -> None:
    env = {} if value is None else {"ZOO_SECRET": value}

    result = zoo("good", *words, lane=REAL, env=env, world=tmp_path / "world")

    refused(result, "ERR_MISSING_SECRET", reason, "ZOO_SECRET")
    assert not value or os.fsencode(value) not in result.stdout + result.stderr


@pytest.mark.proves("PA-3")
def test_a_secret_of_eight_bytes_is_used(tmp_path: Path) -> None:
    env = {"ZOO_SECRET": "eight..8"}

    result = zoo("good", "--allow-env", "ZOO_SECRET", lane=REAL, env=env, world=tmp_path)

    assert result.exit_code == 0


@pytest.mark.proves("PA-3")
@pytest.mark.parametrize("lane", ["staging", "main"])
def test_a_pinned_lane_starts_nothing_without_a_pin(lane: str, tmp_path: Path) -> None:
    pinned = ("--adapter", "modal", "--mode", "mock", "--lane", lane)

    result = zoo("good", lane=pinned, world=tmp_path / "world")

    refused(result, "ERR_IMAGE_UNPINNED", "no_pin", "hostile/zoo@1")
