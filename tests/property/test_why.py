"""``why`` names exactly the parts of a pre-image that differ, whatever they are."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.execution import fingerprint, memo
from orchestrator.world import why
from processors.protocol import digests
from processors.protocol.canonical import Json, canonical
from processors.protocol.payload import Artifact, Payload
from tests.fixtures.programs import world_command
from tests.harness import REAL, zoo
from tests.property.profile import searched

TEXTS = st.text(max_size=6)
SCALARS = st.none() | st.booleans() | st.integers(-9, 9) | TEXTS
INPUTS = st.dictionaries(
    TEXTS,
    st.recursive(
        SCALARS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
        max_leaves=8,
    ),
    max_size=3,
)
NAMES = st.sampled_from(["source", "style", "voice"])
FACTS = st.fixed_dictionaries(dict.fromkeys(("arch", "lock", "os", "python"), TEXTS))


class Known:
    """Everything that a result depends on, taken apart."""

    def __init__(
        self, words: list[str], inputs: dict[str, Json], names: set[str], facts: dict[str, str]
    ) -> None:
        self.parts: dict[str, Any] = dict(
            zip(("ref", "code", "registry", "mode"), words, strict=True)
        )
        self.inputs = inputs
        self.artifacts = {name: digests.of_bytes(name.encode()) for name in sorted(names)}
        self.facts = facts

    def preimage(self) -> dict[str, Json]:
        """The pre-image, made as ``run_processor`` makes it."""
        payload = Payload(
            execution_id="e-1",
            ref=self.parts["ref"],
            mode=self.parts["mode"],
            inputs=self.inputs,
            artifacts={
                name: Artifact("/artifacts/" + name, cid, 1) for name, cid in self.artifacts.items()
            },
            write_prefix="/artifacts/x/",
        )
        return memo.preimage(
            payload,
            digests.of_json(self.inputs),
            code=self.parts["code"],
            registry=digests.of_json({"registry": self.parts["registry"]}),
            env_fingerprint=fingerprint.encode(self.facts),
        )


KNOWN = st.builds(
    Known,
    st.lists(TEXTS, min_size=4, max_size=4),
    INPUTS,
    st.sets(NAMES),
    FACTS,
)


def other_than(value: object) -> str:
    """A text that a value is not."""
    return f"not {value!r}"


def flips(known: Known) -> dict[str, Known]:
    """Each part's name and the same with that part alone another one."""
    found = {}
    for name in known.parts:
        found["/" + name] = flipped = copy.deepcopy(known)
        flipped.parts[name] = other_than(known.parts[name])
    for name in known.artifacts:
        found[f"/artifacts/{name}/cid"] = flipped = copy.deepcopy(known)
        flipped.artifacts[name] = digests.of_bytes(b"other")
    for name in known.facts:
        found[f"/env_fingerprint/{name}"] = flipped = copy.deepcopy(known)
        flipped.facts[name] = other_than(known.facts[name])
    for pointer, place in leaves(known.inputs, ()):
        found[f"/inputs{pointer}"] = flipped = copy.deepcopy(known)
        holder: Any = flipped.inputs
        for key in place[:-1]:
            holder = holder[key]
        holder[place[-1]] = other_than(holder[place[-1]])
    return found


def leaves(value: Json, place: tuple[str | int, ...]) -> list[tuple[str, tuple[str | int, ...]]]:
    """JSON pointers of what holds nothing else, with the keys that lead there."""
    if isinstance(value, dict | list) and value:
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        return [leaf for key, item in pairs for leaf in leaves(item, (*place, key))]
    if not place:
        return []
    steps = (str(key).replace("~", "~0").replace("/", "~1") for key in place)
    return [("".join(f"/{step}" for step in steps), place)]


def differing(one: Known, other: Known) -> list[Any]:
    return why.differences(one.preimage(), other.preimage(), (one.inputs, other.inputs))


@pytest.mark.proves("F-6")
@searched
@given(KNOWN)
def test_flipping_one_part_is_exactly_that_line(known: Known) -> None:
    assert differing(known, copy.deepcopy(known)) == []
    for part, flipped in flips(known).items():
        assert known.preimage() != flipped.preimage(), part
        [line] = differing(known, flipped)
        assert line["part"] == part
        [back] = differing(flipped, known)
        assert back == {"part": part, "a": line["b"], "b": line["a"]}


@pytest.mark.proves("F-6")
@searched
@given(KNOWN, KNOWN)
def test_the_lines_are_enough_and_none_is_idle(one: Known, other: Known) -> None:
    """Written over the one, they give the other; and no line says that equals differ."""
    lines = differing(one, other)
    tree: Any = {**one.preimage(), "env_fingerprint": dict(one.facts), "inputs": one.inputs}
    wanted = {**other.preimage(), "env_fingerprint": dict(other.facts), "inputs": other.inputs}
    tree, wanted = escaped(copy.deepcopy(tree)), escaped(copy.deepcopy(wanted))
    assert len({line["part"] for line in lines}) == len(lines)
    for line in reversed(lines):  # what a list loses is taken from its end
        assert line.keys() != {"part"}
        assert "a" not in line or "b" not in line or canonical(line["a"]) != canonical(line["b"])
        *steps, last = line["part"].replace("~1", "\0").split("/")[1:]
        holder = tree
        for step in (each.replace("\0", "/").replace("~0", "~") for each in steps):
            holder = holder[int(step) if isinstance(holder, list) else step]
        write(holder, last.replace("\0", "/").replace("~0", "~"), line)
    assert canonical(tree) == canonical(wanted)


def escaped(tree: dict[str, Any]) -> dict[str, Any]:
    """The fingerprint's values as they stand in the fingerprint."""
    encoded = fingerprint.encode(tree["env_fingerprint"])
    pairs = (item.partition("=") for item in encoded.split(";"))
    return {**tree, "env_fingerprint": {key: value for key, _, value in pairs}}


def write(holder: dict[str, Any] | list[Any], last: str, line: dict[str, Any]) -> None:
    """Bring what a line says for ``b`` into the place that it names."""
    if isinstance(holder, dict):
        holder.pop(last, None)
        if "b" in line:
            holder[last] = line["b"]
    elif "b" not in line:
        holder.pop(int(last))
    elif "a" in line:
        holder[int(last)] = line["b"]
    else:  # of several new ones, the last comes first
        holder.insert(min(int(last), len(holder)), line["b"])


@pytest.mark.proves("F-6")
def test_what_run_processor_recorded_differs_in_what_was_asked_otherwise() -> None:
    """One change to a call is one line, and a run of the same key is reused, without a line."""
    with tempfile.TemporaryDirectory() as folder:
        world = Path(folder)
        calls = {
            "base": {},
            "again": {},
            "text": {"text": "other"},
            "mode": {"lane": REAL, "env": {"ZOO_SECRET": "a long secret"}},
        }
        for name, changed in calls.items():
            options: Any = {"text": "x", **changed}
            words = ("--allow-env", "ZOO_SECRET") if name == "mode" else ()
            words += ("--memo", "--execution-id", name)
            zoo("good", *words, world=world, prefix=f"/artifacts/{name}/", **options)
        found = {
            name: world_command("why", "base", name, world=world).result
            for name in ("again", "text", "mode")
        }

    assert {
        name: [line["part"] for line in each["differences"]] for name, each in found.items()
    } == {
        "again": [],
        "text": ["/inputs/text"],
        "mode": ["/mode"],
    }
    compared = {name: each["inputs_compared"] for name, each in found.items()}
    assert compared == {"again": "equal", "text": "by member", "mode": "equal"}
    assert found["again"]["b"]["status"] == "reused"
    assert found["again"]["a"]["memo_key"] == found["again"]["b"]["memo_key"]
