"""Flags of a command: one table, one strict parser, one help text.

Strict means: long flags only, each spelled out in full, none given twice unless it may repeat, no
defaults from the environment, no word besides those that the table names. Why not argparse:
docs/decisions/0004.
"""

from __future__ import annotations

from processors.protocol.errors import inputs_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class Flag:
    """One flag; ``metavar`` is empty for a switch, which takes no value.

    A name without ``--`` is that of a plain word, such as PATH; words come in the table's order.
    """

    __slots__ = ("help", "metavar", "name", "repeats", "required")

    def __init__(
        self, name: str, metavar: str, text: str, *, required: bool = False, repeats: bool = False
    ) -> None:
        self.name = name
        self.metavar = metavar
        self.help = text
        self.required = required
        self.repeats = repeats


class Given:
    """The flags of one call, by name."""

    def __init__(self) -> None:
        self._values: dict[str, list[str]] = {}

    def add(self, name: str, value: str) -> None:
        """Record one occurrence of a flag."""
        self._values.setdefault(name, []).append(value)

    def has(self, name: str) -> bool:
        """Whether a flag is given."""
        return name in self._values

    def all(self, name: str) -> list[str]:
        """Every value of a repeatable flag."""
        return self._values.get(name, [])

    def get(self, name: str) -> str | None:
        """The value of a flag, or None."""
        values = self.all(name)
        return values[0] if values else None

    def require(self, name: str) -> str:
        """The value of a flag that ``parse`` has made sure of."""
        return self._values[name][0]


def parse(table: Sequence[Flag], argv: Sequence[str], *, one_of: Sequence[str] = ()) -> Given:
    """Parse a command's words.

    Args:
        table: The command's flags.
        argv: The words after the command's name.
        one_of: Names of flags of which exactly one must be given.

    Raises:
        ContractError: ``ERR_INPUTS`` with reason ``unknown_flag``, ``missing_value``,
            ``repeated_flag``, ``conflicting_flags`` or ``missing_flag`` (naming every one).
    """
    known = {flag.name: flag for flag in table if flag.name.startswith("--")}
    places = iter([flag.name for flag in table if flag.name not in known])
    given = Given()
    words = iter(argv)
    for word in words:
        name, equals, value = word.partition("=")
        flag = known.get(name)
        if flag is None:
            if word and word[0] != "-" and (place := next(places, None)):
                given.add(place, word)
                continue
            raise inputs_error("unknown_flag", f"{_show(name)} is no flag; see --help")
        if given.has(name) and not flag.repeats:
            raise inputs_error("repeated_flag", f"{name} is given twice")
        if not flag.metavar:
            if equals:
                raise inputs_error("bad_value", f"{name} is a switch and takes no value")
        else:
            value = value if equals else next(words, "")
            if not value or (value in known and not equals):
                raise inputs_error("missing_value", f"{name} needs a value: {flag.metavar}")
        given.add(name, value)
    _check_complete(table, given, one_of)
    return given


def usage(command: str, summary: str, table: Sequence[Flag]) -> str:
    """The help text."""
    lines = [f"{command}: {summary}", ""]
    for flag in table:
        left = f"{flag.name} {flag.metavar}".rstrip()
        marks = [
            word for word, on in (("required", flag.required), ("repeats", flag.repeats)) if on
        ]
        lines.append(f"  {left}")
        lines.append(f"      {flag.help}" + (f" ({', '.join(marks)})" if marks else ""))
    return "\n".join(lines)


def _check_complete(table: Sequence[Flag], given: Given, one_of: Sequence[str]) -> None:
    missing = [flag.name for flag in table if flag.required and not given.has(flag.name)]
    chosen = [name for name in one_of if given.has(name)]
    if one_of and not chosen:
        missing.append(" or ".join(one_of))
    if missing:
        raise inputs_error("missing_flag", f"missing: {', '.join(missing)}")
    if len(chosen) > 1:
        raise inputs_error("conflicting_flags", f"give only one of {', '.join(chosen)}")


def _show(text: str) -> str:
    return ascii(text[:80]) + ("..." if len(text) > 80 else "")
