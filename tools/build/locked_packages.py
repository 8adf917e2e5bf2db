"""The wheels of an image, held against their lock."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path

from processors.protocol import digests


@dataclass(frozen=True, kw_only=True)
class Wheel:
    """A wheel that an image holds, with what its metadata says of its licence."""

    name: str
    version: str
    digest: str
    licence_expression: str | None
    licence_names: tuple[str, ...]


def read_wheels(files: Iterable[Path], lock: Path) -> list[Wheel]:
    """Read wheels, in order of name; one that the lock does not hold is an error that names it."""
    locked = _locked_digests(lock.read_text())
    found: dict[str, Wheel] = {}
    for file in files:
        wheel = _read_wheel(file)
        if wheel.digest not in locked.get((wheel.name, wheel.version), ()):
            raise SystemExit(
                f"{file.name}: {wheel.name} {wheel.version} with {wheel.digest} is not in {lock}"
            )
        if wheel.name in found:
            raise SystemExit(f"{file.name}: {wheel.name} is given twice")
        found[wheel.name] = wheel
    return [found[name] for name in sorted(found)]


def _locked_digests(lock: str) -> dict[tuple[str, str], set[str]]:
    """The digests of each name and version: ``NAME==VERSION [; MARKER] --hash=sha256:HEX ...``."""
    found: dict[tuple[str, str], set[str]] = {}
    for line in lock.replace("\\\n", " ").splitlines():
        pinned, *words = line.partition("#")[0].split() or [""]
        name, _, version = pinned.partition("==")
        if version:
            key = (_normal(name.partition("[")[0]), version.removesuffix(";"))
            found.setdefault(key, set()).update(
                word.removeprefix("--hash=") for word in words if word.startswith("--hash=")
            )
    return found


def _read_wheel(file: Path) -> Wheel:
    metadata = _metadata(file)
    expression = metadata.get("License-Expression")
    return Wheel(
        name=_normal(str(metadata["Name"])),
        version=str(metadata["Version"]),
        digest=digests.of_file(str(file))[0],
        licence_expression=str(expression) if expression is not None else None,
        licence_names=tuple(_licence_names(metadata)),
    )


def _licence_names(metadata: Message) -> list[str]:
    """Licences by name, where there is no expression: the old field, else the classifiers.

    Some packages put a licence's whole text into the field; what has lines is no name.
    """
    plain = str(metadata.get("License", "")).strip()
    if plain and "\n" not in plain and plain != "UNKNOWN":
        return [plain]
    classifiers = [str(value) for value in metadata.get_all("Classifier", [])]
    return sorted(
        value.rpartition(" :: ")[2] for value in classifiers if value.startswith("License :: ")
    )


def _metadata(file: Path) -> Message:
    with zipfile.ZipFile(file) as archive:
        places = [
            name
            for name in archive.namelist()
            if re.fullmatch(r"[^/]+\.dist-info/METADATA", name) is not None
        ]
        if len(places) != 1:
            raise SystemExit(f"{file.name} is no wheel: it has no METADATA, or several")
        return HeaderParser().parsestr(archive.read(places[0]).decode("utf-8"))


def _normal(name: str) -> str:
    """A package's name as the index spells it (Python packaging, "Name normalization")."""
    return re.sub(r"[-_.]+", "-", name).lower()
