"""Two runs that differ in secret values alone are equal, whatever the processor does with them."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from orchestrator.world.ledger import Ledger
from tests.fixtures import traces
from tests.harness import MOCK, REAL, Result, zoo

MOCK_DEV = ("--adapter", "local", "--mode", "mock", "--lane", "dev")
ALLOW = ("--allow-env", "ZOO_SECRET")
# Values of different lengths; a name of a file can hold them.
NAMES = ("zoo-key-7f3b51c09d2e4a68", "kkk-9x@wz", "A.much_longer~value" + "z" * 150)
# Values with all that an encoding can escape.
TEXTS = ('p"a\\th/with \u00e9\u20ac & 7f3b', "\U0001f600\U0001f511-+%", "zoo-key-7f3b51c09d2e4a68")
EVERYWHERE = [
    *("leak_secret", "leak_in_event", "leak_in_message", "leak_at_cuts", "leak_a_full_message"),
    *("leak_in_lines", "leak_in_key_error", "leak_in_mime", "leak_in_receipt"),
    *("leak_on_both_streams", "leak_a_part"),
]
IN_NAMES = ["leak_in_file_name", "leak_in_output_path"]
TIMES = re.compile(rb'"(elapsed_ms|duration_ms|started_at)": ?("[^"]*"|\d+)')


def seen(behaviour: str, value: str, world: Path, lane: tuple[str, ...] = REAL) -> Result:
    """Run one behaviour with one secret, always under the same execution id."""
    words = ("--execution-id", "x-1", "--debug", *(ALLOW if lane == REAL else ()))
    return zoo(behaviour, *words, lane=lane, world=world, env={"ZOO_SECRET": value})


def timeless(data: bytes) -> str:
    """Some text without its times."""
    return TIMES.sub(rb"\1", data).decode()


def observed(result: Result) -> dict[str, Any]:
    """All that anybody can see of a run, but for its times."""
    envelope = result.envelope
    for tail in envelope["meta"].get("tails", {}).values():
        if '_ms"' in tail["text"]:  # of a breadcrumb; length and digest cover it
            tail.update(digest="", size_bytes=0, text=timeless(tail["text"].encode()))
    kept = "/artifacts/execution/x-1/envelope.json"  # the envelope again, with its times
    if kept in result.visible:
        assert result.file(kept).read_bytes() + b"\n" == result.stdout
    return {
        "exit": result.exit_code,
        "facts": facts(result.world),
        "stdout": timeless(json.dumps(envelope).encode()),
        "stderr": timeless(result.stderr),
        "visible": result.visible,
        "files": {
            path: timeless(result.file(path).read_bytes())
            for path in result.visible
            if path != kept
        },
        "memo_key": result.envelope["meta"]["memo_key"],
    }


def facts(world: Path) -> list[object]:
    """What the ledger says up to the start, its times and the world's id aside."""
    if not (world / "ledger.sqlite3").exists():
        return []
    with Ledger(str(world), make=False) as ledger:
        found = [(event.type, event.data) for event in ledger.events(after=1)]
    early = ("artifact.put", "execution.refused", "execution.requested", "execution.admitted")
    return [fact for fact in found if fact[0] in (*early, "execution.started")]


def assert_absent(value: str, result: Result) -> None:
    """No form of a value is on any surface."""
    raw = value.encode()
    forms = {raw, raw.hex().encode(), quote(value, safe="").encode()}
    forms |= {json.dumps(value)[1:-1].encode(), repr(value)[1:-1].encode()}
    forms |= {base64.b64encode(b"x" * before + raw)[4:-4] for before in range(3)}
    surfaces = [result.stdout, result.stderr, *(path.encode() for path in result.visible)]
    surfaces += [result.file(path).read_bytes() for path in result.visible]
    for surface in surfaces:
        flat = re.sub(rb"\s|\\[nr]", b"", surface)
        for form in forms:
            assert form not in surface
            assert re.sub(rb"\s", b"", form) not in flat


@pytest.mark.proves("F-12", "SE-4", "SE-5")
@pytest.mark.parametrize("behaviour", [*EVERYWHERE, *IN_NAMES])
def test_runs_that_differ_in_a_secrets_value_alone_are_equal(
    behaviour: str, tmp_path: Path
) -> None:
    values = NAMES if behaviour in IN_NAMES else (*NAMES, *TEXTS)
    found = []
    for number, value in enumerate(values):
        result = seen(behaviour, value, tmp_path / str(number))
        assert result.exit_code == 1
        assert_absent(value, result)
        traces.names(result)
        found.append(observed(result))

    quiet = ("leak_in_receipt", "leak_in_key_error")  # whose words are not shown at all
    assert ("[redacted]" in found[0]["stdout"]) == (behaviour not in quiet)
    for other in found[1:]:
        assert other == found[0]


@pytest.mark.proves("F-12")
@pytest.mark.parametrize("lane", [MOCK, MOCK_DEV], ids=["pr", "dev"])
@pytest.mark.parametrize("behaviour", ["good", "leak_secret", "own_error"])
def test_in_mock_a_secret_is_not_even_seen(
    behaviour: str, lane: tuple[str, ...], tmp_path: Path
) -> None:
    found = [
        observed(seen(behaviour, value, tmp_path / str(number), lane))
        for number, value in enumerate((*NAMES[:2], "short", ""))
    ]

    assert found[0]["exit"] == (0 if behaviour == "good" else 1)
    for other in found[1:]:
        assert other == found[0]


@pytest.mark.proves("F-12")
@pytest.mark.parametrize("value", ["1234567", "\u20ac\u20ac", "x"])
def test_a_value_too_short_to_be_masked_is_refused(value: str, tmp_path: Path) -> None:
    result = seen("good", value, tmp_path)

    assert result.error == ("ERR_MISSING_SECRET", "too_short")
    assert traces.names(result) == ["execution.start", "execution.settle"]
    assert result.envelope["meta"]["memo_key"] is None


@pytest.mark.proves("F-12", "SE-4")
def test_a_value_that_is_no_text_is_refused(tmp_path: Path) -> None:
    value = b"\xff\xfekey-0123456789".decode("utf-8", "surrogateescape")

    result = seen("leak_in_message", value, tmp_path)

    assert result.error == ("ERR_MISSING_SECRET", "malformed")
    assert b"key-0123456789" not in result.stdout + result.stderr
