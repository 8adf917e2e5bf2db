"""The search: run a target on random input until it breaks its invariant or the count is done."""

from __future__ import annotations

import time
from random import Random

from processors.protocol.errors import MESSAGE_CHARS_MAX, ContractError
from tools.fuzz import mutate
from tools.fuzz.targets import Target

SHRINK_RUNS_MAX = 4_000
GRAMMAR_SHARE = 0.7  # of the inputs; the rest is examples with changed bytes
SCRAMBLE_SHARE = 0.2  # of what the grammar makes is changed as bytes too


class Found:
    """What a search saw. ``data`` is None if the invariant held throughout."""

    def __init__(self) -> None:
        self.runs = 0
        self.accepted = 0
        self.seconds = 0.0
        self.slowest_s = 0.0
        self.data: bytes | None = None
        self.shrunk = b""
        self.why = ""


def search(target: Target, runs: int, seed: int) -> Found:
    """Run the target's examples, then random inputs; stop at the first break."""
    rng = Random(f"{seed}/{target.name}")  # noqa: S311 - repeatable, not secret
    found = Found()
    start = time.monotonic()
    while found.runs < runs and found.data is None:
        data = _input(target, rng, found.runs)
        found.runs += 1
        before = time.monotonic()
        why = breach(target, data, found)
        found.slowest_s = max(found.slowest_s, time.monotonic() - before)
        if why is not None:
            found.data, found.why = data, why
            found.shrunk = shrink(target, data, why)
    found.seconds = time.monotonic() - start
    return found


def breach(target: Target, data: bytes, found: Found | None = None) -> str | None:
    """Say how an input breaks the target's invariant, or None."""
    try:
        target.run(data)
    except ContractError as error:
        if error.code != target.code:
            return f"ContractError of {error.code}, not {target.code}"
        if len(error.message) > MESSAGE_CHARS_MAX:
            return "ContractError with an unbounded message"
    except Exception as error:  # noqa: BLE001 - these are what the search is for
        return f"{type(error).__name__} in {_place(error)}"
    else:
        if found is not None:
            found.accepted += 1
    return None


def shrink(target: Target, data: bytes, why: str) -> bytes:
    """Cut pieces out while the same thing breaks."""
    runs = 0
    size = max(1, len(data) // 2)
    while size:
        at = 0
        while at < len(data) and runs < SHRINK_RUNS_MAX:
            runs += 1
            shorter = data[:at] + data[at + size :]
            if breach(target, shorter) == why:
                data = shorter
            else:
                at += size
        size //= 2
    return data


def _input(target: Target, rng: Random, number: int) -> bytes:
    if number < len(target.corpus):
        return target.corpus[number]
    if rng.random() >= GRAMMAR_SHARE:
        return mutate.scramble(rng, rng.choice(target.corpus), target.words)
    data = target.grammar(rng)
    if rng.random() < SCRAMBLE_SHARE:
        data = mutate.scramble(rng, data, target.words)
    return data


def _place(error: Exception) -> str:
    """The innermost function of the traceback, so that one bug has one name."""
    place = "no function"
    trace = error.__traceback__
    while trace is not None:
        place = trace.tb_frame.f_code.co_qualname
        trace = trace.tb_next
    return place
