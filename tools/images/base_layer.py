"""The base image's one layer, from Debian packages: what they hold, less what nobody needs there.

What their maintainer scripts would have made is written here: the trust store, the users, and the
package database that scanners read. Two packages with one file are an error.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator

from tools.build.layers import Member
from tools.images import contents
from tools.images.deb import Deb

_EXCLUDED = re.compile("|".join(f"(?:{pattern})" for pattern in contents.EXCLUDED))


class BaseError(Exception):
    """The packages make no base; the message names package and path."""


def members(packages: Iterable[Deb]) -> list[Member]:
    """Return what the layer holds.

    Raises:
        BaseError: two packages have the same file, or none has a certificate.
    """
    packages = sorted(packages, key=lambda package: package.name)
    kept = {package.name: _kept(package) for package in packages}
    owners: dict[str, str] = {}
    for name, found in kept.items():
        for member in found:
            if member.path in owners:
                raise BaseError(f"{member.path}: in {owners[member.path]} and in {name}")
            owners[member.path] = name
    return [
        *(member for found in kept.values() for member in found),
        _file(contents.TRUST_STORE, _certificates(packages)),
        *(_file(path, text.encode()) for path, text in contents.FILES.items()),
        *(Member(path, 0o777, target) for path, target in contents.LINKS.items()),
        *(Member(path, mode, None) for path, mode in contents.FOLDERS.items()),
        _file("var/lib/dpkg/status", "\n".join(map(_stanza, packages)).encode()),
        *(_checksums(package, kept[package.name]) for package in packages),
    ]


def _kept(package: Deb) -> list[Member]:
    return [member for member in package.members if not _EXCLUDED.fullmatch(member.path)]


def _file(path: str, data: bytes) -> Member:
    return Member(path, 0o644, data)


def _certificates(packages: Iterable[Deb]) -> bytes:
    """All certificates in one, in the order that update-ca-certificates(8) gives them."""
    found = {
        member.path: member.content
        for package in packages
        for member in package.members
        if re.fullmatch(contents.CERTIFICATES, member.path) and isinstance(member.content, bytes)
    }
    if not found:
        raise BaseError("no package has a certificate: the trust store would be empty")
    return b"".join(found[path].rstrip(b"\n") + b"\n" for path in sorted(found))


def _stanza(package: Deb) -> str:
    first, rest = package.control.split("\n", 1)
    return f"{first}\nStatus: install ok installed\n{rest}"


def _checksums(package: Deb, kept: Iterable[Member]) -> Member:
    """What dpkg keeps of a package's files; those left out would count as lost."""
    # dpkg tells packages of one name and several architectures apart in this way.
    several = package.fields.get("Multi-Arch") == "same"
    name = f"{package.name}:{package.fields['Architecture']}" if several else package.name
    return _file(f"var/lib/dpkg/info/{name}.md5sums", "".join(_lines(kept)).encode())


def _lines(kept: Iterable[Member]) -> Iterator[str]:
    for member in sorted(kept, key=lambda each: each.path):
        if isinstance(member.content, bytes):
            checksum = hashlib.md5(member.content, usedforsecurity=False).hexdigest()
            yield f"{checksum}  {member.path}\n"
