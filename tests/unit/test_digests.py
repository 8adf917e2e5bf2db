"""One digest algorithm, one way to write it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from processors.protocol import digests

EMPTY = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_bytes_json_and_files_have_the_digest_of_their_bytes(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_bytes(b'{"a":1,"b":2}')
    expected = "sha256:" + hashlib.sha256(b'{"a":1,"b":2}').hexdigest()

    assert digests.of_bytes(b"") == EMPTY
    assert digests.of_bytes(b'{"a":1,"b":2}') == expected
    assert digests.of_json({"b": 2, "a": 1}) == expected
    assert digests.of_file(str(file)) == (expected, 13)


def test_a_file_larger_than_one_piece_is_read_whole(tmp_path: Path) -> None:
    data = b"x" * (digests.CHUNK_BYTES + 1)
    (tmp_path / "x").write_bytes(data)

    assert digests.of_file(str(tmp_path / "x")) == (digests.of_bytes(data), len(data))


@pytest.mark.parametrize(
    "text",
    [
        "",
        EMPTY.removeprefix("sha256:"),
        EMPTY[:-1],
        EMPTY + "0",
        EMPTY.upper(),
        EMPTY.replace("e3b0", "E3B0"),
        EMPTY.replace("e3b0", "g3b0"),
        EMPTY.replace("sha256", "sha512"),
        EMPTY + "\n",
        " " + EMPTY,
        EMPTY.replace("e3b0", "\u0661\u0661\u0661\u0661"),
        None,
        7,
        EMPTY.encode(),
    ],
)
def test_only_the_one_form_is_a_digest(text: object) -> None:
    assert digests.is_digest(EMPTY)
    assert not digests.is_digest(text)
