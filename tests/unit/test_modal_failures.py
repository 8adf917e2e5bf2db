"""Which error an exception of the SDK is: by its type, and without a container's words."""

from __future__ import annotations

import modal.exception as sdk
import pytest

from orchestrator.modal import failures
from processors.protocol.errors import find_row

PRIVATE_WORDS = "what a container said"

LOOKUPS = {
    sdk.NotFoundError: "not_deployed",
    sdk.AuthError: "no_credentials",
    sdk.PermissionDeniedError: "no_credentials",
    sdk.ConnectionError: "unreachable",
    sdk.ServiceError: "unreachable",
    sdk.VersionError: "unreachable",
    sdk.InternalError: "unreachable",
}
CALLS = {
    sdk.FunctionTimeoutError: ("ERR_MODAL_TIMEOUT", "remote_time_limit"),
    TimeoutError: ("ERR_MODAL_TIMEOUT", "call_time_limit"),
    sdk.DeserializationError: ("ERR_MODAL_INVOCATION", "exchange_invalid"),
    sdk.RemoteError: ("ERR_MODAL_INVOCATION", "remote_error"),
    sdk.ExecutionError: ("ERR_MODAL_INVOCATION", "remote_error"),
    sdk.InternalFailure: ("ERR_MODAL_INVOCATION", "remote_error"),
    sdk.OutputExpiredError: ("ERR_MODAL_INVOCATION", "remote_error"),
    sdk.ResourceExhaustedError: ("ERR_MODAL_INVOCATION", "remote_error"),
    ValueError: ("ERR_MODAL_INVOCATION", "remote_error"),  # one that a container raised
}


@pytest.mark.proves("ERR_MODAL_LOOKUP")
@pytest.mark.parametrize("kind", LOOKUPS)
def test_a_lookup_fails_by_type(kind: type[Exception]) -> None:
    found = failures.of_lookup(kind(PRIVATE_WORDS), "it")

    assert (found.code, found.reason) == ("ERR_MODAL_LOOKUP", LOOKUPS[kind])
    assert find_row(found.code, found.reason) is not None


@pytest.mark.proves("ERR_MODAL_INVOCATION", "ERR_MODAL_TIMEOUT")
@pytest.mark.parametrize("kind", CALLS)
def test_a_call_fails_by_type(kind: type[Exception]) -> None:
    found = failures.of_call(kind(PRIVATE_WORDS), "it")

    assert (found.code, found.reason) == CALLS[kind]
    assert find_row(found.code, found.reason) is not None


@pytest.mark.proves("ERR_MODAL_INVOCATION")
@pytest.mark.parametrize("kind", [sdk.RemoteError, ValueError, KeyError, sdk.ExecutionError])
def test_what_a_container_says_is_not_repeated(kind: type[Exception]) -> None:
    assert PRIVATE_WORDS not in failures.of_call(kind(PRIVATE_WORDS), "it").message


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (FileNotFoundError("x"), "file_lost"),
        (sdk.NotFoundError("x"), "file_lost"),
        (sdk.ServiceError("x"), "remote_error"),
        (RuntimeError("x"), "remote_error"),
    ],
)
def test_a_file_that_is_not_there_is_lost(error: Exception, reason: str) -> None:
    assert failures.of_file(error, "sha256:x").reason == reason
