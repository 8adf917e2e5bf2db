"""The chain: what is stored, what is hashed, and every way in which an event can be wrong."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from orchestrator.world import chain
from orchestrator.world.chain import START, BrokenChainError, Event, Head, seal, verified
from processors.protocol import digests
from processors.protocol.canonical import canonical
from tests.fixtures.lives import AT, CREATED, WORLD, Fact, put, removed

FACTS: list[Fact] = [
    CREATED,
    put("/artifacts/a.txt"),
    put("/artifacts/b \u2028\u00e9\U0001f600.txt"),
    removed("/artifacts/a.txt"),
]


def linked(facts: list[Fact]) -> list[Event]:
    """Events of facts, in one chain."""
    events: list[Event] = []
    for type_, data in facts:
        head = Head(events[-1].seq, events[-1].hash) if events else START
        events.append(seal(head, type_, data, AT))
    return events


def rows(events: list[Event]) -> list[chain.Row]:
    """Events as they are stored."""
    return [(event.seq, event.body, event.hash) for event in events]


def broken(stored: list[chain.Row], after: Head = START) -> tuple[int, str]:
    """Where a chain breaks, and why."""
    with pytest.raises(BrokenChainError) as caught:
        list(verified(stored, after))
    return caught.value.seq, caught.value.why


def test_the_bytes_and_the_hash_of_a_first_event_are_these_for_ever() -> None:
    event = seal(START, *CREATED, AT)

    assert event.body == (
        b'{"at":"2026-11-24T02:47:24.123Z","data":{"format":1,'
        b'"world":"0123456789abcdef0123456789abcdef"},"prev":"sha256:'
        b'0000000000000000000000000000000000000000000000000000000000000000",'
        b'"seq":1,"type":"world.created","v":1}'
    )
    assert event.hash == "sha256:a4c9e802e795b24d50876ce27fb660203eb2f57936857ce96acae548e820c629"
    assert event.hash == digests.of_bytes(event.body)


def test_an_event_says_what_it_was_sealed_with() -> None:
    first, second = linked(FACTS[:2])

    assert (second.seq, second.type, second.version, second.at) == (2, "artifact.put", 2, AT)
    assert second.data == FACTS[1][1]
    assert json.loads(second.body)["prev"] == first.hash
    assert first.data["world"] == WORLD


def test_bodies_are_canonical() -> None:
    for event in linked(FACTS):
        assert canonical(json.loads(event.body)) == event.body


def test_a_whole_chain_is_verified_and_comes_back() -> None:
    events = linked(FACTS)

    found = list(verified(rows(events)))

    assert [(e.seq, e.type, e.at, e.data, e.hash) for e in found] == [
        (e.seq, e.type, e.at, e.data, e.hash) for e in events
    ]
    assert list(verified([])) == []


def test_a_part_is_verified_after_what_is_known() -> None:
    events = linked(FACTS)

    rest = verified(rows(events)[2:], Head(2, events[1].hash))

    assert [event.seq for event in rest] == [3, 4]
    assert broken(rows(events)[2:], Head(2, events[0].hash))[0] == 3


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-24T02:47:24Z",
        "2026-11-24T02:47:24.123+00:00",
        "2026-11-24 02:47:24.123Z",
        "2026-11-24T02:47:24.123z",
        "2026-11-24T02:47:24,123Z",
        "\u0662026-11-24T02:47:24.12Z",
        "2026-1a-24T02:47:24.123Z",
        "2026-11-24T02:47:24.1234Z",
        "",
        None,
        20261124,
    ],
)
def test_a_time_has_one_form(text: str | None) -> None:
    assert not chain.is_time(text)
    with pytest.raises(ValueError, match="RFC 3339"):
        seal(START, *CREATED, text)  # type: ignore[arg-type]


def test_a_world_is_created_first_and_once() -> None:
    with pytest.raises(ValueError, match=r"world\.created is the first"):
        seal(START, *FACTS[1], AT)
    with pytest.raises(ValueError, match=r"world\.created is the first"):
        seal(Head(1, START.hash), *CREATED, AT)


def test_an_event_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    events = linked(FACTS)
    monkeypatch.setattr(chain, "BODY_BYTES_MAX", 300)

    with pytest.raises(ValueError, match="at most 300"):
        linked(FACTS)
    assert broken(rows(events))[1].endswith("at most 300")


def rewritten(change: Callable[[dict[str, object]], object]) -> chain.Row:
    """The second event with other content, and the hash that fits it."""
    value = json.loads(linked(FACTS)[1].body)
    change(value)
    body = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    return 2, body, digests.of_bytes(body)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda value: value.update(seq=3), "numbered 3"),
        (lambda value: value.update(seq=True), "seq has a value"),
        (lambda value: value.update(seq=2.0), "seq has a value"),
        (lambda value: value.update(prev=START.hash), "prev is not the hash"),
        (lambda value: value.update(prev="x"), "prev has a value"),
        (lambda value: value.update(type="artifact.lost"), "no type of event"),
        (lambda value: value.update(v=3), "no type of event"),
        (lambda value: value.update(v=True), "v has a value"),
        (lambda value: value.update(at="yesterday"), "at has a value"),
        (lambda value: value.update(data=[]), "data has a value"),
        (lambda value: value["data"].update(size_bytes=-1), "size_bytes has a value"),
        (lambda value: value["data"].update(size_bytes=1e3), "size_bytes has a value"),
        (lambda value: value.update(note=1), "1 member(s)"),
        (lambda value: value.pop("at"), "lacks at"),
        (lambda value: value.update(type=CREATED[0], v=1, data=CREATED[1]), "the first event"),
    ],
)
def test_an_event_that_hashes_well_but_says_something_wrong_is_found(
    change: Callable[[dict[str, object]], object], why: str
) -> None:
    first, *_ = rows(linked(FACTS))

    seq, found = broken([first, rewritten(change)])

    assert seq == 2
    assert why in found


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda body: body.replace(b'":', b'": ', 1), "not canonical"),
        (lambda body: body.replace(b'"at"', b'"\\u0061t"'), "not canonical"),
        (lambda body: b'{"v":1,' + body[1:], "not canonical"),
        (lambda body: body + b"\n", "not canonical"),
        (lambda body: b"\xef\xbb\xbf" + body, "not JSON"),
        (lambda body: body.decode().encode("utf-16"), "not JSON"),
        (lambda body: body[:-1], "not JSON"),
        (lambda body: body + b"x", "not JSON"),
        (lambda body: body.replace(b"a.txt", b"a\xff.txt"), "not JSON"),
        (lambda body: body.replace(b"a.txt", b"\\ud800.txt"), "not JSON"),
        (lambda body: body.replace(b'"v":2', b'"v":NaN'), "not JSON"),
        (lambda body: body.replace(b'"v":2', b'"v":' + b"9" * 5000), "not JSON"),
        (lambda _: b"[" * 100_000, "not JSON"),
        (lambda _: b"", "not JSON"),
        (lambda _: b"{}", "lacks"),
        (lambda _: b"[]", "not an object"),
        (lambda _: b"null", "not an object"),
        (lambda body: body.decode(), "not bytes"),
        (lambda _: None, "not bytes"),
    ],
)
def test_a_body_in_another_form_is_found(spoil: Callable[[bytes], object], why: str) -> None:
    first, second, *_ = linked(FACTS)
    body = spoil(second.body)
    hash_ = digests.of_bytes(body) if isinstance(body, bytes) else ""

    seq, found = broken([*rows([first]), (2, body, hash_)])

    assert seq == 2
    assert why in found


def test_a_stored_hash_that_is_not_the_bodys_is_found() -> None:
    for wrong in (START.hash, None, 7):
        stored = rows(linked(FACTS))
        stored[2] = (3, stored[2][1], wrong)
        assert broken(stored) == (3, "its stored hash is not the hash of its body")


def test_dropped_repeated_and_reordered_events_are_found() -> None:
    one, two, three, four = rows(linked(FACTS))

    assert broken([two, three, four]) == (1, "the event found here is numbered 2")
    assert broken([one, three, four])[0] == 2
    assert broken([one, two, two, three])[0] == 3
    assert broken([one, three, two, four])[0] == 2
    # The number alone put right does not help.
    assert broken([one, (2, three[1], three[2])]) == (2, "its body is numbered 3")
