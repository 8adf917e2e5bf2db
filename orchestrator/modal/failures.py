"""What an exception of the SDK means: by its type, never by what it says. Pure.

The text of an exception that a container raised is the container's and is not repeated; what the
service says of our own request is, cut short.
"""

from __future__ import annotations

import modal.exception as sdk

from orchestrator.modal.answers import CallError

TEXT_CHARS_MAX = 300

# What the service says of a request, and not a container of its own run.
_OF_THE_SERVICE = (
    sdk.AlreadyExistsError,
    sdk.AuthError,
    sdk.ConnectionError,
    sdk.ImageBuildError,
    sdk.InternalError,
    sdk.InvalidError,
    sdk.NotFoundError,
    sdk.PermissionDeniedError,
    sdk.ResourceExhaustedError,
    sdk.ServiceError,
    sdk.UnimplementedError,
    sdk.VersionError,
)


def of_lookup(error: Exception, what: str) -> CallError:
    """The failure of looking something up."""
    if isinstance(error, sdk.NotFoundError):
        return CallError("ERR_MODAL_LOOKUP", "not_deployed", f"{what}; {said(error)}")
    if isinstance(error, sdk.AuthError | sdk.PermissionDeniedError):
        return CallError("ERR_MODAL_LOOKUP", "no_credentials", f"{what}: {said(error)}")
    return CallError("ERR_MODAL_LOOKUP", "unreachable", f"{what}: {said(error)}")


def of_call(error: Exception, what: str) -> CallError:
    """The failure of a call that was sent."""
    if isinstance(error, sdk.FunctionTimeoutError):
        return CallError("ERR_MODAL_TIMEOUT", "remote_time_limit", f"{what} ran out of its time")
    if isinstance(error, TimeoutError):  # the built-in one: our own clock
        return CallError("ERR_MODAL_TIMEOUT", "call_time_limit", f"{what} gave no answer in time")
    if isinstance(error, sdk.DeserializationError):
        return CallError("ERR_MODAL_INVOCATION", "exchange_invalid", f"{what} answered an object")
    return CallError("ERR_MODAL_INVOCATION", "remote_error", f"{what}: {said(error)}")


def of_file(error: Exception, what: str) -> CallError:
    """The failure of moving a file to or from the volume."""
    if isinstance(error, FileNotFoundError | sdk.NotFoundError):
        return CallError("ERR_MODAL_INVOCATION", "file_lost", f"{what} is not on the volume")
    return CallError("ERR_MODAL_INVOCATION", "remote_error", f"{what}: {said(error)}")


def said(error: BaseException) -> str:
    """An exception in words: its type, and the service's own words if they are."""
    kind = type(error).__name__
    if not isinstance(error, _OF_THE_SERVICE):
        return kind
    text = " ".join(str(error).split())[:TEXT_CHARS_MAX]
    return f"{kind}: {text}" if text else kind
