"""Finds and downloads Debian packages with the machine's own apt, without touching its state.

The mirror, proxies and credentials are those the machine's apt is configured with; lists, caches
and the list of installed packages are private. apt checks every signature and hash. Works for any
user; writes nothing outside the folder it is given.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import re
import urllib.parse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import _spec
from _console import LauncherError, capture, megabytes, say

KEYRINGS = (
    Path("/usr/share/keyrings/debian-archive-keyring.gpg"),
    Path("/usr/share/keyrings/debian-archive-keyring.pgp"),
)
BATCH_BYTES_MAX = 40_000_000  # One progress line per batch.

OFFLINE_ADVICE = (
    "Check that 'apt-get update' works on this machine, then run the same command again: "
    "what is already downloaded is kept."
)


@dataclass(frozen=True)
class Package:
    """One package file, as apt resolved it."""

    name: str
    version: str
    file_name: str
    size_bytes: int
    sha256: str


class Apt:
    """apt with private state under ``folder``."""

    def __init__(self, folder: Path) -> None:
        """Write the private configuration; the network isn't used yet.

        Raises:
            LauncherError: the machine has no apt, or no Debian repository to take a mirror from.
        """
        self._folder = folder
        self._archives = folder / "archives"
        self._config = folder / "apt.conf"
        for name in ("archives", "lists/partial", "cache/archives/partial"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        inherited = _inherited_settings()
        mirror = _mirror()
        (folder / "sources.list").write_text(
            f"deb [arch={_spec.ARCHITECTURE} signed-by={_keyring()} check-valid-until=no] "
            f"{mirror} {_spec.SUITE} {_spec.COMPONENT}\n",
            encoding="utf-8",
        )
        self._config.write_text(
            "\n".join([*inherited, *self._own_settings(), ""]), encoding="utf-8"
        )
        say(f"Debian mirror, from this machine's apt configuration: {_without_password(mirror)}")

    def resolve(self) -> list[Package]:
        """Fetch the package lists and return every package that the root needs.

        Raises:
            LauncherError: the mirror isn't reachable, or has other versions than we want.
        """
        self._run("apt-get", "update", doing=f"Reading the package lists of {_spec.SUITE}")
        plan = self._run(
            "apt-get",
            "install",
            "--print-uris",
            "--yes",
            *_spec.PACKAGES,
            doing="Resolving the packages of the private root",
        )
        packages = [_parse_uri_line(line) for line in plan.splitlines() if line.startswith("'")]
        check_versions(packages)
        return [package for package in packages if not _spec.is_skipped(package.name)]

    def download(self, packages: Sequence[Package]) -> list[Path]:
        """Download what is missing of ``packages`` and return all their paths, in order.

        Raises:
            LauncherError: a download failed.
        """
        total = sum(package.size_bytes for package in packages)
        missing = [package for package in packages if not self._is_here(package)]
        done = total - sum(package.size_bytes for package in missing)
        say(f"downloading {len(packages)} packages, {megabytes(total)}; here: {megabytes(done)}")
        for batch in _batches(missing):
            names = [f"{package.name}={package.version}" for package in batch]
            self._run("apt-get", "download", *names, doing="Downloading packages")
            for package in batch:
                if not self._is_here(package):
                    raise LauncherError(
                        f"{package.file_name} is not what the package list announced "
                        f"({package.size_bytes} bytes, SHA-256 {package.sha256}).\n{OFFLINE_ADVICE}"
                    )
            done += sum(package.size_bytes for package in batch)
            say(f"  {megabytes(done)} of {megabytes(total)}")
        return [self._archives / package.file_name for package in packages]

    def _own_settings(self) -> list[str]:
        settings = {
            # A machine may put up with unsigned lists; nothing here may come from one.
            "Acquire::AllowInsecureRepositories": "false",
            "Acquire::AllowWeakRepositories": "false",
            "Acquire::AllowDowngradeToInsecureRepositories": "false",
            "Acquire::ForceHash": "SHA256",
            "Acquire::Languages": "none",
            "APT::Architecture": _spec.ARCHITECTURE,
            "APT::Install-Recommends": "false",
            # By itself "update" only warns when a list could not be fetched.
            "APT::Update::Error-Mode": "any",
            "APT::Sandbox::User": pwd.getpwuid(os.geteuid()).pw_name,
            "Debug::NoLocking": "true",
            "Dir::Cache": str(self._folder / "cache"),
            # The host's own settings were copied; its hooks (which clean its caches) must not run.
            "Dir::Etc::Main": "/dev/null",
            "Dir::Etc::Parts": "/dev/null",
            "Dir::Etc::Preferences": "/dev/null",
            "Dir::Etc::PreferencesParts": "/dev/null",
            "Dir::Etc::SourceList": str(self._folder / "sources.list"),
            "Dir::Etc::SourceParts": "/dev/null",
            "Dir::State::Lists": str(self._folder / "lists"),
            "Dir::State::extended_states": "/dev/null",
            "Dir::State::status": "/dev/null",
        }
        return [f'{key} "{value}";' for key, value in settings.items()]

    def _run(self, *argv: str, doing: str) -> str:
        return capture(
            argv,
            doing=doing,
            advice=OFFLINE_ADVICE,
            env={"APT_CONFIG": str(self._config)},
            cwd=self._archives,
        )

    def _is_here(self, package: Package) -> bool:
        path = self._archives / package.file_name
        if not path.is_file() or path.stat().st_size != package.size_bytes:
            return False
        return hashlib.sha256(path.read_bytes()).hexdigest() == package.sha256


def check_versions(packages: Sequence[Package]) -> None:
    """Refuse a set of packages whose versions the workspace wasn't tested with.

    Raises:
        LauncherError: names each package with the version seen and the one expected.
    """
    seen = {package.name: package.version for package in packages}
    wrong = [
        f"  {name}: seen {seen.get(name, 'no such package')}, expected {wanted}"
        for name, wanted in _spec.VERSIONS.items()
        if not _spec.version_fits(seen.get(name, ""), wanted)
    ]
    if wrong:
        raise LauncherError(
            "the Debian mirror has other versions than this workspace was tested with:\n"
            + "\n".join(wrong)
            + "\nNo package was downloaded. Install Bazelisk instead, point apt at a snapshot "
            "of Debian that has these versions, or test the new ones and change "
            "tools/launcher/_spec.py."
        )


def _inherited_settings() -> list[str]:
    """Return the machine's download settings (proxy and the like) as lines of apt.conf."""
    dump = capture(
        ["apt-config", "dump"],
        doing="Reading this machine's apt configuration",
        advice="The private root is made of Debian packages and needs a Debian machine. "
        "Install Bazelisk instead, or use a Debian VM or container.",
    )
    # Index targets are what to download besides package lists: none of it is wanted here. How
    # signatures are checked is ours to say.
    left_out = ("Acquire::IndexTargets", "Acquire::gpgv")
    return [
        line
        for line in dump.splitlines()
        if line.startswith("Acquire::") and not line.startswith(left_out)
    ]


def _mirror() -> str:
    """Return the address of the Debian repository that this machine's apt uses.

    Raises:
        LauncherError: there is none.
    """
    codename = _os_release().get("VERSION_CODENAME", "sid")
    listing = capture(
        [
            "apt-get",
            "indextargets",
            "--no-release-info",  # Answers before the first "apt-get update", too.
            "--format",
            "$(RELEASE) $(COMPONENT) $(REPO_URI)",
            "Created-By: Packages",
        ],
        doing="Asking apt for this machine's Debian mirror",
        advice="Check /etc/apt/sources.list and /etc/apt/sources.list.d.",
    )
    suites = {codename, "stable", "oldstable", "testing", "unstable", "sid"}
    rows = [line.split(maxsplit=2) for line in listing.splitlines()]
    found = [uri for release, component, uri in rows if release in suites and component == "main"]
    if not found:
        raise LauncherError(
            f"apt on this machine knows no Debian repository ({codename}, component main); it "
            f"lists:\n" + "\n".join(f"  {line}" for line in listing.splitlines()) + "\n"
            "The private root needs one. Add a Debian mirror to /etc/apt/sources.list, or install "
            "Bazelisk instead."
        )
    # Vendors use Debian's code names for their own repositories; Debian's own ends in /debian.
    return next((uri for uri in found if uri.rstrip("/").endswith("/debian")), found[0])


def _keyring() -> Path:
    for path in KEYRINGS:
        if path.is_file():
            return path
    raise LauncherError(
        f"no Debian signing keys: expected one of {', '.join(map(str, KEYRINGS))}.\n"
        "Install the package debian-archive-keyring."
    )


def _os_release() -> dict[str, str]:
    try:
        text = Path("/etc/os-release").read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line)
    return {key: value.strip('"') for key, value in pairs}


def _parse_uri_line(line: str) -> Package:
    """Read one line of ``--print-uris``: 'ADDRESS' FILE SIZE SHA256:HEX."""
    match = re.fullmatch(r"'[^']*' ((\S+?)_(\S+)_\w+\.deb) (\d+) SHA256:([0-9a-f]{64})", line)
    if not match:
        raise LauncherError(
            f"apt announced a package in a form that is not understood:\n  {line}\n"
            "Expected: 'ADDRESS' NAME_VERSION_ARCHITECTURE.deb SIZE SHA256:HEX. "
            "Please report it with the version of apt."
        )
    file_name, name, version, size, sha256 = match.groups()
    return Package(name, urllib.parse.unquote(version), file_name, int(size), sha256)


def _batches(packages: Sequence[Package]) -> Iterator[list[Package]]:
    batch: list[Package] = []
    for package in packages:
        batch.append(package)
        if sum(item.size_bytes for item in batch) >= BATCH_BYTES_MAX:
            yield batch
            batch = []
    if batch:
        yield batch


def _without_password(address: str) -> str:
    return re.sub(r"//[^/@]*@", "//", address)
