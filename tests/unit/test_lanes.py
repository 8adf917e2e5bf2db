"""The lane table, enumerated in full against an expectation written down independently."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import pytest

from orchestrator.lanes import ADAPTERS, LANES, judge

MODES = ("mock", "real")


class Asked(NamedTuple):
    """One cell of the product."""

    lane: str
    adapter: str
    mode: str
    override: bool
    secrets: bool
    registry_root: bool
    allow_real: bool


ALL = [
    Asked(lane, adapter, mode, *switches)
    for lane in ("pr", "dev", "staging", "main")
    for adapter in ("local", "modal")
    for mode in MODES
    for switches in itertools.product((False, True), repeat=4)
]

# What a person would write on a card: lane, adapter, mode, then the flags that may and must be set.
ALLOWED = [
    ("pr", "local", "mock", {"registry_root"}, set()),
    ("dev", "local", "mock", {"registry_root"}, set()),
    ("dev", "local", "real", {"registry_root", "secrets"}, set()),
    ("dev", "modal", "mock", {"registry_root", "override"}, set()),
    ("dev", "modal", "real", {"registry_root", "override"}, set()),
    ("staging", "modal", "mock", set(), set()),
    ("staging", "modal", "real", {"allow_real"}, {"allow_real"}),
    ("main", "modal", "mock", set(), set()),
    ("main", "modal", "real", {"allow_real"}, {"allow_real"}),
]

FLAGS = ("override", "secrets", "registry_root", "allow_real")


def given(asked: Asked) -> set[str]:
    return {flag for flag in FLAGS if getattr(asked, flag)}


def is_allowed(asked: Asked) -> bool:
    return any(
        (asked.lane, asked.adapter, asked.mode) == (lane, adapter, mode)
        and must <= given(asked) <= may
        for lane, adapter, mode, may, must in ALLOWED
    )


def broken_rules(asked: Asked) -> set[str]:
    """Every reason that would be true of a request."""
    pinned = asked.lane in ("staging", "main")
    local, real = asked.adapter == "local", asked.mode == "real"
    rules = {
        "lane_adapter": (asked.lane == "pr" and not local) or (pinned and local),
        "lane_mode": asked.lane == "pr" and real,
        "lane_override": asked.override and asked.lane != "dev",
        "override_without_image": asked.override and local,
        "lane_secrets": asked.secrets and not (asked.lane == "dev" and local and real),
        "lane_registry_root": asked.registry_root and pinned,
        "lane_allow_real": asked.allow_real and not (pinned and real),
        "lane_real_unconfirmed": pinned and real and not asked.allow_real,
    }
    return {reason for reason, is_broken in rules.items() if is_broken}


@pytest.mark.proves("F-14")
def test_the_enumeration_is_the_whole_table() -> None:
    assert len(ALL) == len(set(ALL)) == 256
    assert {asked.lane for asked in ALL} == set(LANES)
    assert {asked.adapter for asked in ALL} == set(ADAPTERS)
    assert all(set(policy.modes) <= set(MODES) for policy in LANES.values())


@pytest.mark.proves("LN-1", "F-14")
@pytest.mark.parametrize("asked", ALL, ids=lambda asked: "-".join(map(str, asked)))
def test_every_cell_is_allowed_or_has_one_refusal(asked: Asked) -> None:
    refused = judge(**asked._asdict())

    assert is_allowed(asked) == (not broken_rules(asked)), "the two expectations disagree"
    if is_allowed(asked):
        assert refused is None
    else:
        assert refused is not None
        assert refused.code == "ERR_CI_SAFETY"
        assert refused.reason in broken_rules(asked)
        assert refused.row.exit_code != 0


@pytest.mark.proves("LN-1")
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"adapter": "modal"}, "lane_adapter"),
        ({"mode": "real"}, "lane_mode"),
        ({"override": True}, "lane_override"),
        ({"secrets": True}, "lane_secrets"),
        ({"allow_real": True}, "lane_allow_real"),
    ],
)
def test_the_pr_lane_refuses_all_but_local_mock_from_source(
    change: dict[str, bool | str], reason: str
) -> None:
    plain = Asked(
        lane="pr",
        adapter="local",
        mode="mock",
        override=False,
        secrets=False,
        registry_root=False,
        allow_real=False,
    )
    assert judge(**plain._asdict()) is None

    refused = judge(**(plain._asdict() | change))

    assert refused is not None
    assert (refused.code, refused.reason) == ("ERR_CI_SAFETY", reason)


@pytest.mark.proves("LN-1")
def test_only_the_pr_lane_is_without_a_network_and_only_it_runs_source_alone() -> None:
    assert {lane: policy.egress for lane, policy in LANES.items()} == {
        "pr": False,
        "dev": True,
        "staging": True,
        "main": True,
    }
    assert {lane: policy.artifacts for lane, policy in LANES.items()} == {
        "pr": "source",
        "dev": "any",
        "staging": "pinned",
        "main": "pinned",
    }
