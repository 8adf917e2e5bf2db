"""Reads the lock file and fetches wheels, for the repository rules beside it.

Called as ``wheels.py REQUEST`` with a JSON object, answers with one on stdout. Which wheel fits and
how it is fetched is pip's business: the machine's own pip configuration says where from, the hashes
of the lock say what. Sources are never built.

  {"lock": PATH}            -> {NAME: {"requirement": ..., "hashes": [...], "extras": [...]}}
  {"requirement": ..., ...} -> {"wheel": FILE, "deps": [NAME, ...]}; unpacks it in "target"
"""

from __future__ import annotations

import email.parser
import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

PIP = Path(sys.prefix) / "share/private-pip"  # tools/launcher puts it there.
sys.path.append(str(PIP))

from pip._vendor.packaging.requirements import InvalidRequirement, Requirement  # noqa: E402

LINES_MAX = 15  # Of what pip said; the cause is at the end.


class WheelError(Exception):
    """The message says what was seen, what was expected, and what to do."""


def normalized(name: str) -> str:
    """Return ``name`` as the hub spells it."""
    return re.sub(r"[-_.]+", "_", name).lower()


def applies(requirement: Requirement, extras: Sequence[str] = ()) -> bool:
    """Tell whether the marker of ``requirement`` holds on this platform with one of ``extras``."""
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras))


def read_lock(text: str) -> dict[str, dict[str, Any]]:
    """Return the packages of a lock file that apply to this platform.

    Raises:
        WheelError: a line isn't an exact version with hashes.
    """
    locked: dict[str, dict[str, Any]] = {}
    for number, line in _logical_lines(text):
        words = line.split(" --hash=")
        requirement = _parse_pin(number, words[0].strip())
        hashes = [word.strip() for word in words[1:]]
        if not hashes or not all(re.fullmatch(r"sha256:[0-9a-f]{64}", item) for item in hashes):
            raise WheelError(
                f"line {number}: {words[0].strip()!r} needs hashes, each --hash=sha256: and 64 "
                "digits; make the lock with them (uv pip compile --generate-hashes)"
            )
        if not applies(requirement):
            continue
        name = normalized(requirement.name)
        if name in locked:
            raise WheelError(f"line {number}: {name} is locked twice for this platform; keep one")
        locked[name] = {
            "requirement": f"{requirement.name}{requirement.specifier}",
            "hashes": hashes,
            "extras": sorted(requirement.extras),
        }
    return locked


def fetch(request: Mapping[str, Any]) -> dict[str, Any]:
    """Download one wheel, unpack it and read its dependencies.

    Raises:
        WheelError: pip found no wheel that fits and has one of the hashes.
    """
    target = Path(request["target"])
    with tempfile.TemporaryDirectory(dir=target) as folder:
        downloaded = _download(request["requirement"], request["hashes"], Path(folder))
        wheel = downloaded.rename(target / downloaded.name)
    unpack(wheel, target)
    metadata = next(target.glob("site-packages/*.dist-info/METADATA")).read_text(encoding="utf-8")
    deps = read_dependencies(metadata, request["extras"])
    return {"wheel": wheel.name, "deps": sorted(deps & set(request["locked"]))}


def unpack(wheel: Path, target: Path) -> None:
    """Unpack ``wheel`` into ``target``: modules to site-packages, other files to data and bin."""
    folders = {"purelib": "site-packages", "platlib": "site-packages", "scripts": "bin"}
    with zipfile.ZipFile(wheel) as archive:
        for item in archive.infolist():
            parts = PurePosixPath(item.filename).parts
            if item.is_dir() or ".." in parts or item.filename.startswith("/"):
                continue
            if parts[0].endswith(".data") and len(parts) > 2:
                path = target.joinpath(folders.get(parts[1], parts[1]), *parts[2:])
            else:
                path = target.joinpath("site-packages", *parts)
            if path.name in ("BUILD", "BUILD.bazel"):
                continue  # Would split the wheel into several Bazel packages.
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(archive.read(item))
            path.chmod(0o755 if (item.external_attr >> 16) & 0o111 else 0o644)


def read_dependencies(metadata: str, extras: Sequence[str]) -> set[str]:
    """Return the names that ``metadata`` requires on this platform with ``extras``."""
    headers = email.parser.HeaderParser().parsestr(metadata)
    own_name = normalized(headers["Name"])
    required = [Requirement(text) for text in headers.get_all("Requires-Dist", [])]
    wanted = list(extras)
    for extra in wanted:  # Grows: an extra may consist of other extras of the same package.
        for requirement in required:
            if normalized(requirement.name) == own_name and applies(requirement, [extra]):
                wanted.extend(requirement.extras - set(wanted))
    found = {normalized(item.name) for item in required if applies(item, wanted)}
    return found - {own_name}


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines without comments, continued ones joined, with the number of their start."""
    start, joined = 0, ""
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = re.sub(r"(^|\s)#.*$", "", line).strip()
        start = start or number
        joined += " " + stripped.rstrip("\\").strip()
        if not stripped.endswith("\\"):
            if joined.strip():
                yield start, joined.strip()
            start, joined = 0, ""


def _parse_pin(number: int, text: str) -> Requirement:
    try:
        requirement = Requirement(text)
    except InvalidRequirement as error:
        raise WheelError(
            f"line {number}: {text!r} is not understood; expected NAME==VERSION with hashes, "
            "and no options"
        ) from error
    pins = [
        item for item in requirement.specifier if item.operator == "==" and "*" not in item.version
    ]
    if requirement.url or len(requirement.specifier) != 1 or not pins:
        raise WheelError(f"line {number}: {text!r} is not an exact version; expected NAME==VERSION")
    return requirement


def _download(requirement: str, hashes: Sequence[str], folder: Path) -> Path:
    lock = folder / "requirement.txt"
    lock.write_text(
        " ".join([requirement, *(f"--hash={item}" for item in hashes)]), encoding="utf-8"
    )
    done = subprocess.run(
        [
            *(
                sys.executable,
                "-P",
                "-s",
                "-B",
                str(PIP / "pip"),
                "download",
                "--quiet",
                "--no-deps",
            ),
            *(
                "--only-binary=:all:",
                "--require-hashes",
                "--disable-pip-version-check",
                "--no-input",
            ),
            *("--dest", str(folder), "--requirement", str(lock)),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, "PIP_REQUIRE_VIRTUALENV": "0"},
        check=False,
    )
    wheels = list(folder.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        said = "\n".join(f"  | {line}" for line in done.stdout.strip().splitlines()[-LINES_MAX:])
        raise WheelError(
            f"pip could not fetch {requirement}:\n{said}\n{_advice(requirement, done.stdout)}"
        )
    return wheels[0]


def _advice(requirement: str, said: str) -> str:
    if "DO NOT MATCH THE HASHES" in said:
        return (
            f"The index serves another file for {requirement} than the lock names. Do not accept "
            "it unseen: find out why, then make the lock again."
        )
    if "No matching distribution found" in said:
        return (
            f"The index has no wheel of {requirement} for CPython "
            f"{sys.version_info.major}.{sys.version_info.minor} on Linux x86_64, or can't be "
            "reached (then lines above say so). Lock a version that has one;"
            " sources are never built."
        )
    return (
        f"Check that 'python3 -m pip download {requirement}' works on this machine: index, proxy "
        "and trust store are taken from the same pip configuration and environment."
    )


def main() -> int:
    """Answer the request in the first argument."""
    request = json.loads(sys.argv[1])
    try:
        if "lock" in request:
            answer = read_lock(Path(request["lock"]).read_text(encoding="utf-8"))
        else:
            answer = fetch(request)
    except WheelError as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
