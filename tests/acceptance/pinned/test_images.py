"""The image that runs is the one that was built, or nothing runs: one flipped byte is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from processors.protocol import content
from processors.protocol.errors import ContractError
from tests.fixtures import rootfs
from tests.harness import ROOT

LAYOUT = ROOT / "processors/llm/chat/v1/image"

# The image measures itself, with its own interpreter and its own copy of the protocol.
MEASURE = """
import sys
sys.path.append("/opt/processor/app")
from processors.protocol import content
content.check("/opt/processor", sys.argv[1])
"""


@pytest.fixture(scope="module")
def image() -> rootfs.Image:
    return rootfs.Image(LAYOUT)


@pytest.fixture(scope="module")
def unpacked(image: rootfs.Image, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file system, for all tests: each leaves it as it was."""
    folder = tmp_path_factory.mktemp("image") / "rootfs"
    image.unpack(folder)
    return folder


def measure(image: rootfs.Image, unpacked: Path, world: Path) -> tuple[int, str]:
    python = image.config["config"]["Entrypoint"][0]
    words = [python, "-P", "-s", "-S", "-B", "-c", MEASURE, image.labels["processor.content-root"]]
    world.mkdir(exist_ok=True)
    done = rootfs.run_image(image, unpacked, world, words=words)
    return done.returncode, done.stderr.decode()


def test_the_image_as_built_is_accepted(
    image: rootfs.Image, unpacked: Path, tmp_path: Path
) -> None:
    assert measure(image, unpacked, tmp_path / "world") == (0, "")


@pytest.mark.parametrize(
    "file",
    [
        "start.py",
        "app/processors/llm/chat/v1/main.py",
        "app/processors/llm/chat/v1/registry.json",
        "app/processors/protocol/redact.py",
        "site-packages/openai/__init__.py",
    ],
)
def test_a_flipped_bit_in_any_layer_is_refused(
    image: rootfs.Image, unpacked: Path, tmp_path: Path, file: str
) -> None:
    path = unpacked / "opt/processor" / file
    before = path.read_bytes()
    flipped = bytearray(before)
    flipped[len(flipped) // 2] ^= 1

    path.write_bytes(flipped)
    try:
        code, said = measure(image, unpacked, tmp_path / "world")
    finally:
        path.write_bytes(before)

    assert code == 1
    assert "ERR_REGISTRY_MISMATCH" in said
    assert "content root" in said


@pytest.mark.proves("ERR_REGISTRY_MISMATCH")
def test_a_file_that_no_build_put_there_is_refused(image: rootfs.Image, unpacked: Path) -> None:
    planted = unpacked / "opt/processor/site-packages/sitecustomize.py"
    planted.write_bytes(b"")
    try:
        with pytest.raises(ContractError) as caught:
            content.check(str(unpacked / "opt/processor"), image.labels["processor.content-root"])
    finally:
        planted.unlink()

    assert (caught.value.code, caught.value.reason) == (
        "ERR_REGISTRY_MISMATCH",
        "content_mismatch",
    )
