"""How the orchestrator and the process that runs the SDK speak: frames over two pipes.

A frame is two lengths, a canonical JSON object, and bytes that nobody looks into on the way.
"""

from __future__ import annotations

import struct

from processors.protocol import remote
from processors.protocol.canonical import Json, canonical, parse_object

HEAD = struct.Struct(">II")  # length of the object, length of the bytes
OBJECT_BYTES_MAX = 67_108_864  # a list of all files that a processor can leave
BODY_BYTES_MAX = remote.REPLY_BYTES_MAX

type Frame = tuple[dict[str, Json], bytes]


def encode(document: dict[str, Json], body: bytes = b"") -> bytes:
    """A frame as it is written."""
    head = canonical(document)
    return HEAD.pack(len(head), len(body)) + head + body


def lengths(head: bytes) -> tuple[int, int]:
    """The two lengths that a frame begins with.

    Raises:
        ValueError: They are beyond what is ever sent.
    """
    document, body = HEAD.unpack(head)
    if document > OBJECT_BYTES_MAX or body > BODY_BYTES_MAX:
        raise ValueError(f"a frame of {document} and {body} bytes")
    return document, body


def parse(data: bytes) -> dict[str, Json]:
    """The object of a frame."""
    return parse_object(data, "the frame", bytes_max=OBJECT_BYTES_MAX)
