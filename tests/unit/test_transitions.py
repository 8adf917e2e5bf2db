"""The table of transitions: every cell, and the one place that refuses what is absent."""

from __future__ import annotations

import itertools

import pytest

from orchestrator.loop import transitions
from orchestrator.loop.transitions import EVENTS, MOVES, STATES, IllegalTransitionError

# The table, said another way: each legal move.
LEGAL = {
    ("proposed", "admit"): "admitted",
    ("proposed", "refuse"): "refused",
    ("admitted", "start"): "executing",
    ("executing", "settle"): "settled",
    ("executing", "abandon"): "abandoned",
}
CELLS = list(itertools.product(STATES, EVENTS))


@pytest.mark.parametrize(("state", "event"), CELLS)
def test_every_cell_leads_where_it_should_or_is_refused(state: str, event: str) -> None:
    if (after := LEGAL.get((state, event))) is not None:
        assert transitions.advance(state, event) == after
        return
    with pytest.raises(IllegalTransitionError) as refused:
        transitions.advance(state, event)
    assert (refused.value.state, refused.value.event) == (state, event)
    assert str(refused.value) == f"a transition that is '{state}' cannot '{event}'"


@pytest.mark.parametrize(("state", "event"), [("lost", "admit"), ("proposed", "hope"), ("", "")])
def test_what_the_table_does_not_know_is_refused_in_the_same_place(state: str, event: str) -> None:
    with pytest.raises(IllegalTransitionError):
        transitions.advance(state, event)


def test_the_table_names_its_states_and_events_and_no_others() -> None:
    assert MOVES.keys() == STATES.keys()
    assert {event for moves in MOVES.values() for event in moves} == EVENTS.keys()
    assert {after for moves in MOVES.values() for after in moves.values()} < STATES.keys()


def test_every_state_is_reached_and_every_one_can_end() -> None:
    reached, ending = {transitions.PROPOSED}, {state for state in STATES if not MOVES[state]}
    for _ in STATES:
        reached |= {after for state in reached for after in MOVES[state].values()}
        ending |= {state for state in STATES if ending & set(MOVES[state].values())}
    assert reached == ending == set(STATES)


def test_what_is_live_is_what_was_admitted_and_has_not_ended() -> None:
    assert transitions.LIVE == ("admitted", "executing")
    assert {state for state in transitions.LIVE if not MOVES[state]} == set()


@pytest.mark.parametrize("event", EVENTS)
def test_the_sources_of_an_event_are_the_states_it_may_come_in(event: str) -> None:
    assert transitions.sources(event) == tuple(s for s in STATES if (s, event) in LEGAL)


def test_the_diagram_draws_each_move_once() -> None:
    lines = transitions.diagram().splitlines()

    for (state, event), after in LEGAL.items():
        assert lines.count(f"    {state} --> {after}: {event}") == 1
    assert len(lines) == 1 + 1 + len(LEGAL) + 3  # head, beginning, moves, ends
