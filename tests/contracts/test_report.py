"""``report``: one file that needs nothing else, in which what a world holds is text."""

from __future__ import annotations

import json
import re
import sqlite3
import struct
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from bs4 import BeautifulSoup, Tag

from tests.fixtures.programs import LEDGER, Answer, achieve, call, goal_file, world_command
from tests.harness import ROOT, artifacts, run

REPORT = ROOT / "report"
EACH = (
    'predicate: artifact.exists, for_each: "/artifacts/in/{name}",'
    ' args: {path: "/artifacts/last/{name}/outputs/last.txt"}'
)
SVG = "{http://www.w3.org/2000/svg}"
CSP = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none';"
    " form-action 'none'"
)
SCRIPT = b"</script><img src=x onerror=alert(1)><script>alert(2)</script>"


def png(width: int) -> bytes:
    """A small image."""
    rows = b"".join(b"\0" + bytes(3 * width) for _ in range(width))
    head = struct.pack(">IIBBBBB", width, width, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    chunks = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


HOSTILE = {
    "binary.bin": bytes(range(256)) * 40,
    "deep.json": b"[" * 50_000,
    "empty.txt": b"",
    "evil.txt": SCRIPT,
    "fake.png": b"<html>" + SCRIPT,
    "huge.txt": b"a line of a text that has many\n" * 100_000,
    "invalid.txt": b"a text and \xff\xfe what is none",
    "list.json": json.dumps([{"<b>": at, "note": SCRIPT.decode()} for at in range(50)]).encode(),
    "na\"me'<b>&.txt": b"a name with quotes",
    "picture.png": png(8),
    "picture.svg": b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
    "table.csv": b"name,why\n" + b'"<i>one</i>","because, so"\n' * 30,
    "turned.txt": "a \u202eturned\u202c text".encode(),
}


class Page:
    """A page, parsed strictly."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.text = data.decode()
        # It is well-formed as XML, of which a parser takes nothing that is not.
        self.tree = ElementTree.fromstring(self.text)  # noqa: S314 - it is our own
        self.ids = [each.attrib["id"] for each in self.tree.iter() if "id" in each.attrib]

    def __iter__(self) -> Iterator[ElementTree.Element]:
        return self.tree.iter()

    @property
    def words(self) -> str:
        """All that it says."""
        body = self.tree.find("body")
        assert body is not None
        return " ".join(" ".join(body.itertext()).split())

    def card(self, path: str) -> str:
        """What it says of an artifact that it looks into."""
        for each in self.tree.iter("li"):
            title = each.find("h3")
            if title is not None and "".join(title.itertext()) == path:
                return " ".join(" ".join(each.itertext()).split())
        raise AssertionError(f"no card of {path}")


def report(world: Path, file: Path, name: str = "made") -> Answer:
    return call(REPORT, "--goal", name, "--out", str(file), world=world)


def page(world: Path, file: Path) -> Page:
    report(world, file).result  # noqa: B018 - it must be a success
    return Page(file.read_bytes())


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A world with what nobody should bring into one, and a goal half of which failed."""
    base = tmp_path_factory.mktemp("hostile")
    (base / "files").mkdir()
    for name, data in HOSTILE.items():
        (base / "files" / name).write_bytes(data)
    world_command("put", str(base / "files"), "/artifacts/files", world=base / "w")
    for name, text in (("a", "plain"), ("b", "fail provider_timeout"), ("<i>'\"&", "plain")):
        (base / "text").write_text(text)
        world_command("put", str(base / "text"), f"/artifacts/in/{name}", world=base / "w")
    goal = goal_file(base, EACH)
    goal.write_text(goal.read_text().replace("of a test", "'<script>alert(3)</script>'"))
    assert achieve(goal, world=base / "w").exit_code == 1
    return base / "w"


@pytest.fixture(scope="module")
def seen(hostile: Path) -> Page:
    return page(hostile, hostile.parent / "page.html")


def test_the_page_is_whole_and_asks_for_nothing(seen: Page) -> None:
    names = {each.tag.removeprefix(SVG) for each in seen}
    assert not names & {"script", "link", "iframe", "object", "embed", "form", "base", "use"}
    policies = [each for each in seen if each.get("http-equiv") == "Content-Security-Policy"]
    assert [each.get("content") for each in policies] == [CSP]
    for each in seen:
        for name, value in each.attrib.items():
            assert not name.lower().startswith("on"), (each.tag, name)
            if name in ("src", "href", "xlink:href", "action", "poster", "background"):
                assert value.startswith(("#", "data:image/png;base64,")), value
            if name == "style":
                assert re.fullmatch(r"[a-z0-9:;.%-]+", value), value
    assert "url(" not in seen.text
    assert "@import" not in seen.text


def test_every_link_leads_to_a_place_of_the_page(seen: Page) -> None:
    links = [each.attrib["href"] for each in seen if "href" in each.attrib]

    assert len(seen.ids) == len({*seen.ids})
    assert {link.removeprefix("#") for link in links} <= {*seen.ids}
    labels = [each.attrib["aria-labelledby"] for each in seen if "aria-labelledby" in each.attrib]
    assert {*labels} <= {*seen.ids}
    receipts = {each for each in seen.ids if each.startswith("r-")}
    assert len(receipts) == 7
    assert {f"#{each}" for each in receipts} & {*links}


def test_a_parser_of_html_sees_what_a_parser_of_xml_does(seen: Page) -> None:
    """No text of a world is read as markup by the one and not by the other."""
    soup = BeautifulSoup(seen.text, "html.parser")

    found = [each.name for each in soup.descendants if isinstance(each, Tag)]

    assert found == [each.tag.removeprefix(SVG) for each in seen]


def test_what_artifacts_hold_is_shown_as_text(seen: Page) -> None:
    folder = "/artifacts/files"
    assert SCRIPT.decode() in seen.card(f"{folder}/evil.txt")
    assert SCRIPT.decode() in seen.card(f"{folder}/fake.png")
    assert "a name with quotes" in seen.card(f"{folder}/na\"me'<b>&.txt")
    assert 'onload="alert(1)"' in seen.card(f"{folder}/picture.svg")
    assert "61 20 74 65 78 74" in seen.card(f"{folder}/invalid.txt")
    assert "00 01 02 03" in seen.card(f"{folder}/binary.bin")
    assert "the first 128 of 10240 are shown" in seen.card(f"{folder}/binary.bin")
    assert "Only the beginning is shown. It has 3100000 bytes." in seen.card(f"{folder}/huge.txt")
    assert "It is empty." in seen.card(f"{folder}/empty.txt")
    assert "<i>one</i> because, so" in seen.card(f"{folder}/table.csv")
    assert "Shown are 20 of 50 rows." in seen.card(f"{folder}/list.json")
    assert "[[[[" in seen.card(f"{folder}/deep.json")
    assert "\u202e" not in seen.text
    [image] = [each for each in seen if each.tag == "img"]
    assert image.get("alt") == f"The image {folder}/picture.png"


def test_it_tells_what_is_proved_and_what_failed(seen: Page) -> None:
    assert "<script>alert(3)</script>" in seen.words
    assert "made unproved" in seen.words
    assert "0 of 1 true" in seen.words
    assert "ERR_ADAPTER_INVOCATION / provider_timeout" in seen.words
    bars = [each for each in seen if each.get("class", "").startswith("bar ")]
    assert [each.get("class") for each in bars].count("bar bad") == 3
    assert [each.get("class") for each in bars].count("bar good") == 4
    assert [each for each in seen if each.tag == f"{SVG}svg"] != []
    assert "attempt 3" in seen.words


def test_the_same_world_makes_the_same_page(hostile: Path, seen: Page, tmp_path: Path) -> None:
    again = report(hostile, tmp_path / "again.html").result

    assert (tmp_path / "again.html").read_bytes() == seen.data
    assert again["name"] == "made"
    assert again["status"] == "unproved"
    assert again["executions"] == {"all": 7, "shown": 7}
    assert again["file"]["size_bytes"] == len(seen.data)


def test_what_a_satisfied_goal_rests_on_is_linked(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("plain")
    world_command("put", str(tmp_path / "a"), "/artifacts/in/a", world=tmp_path / "w")
    done = achieve(goal_file(tmp_path, EACH), world=tmp_path / "w").result

    found = page(tmp_path / "w", tmp_path / "page.html")

    assert done["proof"] in found.words
    assert "1 of 1 true" in found.words
    card = found.card("/artifacts/last/a/outputs/last.txt")
    assert "made by hostile/last@1 , receipt" in card
    ids = [each for step in done["steps"] for each in step["executions"]]
    assert {f"x-{each}" for each in ids} <= {*found.ids}
    assert {f"r-{each}" for each in ids} <= {*found.ids}


@pytest.fixture
def satisfied(tmp_path: Path) -> Path:
    """A world with a goal that is satisfied, and its file beside it."""
    (tmp_path / "a").write_text("plain")
    world_command("put", str(tmp_path / "a"), "/artifacts/in/a", world=tmp_path / "w")
    achieve(goal_file(tmp_path, EACH), world=tmp_path / "w").result  # noqa: B018 - a success
    return tmp_path / "w"


def test_a_goal_that_has_turned_false_is_not_said_to_be_satisfied_now(satisfied: Path) -> None:
    last = world_command("log", world=satisfied).items[-1]["seq"]
    world_command("rm", "/artifacts/last/a/outputs/last.txt", world=satisfied)
    told = f"satisfied as of event {last}; not true now: p0; next: achieve"

    found = page(satisfied, satisfied.parent / "page.html")

    assert f"made satisfied as of event {last} " in found.words
    assert told in found.words
    words = ("--goal", "made", "--out", str(satisfied.parent / "second.html"))
    lines = run(*words, world=satisfied, command=REPORT).stdout.decode().splitlines()
    assert lines[0].startswith(f"report  made, {told}: ")
    assert report(satisfied, satisfied.parent / "third.html").result["status"] == "satisfied"


def test_what_is_true_again_is_not_said_to_be_open_without_a_word(satisfied: Path) -> None:
    first = "/artifacts/in/a"
    world_command("rm", "/artifacts/last/a/outputs/last.txt", world=satisfied)
    world_command("rm", first, world=satisfied)
    goal = satisfied.parent / "made.yaml"
    assert achieve(goal, world=satisfied).error == ("ERR_INPUTS", "no_plan", 2)
    last = world_command("log", world=satisfied).items
    [opened] = [each["seq"] for each in last if each["type"] == "predicate.regressed"]
    world_command("put", str(satisfied.parent / "a"), first, world=satisfied)
    elsewhere = goal_file(satisfied.parent, EACH, name="other")
    achieve(elsewhere, world=satisfied).result  # noqa: B018 - it must be a success

    found = page(satisfied, satisfied.parent / "page.html")

    assert f"reopened as of event {opened}; all of it is true now; next: achieve" in found.words


def test_a_last_answer_that_no_plan_exists_is_told_before_an_older_plan(satisfied: Path) -> None:
    world, gone = satisfied, "/artifacts/last/a/outputs/last.txt"
    world_command("rm", gone, world=world)
    world_command("rm", "/artifacts/step/a/outputs/step.txt", world=world)
    world_command("rm", "/artifacts/in/a", world=world)
    (world.parent / "b").write_text("plain")
    world_command("put", str(world.parent / "b"), "/artifacts/elsewhere/b", world=world)
    assert achieve(world.parent / "made.yaml", world=world).error[1] == "no_plan"
    [refused] = [
        each["seq"]
        for each in world_command("log", world=world).items
        if each["type"] == "plan.refused"
    ]

    found = page(world, world.parent / "page.html")

    said = f"The last answer, of event {refused}, was a certificate that no plan exists"
    assert f"{said}: at least 1 of /artifacts/in/{{name}} is missing." in found.words
    assert "Before that, this plan was made." in found.words
    assert [each for each in found if each.tag == f"{SVG}svg"] != []
    (world / "store" / (cid := _plan_cid(world, refused))[7:9] / cid[9:]).unlink()
    assert f"{said}. Its bytes are gone." in page(world, world.parent / "second.html").words


def _plan_cid(world: Path, seq: int) -> str:
    events = call(LEDGER, "export", world=world).items
    return str(events[seq - 1]["body"]["data"]["plan"])


def test_a_certificate_is_told_where_there_was_no_plan_and_not_after_one(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("plain")
    world_command("put", str(tmp_path / "a"), "/artifacts/elsewhere", world=tmp_path / "w")
    goal = goal_file(tmp_path, EACH)
    assert achieve(goal, world=tmp_path / "w").error[1] == "no_plan"

    found = page(tmp_path / "w", tmp_path / "page.html")

    assert "was a certificate that no plan exists" in found.words
    assert "this plan was made" not in found.words
    world_command("put", str(tmp_path / "a"), "/artifacts/in/a", world=tmp_path / "w")
    achieve(goal, world=tmp_path / "w").result  # noqa: B018 - it must be a success
    assert "a certificate" not in page(tmp_path / "w", tmp_path / "second.html").words


def test_an_execution_that_a_table_has_lost_is_named(satisfied: Path) -> None:
    with closing(sqlite3.connect(satisfied / "ledger.sqlite3")) as connection, connection:
        connection.execute("DELETE FROM executions")

    found = report(satisfied, satisfied.parent / "page.html")

    assert found.error == ("ERR_INPUTS", "world_corrupt", 2)
    assert "the table executions lacks" in found.message
    assert not (satisfied.parent / "page.html").exists()


def test_a_refusal_is_told_with_its_bound(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("plain")
    world_command("put", str(tmp_path / "a"), "/artifacts/in/a", world=tmp_path / "w")
    goal = goal_file(tmp_path, EACH)
    goal.write_text(goal.read_text().replace("budget_micro_usd: 1000", "budget_micro_usd: 9"))
    assert achieve(goal, world=tmp_path / "w").exit_code == 1

    found = page(tmp_path / "w", tmp_path / "page.html")

    assert "/artifacts/step/a/ over_budget $0.00001 $0.000009" in found.words
    assert "Nothing ran." in found.words


def test_bytes_that_are_gone_are_told(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("what will be gone")
    world_command("put", str(tmp_path / "a"), "/artifacts/kept/a", world=tmp_path / "w")
    goal = goal_file(tmp_path, "predicate: artifact.exists, args: {path: /artifacts/kept/a}")
    achieve(goal, world=tmp_path / "w").result  # noqa: B018 - it must be a success
    cid = artifacts(tmp_path / "w")["/artifacts/kept/a"]
    (tmp_path / "w" / "store" / cid[7:9] / cid[9:]).unlink()

    found = page(tmp_path / "w", tmp_path / "page.html")

    assert "Its bytes are gone" in found.card("/artifacts/kept/a")
    assert "p0 success error" in found.words


def test_a_large_world_makes_a_page_that_is_bounded(tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for at in range(12_000):
        (folder / f"{at:05d}.txt").write_text(str(at))
    world_command("put", str(folder), "/artifacts/many", world=tmp_path / "w")
    one = "/artifacts/many/00007.txt"
    goal = goal_file(tmp_path, f"predicate: artifact.exists, args: {{path: {one}}}")
    achieve(goal, world=tmp_path / "w").result  # noqa: B018 - it must be a success

    found = page(tmp_path / "w", tmp_path / "page.html")

    assert len(found.data) < 5_000_000
    assert "7" in found.card(one)  # small, and what the goal is about
    assert len([each for each in found.ids if each.startswith("a-")]) == 200
    assert "The other 11802 artifacts" in found.words
    assert "1802 more artifacts of 11802 are left out here." in found.words


def test_a_file_that_is_there_is_not_overwritten(hostile: Path, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("mine")

    found = report(hostile, tmp_path / "page.html")

    assert found.error == ("ERR_INPUTS", "unwritable_target", 2)
    assert (tmp_path / "page.html").read_text() == "mine"


def test_what_is_not_there_is_named(hostile: Path, tmp_path: Path) -> None:
    assert report(hostile, tmp_path / "a.html", "other").error == (
        *("ERR_INPUTS", "unknown_goal"),
        2,
    )
    assert report(tmp_path / "w", tmp_path / "a.html").error == ("ERR_INPUTS", "world_absent", 2)
    assert [*tmp_path.iterdir()] == []


def test_people_get_lines(hostile: Path, tmp_path: Path) -> None:
    words = ("--goal", "made", "--out", str(tmp_path / "page.html"))

    found: Any = run(*words, world=hostile, command=REPORT)

    assert found.exit_code == 0
    first, second = found.stdout.decode().splitlines()
    assert first.startswith(f"report  made, unproved: {tmp_path / 'page.html'}, ")
    assert "and 7 of 7 executions" in second
