"""Refs, execution ids and artifact names: closed grammars."""

from __future__ import annotations

import re

import pytest

from processors.protocol import refs

PARTS = (
    "a",
    "z9",
    "a_b",
    "_a",
    "9a",
    "A",
    "a-b",
    "",
    "\u00e9",
    "a\n",
    "a" * 32,
    "a" * 33,
)
VERSIONS = ("1", "9999", "0", "01", "10000", "", "-1", "+1", " 1", "1\n", "\u0661", "1.0", "v1")


def test_a_ref_is_accepted_exactly_when_its_published_grammar_matches() -> None:
    texts = [f"{ns}/{name}@{ver}" for ns in PARTS for name in PARTS for ver in VERSIONS]
    texts += ["", "a", "a/b", "a@1", "/@", "a/b/c@1", "a/b@1@2", "@1/a/b"]

    for text in texts:
        matches = re.fullmatch(refs.REF_GRAMMAR, text, re.ASCII) is not None
        assert (refs.parse_ref(text) is not None) == matches, ascii(text)


def test_a_ref_is_spelled_as_it_was_read_and_names_its_folder() -> None:
    ref = refs.parse_ref("doc/extract@12")

    assert ref is not None
    assert str(ref) == "doc/extract@12"
    assert ref.folder == "doc/extract/v12"
    assert (ref.ns, ref.name, ref.version) == ("doc", "extract", 12)


@pytest.mark.parametrize("text", [*PARTS, *VERSIONS, "a" * 63, "a" * 64, "-a", "a-", "9-z", "A-1"])
def test_ids_and_names_are_accepted_exactly_when_their_grammar_matches(text: str) -> None:
    is_id = re.fullmatch(refs.EXECUTION_ID_GRAMMAR, text, re.ASCII) is not None
    is_name = re.fullmatch(refs.NAME_GRAMMAR, text, re.ASCII) is not None

    assert refs.is_execution_id(text) == is_id
    assert refs.is_name(text) == is_name


@pytest.mark.proves("HR-1")
def test_there_are_two_modes() -> None:
    assert refs.MODES == ("mock", "real")
