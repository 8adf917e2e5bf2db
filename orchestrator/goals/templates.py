"""World paths with named wildcards: ``/artifacts/text/{name}/outputs/text.md``.

A wildcard stands for one or more characters within one segment, and a segment holds at most one. So
a path and a template agree in one way or in none, and matching takes one look at each segment. A
name that stands twice stands for the same text. Pure.
"""

from __future__ import annotations

from processors.protocol import paths, refs
from processors.protocol.errors import ContractError

WILDCARDS_MAX = 8  # names of one template; a path that needs more is a table

type Bindings = dict[str, str]
type Segment = tuple[str, str, str]  # what stands before the wildcard, its name or "", what follows


class Template:
    """A checked template.

    Attributes:
        text: As it was written.
        names: Its wildcards, each once, in the order of their first place.
        segments: What stands between its slashes.
        folder: The longest folder, with its slash, that every match lies in.
    """

    __slots__ = ("folder", "names", "segments", "text")

    def __init__(self, text: str) -> None:
        """Check a template.

        Raises:
            ValueError: It is none; the message says why.
        """
        self.text = text
        self.segments = [_segment(part, text) for part in text.split("/")]
        self.names = tuple(dict.fromkeys(name for _, name, _ in self.segments if name))
        if len(self.names) > WILDCARDS_MAX:
            raise ValueError(f"{text} has {len(self.names)} wildcards; at most {WILDCARDS_MAX}")
        plain = self.substitute(dict.fromkeys(self.names, "x"))
        try:
            found = paths.canonical_path(plain)
        except ContractError as error:
            raise ValueError(error.message) from None
        if found != plain:
            raise ValueError(f"{text} is not canonical")
        self.folder = text.partition("{")[0].rpartition("/")[0] + "/"

    def match(self, path: str) -> Bindings | None:
        """What the wildcards stand for in a path, or None if it is no match."""
        parts = path.split("/")
        if len(parts) != len(self.segments):
            return None
        found: Bindings = {}
        for part, (before, name, after) in zip(parts, self.segments, strict=True):
            if name == "":
                if part != before:
                    return None
                continue
            value = part[len(before) : len(part) - len(after)]
            whole = value != "" and before + value + after == part
            if not whole or found.setdefault(name, value) != value:
                return None
        return found

    def substitute(self, bindings: Bindings) -> str:
        """The path that a template becomes.

        Raises:
            KeyError: A wildcard stands for nothing.
        """
        return "/".join(
            before + bindings[name] + after if name else before
            for before, name, after in self.segments
        )


def _segment(part: str, text: str) -> Segment:
    before, brace, rest = part.partition("{")
    name, close, after = rest.partition("}")
    if "}" in before or (brace and not (close and refs.is_name(name))):
        raise ValueError(f"{text} has a brace that is no {{name}}")
    if "{" in after or "}" in after:
        raise ValueError(f"{text} has a segment with more than one wildcard, or a stray brace")
    return before, name, after
