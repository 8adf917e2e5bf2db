"""What a check is, and how it says no."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tools.selfcheck.scratch import Scratch


class CheckError(Exception):
    """A check found the opposite of what it expects."""


@dataclass(frozen=True)
class Sabotage:
    """A change of the copy that must turn a check red: what shows that it can fail."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Check:
    """One fact.

    Attributes:
        name: What it says, as a sentence without a full stop.
        proves: The acceptance rows it proves.
        sabotage: Changes, each of which must make it fail.
        run: Raises CheckError when the fact does not hold.
    """

    name: str
    proves: tuple[str, ...]
    sabotage: tuple[Sabotage, ...]
    run: Callable[[Scratch], None]


CHECKS: list[Check] = []


def check(
    name: str, *proves: str, sabotage: Sequence[tuple[str, str, str]] = ()
) -> Callable[[Callable[[Scratch], None]], Callable[[Scratch], None]]:
    """Register a function as a check."""

    def register(function: Callable[[Scratch], None]) -> Callable[[Scratch], None]:
        changes = tuple(Sabotage(*change) for change in sabotage)
        CHECKS.append(Check(name, proves, changes, function))
        return function

    return register


def expect(holds: bool, otherwise: str) -> None:  # noqa: FBT001 - reads like assert
    """Raise unless it holds; unlike assert it can't be switched off."""
    if not holds:
        raise CheckError(otherwise)


def expect_same(what: str, seen: Sequence[str], wanted: Sequence[str]) -> None:
    """Raise unless two lists hold the same, and name what differs."""
    extra, missing = sorted(set(seen) - set(wanted)), sorted(set(wanted) - set(seen))
    expect(not extra and not missing, f"{what}: only seen {extra}, only expected {missing}")
