"""Who is let in, what an order of a fault does, and what an id looks like."""

from __future__ import annotations

import pytest
from grpclib.const import Status
from grpclib.exceptions import GRPCError

from tools.modal_local.faults import Fault, Faults
from tools.modal_local.session import WHEEL, Credentials, new_id

RIGHT = {
    "x-modal-client-version": WHEEL,
    "x-modal-token-id": "ak-1",
    "x-modal-token-secret": "as-1",
}


def test_any_token_is_let_in_if_none_was_given() -> None:
    Credentials().check(RIGHT)


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"x-modal-client-version": "1.5.4"}, Status.FAILED_PRECONDITION),
        ({"x-modal-client-version": ""}, Status.FAILED_PRECONDITION),
        ({"x-modal-token-id": ""}, Status.UNAUTHENTICATED),
        ({"x-modal-token-secret": ""}, Status.UNAUTHENTICATED),
        ({"x-modal-token-secret": "as-2"}, Status.UNAUTHENTICATED),
        ({"x-modal-token-id": "ak-2"}, Status.UNAUTHENTICATED),
    ],
)
def test_who_is_not_let_in(changes: dict[str, str], status: Status) -> None:
    with pytest.raises(GRPCError) as caught:
        Credentials("ak-1", "as-1").check({**RIGHT, **changes})

    assert caught.value.status is status


def test_a_fault_happens_as_often_as_it_was_ordered_and_for_its_rpc_alone() -> None:
    faults = Faults()
    faults.add(Fault("unavailable", times=2, rpc="FunctionMap"))

    faults.before("FunctionGet")
    for _ in range(2):
        with pytest.raises(GRPCError):
            faults.before("FunctionMap")
    faults.before("FunctionMap")

    assert faults.happened == {"unavailable": 2}
    assert faults.pending == 0


def test_an_id_is_of_the_form_that_the_sdk_knows() -> None:
    prefix, _, rest = new_id("ap").partition("-")

    assert (prefix, len(rest), rest.isalnum()) == ("ap", 22, True)
