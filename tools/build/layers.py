"""Write an image layer: a tar whose bytes depend on its members alone, compressed as fixedly.

The form is ustar; a name that ustar can't hold gets a pax header of its own. Every member belongs
to root and is from the epoch. The compressor is libdeflate from the lock, not the interpreter's
zlib, of which each system has another; so a layer has the same digest wherever it is made.

What could not be unpacked safely, or only by chance, is refused and never put right.
"""

from __future__ import annotations

import io
import struct
import tarfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import deflate

# On the base image's layer, 9 takes four times as long and saves one part in a hundred; 12 takes
# seventeen times as long and saves three more.
COMPRESSION_LEVEL: Final = 6

# RFC 1952: deflate, no flags, no time, no word on the effort, unknown system.
_GZIP_HEADER: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_FOLDER_MODE: Final = 0o755
_LINK_MODE: Final = 0o777  # Means nothing; it is what every system shows.
_FORBIDDEN_MODES: Final = 0o6000  # Set-user-id and set-group-id.


class LayerError(Exception):
    """The members make no layer that could be unpacked safely; the message names the path."""


@dataclass(frozen=True)
class Member:
    """One file, link or folder.

    Attributes:
        path: Where it goes, from the root and without a slash at the start.
        mode: Its permissions; a link has none of its own.
        content: A file's bytes, a symbolic link's target (text), or None for a folder.
    """

    path: str
    mode: int
    content: bytes | str | None


def write_layer(path: Path, members: Iterable[Member]) -> None:
    """Write the layer, a .tar.gz, to a path.

    Raises:
        LayerError: see ``pack``.
    """
    path.write_bytes(compress(pack(members)))


def pack(members: Iterable[Member]) -> bytes:
    """Return the members as a tar, sorted, with the folders that they need.

    Raises:
        LayerError: a path stands twice, is absolute, leaves the root, or lies below what is no
            folder; or a file is set-user-id or set-group-id.
    """
    writer = io.BytesIO()
    for member in _complete(members):
        writer.write(_header(member))
        if isinstance(member.content, bytes):
            writer.write(member.content)
            writer.write(bytes(-len(member.content) % tarfile.BLOCKSIZE))
    # Two empty blocks end a tar; the rest fills the record, as every tar program does.
    writer.write(bytes(2 * tarfile.BLOCKSIZE))
    writer.write(bytes(-writer.tell() % tarfile.RECORDSIZE))
    return writer.getvalue()


def compress(data: bytes) -> bytes:
    """Return data in gzip's form, without a time or a name."""
    body = deflate.deflate_compress(data, COMPRESSION_LEVEL)
    trailer = struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF)
    return _GZIP_HEADER + body + trailer


def _complete(members: Iterable[Member]) -> Sequence[Member]:
    found: dict[str, Member] = {}
    for member in members:
        _check(member)
        if member.path in found:
            raise LayerError(f"{member.path}: stands twice")
        found[member.path] = member
    for path in list(found):
        for parent in _parents(path):
            holder = found.setdefault(parent, Member(parent, _FOLDER_MODE, None))
            if holder.content is not None:
                raise LayerError(f"{path}: lies below {parent}, which is no folder")
    # By parts, so that a folder's contents follow it directly.
    return sorted(found.values(), key=lambda member: member.path.split("/"))


def _check(member: Member) -> None:
    if "\0" in member.path or any(part in ("", ".", "..") for part in member.path.split("/")):
        raise LayerError(f"{member.path!r}: not a plain path below the root")
    if member.mode & _FORBIDDEN_MODES:
        raise LayerError(f"{member.path}: mode {member.mode:o}; a layer holds no set-id file")
    if isinstance(member.content, str) and (not member.content or "\0" in member.content):
        raise LayerError(f"{member.path}: a link to {member.content!r}")


def _parents(path: str) -> Iterable[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def _header(member: Member) -> bytes:
    info = tarfile.TarInfo(member.path)
    info.mode = member.mode
    if member.content is None:
        info.type = tarfile.DIRTYPE
    elif isinstance(member.content, str):
        info.type = tarfile.SYMTYPE
        info.linkname = member.content
        info.mode = _LINK_MODE
    else:
        info.size = len(member.content)
    try:
        return info.tobuf(tarfile.USTAR_FORMAT, "ascii", "strict")
    except ValueError:  # Too long, or not ASCII.
        return info.tobuf(tarfile.PAX_FORMAT, "ascii", "strict")
