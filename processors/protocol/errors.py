"""The one kind of error that crosses a module boundary, and the ten codes it can have.

The table of all of them is ``error_table``, which is read through this module.
"""

from __future__ import annotations

from processors.protocol.error_table import (
    CODES,
    ERRORS,
    EXIT_ERROR,
    EXIT_INPUTS,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_TERMINATED,
    EXIT_TIME_LIMIT,
    PROCESSOR_CODES,
    Row,
)

__all__ = [
    "CODES",
    "ERRORS",
    "EXIT_ERROR",
    "EXIT_INPUTS",
    "EXIT_INTERRUPTED",
    "EXIT_OK",
    "EXIT_TERMINATED",
    "EXIT_TIME_LIMIT",
    "MESSAGE_CHARS_MAX",
    "PROCESSOR_CODES",
    "ContractError",
    "Row",
    "UnknownReasonError",
    "adapter_error",
    "find_row",
    "inputs_error",
    "mismatch",
    "modal_error",
    "unavailable",
]

MESSAGE_CHARS_MAX = 2_000  # A longer explanation belongs in the documentation.

_INDEX = {(row.code, row.reason): row for row in ERRORS}


class UnknownReasonError(KeyError):
    """A pair that the table lacks: a mistake in code, and told by this name where texts are not."""


class ContractError(Exception):
    """An error of the table: the only kind that crosses a module boundary.

    Args:
        code: One of ``CODES``.
        reason: A reason that ``ERRORS`` lists for the code.
        message: What was seen, what was expected and what to do; never a payload or a secret.

    Attributes:
        message: The message, cut to its largest size.
        whole_message: The message before the cut, which could leave half a secret behind.

    Raises:
        UnknownReasonError: The pair is not in the table.
    """

    def __init__(self, code: str, reason: str, message: str) -> None:
        row = _INDEX.get((code, reason))
        if row is None:
            raise UnknownReasonError(f"{code}/{reason} is no row of the error table")
        self.row = row
        # A name from the command line may hold bytes that are no text (PEP 383).
        printable = message.encode("utf-8", "backslashreplace").decode("utf-8")
        self.whole_message = printable
        self.message = printable[:MESSAGE_CHARS_MAX]
        super().__init__(f"{code}/{reason}: {self.message}")

    @property
    def code(self) -> str:
        """The stable fragment, for example ``ERR_INPUTS``."""
        return self.row.code

    @property
    def reason(self) -> str:
        """The finer cause, for example ``missing_flag``."""
        return self.row.reason

    def as_json(self) -> dict[str, str]:
        """The ``error`` member of an envelope."""
        return {"code": self.code, "reason": self.reason, "message": self.message}


def inputs_error(reason: str, message: str) -> ContractError:
    """Return the ``ERR_INPUTS`` of a reason; the caller raises it."""
    return ContractError("ERR_INPUTS", reason, message)


def adapter_error(reason: str, message: str) -> ContractError:
    """Return the ``ERR_ADAPTER_INVOCATION`` of a reason; the caller raises it."""
    return ContractError("ERR_ADAPTER_INVOCATION", reason, message)


def mismatch(reason: str, message: str) -> ContractError:
    """Return the ``ERR_REGISTRY_MISMATCH`` of a reason; the caller raises it."""
    return ContractError("ERR_REGISTRY_MISMATCH", reason, message)


def unavailable(reason: str, message: str) -> ContractError:
    """Return the ``ERR_IMAGE_UNAVAILABLE`` of a reason; the caller raises it."""
    return ContractError("ERR_IMAGE_UNAVAILABLE", reason, message)


def modal_error(reason: str, message: str) -> ContractError:
    """Return the ``ERR_MODAL_INVOCATION`` of a reason; the caller raises it."""
    return ContractError("ERR_MODAL_INVOCATION", reason, message)


def find_row(code: str, reason: str) -> Row | None:
    """The row of a (code, reason) that came from outside, or None if the table lacks it."""
    return _INDEX.get((code, reason))
