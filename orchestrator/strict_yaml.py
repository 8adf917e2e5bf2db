"""YAML for files that people write and programs must not misread.

YAML 1.1 without what makes files ambiguous: no alias, tag, merge key or repeated key; no number to
the base of 60, 16, 8 or 2 or with an underscore, which other readers take for text, and which can
take seconds to read. A document knows the line that each of its values stands on.
"""

from __future__ import annotations

import yaml

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class Document:
    """What a file says.

    Attributes:
        value: The value, of plain YAML types.
    """

    __slots__ = ("_root", "value")

    def __init__(self, value: object, root: yaml.Node | None) -> None:
        self.value = value
        self._root = root

    def node(self, place: Sequence[str | int]) -> yaml.Node | None:
        """What keys and indices lead to, as it is written; None if they lead nowhere."""
        node = self._root
        for part in place:
            found = _inner(node, part)
            if found is None:
                return None
            node, _ = found
        return node

    def line(self, place: Sequence[str | int]) -> int:
        """The line, from 1, of what keys and indices lead to, as far as they lead anywhere."""
        node, line = self._root, 1
        for part in place:
            found = _inner(node, part)
            if found is None:
                break
            node, line = found
        return line


def read(data: bytes, bytes_max: int) -> Document:
    """Read a file.

    Args:
        data: The file's bytes.
        bytes_max: The largest file.

    Raises:
        ValueError: It is none that this module reads; the message says why, with the line.
    """
    if len(data) > bytes_max:
        raise ValueError(f"larger than {bytes_max} bytes")
    try:
        text = data.decode("utf-8")  # PyYAML would also take UTF-16
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"line {line}: {error}") from None
    if text.startswith("\ufeff"):
        raise ValueError("starts with a byte order mark; leave it out")
    try:
        loader = _Strict(text)
        root = loader.get_single_node()
        return Document(None if root is None else loader.construct_document(root), root)
    except yaml.YAMLError as error:
        mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
        where = "" if mark is None else f"line {mark.line + 1}: "
        raise ValueError(where + " ".join(str(error).split())) from None
    except RecursionError:
        raise ValueError("nested too deep: the recursion limit") from None


def _inner(node: yaml.Node | None, part: str | int) -> tuple[yaml.Node, int] | None:
    """What lies at a key or an index of a node, and the line that it begins on."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == part:
                return value, key.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part].start_mark.line + 1
    return None


_NUMBER_TAGS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_NUMBER_CHARS = frozenset("+-.0123456789eE")


class _Strict(yaml.SafeLoader):
    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        # PyYAML's constructors raise what they like for a value that its tag does not fit.
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]
        assert event.start_mark is not None
        if isinstance(event, yaml.AliasEvent):
            raise _refused(event.start_mark.line, "an alias; spell the value out")
        if getattr(event, "tag", None) is not None:
            raise _refused(event.start_mark.line, "a tag; write the value plainly")
        node = super().compose_node(parent, index)
        if isinstance(node, yaml.ScalarNode) and any("\ud800" <= c <= "\udfff" for c in node.value):
            raise _refused(node.start_mark.line, "half of a surrogate pair, which is no character")
        if isinstance(node, yaml.ScalarNode) and node.tag in _NUMBER_TAGS:
            whole = node.tag == _NUMBER_TAGS[0]
            padded = whole and node.value.lstrip("+-").startswith("0") and len(node.value) > 1
            if padded or not _NUMBER_CHARS.issuperset(node.value):
                raise _refused(node.start_mark.line, "a number not in decimal digits")
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> object:  # noqa: FBT001, FBT002
        try:
            return super().construct_object(node, deep)
        except _RefusedError:
            raise
        except ValueError as error:  # of a date that is none, a number too long to be read
            kind = node.tag.rpartition(":")[2]
            raise _refused(node.start_mark.line, f"no {kind} ({error})") from None

    def construct_mapping(  # PyYAML's own signature
        self,
        node: yaml.MappingNode,
        deep: bool = False,  # noqa: FBT001, FBT002
    ) -> dict[object, object]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag != "tag:yaml.org,2002:str" or key.value == "<<":  # no merge key
                raise _refused(key.start_mark.line, "a key that is no plain string")
            if key.value in seen:
                raise _refused(key.start_mark.line, f"a key is given twice: {key.value[:80]!a}")
            seen.add(key.value)
        return super().construct_mapping(node, deep)


class _RefusedError(ValueError):
    """What the message says, with the line."""


def _refused(line: int, why: str) -> _RefusedError:
    return _RefusedError(f"line {line + 1}: {why}")
