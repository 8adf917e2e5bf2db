"""Unpacks an image's layers into a folder, the lowest first, and lets nothing out of it.

A layer is input from elsewhere. Whiteouts take away what lies below; hard links and paths through
links stay inside; a device and a name with dots are refused; setuid bits are dropped. Each layer
must be the one that the image's configuration names.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import tarfile
from pathlib import Path, PurePosixPath
from typing import IO, Any

FILE_BYTES_MAX = 2 << 30
MEMBERS_MAX = 500_000
LINKS_MAX = 40
WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
_GZIP = ("tar+gzip", "tar.gzip", "diff.tar.gzip")
_PIECE = 1 << 20


class UnpackError(Exception):
    """A layer that would do what a layer may not."""


class _Digesting:
    """A stream that remembers the digest of what was read from it."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self.seen = hashlib.sha256()

    def read(self, size: int) -> bytes:
        """The next bytes."""
        data = self._source.read(size)
        self.seen.update(data)
        return data

    def drain(self) -> str:
        """Read to the end; return the digest of everything."""
        while self.read(_PIECE):
            pass
        return f"sha256:{self.seen.hexdigest()}"


def unpack(layers: list[tuple[Path, str]], config: dict[str, Any], root: Path) -> None:
    """Lay every layer over the ones below, in a folder that does not exist yet.

    Raises:
        UnpackError: A layer is not the one that is named, or has a member that is refused.
    """
    named = config.get("rootfs", {}).get("diff_ids", [])
    if len(named) != len(layers):
        raise UnpackError(f"{len(layers)} layers, and the configuration names {len(named)}")
    root.mkdir()
    for (path, kind), diff_id in zip(layers, named, strict=True):
        with path.open("rb") as raw:
            source = gzip.GzipFile(fileobj=raw) if kind.endswith(_GZIP) else raw
            stream = _Digesting(source)  # type: ignore[arg-type]
            try:
                with tarfile.open(fileobj=stream, mode="r|") as archive:  # type: ignore[call-overload]
                    _lay(archive, root)
            except (tarfile.TarError, EOFError, OSError) as error:
                raise UnpackError(f"{diff_id}: {type(error).__name__}: {error}") from error
            if (found := stream.drain()) != diff_id:
                raise UnpackError(f"{found}: a layer that the configuration does not name")


def _lay(archive: tarfile.TarFile, root: Path) -> None:
    own: set[Path] = set()
    for number, member in enumerate(archive):
        if number >= MEMBERS_MAX:
            raise UnpackError(f"more than {MEMBERS_MAX} members")
        target = _place(root, member.name)
        if target == root:
            continue
        name = target.name
        if name == OPAQUE:
            for each in target.parent.iterdir():
                if each not in own:
                    _remove(each)
        elif name.startswith(WHITEOUT):
            gone = name.removeprefix(WHITEOUT)
            if gone in ("", ".", "..") or gone.startswith(WHITEOUT):
                raise UnpackError(f"{member.name!r}: takes nothing away")
            _remove(target.with_name(gone))
        else:
            _put(archive, member, target, root)
            own.update([target, *target.parents])


def _put(archive: tarfile.TarFile, member: tarfile.TarInfo, target: Path, root: Path) -> None:
    if member.isdir():
        if target.is_symlink() or not target.is_dir():
            _remove(target)
            target.mkdir()
        target.chmod(0o755 | (member.mode & 0o1777))
        return
    _remove(target)
    if member.issym():
        target.symlink_to(member.linkname)
    elif member.islnk():
        source = _place(root, member.linkname)
        if source.is_symlink() or not source.is_file():
            raise UnpackError(f"{member.name}: a hard link to what is no file")
        os.link(source, target)
    elif member.isreg():
        if member.size > FILE_BYTES_MAX:
            raise UnpackError(f"{member.name}: {member.size} bytes")
        data = archive.extractfile(member)
        assert data is not None
        with target.open("xb") as file:
            shutil.copyfileobj(data, file, _PIECE)
        # No setuid, no setgid, and readable for whoever the container runs as.
        target.chmod(0o444 | (member.mode & 0o777))
    else:
        raise UnpackError(f"{member.name}: neither file nor folder nor link")


def _place(root: Path, name: str) -> Path:
    """Where a member goes: in the folder that its path means inside the image.

    Missing folders are made. Links are followed as a process inside would follow them, for which
    the root of the image is the top of everything.
    """
    parts = [part for part in PurePosixPath(name).parts if part not in ("/", ".")]
    if ".." in parts or "\0" in name:
        raise UnpackError(f"{name!r}: leaves the image")
    if not parts:
        return root
    place, links = root, 0
    waiting = parts[-2::-1]
    while waiting:
        part = waiting.pop()
        if part == "..":
            place = place if place == root else place.parent
            continue
        step = place / part
        if step.is_symlink():
            links += 1
            if links > LINKS_MAX:
                raise UnpackError(f"{name!r}: a circle of links")
            target = PurePosixPath(os.readlink(step))
            place = root if target.is_absolute() else place
            waiting += [each for each in reversed(target.parts) if each not in ("/", ".")]
            continue
        if not step.is_dir():
            if step.exists():
                raise UnpackError(f"{name!r}: lies below a file")
            step.mkdir()
        place = step
    return place / parts[-1]


def _remove(path: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(path)
