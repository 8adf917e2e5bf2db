"""References to images: ``REPOSITORY@sha256:HEX``, read by the grammar of the registries.

The repository is an optional host with an optional port, then path components (OCI Distribution
Specification 1.1, "Pulling manifests"; distribution/reference for the host). Narrower than either
on purpose, so that one image has one spelling: lower case alone, no tag beside the digest, SHA-256
alone. The first component is a host if it holds a dot or a colon, or is ``localhost``; without a
host the repository belongs to whatever registry the lane uses.
"""

from __future__ import annotations

import re

from processors.protocol import digests
from processors.protocol.errors import inputs_error

GRAMMAR = "[HOST[:PORT]/]NAME[/NAME]...@sha256:<64 lower-case hex digits>"
REPOSITORY_CHARS_MAX = 255  # host included: what registries and their clients agree on
LABEL_CHARS_MAX = 63  # RFC 1035 section 2.3.4
PORT_MAX = 65_535

# distribution/reference, "domain-component" in lower case; an address in brackets is not read.
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
_PORT = re.compile(r"[1-9][0-9]{0,4}")
# OCI Distribution Specification 1.1, the <name> of "Pulling manifests", one component of it.
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")


class Reference:
    """One image, by content.

    Attributes:
        host: ``host`` or ``host:port``; "" when the text names none.
        path: The repository's path there.
        digest: ``sha256:<hex>``.
    """

    __slots__ = ("digest", "host", "path")

    def __init__(self, host: str, path: str, digest: str) -> None:
        self.host = host
        self.path = path
        self.digest = digest

    def __str__(self) -> str:
        return f"{self.host}/{self.path}@{self.digest}".removeprefix("/")


def parse(text: str, what: str) -> Reference:
    """Read a reference.

    Args:
        text: The whole reference.
        what: How messages call it.

    Raises:
        ContractError: ``ERR_INPUTS`` / ``bad_value``, naming the part that is wrong.
    """
    repository, at, digest = text.partition("@")
    if not at or not digests.is_digest(digest):
        raise inputs_error("bad_value", f"{what} is not of the form {GRAMMAR}")
    if (wrong := repository_problem(repository)) is not None:
        raise inputs_error("bad_value", f"{what}: {wrong}; the form is {GRAMMAR}")
    return Reference(*_split(repository), digest)


def repository_problem(text: str) -> str | None:
    """Say what keeps a text from being a repository, or None."""
    if len(text) > REPOSITORY_CHARS_MAX:
        return f"a repository of {len(text)} characters; at most {REPOSITORY_CHARS_MAX}"
    host, path = _split(text)
    if host and not _is_host(host):
        return f"{host!a} is no host: labels of a-z, 0-9 and inner dashes, then perhaps a port"
    for component in path.split("/"):
        if _COMPONENT.fullmatch(component) is None:
            return (
                f"{component!a} is no part of a repository's path: a-z and 0-9, and between them"
                " one dot, one or two underscores, or dashes"
            )
    return None


def host_of(repository: str) -> str:
    """The registry that a repository names, ``host`` or ``host:port``; "" if it names none."""
    return _split(repository)[0]


def _split(repository: str) -> tuple[str, str]:
    first, slash, rest = repository.partition("/")
    names_host = slash and ("." in first or ":" in first or first == "localhost")
    return (first, rest) if names_host else ("", repository)


def _is_host(text: str) -> bool:
    name, colon, port = text.partition(":")
    if colon and (_PORT.fullmatch(port) is None or int(port) > PORT_MAX):
        return False
    labels = name.split(".")
    return all(len(label) <= LABEL_CHARS_MAX and _LABEL.fullmatch(label) for label in labels)
