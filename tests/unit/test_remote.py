"""What the orchestrator and the app say to each other: closed, bounded, believed in nothing."""

from __future__ import annotations

import json

import pytest

from processors.protocol import remote
from processors.protocol.errors import ContractError, mismatch
from processors.protocol.remote import Left, Reply, Request
from processors.protocol.spawn import Ended, Tail

DIGEST = "sha256:" + "ab" * 32


def ended(stdout: bytes = b"{}") -> Ended:
    tails = [Tail(remote.ENVELOPE_BYTES_MAX), Tail(remote.TAIL_BYTES_MAX)]
    tails[0].feed(stdout)
    tails[1].feed(b"x" * 40_000)
    return Ended(
        returncode=-9,
        stdout=tails[0],
        stderr=tails[1],
        elapsed_ms=7,
        timed_out=False,
        stopped=None,
    )


def test_a_request_comes_back_byte_for_byte() -> None:
    payload = json.dumps({"inputs": "é\u2028\n"}, ensure_ascii=False).encode()
    sent = Request(payload=payload, content_root=DIGEST, registry=DIGEST, timeout_s=3)

    found = remote.decode_request(sent.encode())

    assert (found.payload, found.content_root, found.timeout_s) == (payload, DIGEST, 3)


def test_a_reply_tells_the_end_as_it_was_seen() -> None:
    sent = Reply(
        ended=ended(b"\xff\x00"),
        left=[Left("/artifacts/a", DIGEST, 3), Left("/artifacts/b", None, 0)],
        lines=[b"\xffline", b""],
        dropped=4,
    )

    found = remote.decode_reply(sent.encode())

    assert found.ended is not None
    assert sent.ended is not None
    assert bytes(found.ended.stdout.data) == b"\xff\x00"
    assert found.ended.stdout.complete
    for one, other in (
        (found.ended.stdout, sent.ended.stdout),
        (found.ended.stderr, sent.ended.stderr),
    ):
        assert (one.digest, one.size_bytes, one.text()) == (
            other.digest,
            other.size_bytes,
            other.text(),
        )
    assert not found.ended.stderr.complete
    assert [(each.path, each.cid) for each in found.left] == [
        ("/artifacts/a", DIGEST),
        ("/artifacts/b", None),
    ]
    assert (found.lines, found.dropped) == (["\ufffdline".encode(), b""], 4)


def test_of_a_whole_stream_its_digest_is_computed_and_not_believed() -> None:
    document = json.loads(Reply(ended=ended()).encode())
    document["ended"]["stdout"]["digest"] = DIGEST

    found = remote.decode_reply(json.dumps(document).encode())

    assert found.ended is not None
    assert found.ended.stdout.digest != DIGEST


def test_an_error_of_the_table_is_told() -> None:
    found = remote.decode_reply(Reply(error=mismatch("content_mismatch", "seen")).encode())

    assert found.error is not None
    assert (found.error.reason, found.error.message) == ("content_mismatch", "seen")


@pytest.mark.proves("ERR_MODAL_INVOCATION")
@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (["schema"], "v2"),
        (["error"], {"code": "ERR_MADE_UP", "reason": "x", "message": "x"}),
        (["ended"], None),
        (["ended", "returncode"], "0"),
        (["ended", "returncode"], True),
        (["ended", "elapsed_ms"], -1),
        (["ended", "timed_out"], 0),
        (["ended", "stdout", "data"], "not base64!"),
        (["ended", "stdout", "digest"], "sha256:short"),
        (["ended", "more"], 1),
        (["left"], [{"path": "/artifacts/a", "cid": "md5:x", "size_bytes": 1}]),
        (["left"], [{"path": "/artifacts/a", "cid": None, "size_bytes": 1.5}]),
        (["left"], {}),
        (["lines"], [7]),
        (["lines"], ["x"] * (remote.LINES_MAX + 1)),
        (["dropped"], -1),
        (["more"], 1),
    ],
)
def test_what_is_not_of_the_contract_is_no_reply(keys: list[str], value: object) -> None:
    document = json.loads(Reply(ended=ended()).encode())
    place = document
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value

    with pytest.raises(ContractError) as caught:
        remote.decode_reply(json.dumps(document).encode())

    assert (caught.value.code, caught.value.reason) == ("ERR_MODAL_INVOCATION", "exchange_invalid")


@pytest.mark.parametrize("data", [b"", b"\x80\x04N.", b"[]", b'{"a":1,"a":1}'])
def test_bytes_of_another_kind_are_no_reply(data: bytes) -> None:
    with pytest.raises(ContractError) as caught:
        remote.decode_reply(data)

    assert caught.value.reason == "exchange_invalid"
