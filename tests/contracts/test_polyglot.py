"""A processor in another language: the same registry, start, payload, receipt and envelope."""

from __future__ import annotations

import json
from pathlib import Path
from signal import SIGPIPE, SIGXFSZ

import pytest

from processors.protocol import digests
from processors.protocol.canonical import Json
from tests.fixtures import traces
from tests.fixtures.commands import Copy
from tests.fixtures.programs import achieve, goal_file, ledger, world_command
from tests.harness import MOCK, ROOT, ZOO_COMMAND, Result, run

REF = "polyglot/lines@1"
TREE = "processors/polyglot/lines/v1/tree"
PROGRAM = f"{TREE}/app/tests/fixtures/processors/polyglot/lines/v1/lines.sh"
PREFIX = "/artifacts/lines/{execution_id}/"


def lines(
    base: Path,
    text: bytes = b"one\ntwo\n",
    *,
    prefix: str = PREFIX,
    command: Path = ZOO_COMMAND,
) -> Result:
    """Have the lines of a text counted."""
    (base / "text").write_bytes(text)
    return run(
        *("--ref", REF, *MOCK, "--write-prefix", prefix, "--inputs-json", "{}", "--json"),
        *("--attach", f"source={base / 'text'}"),
        world=base / "world",
        command=command,
    )


def changed(base: Path, old: str, new: str) -> Result:
    """Have them counted by a program with one place changed."""
    copy = Copy(base)
    copy.replace(PROGRAM, old, new)
    copy.file(PROGRAM).chmod(0o700)
    return lines(base, command=copy.command)


@pytest.mark.proves("BZ-9")
def test_a_shell_script_is_a_processor(tmp_path: Path) -> None:
    first, second = lines(tmp_path), lines(tmp_path)

    for result in (first, second):
        assert result.envelope["status"] == "success", result.stderr
        assert json.loads(result.output("lines.json")) == {"lines": 2}
        assert "processor.start" in traces.names(result)
    assert first.envelope["execution_id"] != second.envelope["execution_id"]
    one, other = (result.envelope["outputs"] for result in (first, second))
    assert [output["cid"] for output in one] == [output["cid"] for output in other]
    hashes = {result.envelope["meta"]["inputs_hash"] for result in (first, second)}
    assert len(hashes) == 1
    assert ledger("verify", world=tmp_path / "world").result["behind_no_head"] == 0


def test_what_is_known_of_its_source_covers_the_program() -> None:
    folder = ROOT / "tests/fixtures" / TREE
    app = folder / "app"
    files = {file.relative_to(app).as_posix(): file for file in app.rglob("*") if file.is_file()}
    described = json.loads((folder.parent / "processor.json").read_bytes())

    assert {Path(place).name for place in files} == {"lines.sh", "registry.json"}
    contents: dict[str, Json] = {
        place: digests.of_bytes(file.read_bytes()) for place, file in files.items()
    }
    assert described["source_root"] == digests.of_json(contents)


@pytest.mark.proves("BZ-9")
def test_its_own_error_is_answered_as_any_processors(tmp_path: Path) -> None:
    result = lines(tmp_path, b"")

    assert result.error == ("ERR_INPUTS", "empty_input")
    assert result.envelope["error"]["message"] == "source has no bytes"
    traces.names(result)


@pytest.mark.proves("BZ-9")
@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("$(digest <payload)", "$(digest </dev/null)", "receipt_invalid"),
        ('"$error" "$inputs_hash"', '"$error" "$cid"', "receipt_invalid"),
        ('$(digest <"$root$made")', "$cid", "output_invalid"),
        ("} >receipt\n", '} >receipt\ncp receipt "$root$prefix"stray\n', "stray_file"),
        ("# The envelope", "echo stray\n# The envelope", "envelope_invalid"),
    ],
)
def test_what_it_claims_is_held_against_what_it_left(
    old: str, new: str, reason: str, tmp_path: Path
) -> None:
    """A digest that is not the one, a file too many, a word besides the envelope."""
    result = changed(tmp_path, old, new)

    assert result.error == ("ERR_ADAPTER_INVOCATION", reason)
    assert [path for path in result.visible if "/outputs" in path] == []


@pytest.mark.proves("BZ-9")
def test_a_copy_with_nothing_forged_succeeds(tmp_path: Path) -> None:
    """Without this, the test above would prove nothing."""
    result = changed(tmp_path, "# The envelope", "# An envelope")

    assert json.loads(result.output("lines.json")) == {"lines": 2}


def test_a_program_begins_in_its_folder_with_no_signal_ignored(tmp_path: Path) -> None:
    """An interpreter starts it, and ignores two signals itself."""
    told = 'pwd >&2; echo "$HOME" >&2; grep SigIgn /proc/self/status >&2'

    result = changed(tmp_path, "set -eu\n", f"set -eu\n{told}\n")

    texts = [event["text"] for event in result.events if event["event"] == "processor.log"]
    assert texts[0] == texts[1]
    name, ignored = texts[2].split()
    assert name == "SigIgn:"
    assert [each for each in (SIGPIPE, SIGXFSZ) if int(ignored, 16) >> (each - 1) & 1] == []


def test_a_name_that_it_cannot_read_is_refused_and_not_guessed(tmp_path: Path) -> None:
    result = lines(tmp_path, prefix='/artifacts/a"b/{execution_id}/')

    assert result.error == ("ERR_ADAPTER_INVOCATION", "exit_status")
    told = result.envelope["meta"]["tails"]["stderr"]["text"]
    assert told == "no payload that this processor reads\n"


@pytest.mark.proves("BZ-9")
def test_a_goal_is_achieved_with_it(tmp_path: Path) -> None:
    world = tmp_path / "world"
    (tmp_path / "text").write_text("one\ntwo\nthree\n")
    world_command("put", str(tmp_path / "text"), "/artifacts/in/a", world=world)
    goal = goal_file(
        tmp_path,
        'predicate: json.matches, args: {path: "/artifacts/lines/a/outputs/lines.json",'
        ' expression: "lines == `3`"}',
    )

    result = achieve(goal, world=world).result

    assert [step["ref"] for step in result["steps"]] == [REF]
    assert result["proof"].startswith("sha256:")
