"""Read a Debian package: what it says of itself, and its files. Nothing of it is ever run.

deb(5): an ar archive of ``debian-binary``, ``control.tar.*`` and ``data.tar.*``. Maintainer scripts
lie in the second; only the file ``control`` is taken from there. Modes are made plain: a file may
be executed or not, and nothing is set-user-id. What is no file, link or folder is refused, as is a
path or link that leaves the root.
"""

from __future__ import annotations

import gzip
import io
import lzma
import posixpath
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from tools.build.layers import Member

_AR_MAGIC: Final = b"!<arch>\n"
_AR_HEADER_BYTES: Final = 60


class DebError(Exception):
    """The bytes are no package that can be unpacked safely; the message says what was seen."""


@dataclass(frozen=True)
class Deb:
    """One package.

    Attributes:
        control: What it says of itself, as it stands there.
        fields: The first line of each field of that.
        members: Its files and links, without folders.
    """

    control: str
    fields: Mapping[str, str]
    members: tuple[Member, ...]

    @property
    def name(self) -> str:
        """The package's name."""
        return self.fields["Package"]


def read(data: bytes) -> Deb:
    """Read a package.

    Raises:
        DebError: it is broken, of a form not known here, or would leave the root.
    """
    try:
        parts = _ar_members(data)
        control = _control(_tar(parts, "control.tar"))
        fields = _fields(control)
        return Deb(control, fields, tuple(_members(_tar(parts, "data.tar"))))
    except (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, OSError, ValueError) as error:
        raise DebError(f"broken: {error}") from error


def _ar_members(data: bytes) -> dict[str, bytes]:
    if not data.startswith(_AR_MAGIC):
        raise DebError(f"no Debian package: it starts with {data[:8]!r}")
    found: dict[str, bytes] = {}
    place = len(_AR_MAGIC)
    while place < len(data):
        header = data[place : place + _AR_HEADER_BYTES]
        if len(header) < _AR_HEADER_BYTES or header[58:] != b"`\n":
            raise DebError(f"broken: no member's header at byte {place}")
        place += _AR_HEADER_BYTES
        size = int(header[48:58])
        body = data[place : place + size]
        if size < 0 or len(body) < size:
            raise DebError(f"broken: ends {size - len(body)} bytes early")
        found[header[:16].decode("ascii").rstrip(" /")] = body
        place += size + size % 2
    if not found.get("debian-binary", b"").startswith(b"2."):
        raise DebError("no Debian package of format 2")
    return found


def _tar(parts: Mapping[str, bytes], stem: str) -> tarfile.TarFile:
    for name, body in parts.items():
        if name == stem:
            plain = body
        elif name == stem + ".gz":
            plain = gzip.decompress(body)
        elif name == stem + ".xz":
            plain = lzma.decompress(body)
        else:
            continue
        return tarfile.open(fileobj=io.BytesIO(plain), mode="r:")
    raise DebError(f"no {stem}, .gz or .xz in it: {', '.join(parts)}")


def _control(archive: tarfile.TarFile) -> str:
    for info in archive:
        if posixpath.normpath(info.name) == "control" and (file := archive.extractfile(info)):
            return file.read().decode("utf-8").strip("\n") + "\n"
    raise DebError("no control file in it")


def _fields(control: str) -> dict[str, str]:
    lines = [line for line in control.splitlines() if line[:1] not in (" ", "\t")]
    fields = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
    missing = [name for name in ("Package", "Version", "Architecture") if not fields.get(name)]
    if missing:
        raise DebError(f"its control file has no {', '.join(missing)}")
    return fields


def _members(archive: tarfile.TarFile) -> Iterator[Member]:
    files: dict[str, Member] = {}
    for info in archive:
        path = _inside(info.name)
        if info.isdir():
            continue
        if info.issym():
            _inside(posixpath.join(posixpath.dirname("/" + path), info.linkname), link=path)
            yield Member(path, 0o777, info.linkname)
        elif info.islnk():
            twin = files.get(_inside(info.linkname))
            if twin is None:
                raise DebError(f"{path}: a hard link to {info.linkname}, which is not before it")
            yield Member(path, twin.mode, twin.content)
        elif info.isreg() and (file := archive.extractfile(info)):
            files[path] = Member(path, 0o755 if info.mode & 0o100 else 0o644, file.read())
            yield files[path]
        else:
            raise DebError(f"{path}: neither file, link nor folder")


def _inside(name: str, link: str = "") -> str:
    """Return a path below the root in its plain form."""
    depth = 0
    for part in name.split("/"):
        depth += {"": 0, ".": 0, "..": -1}.get(part, 1)
        if depth < 0 or (part == ".." and not link):
            raise DebError(f"{link or name}: leaves the root" + (f" for {name}" if link else ""))
    if not link and name.startswith("/"):
        raise DebError(f"{name}: leaves the root")
    return posixpath.normpath(name)
