"""The exit status that belongs to an envelope."""

from __future__ import annotations

import pytest

from orchestrator.cli.output import exit_code
from processors.protocol.errors import ERRORS, Row


@pytest.mark.proves("EV-9")
def test_success_alone_is_zero() -> None:
    assert exit_code({"status": "success"}) == 0


@pytest.mark.proves("EV-9")
@pytest.mark.parametrize("row", ERRORS, ids=lambda row: f"{row.code}-{row.reason}")
def test_an_error_has_the_exit_status_of_its_row_which_is_not_zero(row: Row) -> None:
    error = {"code": row.code, "reason": row.reason, "message": ""}

    found = exit_code({"status": "error", "error": dict(error)})

    assert found == row.exit_code
    assert found != 0
