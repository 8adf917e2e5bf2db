"""The hops of an image, from build to run, and the pins of the tree: equal, or told apart."""

from __future__ import annotations

import itertools

import pytest

from orchestrator.images import chain, freshness, records
from orchestrator.images.chain import HOPS, Record
from orchestrator.lanes import LANES
from orchestrator.world.chain import Event
from processors.protocol.canonical import Json, canonical
from tests.fixtures import lives

A, B = "sha256:" + "aa" * 32, "sha256:" + "bb" * 32
REF = "doc/extract@1"


def test_the_hops_stand_in_their_order() -> None:
    assert HOPS == ("build", "push", "pin", "deploy", "run")


@pytest.mark.parametrize(
    "digests", list(itertools.product((A, B, None), repeat=len(HOPS))), ids=str
)
def test_two_hops_that_differ_are_found_and_a_missing_one_is_no_difference(
    digests: tuple[str | None, ...],
) -> None:
    kept = [
        Record(hop, digest, seq)
        for seq, (hop, digest) in enumerate(zip(HOPS, digests, strict=True), start=1)
        if digest is not None
    ]

    found = chain.problem(REF, chain.last(kept))

    differ = len({each.digest for each in kept}) > 1
    assert (found is not None) == differ
    if found is not None:
        assert (found.code, found.reason) == ("ERR_REGISTRY_MISMATCH", "digest_chain")
        one, other = next(
            (one, other) for one, other in itertools.pairwise(kept) if one.digest != other.digest
        )
        for word in (REF, f"hop {other.hop} ", f"hop {one.hop} ", one.digest, other.digest):
            assert word in found.message


def test_the_last_record_of_a_hop_counts() -> None:
    built_again = [Record("build", A, 2), Record("push", A, 3), Record("build", B, 4)]

    assert chain.problem(REF, chain.last(built_again)) is not None
    pushed_again = [*built_again, Record("push", B, 5)]
    assert chain.problem(REF, chain.last(pushed_again)) is None
    assert [each.seq for each in chain.last(pushed_again).values()] == [4, 5]


def test_facts_of_the_ledger_are_hops_of_their_own_image_alone() -> None:
    events = [
        Event(seq, type_, 1, lives.AT, data, canonical(data))
        for seq, (type_, data) in enumerate(
            [
                *lives.image(REF),
                lives.deployed(),
                lives.deployed("deployment.unchanged"),
                lives.deployed(override=True),
                lives.put("/artifacts/a"),
            ],
            start=2,
        )
    ]

    found = [records.of_event(event, REF) for event in events]

    assert [each and (each.hop, each.digest, each.seq) for each in found] == [
        ("build", lives.cid("image"), 2),
        ("push", lives.cid("image"), 3),
        ("pin", lives.cid("image"), 4),
        ("deploy", lives.cid("image"), 5),
        None,
        None,
        None,
    ]
    assert [records.of_event(event, "doc/extract@2") for event in events] == [None] * 7


@pytest.mark.parametrize(
    ("image", "override", "found"),
    [(A, False, A), (A, True, None), (None, False, None)],
)
def test_a_run_is_a_hop_if_it_ran_the_pinned_image(
    image: str | None, override: Json, found: str | None
) -> None:
    data: dict[str, Json] = {"memo": {"ref": REF}, "image_digest": image, "override": override}
    event = Event(9, "execution.started", 1, lives.AT, data, canonical(data))

    hop = records.of_event(event, REF)

    assert (hop and (hop.hop, hop.digest)) == (None if found is None else ("run", found))
    assert records.of_event(event, "doc/extract@2") is None


@pytest.mark.proves("BZ-6")
@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize(
    ("pinned", "state", "error"),
    [
        (A, "fresh", None),
        (B, "stale", ("ERR_REGISTRY_MISMATCH", "pin_stale")),
        (None, "unpinned", ("ERR_IMAGE_UNPINNED", "no_pin")),
        ("latest", "unpinned", ("ERR_IMAGE_UNPINNED", "bad_pin")),
        ("sha256:" + "0" * 64, "unpinned", ("ERR_IMAGE_UNPINNED", "bad_pin")),
        (A.upper(), "unpinned", ("ERR_IMAGE_UNPINNED", "bad_pin")),
    ],
)
def test_lanes_that_run_pins_refuse_what_is_not_fresh_and_others_inform(
    lane: str, pinned: str | None, state: str, error: tuple[str, str] | None
) -> None:
    found = freshness.problem(lane, REF, pinned, A)

    assert freshness.state(pinned, A) == state
    if error is None or lane in ("pr", "dev"):
        assert found is None
    else:
        assert found is not None
        assert (found.code, found.reason) == error
        assert A in found.message
        assert freshness.command(REF) in found.message
