"""The names an execution is known by: refs, execution ids, artifact names."""

from __future__ import annotations

REF_GRAMMAR = "[a-z][a-z0-9_]{0,31}/[a-z][a-z0-9_]{0,31}@[1-9][0-9]{0,3}"
EXECUTION_ID_GRAMMAR = "[a-z0-9][a-z0-9-]{0,62}"
NAME_GRAMMAR = "[a-z][a-z0-9_]{0,31}"

MODES = ("mock", "real")

_LOWER = frozenset("abcdefghijklmnopqrstuvwxyz")
_DIGITS = frozenset("0123456789")
_NAME = _LOWER | _DIGITS | {"_"}
_ID = _LOWER | _DIGITS | {"-"}


class Ref:
    """A processor and its version: ``ns/name@N``."""

    __slots__ = ("name", "ns", "version")

    def __init__(self, ns: str, name: str, version: int) -> None:
        self.ns = ns
        self.name = name
        self.version = version

    def __str__(self) -> str:
        return f"{self.ns}/{self.name}@{self.version}"

    @property
    def folder(self) -> str:
        """The processor's folder below ``processors/``."""
        return f"{self.ns}/{self.name}/v{self.version}"


def parse_ref(text: str) -> Ref | None:
    """Return the ref a text spells (``REF_GRAMMAR``), or None."""
    path, _, version = text.partition("@")
    ns, _, name = path.partition("/")
    well_formed = (
        is_name(ns)
        and is_name(name)
        and 1 <= len(version) <= 4
        and _DIGITS.issuperset(version)
        and version[0] != "0"
    )
    return Ref(ns, name, int(version)) if well_formed else None


def is_name(text: str) -> bool:
    """Whether a text is of ``NAME_GRAMMAR``."""
    return 1 <= len(text) <= 32 and text[0] in _LOWER and _NAME.issuperset(text)


def is_execution_id(text: str) -> bool:
    """Whether a text is of ``EXECUTION_ID_GRAMMAR``."""
    return 1 <= len(text) <= 63 and text[0] != "-" and _ID.issuperset(text)
