"""The tails of a failed run: bounded, whole characters, and counted after redaction."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.harness import MOCK, REAL, zoo

TAIL_BYTES_MAX = 8_192
SECRET = "zoo-key-7f3b51c09d2e4a68"  # noqa: S105 - the tests' own
MASK = b"[redacted]"
CHARACTERS = {"one byte": "x", "two": "\u00e9", "three": "\u20ac", "four": "\U0001f600"}


def poured(
    world: Path, unit: bytes, times: int, after: bytes, secret: str | None = None
) -> dict[str, dict[str, Any]]:
    """Both tails of a processor that wrote the same bytes to both of its streams, and failed."""
    words = () if secret is None else ("--allow-env", "ZOO_SECRET")
    result = zoo(
        "pour",
        *words,
        text=json.dumps([unit.hex(), times, after.hex()]),
        lane=MOCK if secret is None else REAL,
        env={} if secret is None else {"ZOO_SECRET": secret},
        world=world,
    )
    assert result.error == ("ERR_ADAPTER_INVOCATION", "envelope_invalid")
    tails = result.envelope["meta"]["tails"]
    assert tails.keys() == {"stdout", "stderr"}
    assert secret is None or secret.encode() not in result.stdout + result.stderr
    found: dict[str, dict[str, Any]] = tails
    return found


@pytest.mark.proves("EV-7")
@pytest.mark.parametrize("character", CHARACTERS.values(), ids=CHARACTERS)
@pytest.mark.parametrize("offset", range(4))
def test_a_tail_is_cut_between_characters_at_every_offset(
    character: str, offset: int, tmp_path: Path
) -> None:
    unit, times, after = character.encode(), 20_000, b"-" * offset
    stream = unit * times + after

    for tail in poured(tmp_path, unit, times, after).values():
        assert tail["size_bytes"] == len(stream)
        assert tail["digest"] == "sha256:" + hashlib.sha256(stream).hexdigest()
        data = tail["text"].encode()
        assert TAIL_BYTES_MAX - 4 < len(data) <= TAIL_BYTES_MAX
        assert stream.endswith(data)
        assert tail["text"].strip(character) == after.decode()


@pytest.mark.proves("EV-7")
@pytest.mark.parametrize("unit", [b"\xff", b"\xf0\x9f\x98", b"\xed\xa0\x80", b"\x80a", b"\x00"])
def test_a_tail_of_bytes_that_are_no_text_is_still_bounded_text(
    unit: bytes, tmp_path: Path
) -> None:
    stream = unit * 9_000 + b"-"

    for tail in poured(tmp_path, unit, 9_000, b"-").values():
        assert tail["size_bytes"] == len(stream)
        assert tail["digest"] == "sha256:" + hashlib.sha256(stream).hexdigest()
        assert 0 < len(tail["text"].encode()) <= TAIL_BYTES_MAX


@pytest.mark.proves("EV-7")
@pytest.mark.parametrize("size", [0, 1, TAIL_BYTES_MAX - 1, TAIL_BYTES_MAX])
def test_a_stream_that_fits_is_shown_whole(size: int, tmp_path: Path) -> None:
    for tail in poured(tmp_path, b"a", size, b"b").values():
        assert tail["size_bytes"] == size + 1
        assert tail["text"].encode() == (b"a" * size + b"b")[-TAIL_BYTES_MAX:]


@pytest.mark.proves("EV-7", "F-12")
@pytest.mark.parametrize(
    "secret", [SECRET, SECRET * 3, "k-3\u20ac\u00e9\U0001f600", "0" * 7 + "1"], ids=ascii
)
@pytest.mark.parametrize("times", [1, 400, 3_000])
def test_length_and_digest_are_those_of_the_masked_stream(
    secret: str, times: int, tmp_path: Path
) -> None:
    """The writes go through the secret at ever other places, and most of it is before the tail."""
    unit = f"<\u20ac {secret} \u20ac>\n".encode()
    stream = unit.replace(secret.encode(), MASK) * times + b"-"

    for tail in poured(tmp_path, unit, times, b"-", secret).values():
        assert tail["size_bytes"] == len(stream)
        assert tail["digest"] == "sha256:" + hashlib.sha256(stream).hexdigest()
        data = tail["text"].encode()
        assert len(data) <= TAIL_BYTES_MAX
        assert stream.endswith(data)
