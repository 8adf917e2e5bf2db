"""How a call to the plane fails: the SDK makes one exception of each status."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from google.protobuf.message import Message
from grpclib.const import Status
from grpclib.encoding.base import StatusDetailsCodecBase
from grpclib.exceptions import GRPCError
from modal_proto import api_pb2


def not_found(what: str) -> GRPCError:
    """The SDK raises its NotFoundError."""
    return GRPCError(Status.NOT_FOUND, what)


def invalid(what: str) -> GRPCError:
    """The SDK raises its InvalidError."""
    return GRPCError(Status.INVALID_ARGUMENT, what)


def exists(what: str) -> GRPCError:
    """The SDK raises its AlreadyExistsError."""
    return GRPCError(Status.ALREADY_EXISTS, what)


def conflict(what: str) -> GRPCError:
    """The SDK raises its ConflictError."""
    return GRPCError(Status.FAILED_PRECONDITION, what)


def unauthenticated(what: str) -> GRPCError:
    """The SDK raises its AuthError."""
    return GRPCError(Status.UNAUTHENTICATED, what)


def unimplemented(what: str) -> GRPCError:
    """What is not emulated is refused: a plausible answer is how a fake starts to lie."""
    return GRPCError(Status.UNIMPLEMENTED, f"{what} is not emulated")


def said(message: Message) -> Iterator[tuple[str, object]]:
    """The fields that say something, by name; an empty message in a field says nothing."""
    for descriptor, value in message.ListFields():
        if not isinstance(value, Message) or value.ByteSize():
            yield descriptor.name, value


class Details(StatusDetailsCodecBase):
    """Writes an error's details as the SDK reads them: in an ``RPCStatus``."""

    def encode(
        self, status: Status, message: str | None, details: Sequence[Message] | None
    ) -> bytes:
        """The bytes for the trailer."""
        found = api_pb2.RPCStatus(code=status.value, message=message or "")
        for detail in details or ():
            found.details.add().Pack(detail, type_url_prefix="type.modal.com/")
        data: bytes = found.SerializeToString()
        return data

    def decode(self, status: Status, message: str | None, data: bytes) -> object:
        """A server reads none."""
        raise NotImplementedError
