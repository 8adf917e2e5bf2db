"""The toolchain's crane, and whether it and a registry take the layouts for what they are."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.images import tool

FOLDER = Path("tests/fixtures/images")
CRANE = FOLDER / "crane"


@pytest.fixture
def registry() -> Iterator[str]:
    """The address of a registry in memory, on a port that was free."""
    command = [CRANE, "registry", "serve", "--address", "127.0.0.1:0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            found = re.search(r"serving on port (\d+)", line)
            assert found is not None, line
            yield f"localhost:{found[1]}"
        finally:
            process.kill()


def crane(*words: str | Path) -> str:
    """Run crane; it must succeed."""
    done = subprocess.run([CRANE, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ["empty", "gzip", "several", "on_foreign", "words"])
def test_registry_reports_the_digest_of_the_digest_file(registry: str, name: str) -> None:
    crane("push", FOLDER / name, f"{registry}/{name}")

    expected = (FOLDER / f"{name}.json.sha256").read_text(encoding="utf-8")
    assert crane("digest", f"{registry}/{name}") == expected


def test_index_is_pushed_as_one_with_its_images(registry: str) -> None:
    crane("push", FOLDER / "index_of_two", f"{registry}/two")

    expected = (FOLDER / "index_of_two.json.sha256").read_text(encoding="utf-8")
    assert crane("digest", f"{registry}/two") == expected
    for platform, name in (("linux/amd64", "on_base"), ("linux/arm64/v8", "arm")):
        image = (FOLDER / f"{name}.json.sha256").read_text(encoding="utf-8")
        assert crane("digest", "--platform", platform, f"{registry}/two") == image


def test_gzipped_layers_are_valid_to_the_last_byte(registry: str) -> None:
    """Layers, diff ids, sizes and digests; it takes every layer for gzip, so no plain one here."""
    crane("push", FOLDER / "gzip", f"{registry}/gzip")

    assert crane("validate", "--remote", f"{registry}/gzip").startswith("PASS")


def test_what_a_tool_leaves_running_keeps_nobody_waiting() -> None:
    """As an agent that a credential helper starts; it holds the streams open."""
    said = bytearray()

    status = tool.run(
        ["/bin/sh", "-c", "sleep 600 & echo $!"],
        env={"PATH": "/usr/bin:/bin"},
        limit_s=60,
        on_stdout=said.extend,
        on_stderr_line=print,
    )

    assert status == 0
    os.kill(int(said), signal.SIGKILL)
