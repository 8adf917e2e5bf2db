"""World paths: one canonical form, one reason for each rule."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from processors.protocol import paths
from processors.protocol.errors import ContractError
from processors.protocol.paths import canonical_path, canonical_prefix, is_under

CANONICAL = {
    "plain": ("/artifacts/a/b.txt", "/artifacts/a/b.txt"),
    "every_facet_streams": ("/streams/x", "/streams/x"),
    "every_facet_plan": ("/plan", "/plan"),
    "every_facet_goals": ("/goals/g", "/goals/g"),
    "escape": ("/artifacts/a%20b", "/artifacts/a b"),
    "escape_of_a_letter": ("/%61rtifacts/%41", "/artifacts/A"),
    "escape_in_lower_case": ("/artifacts/%c3%a9", "/artifacts/\u00e9"),
    "escape_of_utf8": ("/artifacts/%F0%9F%98%80", "/artifacts/\U0001f600"),
    "decomposed": ("/artifacts/e\u0301", "/artifacts/\u00e9"),
    "escaped_and_decomposed": ("/artifacts/e%CC%81", "/artifacts/\u00e9"),
    "singleton": ("/artifacts/\u212b", "/artifacts/\u00c5"),
    "three_dots": ("/artifacts/...", "/artifacts/..."),
    "hidden_file": ("/artifacts/.x", "/artifacts/.x"),
    "trailing_blank": ("/artifacts/x ", "/artifacts/x "),
    "backslash_is_a_letter": ("/artifacts/a\\b", "/artifacts/a\\b"),
    "longest_segment": ("/artifacts/" + "x" * 255, "/artifacts/" + "x" * 255),
}

REFUSED = {
    "": "path_not_absolute",
    "artifacts/x": "path_not_absolute",
    "./artifacts": "path_not_absolute",
    "%2Fartifacts/x": "path_not_absolute",
    "/": "path_empty_segment",
    "//artifacts/x": "path_empty_segment",
    "/artifacts//x": "path_empty_segment",
    "/artifacts/": "path_empty_segment",
    "/artifacts/.": "path_dot_segment",
    "/artifacts/..": "path_dot_segment",
    "/artifacts/a/../b": "path_dot_segment",
    "/artifacts/%2e%2E/x": "path_dot_segment",
    "/artifacts/.%2e": "path_dot_segment",
    "/artifacts/%": "path_bad_percent",
    "/artifacts/%4": "path_bad_percent",
    "/artifacts/%4x": "path_bad_percent",
    "/artifacts/% 4": "path_bad_percent",
    "/artifacts/%\uff14\uff11": "path_bad_percent",
    "/artifacts/%25": "path_bad_percent",
    "/artifacts/%252e": "path_bad_percent",
    "/artifacts/%ff": "path_bad_percent",
    "/artifacts/%ed%a0%80": "path_bad_percent",
    "/artifacts/a%2fb": "path_encoded_slash",
    "/artifacts/a%2Fb": "path_encoded_slash",
    "/artifacts/a\nb": "path_bad_character",
    "/artifacts/a%0ab": "path_bad_character",
    "/artifacts/a%00": "path_bad_character",
    "/artifacts/\x7f": "path_bad_character",
    "/artifacts/\x9f": "path_bad_character",
    "/artifacts/\ud800": "path_bad_character",
    "/other/x": "path_unknown_facet",
    "/Artifacts/x": "path_unknown_facet",
    "/artifacts.x/y": "path_unknown_facet",
    "/artifacts/" + "x" * 256: "path_too_long",
    "/artifacts/" + "\u00e9" * 128: "path_too_long",
    "/artifacts" + "/x" * 508: "path_too_long",
    "/artifacts/" + "x" * 100_000: "path_too_long",
}


@pytest.mark.parametrize(("text", "expected"), CANONICAL.values(), ids=CANONICAL)
def test_a_path_has_one_canonical_form_which_stays_as_it_is(text: str, expected: str) -> None:
    assert canonical_path(text) == expected
    assert canonical_path(expected) == expected


@pytest.mark.parametrize(("text", "reason"), REFUSED.items(), ids=lambda text: ascii(text[:40]))
def test_each_rule_refuses_with_its_own_reason(text: str, reason: str) -> None:
    with pytest.raises(ContractError) as caught:
        canonical_path(text)

    assert (caught.value.code, caught.value.reason) == ("ERR_INPUTS", reason)


def test_the_longest_path_is_accepted() -> None:
    path = "/artifacts" + "/x" * 507

    assert len(path) == paths.PATH_CHARS_MAX
    assert canonical_path(path) == path


def test_a_refusal_quotes_a_bounded_printable_piece() -> None:
    with pytest.raises(ContractError) as caught:
        canonical_path("\x1b[31m\u202e" + "x" * 5_000)

    assert caught.value.message.isascii()
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 300


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/artifacts/a/", "/artifacts/a/"),
        ("/artifacts/a/e%CC%81/", "/artifacts/a/\u00e9/"),
        ("/artifacts/attachedx/", "/artifacts/attachedx/"),
        ("/artifacts/executions/", "/artifacts/executions/"),
    ],
)
def test_a_write_prefix_is_a_folder_under_artifacts(text: str, expected: str) -> None:
    assert canonical_prefix(text) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "path_bad_prefix"),
        ("/", "path_not_absolute"),
        ("/artifacts/a", "path_bad_prefix"),
        ("/artifacts/", "path_bad_prefix"),
        ("/plan/a/", "path_bad_prefix"),
        ("/streams/", "path_bad_prefix"),
        ("/artifacts/a//", "path_empty_segment"),
        ("/artifacts/../plan/", "path_dot_segment"),
        ("/artifacts/a%2F", "path_bad_prefix"),
        ("/artifacts/attached/", "path_bad_prefix"),
        ("/artifacts/attached/x/", "path_bad_prefix"),
        ("/artifacts/%61ttached/x/", "path_bad_prefix"),
        ("/artifacts/execution/", "path_bad_prefix"),
        ("/artifacts/execution/other/", "path_bad_prefix"),
    ],
)
def test_a_bad_write_prefix_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ContractError) as caught:
        canonical_prefix(text)

    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("path", "inside"),
    [
        ("/artifacts/a/", True),
        ("/artifacts/a/b", True),
        ("/artifacts/a/b/c", True),
        ("/artifacts/a", False),
        ("/artifacts/ab", False),
        ("/artifacts/ab/c", False),
        ("/artifacts/", False),
    ],
)
def test_containment_goes_by_segments(path: str, *, inside: bool) -> None:
    assert is_under(path, "/artifacts/a/") is inside


def test_the_places_of_an_execution_are_fixed() -> None:
    assert paths.receipt_path("/artifacts/a/") == "/artifacts/a/receipt.json"
    assert paths.index_path("/artifacts/a/") == "/artifacts/a/outputs.json"
    assert paths.determinism_path("x-1") == "/artifacts/execution/x-1/determinism.json"


def test_a_path_may_be_escaped_throughout() -> None:
    path = "/artifacts" + ("/" + "\u00e9" * 100) * 6
    escaped = quote(path)

    assert len(escaped) > 3 * paths.PATH_CHARS_MAX
    assert canonical_path(escaped) == path


def test_a_write_prefix_leaves_room_for_its_outputs() -> None:
    with pytest.raises(ContractError) as caught:
        canonical_prefix("/artifacts" + ("/" + "x" * 100) * 6 + "/")

    assert caught.value.reason == "path_too_long"
