"""In which order steps begin where the budget is not enough for all of them at once."""

from __future__ import annotations

from orchestrator.loop.line import Line


def line(*asks: int, count_max: int = 9) -> Line[str]:
    """Steps a, b, c and so on, that ask for so much."""
    found = Line[str](count_max)
    for name, ask in zip("abcdef", asks, strict=False):
        found.add(name, ask)
    return found


def begun(found: Line[str]) -> list[tuple[str, bool]]:
    """All that can begin now."""
    names = []
    while (first := found.next()) is not None:
        names.append(first)
    return names


def test_steps_begin_in_their_order_and_no_more_than_may() -> None:
    steps = line(1, 1, 1, count_max=2)

    assert begun(steps) == [("a", True), ("b", True)]
    steps.ends(gave_back=True)
    assert begun(steps) == [("c", True)]
    assert not steps.is_over


def test_what_lacks_budget_is_judged_again_once_a_step_has_ended() -> None:
    steps = line(2, 2, 2)
    begun(steps)

    steps.waits("c")
    steps.waits("b")
    assert begun(steps) == []  # a has not ended
    steps.ends(gave_back=True)

    assert begun(steps) == [("b", True), ("c", True)]


def test_what_lacks_budget_while_nothing_is_under_way_is_judged_for_good_and_alone() -> None:
    steps = line(2, 2, 1)
    begun(steps)
    for name in "abc":
        steps.waits(name)

    assert begun(steps) == [("a", False)]
    steps.ends(gave_back=False)  # it was refused
    assert begun(steps) == [("b", False)]
    steps.ends(gave_back=True)
    assert begun(steps) == [("c", True)]
    steps.ends(gave_back=True)
    assert steps.is_over


def test_a_step_that_asks_for_less_than_what_was_lacking_begins() -> None:
    steps = line(3, count_max=3)
    begun(steps)
    steps.add("b", 2)
    assert begun(steps) == [("b", True)]
    steps.waits("b")
    steps.ends(gave_back=False)

    steps.add("c", 1)

    assert begun(steps) == [("b", False)]
    steps.ends(gave_back=False)
    assert begun(steps) == [("c", True)]
