"""What the process that runs the SDK answers: a result, or a failure of the table of errors."""

from __future__ import annotations

from processors.protocol import shapes
from processors.protocol.canonical import Json
from processors.protocol.errors import ContractError


class CallError(Exception):
    """A failure on its way to the orchestrator, where it is a ``ContractError``."""

    def __init__(self, code: str, reason: str, message: str) -> None:
        super().__init__(f"{code}/{reason}: {message}")
        self.code = code
        self.reason = reason
        self.message = message

    def as_json(self) -> dict[str, Json]:
        """The failure as it is sent."""
        return {"code": self.code, "reason": self.reason, "message": self.message}


def raise_failure(document: dict[str, Json]) -> None:
    """Raise the failure that an answer holds, if it holds one."""
    error = document.get("error")
    if isinstance(error, dict):
        code, reason, message = (shapes.text(error, key) for key in ("code", "reason", "message"))
        raise ContractError(code, reason, message)
