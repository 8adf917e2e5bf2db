"""Declared effects: where they are to be, and which of them did not come."""

from __future__ import annotations

import pytest

from orchestrator.goals import effects

TEXT = [
    "/artifacts/text/{name}/outputs/text.md",
    "/artifacts/text/{name}/outputs/metadata.json",
]
PAGES = ["/artifacts/pages/{name}/outputs/{page}.png"]
NAMED = ["/artifacts/pages/{name}/outputs/of-{name}.png"]


def test_the_write_prefix_settles_what_the_wildcards_stand_for() -> None:
    assert effects.prefix_of(TEXT[0]) == "/artifacts/text/{name}/"
    assert effects.bindings(TEXT[0], "/artifacts/text/a/") == {"name": "a"}
    assert effects.bindings(TEXT[0], "/artifacts/demo/a/") is None
    assert effects.declared(TEXT, "/artifacts/text/a/") == [
        "/artifacts/text/a/outputs/text.md",
        "/artifacts/text/a/outputs/metadata.json",
    ]
    assert effects.declared(NAMED, "/artifacts/pages/a/") == ["/artifacts/pages/a/outputs/of-a.png"]


def test_another_prefix_settles_nothing_and_the_rest_stands() -> None:
    assert effects.declared(TEXT, "/artifacts/demo/x-{name}/") == [
        "/artifacts/demo/x-{name}/outputs/text.md",
        "/artifacts/demo/x-{name}/outputs/metadata.json",
    ]
    assert effects.declared(NAMED, "/artifacts/demo/") == ["/artifacts/demo/outputs/of-{name}.png"]


@pytest.mark.parametrize(
    ("products", "prefix", "made", "missing"),
    [
        (TEXT, "/artifacts/text/a/", ["text.md", "metadata.json"], None),
        (TEXT, "/artifacts/text/a/", ["text.md", "metadata.json", "more.txt"], None),
        (TEXT, "/artifacts/text/a/", ["text.md"], "metadata.json"),
        (TEXT, "/artifacts/text/a/", [], "text.md"),
        (TEXT, "/artifacts/text/a/", ["sub/text.md", "metadata.json"], "text.md"),
        (TEXT, "/artifacts/demo/x/y/", ["text.md", "metadata.json"], None),
        (TEXT, "/artifacts/demo/x/y/", ["metadata.json"], "text.md"),
        (TEXT, "/artifacts/{name}/", ["text.md", "metadata.json"], None),
        (PAGES, "/artifacts/pages/a/", ["7.png"], None),
        (PAGES, "/artifacts/pages/a/", ["7.jpg"], "{page}.png"),
        (NAMED, "/artifacts/pages/a/", ["of-a.png"], None),
        (NAMED, "/artifacts/pages/a/", ["of-b.png"], "of-a.png"),
        (NAMED, "/artifacts/demo/", ["of-b.png"], None),
        ([], "/artifacts/demo/", ["anything"], None),
    ],
)
def test_every_declared_product_must_be_there(
    products: list[str], prefix: str, made: list[str], missing: str | None
) -> None:
    found = effects.missing(products, prefix, [f"{prefix}outputs/{name}" for name in made])

    assert found == (None if missing is None else f"{prefix}outputs/{missing}")
