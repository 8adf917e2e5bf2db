"""Dev on Modal: real mode has its secrets or does not begin, and mock mode has none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from modal_app import run as app_core
from orchestrator import secrets
from orchestrator.lanes import judge
from processors.protocol.errors import ContractError
from processors.protocol.payload import Payload
from tests.fixtures.modal_apps import Container
from tests.harness import ROOT

ZOO = ROOT / "tests/fixtures/processors/hostile/zoo/v1"
VALUE = "a value of the deployment"


def payload(mode: str) -> Payload:
    return Payload(
        execution_id="x",
        ref="hostile/zoo@1",
        mode=mode,
        inputs={"behaviour": "good", "text": "x"},
        artifacts={},
        write_prefix="/artifacts/x/",
    )


@pytest.fixture(name="started")
def _started(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What would be started; nothing is."""
    found: list[dict[str, Any]] = []

    def refuse(_: list[str], **given: Any) -> None:
        found.append(given)
        raise OSError(1, "not here")

    monkeypatch.setattr(app_core.spawn, "run", refuse)
    return found


@pytest.mark.proves("LN-2")
@pytest.mark.parametrize("lane", ["dev", "staging", "main"])
@pytest.mark.parametrize("mode", ["mock", "real"])
def test_dev_runs_both_modes_on_modal_and_a_pinned_lane_wants_real_confirmed(
    lane: str, mode: str
) -> None:
    refused = judge(
        lane=lane,
        adapter="modal",
        mode=mode,
        override=False,
        secrets=False,
        registry_root=False,
        allow_real=False,
    )

    confirmed = lane == "dev" or mode == "mock"
    assert (refused is None) == confirmed
    assert refused is None or refused.reason == "lane_real_unconfirmed"


@pytest.mark.proves("LN-2")
@pytest.mark.parametrize("environ", [{}, {"ZOO_SECRET": ""}, {"OTHER": VALUE}])
def test_real_without_its_secret_starts_nothing(
    environ: dict[str, str], started: list[dict[str, Any]], tmp_path: Path
) -> None:
    reply = Container(ZOO, tmp_path, environ).call(payload("real"))

    assert reply.error is not None
    assert (reply.error.code, reply.error.reason) == ("ERR_MISSING_SECRET", "absent")
    assert "ZOO_SECRET" in reply.error.message
    assert started == []


@pytest.mark.proves("LN-2")
def test_mock_has_no_secret_and_real_has_its_own_alone(
    started: list[dict[str, Any]], tmp_path: Path
) -> None:
    container = Container(ZOO, tmp_path, {"ZOO_SECRET": VALUE, "OTHER": VALUE})

    container.call(payload("mock"))
    container.call(payload("real"))

    mock, real = started
    assert VALUE not in mock["env"].values()
    assert mock["secret_values"] == []
    assert {name for name, value in real["env"].items() if value == VALUE} == {"ZOO_SECRET"}
    assert real["secret_values"] == [VALUE]


@pytest.mark.proves("LN-2")
def test_real_on_this_machine_wants_each_secret_opted_in() -> None:
    environ = {"ONE_KEY": VALUE, "TWO_KEY": VALUE}

    assert secrets.select(["ONE_KEY"], ["ONE_KEY"], environ) == {"ONE_KEY": VALUE}
    with pytest.raises(ContractError, match="TWO_KEY"):
        secrets.select(["ONE_KEY", "TWO_KEY"], ["ONE_KEY"], environ)
