"""Ask apt which package files the base is made of, without touching the machine's own state.

Lists are private and thrown away; proxies and credentials are the machine's. apt checks the
signature of Debian's release and with it the hash of every package.
"""

from __future__ import annotations

import os
import platform
import pwd
import re
import subprocess
import urllib.parse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tools.images import contents
from tools.images.base_lock import Package

KEYRINGS: Final = (
    Path("/usr/share/keyrings/debian-archive-keyring.gpg"),
    Path("/usr/share/keyrings/debian-archive-keyring.pgp"),
)
_LINES_MAX = 15  # Of what apt said; the cause is at the end.
_PLANNED = re.compile(
    r"'([^']*)' ([^_\s]+)_([^_\s]+)_(all|amd64|arm64)\.deb (\d+) SHA256:([0-9a-f]{64})"
)


class AptError(Exception):
    """apt could not answer; the message says what was asked and what it said."""


def mirror() -> str:
    """Return the Debian mirror: DEBIAN_MIRROR's, else the one that this machine's apt uses.

    Raises:
        AptError: there is none.
    """
    if named := os.environ.get("DEBIAN_MIRROR"):
        return named.rstrip("/")
    # The same choice as in debian.bzl, which gives the reasons.
    listing = _run(
        *("apt-get", "indextargets", "--no-release-info"),
        *("--format", "$(RELEASE) $(COMPONENT) $(REPO_URI)", "Created-By: Packages"),
    )
    return choose_mirror(listing, _codename())


def choose_mirror(listing: str, codename: str) -> str:
    """Choose among apt's repositories, lines of ``RELEASE COMPONENT ADDRESS``.

    Raises:
        AptError: none of them has a release of Debian.
    """
    releases = {codename, "stable", "oldstable", "testing", "unstable", "sid"}
    rows = [line.split(" ", 2) for line in listing.splitlines()]
    found = [
        address.rstrip("/")
        for release, component, address in rows
        if component == "main" and release in releases
    ]
    if not found:
        raise AptError(
            "this machine's apt knows no Debian repository; set DEBIAN_MIRROR to the address of "
            "one, the folder that has dists/ and pool/"
        )
    return next((address for address in found if address.endswith("/debian")), found[0])


def _codename() -> str:
    """What this machine's system calls its release."""
    try:
        return platform.freedesktop_os_release().get("VERSION_CODENAME", "sid")
    except OSError:
        return "sid"


def resolve(source: str, folder: Path) -> list[Package]:
    """Return what the wanted packages need, from the mirror's lists; state goes into the folder.

    Raises:
        AptError: the mirror is out of reach, its signature is wrong, or a package is unknown.
    """
    for name in ("lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    config, sources = folder / "apt.conf", folder / "sources.list"
    sources.write_text(
        f"deb [arch={contents.ARCHITECTURE} signed-by={_keyring()} check-valid-until=no] "
        f"{source}/ {contents.SUITE} {contents.COMPONENT}\n",
        encoding="utf-8",
    )
    dump = _run("apt-config", "dump")
    config.write_text("\n".join(settings(dump, folder, sources)), encoding="utf-8")
    _run("apt-get", "update", config=config)
    plan = _run("apt-get", "install", "--print-uris", "--yes", *contents.WANTED, config=config)
    return read_plan(plan, source)


def read_plan(plan: str, source: str) -> list[Package]:
    """Read what apt would download: lines of ``'ADDRESS' FILE SIZE SHA256:HEX``.

    Raises:
        AptError: a line has another form.
    """
    packages = []
    for line in plan.splitlines():
        if not line.startswith("'"):
            continue
        match = _PLANNED.fullmatch(line)
        if match is None or not match[1].startswith(f"{source}/"):
            raise AptError(f"apt announced a package in a form that is not understood:\n  {line}")
        address, name, version, architecture, size, sha256 = match.groups()
        packages.append(
            Package(
                name=name,
                version=urllib.parse.unquote(version),
                architecture=architecture,
                sha256=sha256,
                size_bytes=int(size),
                path=address.removeprefix(f"{source}/"),
            )
        )
    return packages


def without_left_out(packages: Sequence[Package]) -> list[Package]:
    """Return the packages less those that are left out on purpose.

    Raises:
        AptError: one of those is no dependency any more, so the list of them is out of date.
    """
    idle = sorted(set(contents.LEFT_OUT) - {package.name for package in packages})
    if idle:
        raise AptError(
            f"left out, but nothing asks for it any more: {', '.join(idle)}; "
            "remove it from LEFT_OUT in tools/images/contents.py"
        )
    return [package for package in packages if package.name not in contents.LEFT_OUT]


# Index targets are what to download besides package lists: none of it is wanted here. How
# signatures are checked is ours to say.
_NOT_INHERITED = ("Acquire::IndexTargets", "Acquire::gpgv")


def settings(dump: str, folder: Path, sources: Path) -> list[str]:
    """Return the lines of an apt.conf: how this machine downloads, and all else as we want it.

    Args:
        dump: What ``apt-config dump`` says of this machine.
        folder: Where apt keeps its state.
        sources: The list of sources.
    """
    inherited = [
        line
        for line in dump.splitlines()
        if line.startswith("Acquire::") and not line.startswith(_NOT_INHERITED)
    ]
    own = {
        # A machine may put up with unsigned lists; nothing here may come from one.
        "Acquire::AllowInsecureRepositories": "false",
        "Acquire::AllowWeakRepositories": "false",
        "Acquire::AllowDowngradeToInsecureRepositories": "false",
        "Acquire::ForceHash": "SHA256",
        "Acquire::Languages": "none",
        "APT::Architecture": contents.ARCHITECTURE,
        "APT::Install-Recommends": "false",
        # By itself "update" only warns when a list could not be fetched.
        "APT::Update::Error-Mode": "any",
        "APT::Sandbox::User": pwd.getpwuid(os.geteuid()).pw_name,
        "Debug::NoLocking": "true",
        "Dir::Cache": str(folder / "cache"),
        # The machine's own settings were copied; its hooks must not run.
        "Dir::Etc::Main": "/dev/null",
        "Dir::Etc::Parts": "/dev/null",
        "Dir::Etc::Preferences": "/dev/null",
        "Dir::Etc::PreferencesParts": "/dev/null",
        "Dir::Etc::SourceList": str(sources),
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State::Lists": str(folder / "lists"),
        "Dir::State::extended_states": "/dev/null",
        "Dir::State::status": "/dev/null",
    }
    return [*inherited, *(f'{key} "{value}";' for key, value in own.items()), ""]


def _keyring() -> Path:
    for path in KEYRINGS:
        if path.is_file():
            return path
    raise AptError(
        f"no Debian signing keys: expected one of {', '.join(map(str, KEYRINGS))}; "
        "install the package debian-archive-keyring"
    )


def _run(*argv: str, config: Path | None = None) -> str:
    extra = {"APT_CONFIG": str(config)} if config else {}
    environment = {**os.environ, "LC_ALL": "C", **extra}
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            env=environment,
            check=False,
        )
    except FileNotFoundError as error:
        raise AptError(f"there is no {argv[0]} on this machine: refreshing needs apt") from error
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()[-_LINES_MAX:]
        raise AptError(
            f"{' '.join(argv[:2])} ended with {done.returncode} and said:\n"
            + "\n".join(f"  | {line}" for line in said)
        )
    return done.stdout
