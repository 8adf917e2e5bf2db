"""Secrets are opted in by name, and masked by value."""

from __future__ import annotations

import pytest

from orchestrator.secrets import select
from processors.protocol.errors import ContractError

ENVIRON = {"A_KEY": "value-of-a", "B_KEY": "value-of-b", "SHORT": "1234567", "EMPTY": ""}
ENVIRON["BYTES"] = "value-of-no-text\udcff"


def test_only_what_is_required_and_allowed_is_read() -> None:
    assert select(["A_KEY"], ["A_KEY"], ENVIRON) == {"A_KEY": "value-of-a"}
    assert select([], [], ENVIRON) == {}


@pytest.mark.parametrize(
    ("required", "allowed", "fragment", "reason"),
    [
        (["A_KEY"], [], "ERR_MISSING_SECRET", "absent"),
        (["A_KEY", "B_KEY"], ["A_KEY"], "ERR_MISSING_SECRET", "absent"),
        (["C_KEY"], ["C_KEY"], "ERR_MISSING_SECRET", "absent"),
        (["EMPTY"], ["EMPTY"], "ERR_MISSING_SECRET", "absent"),
        (["SHORT"], ["SHORT"], "ERR_MISSING_SECRET", "too_short"),
        (["BYTES"], ["BYTES"], "ERR_MISSING_SECRET", "malformed"),
        (["A_KEY"], ["A_KEY", "B_KEY"], "ERR_INPUTS", "bad_value"),
        ([], ["A_KEY"], "ERR_INPUTS", "bad_value"),
    ],
)
def test_a_secret_that_cannot_be_given_is_named_and_never_shown(
    required: list[str], allowed: list[str], fragment: str, reason: str
) -> None:
    with pytest.raises(ContractError) as caught:
        select(required, allowed, ENVIRON)

    assert (caught.value.code, caught.value.reason) == (fragment, reason)
    assert "value-of" not in caught.value.message
    assert "1234567" not in caught.value.message
