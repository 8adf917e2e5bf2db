"""World paths: idempotent, never outside their folder, one reason for each refusal."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.protocol import paths
from processors.protocol.errors import ContractError
from processors.protocol.paths import FACETS, canonical_path, canonical_prefix, is_under
from tests.property.profile import searched

PIECES = st.sampled_from(
    [
        *("artifacts", "streams", "plan", "goals", "attached", "execution", "outputs", "a", "b"),
        *(".", "..", "...", "/", "//", "%2e", "%2E%2e", "%2f", "%2F", "%", "%%", "%25", "%252e"),
        *("%c3%a9", "%ff", "e\u0301", "\u00e9", "\u212b", "\u0958", "\ufb33", "\ud800", "\x00"),
        *("\n", "\\", " ", "%20", "%00", "\U0001f600", "x" * 200),
    ]
)
TEXTS = st.lists(PIECES | st.text(max_size=3), max_size=12).map("".join)
PATHS = TEXTS.map(lambda text: "/artifacts/" + text) | TEXTS | TEXTS.map(lambda text: "/" + text)
PREFIXES = PATHS.map(lambda text: text + "/")


def accepted(canonicalise: Callable[[str], str], text: str) -> str | None:
    """The canonical form, or None after a refusal that must be of the table."""
    try:
        return canonicalise(text)
    except ContractError as error:
        row = error.row
    assert row.code == "ERR_INPUTS"
    assert row.reason.startswith("path_")
    return None


@searched
@given(PATHS)
def test_a_path_is_refused_for_one_reason_or_has_a_form_that_stays(text: str) -> None:
    path = accepted(canonical_path, text)
    if path is None:
        return
    assert canonical_path(path) == path
    assert unicodedata.is_normalized("NFC", path)
    segments = path.split("/")
    assert segments[0] == ""
    assert segments[1] in FACETS
    assert not {"", ".", ".."} & set(segments[1:])
    assert "%" not in path
    assert len(path) <= 1_024
    assert all(len(segment.encode()) <= 255 for segment in segments)


@pytest.mark.proves("EV-4")
@searched
@given(PREFIXES, TEXTS)
def test_what_lies_under_a_prefix_does_so_by_segments(prefix_text: str, rest: str) -> None:
    """Whatever is appended to a prefix stays below it, or is no path at all."""
    try:
        prefix = canonical_prefix(prefix_text)
        path = canonical_path(prefix + rest)
    except ContractError:
        return
    folder = prefix.rstrip("/").split("/")
    assert is_under(path, prefix)
    assert path.split("/")[: len(folder)] == folder
    assert not is_under(path, prefix.rstrip("/") + "x/")


@pytest.mark.proves("EV-4")
@searched
@given(PATHS, PREFIXES)
def test_under_means_that_the_segments_agree(path_text: str, prefix_text: str) -> None:
    try:
        path, prefix = canonical_path(path_text), canonical_prefix(prefix_text)
    except ContractError:
        return
    folder = prefix.rstrip("/").split("/")
    by_segments = path.split("/")[: len(folder)] == folder and path != prefix.rstrip("/")

    assert is_under(path, prefix) == by_segments


@searched
@given(PREFIXES)
def test_a_write_prefix_stays_as_it_is_and_is_never_a_reserved_place(text: str) -> None:
    prefix = accepted(canonical_prefix, text)
    if prefix is None:
        return
    assert canonical_prefix(prefix) == prefix
    assert prefix.split("/")[1] == "artifacts"
    assert prefix.split("/")[2] not in ("", "attached", "execution")


@searched
@given(PATHS | st.text(st.sampled_from("/ab.%\x7f ~"), max_size=8).map("/goals/".__add__))
def test_what_is_canonical_by_its_looks_is_canonical_by_the_rules(text: str) -> None:
    """The short way of judging a path gives what the long way gives."""
    short = accepted(canonical_path, text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "_is_plain", lambda _: False)
        assert accepted(canonical_path, text) == short
