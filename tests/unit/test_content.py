"""The content root: every name and every byte counts, and nothing else does."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from processors.protocol import content, digests
from processors.protocol.errors import ContractError


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "processor"
    (folder / "app/a").mkdir(parents=True)
    (folder / "start.py").write_bytes(b"start\n")
    (folder / "app/a/main.py").write_bytes(b"main\n")
    (folder / "app/empty.py").write_bytes(b"")
    return folder


def test_the_root_is_the_digest_of_names_and_bytes(tree: Path) -> None:
    expected = digests.of_json(
        {
            "app/a/main.py": digests.of_bytes(b"main\n"),
            "app/empty.py": digests.of_bytes(b""),
            "start.py": digests.of_bytes(b"start\n"),
        }
    )

    assert content.measure(str(tree)) == expected
    content.check(str(tree), expected)


def test_times_modes_and_empty_folders_do_not_count(tree: Path) -> None:
    before = content.measure(str(tree))

    os.utime(tree / "start.py", (1, 1))
    (tree / "start.py").chmod(0o600)
    (tree / "app/nothing").mkdir()

    assert content.measure(str(tree)) == before


CHANGES: dict[str, Callable[[Path], object]] = {
    "one bit": lambda tree: (tree / "app/a/main.py").write_bytes(b"maio\n"),
    "one byte more": lambda tree: (tree / "app/empty.py").write_bytes(b"\n"),
    "another file": lambda tree: (tree / "app/a/more.py").write_bytes(b""),
    "a file less": lambda tree: (tree / "app/empty.py").unlink(),
    "another name": lambda tree: (tree / "start.py").rename(tree / "Start.py"),
    "another folder": lambda tree: (tree / "app/a").rename(tree / "app/b"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_any_change_is_refused(tree: Path, change: Callable[[Path], object]) -> None:
    before = content.measure(str(tree))
    change(tree)

    with pytest.raises(ContractError, match="content root") as caught:
        content.check(str(tree), before)

    assert (caught.value.code, caught.value.reason) == (
        "ERR_REGISTRY_MISMATCH",
        "content_mismatch",
    )


@pytest.mark.parametrize(
    "plant",
    [
        lambda tree: (tree / "app/link").symlink_to("empty.py"),
        lambda tree: (tree / "app/folder").symlink_to("a"),
        lambda tree: os.mkfifo(tree / "app/pipe"),
    ],
    ids=["link", "link to a folder", "pipe"],
)
def test_what_no_build_makes_is_refused(tree: Path, plant: Callable[[Path], object]) -> None:
    plant(tree)

    with pytest.raises(ContractError, match="neither a file nor a folder"):
        content.measure(str(tree))


def test_an_absent_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="No such file"):
        content.measure(str(tmp_path / "absent"))
