"""What may happen to a transition: one table, and what is not in it is refused in one place.

A transition is one step of a plan on its way: goal, step, attempt. ``MOVES`` maps each state to the
events that may come and where they lead. ``advance`` looks a move up; an absent cell is an illegal
move. The ledger's statements are made from the same table (``orchestrator/world/projections.py``),
so what a program forgets to ask for is refused where it is appended. A refusal alone is a receipt:
the ledger keeps no state of it and takes it anywhere.

This module decides and does nothing else; it imports nothing, for it is on the way of every start.
"""

from __future__ import annotations

PROPOSED = "proposed"
ADMITTED = "admitted"
EXECUTING = "executing"
SETTLED = "settled"
REFUSED = "refused"
ABANDONED = "abandoned"

ADMIT = "admit"
REFUSE = "refuse"
START = "start"
SETTLE = "settle"
ABANDON = "abandon"

# State → what is true in it.
STATES = {
    PROPOSED: "somebody wants it; nothing is written down yet",
    ADMITTED: "it holds its write set and its reserve, and nothing has started",
    EXECUTING: "it holds both, and its processor was started",
    SETTLED: "it ended with success or an error; lease and rest of the reserve are given back",
    REFUSED: "admission said no; the fact is a receipt, and the id of the execution stays free",
    ABANDONED: "its process is gone, and lease and reserve with it; another attempt may follow",
}

# Event → the fact of the ledger that it is.
EVENTS = {
    ADMIT: "`transition.admitted`",
    REFUSE: "`transition.refused`",
    START: "`execution.started` of its execution",
    SETTLE: "`transition.settled` with outcome `success` or `error`",
    ABANDON: "`transition.settled` with outcome `abandoned`",
}

# State → event → state. What is absent is an illegal move. An admitted transition ends only once it
# has started, since both are one transaction and nothing of it can be gone before.
MOVES: dict[str, dict[str, str]] = {
    PROPOSED: {ADMIT: ADMITTED, REFUSE: REFUSED},
    ADMITTED: {START: EXECUTING},
    EXECUTING: {SETTLE: SETTLED, ABANDON: ABANDONED},
    SETTLED: {},
    REFUSED: {},
    ABANDONED: {},
}

LIVE = (ADMITTED, EXECUTING)  # holds a lease and a reserve


class IllegalTransitionError(ValueError):
    """An event that the table does not have: a mistake in our code, not in any input.

    Attributes:
        state: Where the transition was.
        event: What should have happened to it.
    """

    def __init__(self, state: str, event: str) -> None:
        self.state = state
        self.event = event
        super().__init__(f"a transition that is {state!a} cannot {event!a}")


def advance(state: str, event: str) -> str:
    """The state that an event leads to.

    Raises:
        IllegalTransitionError: The table has no such cell.
    """
    after = MOVES.get(state, {}).get(event)
    if after is None:
        raise IllegalTransitionError(state, event)
    return after


def sources(event: str) -> tuple[str, ...]:
    """The states in which an event may come."""
    return tuple(state for state, moves in MOVES.items() if event in moves)


def diagram() -> str:
    """The table as a picture, in the language of Mermaid."""
    lines = ["stateDiagram-v2", f"    [*] --> {PROPOSED}"]
    for state, moves in MOVES.items():
        lines += [f"    {state} --> {after}: {event}" for event, after in moves.items()]
        lines += [] if moves else [f"    {state} --> [*]"]
    return "\n".join(lines)
