"""Plans for people: bounded, the same each time, and safe to open."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from orchestrator.goals.domain import Exists, Task
from orchestrator.goals.plan_svg import plan_svg
from orchestrator.goals.plan_text import plan_text
from orchestrator.goals.planner import Refused, plan
from processors.protocol.canonical import Json
from tests.fixtures.plans import REPLY, operator, task

SVG = "{http://www.w3.org/2000/svg}"


def document(asked: Task) -> dict[str, Json]:
    found = plan(asked)
    assert not isinstance(found, Refused)
    return found.document


def fan(size: int) -> dict[str, Json]:
    return document(task(facts=[f"/artifacts/raw/{number:05d}.pdf" for number in range(size)]))


def words(svg: str) -> list[str]:
    """The texts that a picture shows."""
    return [each.text or "" for each in ElementTree.fromstring(svg).iter(f"{SVG}text")]  # noqa: S314 - our own


def test_a_plan_reads_as_text() -> None:
    assert plan_text(fan(5)) == (
        "Goal digest, world at event 7\n"
        "10 steps: $0.000035, 5.5 s one after another, 1.1 s if all that can runs at once\n"
        "\n"
        "doc/extract@1 x 5  ($0.000002, 0.1 s each)\n"
        "  /artifacts/text/00000/\n"
        "    in0 /artifacts/raw/00000.pdf\n"
        "  /artifacts/text/00001/\n"
        "    in0 /artifacts/raw/00001.pdf\n"
        "  /artifacts/text/00002/\n"
        "    in0 /artifacts/raw/00002.pdf\n"
        "  ... and 2 more\n"
        "\n"
        "llm/chat@1 x 5  ($0.000005, 1 s each)\n"
        "  /artifacts/chat/00000/\n"
        "    in0 /artifacts/text/00000/outputs/text.md\n"
        "  /artifacts/chat/00001/\n"
        "    in0 /artifacts/text/00001/outputs/text.md\n"
        "  /artifacts/chat/00002/\n"
        "    in0 /artifacts/text/00002/outputs/text.md\n"
        "  ... and 2 more\n"
        "\n"
        "Then there will be:\n"
        "  /artifacts/chat/{name}/outputs/reply.md for every /artifacts/raw/{name}.pdf"
        "  (0 exist, 5 to be made)\n"
    )


def test_a_certificate_reads_as_text() -> None:
    found = document(task([Exists(REPLY.format(name="c"))]))

    assert plan_text(found) == (
        "Goal digest, world at event 7\n"
        "No plan: /artifacts/chat/c/outputs/reply.md\n"
        "All that can be made of what exists:\n"
        "  doc/extract@1: 2 steps\n"
        "  llm/chat@1: 2 steps\n"
    )


def test_a_small_plan_is_drawn_step_by_step_and_a_large_one_folded() -> None:
    small, large = plan_svg(fan(3)), plan_svg(fan(500))

    assert words(small).count("doc/extract@1") == 3
    assert [word for word in words(large) if "\u00d7" in word] == [
        "doc/extract@1 \u00d7 500",
        "llm/chat@1 \u00d7 500",
    ]
    assert len(list(ElementTree.fromstring(small).iter(f"{SVG}path"))) == 9  # noqa: S314 - our own
    assert large == plan_svg(fan(500))


@pytest.mark.parametrize("kinds", [1, 40, 120])
def test_a_picture_is_bounded(kinds: int) -> None:
    chain = [
        operator(
            f"t/c{n}@1",
            [f"/artifacts/c{n}/outputs/f"] if n else [],
            [f"/artifacts/c{n + 1}/outputs/f"],
        )
        for n in range(kinds)
    ]
    wide = [operator(f"t/w{n}@1", [], [f"/artifacts/w{n}/outputs/f"]) for n in range(kinds)]
    wants = [Exists(f"/artifacts/w{n}/outputs/f") for n in range(kinds)]

    asked = task([*wants, Exists(f"/artifacts/c{kinds}/outputs/f")], [], [*chain, *wide])
    svg = plan_svg(document(asked))

    root = ElementTree.fromstring(svg)  # noqa: S314 - our own
    assert float(root.attrib["width"]) < 6_000
    assert float(root.attrib["height"]) < 1_000
    assert len(svg) < 100_000
    assert plan_text(document(asked)).count("\n") < 1_000


def test_a_text_names_as_many_paths_as_can_be_read_and_counts_the_others() -> None:
    names = [f"{number:03d}" for number in range(300)]
    wants = [Exists(REPLY.format(name=name)) for name in names]

    shown = plan_text(document(task(wants, [f"/artifacts/raw/{name}.pdf" for name in names])))

    assert shown.endswith(
        "  /artifacts/chat/039/outputs/reply.md  (0 exist, 1 to be made)\n  ... and 260 more\n"
    )
    assert shown.count("\n") < 100


def test_a_picture_loads_nothing_and_runs_nothing() -> None:
    hostile = '</title><script>alert(1)</script>\x00\ufffe&"'
    found = document(task())
    found["goal"] = hostile

    svg = plan_svg(found)

    tags = {each.tag.removeprefix(SVG) for each in ElementTree.fromstring(svg).iter()}  # noqa: S314 - our own
    assert tags == {"svg", "title", "style", "path", "g", "rect", "text"}
    assert svg.count("http") == 1  # the name of the format
    assert "prefers-color-scheme:dark" in svg
    assert "\x00" not in plan_text(found)


def test_the_example_of_the_documents_is_what_is_printed() -> None:
    facts = ["/artifacts/raw/a.pdf", "/artifacts/raw/b.pdf", "/artifacts/text/a/outputs/text.md"]

    shown = Path("docs/concepts/planning.md").read_text()

    assert f"```\n{plan_text(document(task(facts=facts)))}```" in shown
