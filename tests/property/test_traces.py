"""One automaton accepts every trace: of random events, of random children, of every way to end."""

from __future__ import annotations

import ast
import itertools
import json
import re
import tempfile
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGTERM, Signals

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.execution.relay import Relay
from orchestrator.execution.trail import Trail
from processors.protocol import trace
from processors.protocol.events import EVENTS, MOVES, NEW, SETTLED
from tests.fixtures import traces
from tests.harness import (
    MOCK,
    REAL,
    ROOT,
    ZOO_COMMAND,
    Result,
    finish,
    read_until,
    start,
    zoo,
    zoo_words,
)
from tests.property.profile import searched

# The contract, written a second time: one letter an event.
LETTERS = {
    "S": "execution.start",
    "W": "naming.warning",
    "R": "execution.resolved",
    "A": "adapter.invoke.start",
    "P": "processor.start",
    "L": "processor.log",
    "C": "provider.call",
    "V": "provider.response",
    "D": "processor.log.dropped",
    "O": "processor.outputs",
    "T": "processor.receipt",
    "K": "adapter.invoke.complete",
    "E": "adapter.invoke.error",
    "B": "debug.traceback",
    "N": "execution.recorded",
    "U": "execution.reused",
    "X": "execution.unrecorded",
    "Q": "execution.unanswered",
    "Z": "execution.settle",
}
RAN = "P(L|CL*V)*D?(OT(K|E)|E)"
ORACLE = re.compile(f"SB*(WB*)?(X[BX]*|RB*((A({RAN}|E)|N|U|X)[BX]*)?)?Q?Z")
WORD = st.text("".join(LETTERS), max_size=16)
TRACE = st.from_regex(ORACLE, fullmatch=True)

ZOO = "tests/fixtures/processors/hostile/zoo/v1"
KNOWN = {"processor_ref": "a/b@1", "adapter": "local", "mode": "mock", "env": "pr"}
DIGEST = "sha256:" + "0" * 64


def accepts(word: str) -> bool:
    """The verdict of the automaton."""
    return trace.walk([LETTERS[letter] for letter in word]) == SETTLED


@st.composite
def nearly(draw: st.DrawFn) -> str:
    """A trace in which one event was lost, added, doubled, changed or moved."""
    word = list(draw(TRACE))
    at = draw(st.integers(0, len(word) - 1))
    other = draw(st.sampled_from(sorted(LETTERS)))
    how = draw(st.sampled_from(["lose", "add", "double", "change", "move", "cut"]))
    letter = word[at]
    if how in ("lose", "move"):
        del word[at]
    if how == "move":
        word.insert(draw(st.integers(0, len(word))), letter)
    if how in ("add", "double"):
        word.insert(at, letter if how == "double" else other)
    if how == "change":
        word[at] = other
    return "".join(word[:at] if how == "cut" else word)


def test_the_oracle_knows_every_event() -> None:
    assert set(LETTERS.values()) == EVENTS.keys()


@pytest.mark.proves("OB-2")
@searched
@given(TRACE)
def test_what_the_contract_allows_is_accepted(word: str) -> None:
    assert accepts(word)
    assert (word.count("S"), word.count("Z")) == (1, 1)


@pytest.mark.proves("OB-2")
@searched
@given(nearly() | WORD)
def test_a_sequence_is_accepted_exactly_when_the_contract_allows_it(word: str) -> None:
    assert accepts(word) == (ORACLE.fullmatch(word) is not None), word


@pytest.mark.proves("OB-2")
def test_every_cell_of_the_table_is_what_the_contract_says() -> None:
    """A way to each state, one event, and a way from each state to the end."""
    letter_of = {name: letter for letter, name in LETTERS.items()}
    before = {NEW: ""}
    while len(before) < len(MOVES):
        for state, moves in MOVES.items():
            for name, after in moves.items() if state in before else ():
                before.setdefault(after, before[state] + letter_of[name])
    after_it = {SETTLED: ""}
    while len(after_it) < len(MOVES):
        for state, moves in MOVES.items():
            for name, next_state in moves.items():
                if next_state in after_it:
                    after_it.setdefault(state, letter_of[name] + after_it[next_state])

    for state, letter in itertools.product(MOVES, LETTERS):
        begun = before[state] + letter
        after = MOVES[state].get(LETTERS[letter])
        finished = {rest for rest in after_it.values() if ORACLE.fullmatch(begun + rest)}
        assert (after is not None) == bool(finished), (state, LETTERS[letter])
        assert after is None or after_it[after] in finished


def line(event: str, **changes: object) -> bytes:
    """An event as a processor sends it."""
    own: dict[str, object] = {"provider": "p", "operation": "o", "attempt": 1}
    if event == "provider.response":
        own |= {"outcome": "ok", "duration_ms": 1}
    return json.dumps({"event": event, **own, **changes}).encode()


SAID = st.one_of(
    st.binary(max_size=40),
    st.builds(
        line,
        st.sampled_from(["provider.call", "provider.response"]),
        attempt=st.integers(1, 2),
        provider=st.sampled_from(["p", "q", "é" * 5_000, "\U0001f600" * 5_000, ""]),
    ),
    st.builds(line, st.sampled_from(sorted(EVENTS))),
    st.builds(line, st.just("provider.call"), seq=st.just(1), execution_id=st.just("x-2")),
)


@pytest.mark.proves("OB-2")
@searched
@given(st.lists(SAID, max_size=30))
def test_whatever_a_child_says_its_trace_is_one(lines: list[bytes]) -> None:
    with tempfile.TemporaryFile() as file:
        trail = Trail("x-1", file.fileno())
        trail.emit("execution.start")
        trail.context.update(KNOWN)
        own = dict.fromkeys(("source_root", "env_fingerprint", "inputs_hash", "memo_key"))
        trail.emit("execution.resolved", {"override": False, **own})
        trail.emit("adapter.invoke.start", {"payload_hash": DIGEST})
        trail.emit("processor.start")
        relay = Relay(trail)
        for each in lines:
            relay.line(each)
        relay.close()
        settled = {"code": "C", "reason": "r"}
        trail.emit("adapter.invoke.error", {**settled, "reply_digest": None})
        trail.emit("execution.settle", {"status": "error", "exit_code": 1, **settled})
        file.seek(0)
        found = [json.loads(each) for each in file]

    assert trace.fault(found) is None
    assert len(found) >= 6 + len(lines)


def behaviours() -> list[str]:
    """All that the test processor can do: its functions that take a job."""
    source = (ROOT / ZOO / "tree/app" / ZOO / "main.py").read_text()
    return [
        node.name.removeprefix("_")
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef)
        and node.name.startswith("_")
        and [arg.arg for arg in node.args.args] == ["job"]
    ]


@pytest.mark.proves("OB-2")
@pytest.mark.parametrize("lane", [MOCK, REAL], ids=["mock", "real"])
@pytest.mark.parametrize("behaviour", behaviours())
def test_every_behaviour_of_a_processor_leaves_a_trace(
    behaviour: str, lane: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "source").write_bytes(b"some bytes")
    words = ["--attach", f"source={tmp_path / 'source'}", "--timeout-s", "3"]
    if lane == REAL:
        words += ["--allow-env", "ZOO_SECRET"]

    result = zoo(
        *(behaviour, *words),
        lane=lane,
        text=line("provider.call").decode(),
        env={"ZOO_SECRET": "x" * 20},
        world=tmp_path / "world",
    )

    begun = ["execution.start", "execution.resolved", "adapter.invoke.start", "processor.start"]
    assert traces.names(result)[:4] == begun


REFUSALS = (
    ("--unheard-of",),
    ("--ref", "a/b@1"),
    ("--timeout-s", "0"),
    ("--execution-id", "No Such Id"),
    ("--attach", "a=/no/such"),
    ("--use", "a=/artifacts/no/such"),
    ("--image-override", "x@sha256:" + "0" * 64),
    ("--allow-env", "ZOO_SECRET"),
    ("--allow-real",),
    ("--branch", "b"),
    ("--registry-root", "/no/such"),
    ("--world", "/dev/null/world"),
)
LANES = (
    *itertools.product(("local", "modal"), ("mock", "real"), ("pr", "dev", "staging", "main")),
    ("local", "smoke", "pr"),
)


@pytest.mark.proves("OB-2")
@pytest.mark.parametrize("words", REFUSALS, ids=lambda words: words[0])
def test_every_refusal_leaves_a_trace(words: tuple[str, ...], tmp_path: Path) -> None:
    result = zoo("good", *words, world=tmp_path)

    assert result.envelope["status"] == "error"
    found = traces.names(result)
    assert (found[0], found[-1]) == ("execution.start", "execution.settle")


@pytest.mark.proves("OB-2")
@pytest.mark.parametrize(("adapter", "mode", "name"), LANES)
def test_every_verdict_on_a_lane_leaves_a_trace(
    adapter: str, mode: str, name: str, tmp_path: Path
) -> None:
    lane = ("--adapter", adapter, "--mode", mode, "--lane", name)

    found = traces.names(zoo("good", lane=lane, world=tmp_path))

    assert (found[0], found[-1]) == ("execution.start", "execution.settle")


@pytest.mark.proves("OB-2")
@pytest.mark.parametrize("signum", [SIGINT, SIGTERM, SIGHUP])
@pytest.mark.parametrize(
    ("behaviour", "event"),
    [
        ("good", "execution.start"),
        ("good", "processor.start"),
        ("sleep", "adapter.invoke.start"),
        ("sleep", "processor.log"),
        ("sleep_in_a_call", "provider.call"),
        ("flood_stderr", "processor.log"),
    ],
)
def test_an_interrupt_leaves_a_trace_wherever_it_comes(
    behaviour: str, event: str, signum: Signals, tmp_path: Path
) -> None:
    words = zoo_words(behaviour)
    with start(*words, world=tmp_path, command=ZOO_COMMAND) as process:
        read = read_until(process, event)
        process.send_signal(signum)
        result: Result = finish(process, world=tmp_path, read=read)

    assert result.exit_code in (0, 130 if signum == SIGINT else 143)  # 0: it was faster
    traces.names(result)
