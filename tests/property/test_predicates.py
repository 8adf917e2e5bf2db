"""Predicates are pure, an error is never true, and a witness is enough to say it again."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from orchestrator.goals import goal as goals
from orchestrator.goals import judging
from orchestrator.goals.goal import Stated
from orchestrator.goals.judging import Verdict
from orchestrator.goals.view import View
from orchestrator.world import goal_facts, grammar
from processors.protocol import digests
from processors.protocol.canonical import Json, canonical
from tests.property.profile import searched
from tests.simulators.snapshot import MemorySnapshot

PATHS = [*(f"/artifacts/in/{name}" for name in ("a.txt", "b.txt", "c.json")), "/artifacts/b/a.txt"]
BYTES = st.sampled_from(
    [b"", b"a", b"a b c", b"\xff", b'{"n": 1}', b"[true]", b"h,i\n1,2\n", b"{}\n{}\n", b"true"]
)
FILES = st.dictionaries(st.sampled_from(PATHS), BYTES, max_size=4)
PATH = st.sampled_from(PATHS)
SMALL = st.integers(0, 3)
EXPRESSIONS = ["n > `0`", "@", "[0]", "length(@) == `1`", "keys(@)", "n && `true`"]
SCHEMA: Json = {"type": "object", "properties": {"n": {"type": "integer"}}}

ARGS: dict[str, st.SearchStrategy[dict[str, Json]]] = {
    "artifact.exists": st.fixed_dictionaries({"path": PATH}),
    "artifact.digest": st.fixed_dictionaries({"path": PATH, "cid": BYTES.map(digests.of_bytes)}),
    "artifact.size_between": st.fixed_dictionaries(
        {"path": PATH, "at_least_bytes": SMALL, "at_most_bytes": SMALL}
    ),
    "artifact.count_at_least": st.fixed_dictionaries(
        {
            "pattern": st.sampled_from(["/artifacts/in/{n}.txt", "/artifacts/{a}/{b}"]),
            "count": st.integers(1, 4),
        }
    ),
    "json.schema_ok": st.fixed_dictionaries({"path": PATH, "schema": st.just(SCHEMA)}),
    "json.matches": st.fixed_dictionaries(
        {"path": PATH, "expression": st.sampled_from(EXPRESSIONS)}
    ),
    "text.matches": st.fixed_dictionaries(
        {"path": PATH, "pattern": st.sampled_from(["a", "^b", "(a*)*c"])}
    ),
    "table.rows_between": st.fixed_dictionaries(
        {
            "path": PATH,
            "format": st.sampled_from(["csv", "csv_with_header", "jsonl"]),
            "at_least_rows": SMALL,
            "at_most_rows": SMALL,
        }
    ),
    "receipt.deterministic": st.just({"path": "/artifacts/in/receipt.json"}),
    "ledger.intact": st.just({}),
    "goal.satisfied": st.just({"goal": "other"}),
    "words.at_least": st.fixed_dictionaries({"path": PATH, "words": SMALL}),
}


def one_of(name: str) -> st.SearchStrategy[Stated]:
    args = ARGS[name]
    plain = args.map(lambda found: Stated("it", name, goals.SUCCESS, None, found))
    if name in ("artifact.count_at_least", "ledger.intact", "goal.satisfied"):
        return plain
    each = st.sampled_from(["/artifacts/in/{f}", "/artifacts/{d}/{f}.txt"])
    bound = st.builds(
        lambda found, pattern: Stated(
            "it", name, goals.SUCCESS, pattern, {**found, "path": "/artifacts/b/{f}"}
        ),
        args,
        each,
    )
    return plain | bound


STATED = st.sampled_from(sorted(ARGS)).flatmap(one_of)


@st.composite
def worlds(draw: st.DrawFn) -> MemorySnapshot:
    """A world with some artifacts, some bytes gone, and perhaps a goal."""
    snapshot = MemorySnapshot(draw(FILES))
    for data in draw(st.lists(BYTES, max_size=1)):
        snapshot.gone.add(digests.of_bytes(data))
    snapshot.wrong = draw(st.sampled_from([None, "event 2"]))
    if draw(st.booleans()):
        other = draw(STATED.filter(lambda stated: stated.predicate != "goal.satisfied"))
        document: dict[str, Json] = {"schema": "v1", "name": "other", "summary": "x"}
        document |= {"budget_micro_usd": 0, "processors": None, "transitions": [], "use": {}}
        snapshot.put(
            goal_facts.goal_path("other"), canonical({**document, "predicates": [other.as_json()]})
        )
    return snapshot


def covered(path: str, verdict: Verdict) -> bool:
    """Whether a witness lets somebody look at a path: it names it, or is about its whole folder."""
    artifacts, whole = verdict.witness["artifacts"], verdict.witness["whole"]
    assert isinstance(artifacts, list)
    assert isinstance(whole, list)
    folders = [str(pattern).partition("{")[0].rpartition("/")[0] + "/" for pattern in whole]
    named = {str(item["path"]) for item in artifacts if isinstance(item, dict)}
    return path in named or path == "ledger" or any(path.startswith(each) for each in folders)


@pytest.mark.proves("WL-5")
@searched
@given(worlds(), STATED)
def test_the_same_snapshot_gives_the_same_verdict(world: MemorySnapshot, stated: Stated) -> None:
    before = canonical(dict(stated.args))

    first, second = judging.judge(stated, world), judging.judge(stated, world)

    assert first.as_json() == second.as_json()
    assert first.value in ("true", "false", "error")
    assert grammar.is_plain(first.witness)
    assert canonical(dict(stated.args)) == before


@pytest.mark.proves("WL-5")
@searched
@given(worlds(), STATED)
def test_a_witness_is_enough_to_judge_again_and_nothing_else_is_touched(
    world: MemorySnapshot, stated: Stated
) -> None:
    verdict = judging.judge(stated, world)
    world.asked.clear()

    assert judging.recheck(stated, verdict, world)

    assert {path for path in world.asked if not covered(path, verdict)} == set()


@pytest.mark.proves("WL-5")
@searched
@given(worlds(), STATED, st.integers(0, 4))
def test_a_witness_that_leaves_something_out_is_refused_and_not_made_up_for(
    world: MemorySnapshot, stated: Stated, which: int
) -> None:
    verdict = judging.judge(stated, world)
    artifacts = verdict.witness["artifacts"]
    assert isinstance(artifacts, list)
    assume(artifacts)
    less = artifacts[: which % len(artifacts)] + artifacts[which % len(artifacts) + 1 :]
    short = Verdict(verdict.value, {**verdict.witness, "artifacts": less})
    world.asked.clear()

    stands = judging.recheck(stated, short, world)

    assert not stands or verdict.value == "error"  # which the rest may show as well
    assert {path for path in world.asked if not covered(path, short)} == set()


@pytest.mark.proves("WL-5")
@searched
@given(worlds(), STATED, PATH, st.none() | BYTES)
def test_a_verdict_whose_witness_stands_is_never_the_opposite_in_a_changed_world(
    world: MemorySnapshot, stated: Stated, path: str, data: bytes | None
) -> None:
    """By look-ups alone: whatever happens elsewhere, what was named decides.

    A new look goes past what a witness needs, and may meet bytes there that are gone.
    """
    verdict = judging.judge(stated, world)
    there = world.artifact(path) is not None
    if data is not None:
        world.put(path, data)
    elif there:
        world.remove(path)

    stands = judging.stands(verdict, world)

    again = judging.judge(stated, world).value
    if verdict.value != "error" and (stands or judging.recheck(stated, verdict, world)):
        assert again in (verdict.value, "error")


@pytest.mark.proves("WL-5")
@searched
@given(worlds(), STATED)
def test_an_error_is_never_true(world: MemorySnapshot, stated: Stated) -> None:
    """Neither by itself, nor for one of many, nor within another goal."""
    for data in [b"", b"a", b"a b c"]:
        world.gone.add(digests.of_bytes(data))
    verdict = judging.judge(stated, world)
    view = View(world, judging.answer)

    assert verdict.is_true == (verdict.value == "true")
    if verdict.value == "error":
        assert "error" in str(verdict.witness["found"])
        assert list(judging.unproved(stated, world))
    if verdict.is_true and stated.for_each is None:
        assert view.holds(stated)
        gone = [view.artifact(path) for path in PATHS if path in str(stated.args)]
        assert all(item is None or item.cid not in world.gone for item in gone)
