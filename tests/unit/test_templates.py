"""World paths with wildcards: one way to match or none, and every mistake has its words."""

from __future__ import annotations

import pytest

from orchestrator.goals.templates import WILDCARDS_MAX, Template


@pytest.mark.parametrize(
    ("template", "path", "found"),
    [
        ("/artifacts/raw/{name}.pdf", "/artifacts/raw/a.pdf", {"name": "a"}),
        ("/artifacts/raw/{name}.pdf", "/artifacts/raw/a.pdf.pdf", {"name": "a.pdf"}),
        ("/artifacts/raw/{name}", "/artifacts/raw/{name}", {"name": "{name}"}),
        ("/artifacts/{a}/{b}/{a}", "/artifacts/x/y/x", {"a": "x", "b": "y"}),
        ("/artifacts/{a}/{b}/{a}", "/artifacts/x/y/z", None),
        ("/artifacts/raw/{name}.pdf", "/artifacts/raw/.pdf", None),
        ("/artifacts/raw/{name}.pdf", "/artifacts/raw/a/b.pdf", None),
        ("/artifacts/raw/{name}.pdf", "/artifacts/raw/a.html", None),
        ("/artifacts/raw/{name}.pdf", "/artifacts/raw", None),
        ("/artifacts/raw/ab{name}bc", "/artifacts/raw/abc", None),
        ("/artifacts/raw/ab{name}bc", "/artifacts/raw/abxbc", {"name": "x"}),
        ("/artifacts/a", "/artifacts/a", {}),
        ("/artifacts/a", "/artifacts/b", None),
    ],
)
def test_a_path_matches_in_one_way_or_none(
    template: str, path: str, found: dict[str, str] | None
) -> None:
    assert Template(template).match(path) == found
    if found is not None:
        assert Template(template).substitute(found) == path


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("/artifacts/{a}{b}", "more than one wildcard"),
        ("/artifacts/{a}-{b}", "more than one wildcard"),
        ("/artifacts/{", "a brace that is no"),
        ("/artifacts/}", "a brace that is no"),
        ("/artifacts/{}", "a brace that is no"),
        ("/artifacts/{A}", "a brace that is no"),
        ("/artifacts/{a}}", "a stray brace"),
        ("/artifacts/{a/b}", "a brace that is no"),
        ("/artifacts/../{a}", "segment"),
        ("/artifacts/%61/{a}", "not canonical"),
        ("/elsewhere/{a}", "starts with none of"),
        ("artifacts/{a}", "does not start with /"),
        ("/{a}/b", "starts with none of"),
        ("/artifacts/" + "/".join(f"{{n{i}}}" for i in range(WILDCARDS_MAX + 1)), "at most 8"),
    ],
)
def test_what_is_no_template_says_why(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Template(text)


def test_names_and_folder_are_those_of_the_text() -> None:
    template = Template("/artifacts/a/{b}-x/{c}/{b}")

    assert template.names == ("b", "c")
    assert template.folder == "/artifacts/a/"
    assert Template("/artifacts/a/b{c}").folder == "/artifacts/a/"
    assert Template("/artifacts/a/b").folder == "/artifacts/a/"
    with pytest.raises(KeyError):
        template.substitute({"b": "x"})
