"""The names of Modal apps: of the grammar whatever goes in, never shared, the same everywhere."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.naming import (
    ENVIRONMENTS,
    NAME_CHARS_MAX,
    NAME_GRAMMAR,
    PERSONAL,
    TAIL_CHARS,
    modal_app_name_from_ref,
)
from processors.protocol.refs import NAME_GRAMMAR as PART_GRAMMAR
from processors.protocol.refs import Ref
from tests.property.profile import searched

# A ref, a branch and a user; what an app is known by within an environment.
type Identity = tuple[str, str, int, str | None, str | None]

PIECES = st.sampled_from(
    [
        *("a", "b", "A", "k", "K", "1", "v1", "v", "doc", "ap", "-", "--", "_", ".", "/", ":", " "),
        *("\u212a", "\u00e9", "e\u0301", "\u0130", "\u0131", "\u0661", "\uff41", "\u00df", "\x00"),
        *("\ud800", "\udfff", "\ud83d", "\ude00", "\U0001f600", "2:a", "0:", "\n", "x" * 22),
        *("x" * 40, "0" * TAIL_CHARS, "c-doc-extract-v1-b41352d7582e1c18c9b3219c"),
    ]
)
ANY = st.text(st.characters(codec=None), max_size=4)
TEXTS = st.lists(PIECES | ANY, max_size=6).map("".join)
WORDS = st.from_regex("[ab1]{1,3}", fullmatch=True) | st.from_regex("[a-c]{20,50}", fullmatch=True)
DASHED = st.lists(WORDS, min_size=3, max_size=20)
PARTS = st.from_regex(PART_GRAMMAR, fullmatch=True) | st.from_regex(
    "[ab][ab_]{0,3}", fullmatch=True
)
VERSIONS = st.sampled_from([1, 2, 11, 9999]) | st.integers(1, 9999)

PERSONS = st.tuples(PARTS, PARTS, VERSIONS, TEXTS | WORDS | DASHED.map("-".join), TEXTS | WORDS)
# What no ref of the grammar is, but the type allows.
WILD = st.tuples(TEXTS, TEXTS, st.integers(-(10**40), 10**40), TEXTS, TEXTS)
# Around the limit, with nothing but the length to lose.
PLAIN = st.from_regex("[a-c]{5,32}", fullmatch=True)
LONG = st.tuples(PLAIN, PLAIN, VERSIONS, WORDS, WORDS)
IDENTITIES: st.SearchStrategy[Identity] = (
    PERSONS | WILD | LONG | st.tuples(PARTS, PARTS, VERSIONS, st.none(), st.none())
)


def name_of(identity: Identity, env: str = PERSONAL) -> str:
    ns, name, version, branch, user = identity
    return modal_app_name_from_ref(Ref(ns, name, version), env, branch, user)


@st.composite
def neighbours(draw: st.DrawFn) -> tuple[Identity, Identity]:
    """Two identities of which the second is the first, hardly changed."""
    ns, name, version, branch, user = draw(PERSONS | WILD)
    if draw(st.booleans()):
        words = draw(DASHED)
        branch, user = "-".join(words[:1]), "-".join(words[1:])
    first: Identity = (ns, name, version, branch, user)
    joined = draw(st.sampled_from(["-", "", "_"])).join([branch, user, ns, name])
    cuts = sorted(draw(st.tuples(*[st.integers(0, len(joined))] * 3)))
    known = name_of(first)
    second: Identity = draw(
        st.sampled_from(
            [
                (ns, name, version, f"{branch}-{user.partition('-')[0]}", user.partition("-")[2]),
                (ns, name, version, user, branch),
                (name, ns, version, branch, user),
                (ns, name, version, branch.lower(), user.lower()),
                (ns, name, version, branch.swapcase(), user),
                (ns, name, version, branch.replace("_", "-"), user.replace("-", "_")),
                (ns.replace("_", "-"), name, version, branch, user),
                (ns + "_", name, version, branch, user),
                (ns, "_" + name, version, branch, user),
                (ns, name, version, "", branch + user),
                (ns, name, version, branch + "-" + user, ""),
                (ns, name, version, branch + "-", user),
                (ns, name, version, branch, "x" * 64 + user),
                (ns, name, version, known, ""),
                (ns, name, version, "", known),
                (ns, name, version, known.partition("-")[0], known.partition("-")[2]),
                (ns, name, version, None, None),
                (
                    joined[cuts[1] : cuts[2]],
                    joined[cuts[2] :],
                    version,
                    joined[: cuts[0]],
                    joined[cuts[0] : cuts[1]],
                ),
            ]
        )
    )
    return first, second


@pytest.mark.proves("NM-3")
@searched
@given(IDENTITIES)
def test_whatever_goes_in_a_name_is_of_the_grammar(identity: Identity) -> None:
    name = name_of(identity)

    assert re.fullmatch(NAME_GRAMMAR, name), name
    assert len(name) <= NAME_CHARS_MAX == 64
    assert re.fullmatch("[A-Za-z0-9-_.]+", name)
    assert not re.fullmatch("ap-[A-Za-z0-9]{22}", name)
    assert not name.startswith("-")
    assert not name.endswith("-")
    assert "--" not in name


@pytest.mark.proves("NM-4")
@searched
@given(IDENTITIES, IDENTITIES)
def test_two_identities_never_share_a_name(first: Identity, second: Identity) -> None:
    assert (name_of(first) == name_of(second)) == (first == second)


@pytest.mark.proves("NM-4")
@searched
@given(neighbours())
def test_two_identities_that_are_hardly_apart_never_share_a_name(
    pair: tuple[Identity, Identity],
) -> None:
    first, second = pair

    assert (name_of(first) == name_of(second)) == (first == second)


@pytest.mark.proves("NM-4")
@searched
@given(st.sets(st.tuples(PARTS, PARTS, VERSIONS, st.none(), st.none()), max_size=20))
def test_refs_never_share_a_name_in_any_environment(identities: set[Identity]) -> None:
    for env in ENVIRONMENTS:
        assert len({name_of(identity, env) for identity in identities}) == len(identities)


@searched
@given(IDENTITIES)
def test_a_name_without_a_tail_tells_what_it_was_made_of(identity: Identity) -> None:
    """The argument of the module for plain names, executed."""
    name = name_of(identity)
    words = name.split("-")
    if len(words[-1]) == TAIL_CHARS:
        return
    ns, ref_name, version, branch, user = identity
    given_parts = [ns, ref_name, f"v{version}"]
    if branch is not None and user is not None:
        given_parts = [branch, user, *given_parts]

    assert words == given_parts


CALL = """
import json, sys
sys.path[:0] = json.loads(sys.argv[1])
from orchestrator.naming import modal_app_name_from_ref
from processors.protocol.refs import Ref
print(json.dumps([
    modal_app_name_from_ref(Ref(ns, name, version), "dev", branch, user)
    for ns, name, version, branch, user in json.load(sys.stdin)
]))
"""

KEPT: list[Identity] = [
    ("doc", "extract", 1, None, None),
    ("doc", "extract", 1, "main", "ada"),
    ("doc", "extract", 1, "Feat/\u00e9", "ada@corp.test"),
    ("my_ns", "chat", 9999, "\ud800\U0001f600", ""),
    ("n" * 32, "n" * 32, 9999, "b" * 300, "u" * 300),
]


@pytest.mark.parametrize("seed", ["0", "1", "4294967295", "random"])
def test_every_process_finds_the_same_names(seed: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-B", "-c", CALL, json.dumps(sys.path)],
        input=json.dumps(KEPT),
        env={"PYTHONHASHSEED": seed, "LANG": "C"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == [name_of(identity) for identity in KEPT]
