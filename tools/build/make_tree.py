"""Lay out one program as a folder: ``start.py``, ``app/`` with our sources, ``site-packages/``.

The same folder is what a local child runs from and what an image layer holds. Its bytes depend on
the inputs alone: fixed modes, no times, and bytecode whose file names are logical and whose
validity is never checked against the file system (PEP 552, UNCHECKED_HASH).

Run by Bazel with the toolchain's interpreter; standard library only.
"""

from __future__ import annotations

import argparse
import py_compile
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

# What the kernel starts. Bytes tell; the modes of a checkout or a build differ.
PROGRAM_MAGIC = (b"#!", b"\x7fELF")

# Left out of every tree: what only an installer needs (RECORD lists files that we do not unpack).
_DROPPED = ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")


# The start file puts the tree's own folders behind the standard library, so that nothing in them
# can hide a module of it; then it calls the program. It is a script, so it is compiled at every
# start.
_START = """import sys

tree = __file__.rpartition("/")[0]
sys.path += [tree + "/app", tree + "/site-packages"]
{call}
"""


def main() -> None:
    """Build the tree that the command line describes."""
    parser = argparse.ArgumentParser(fromfile_prefix_chars="@", allow_abbrev=False)
    parser.add_argument("--tree", type=Path, required=True, help="the folder to make")
    parser.add_argument("--source", action="append", default=[], help="PLACE=FILE in app/")
    parser.add_argument("--wheel", action="append", default=[], type=Path)
    parser.add_argument("--call", action="append", default=[], help="a line that ends start.py")
    given = parser.parse_args()
    app = given.tree / "app"
    for item in given.source:
        place, _, file = item.partition("=")
        _copy(Path(file), app / place)
    (given.tree / "start.py").write_text(start_text(given.call))
    site = given.tree / "site-packages"
    site.mkdir(parents=True)
    for wheel in sorted(given.wheel):
        _unpack(wheel, site)
    for folder in (app, site):
        _compile(folder, given.tree)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    data = source.read_bytes()
    with target.open("xb") as writer:
        writer.write(data)
    target.chmod(mode_of(data))


def mode_of(data: bytes) -> int:
    """The permissions of a file of ours, in a tree and in a layer."""
    return 0o755 if data.startswith(PROGRAM_MAGIC) else 0o644


def start_text(calls: list[str]) -> str:
    """The file that a program starts with; ``calls`` are its last lines."""
    return _START.format(call="\n".join(calls))


def wheel_files(wheel: Path) -> Iterator[tuple[str, bytes]]:
    """A wheel's importable files, as places below site-packages with their bytes.

    See the binary distribution format, "Installing a wheel".
    """
    with zipfile.ZipFile(wheel) as archive:
        for info in sorted(archive.infolist(), key=lambda item: item.filename):
            place = _place(info.filename)
            if info.is_dir() or place is None:
                continue
            if place.startswith("/") or ".." in Path(place).parts:
                raise SystemExit(f"{wheel.name}: {info.filename} leaves its place")
            yield place, archive.read(info)


def _unpack(wheel: Path, site: Path) -> None:
    for place, data in wheel_files(wheel):
        target = site / place
        if target.exists():
            raise SystemExit(f"{wheel.name}: {place} stands twice")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        target.chmod(0o644)


def _place(name: str) -> str | None:
    """Where a wheel's member goes below site-packages, or None if it is not importable."""
    first, _, rest = name.partition("/")
    if first.endswith(".data"):
        scheme, _, inner = rest.partition("/")
        return inner if scheme in ("purelib", "platlib") else None
    return None if first.endswith(".dist-info") and rest in _DROPPED else name


def _compile(folder: Path, tree: Path) -> None:
    for path in sorted(folder.rglob("*.py")):
        try:
            py_compile.compile(
                str(path),
                dfile=path.relative_to(tree).as_posix(),
                doraise=True,
                invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
                quiet=1,
            )
        except py_compile.PyCompileError as error:
            # Wheels ship templates and files for other versions that never get imported.
            if folder.name == "app":
                sys.exit(f"{path}: {error.msg}")


if __name__ == "__main__":
    main()
