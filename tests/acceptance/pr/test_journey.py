"""The README's journey, offline: extract a document, ask about it, run again."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures import traces
from tests.harness import COMMAND, MOCK, ROOT, ZOO_COMMAND, Result, finish, run, start, zoo

DOCUMENT = b"%PDF-1.7\nin mock mode only the first bytes are judged\n"
QUESTION: dict[str, Any] = {
    "endpoint": "openai",
    "model": "gpt-4o-mini",
    "messages": [{"role": "user", "content": "Hello?"}],
}


def extract(world: Path, document: Path, *words: str, prefix: str = "/artifacts/text/a/") -> Result:
    """Run doc/extract@1 in mock mode on a file."""
    inputs = ("--inputs-json", '{"filename": "a.pdf"}', "--attach", f"source={document}")
    return run(
        *("--ref", "doc/extract@1", *MOCK, *inputs, "--write-prefix", prefix, "--json", *words),
        world=world,
    )


def chat(
    world: Path, *words: str, inputs: dict[str, Any] = QUESTION, prefix: str = "/artifacts/chat/a/"
) -> Result:
    """Run llm/chat@1 in mock mode."""
    given = ("--inputs-json", json.dumps(inputs))
    return run(
        *("--ref", "llm/chat@1", *MOCK, *given, "--write-prefix", prefix, "--json", *words),
        world=world,
    )


@pytest.fixture
def document(tmp_path: Path) -> Path:
    path = tmp_path / "report.pdf"
    path.write_bytes(DOCUMENT)
    return path


@pytest.mark.proves("TS-4")
def test_a_document_is_extracted(document: Path, tmp_path: Path) -> None:
    result = extract(tmp_path / "world", document, prefix="/artifacts/demo/{execution_id}/")

    execution_id = result.envelope["execution_id"]
    attached = hashlib.sha256(DOCUMENT).hexdigest()
    assert result.exit_code == 0
    assert result.visible == [
        f"/artifacts/attached/{attached}",
        *(
            f"/artifacts/demo/{execution_id}/{name}"
            for name in ("outputs.json", "outputs/metadata.json", "outputs/text.md", "receipt.json")
        ),
        *(
            f"/artifacts/execution/{execution_id}/{name}"
            for name in ("determinism.json", "envelope.json", "inputs.json")
        ),
    ]
    assert attached in result.output("text.md").decode()
    assert json.loads(result.output("metadata.json"))["format"] == "pdf"
    traces.names(result)


def test_the_next_processor_uses_what_the_first_one_made(document: Path, tmp_path: Path) -> None:
    first = extract(tmp_path / "world", document)
    talk = QUESTION | {"messages": [{"role": "user", "artifact": "text"}]}
    used = ("--use", "text=/artifacts/text/a/outputs/text.md")

    second = chat(tmp_path / "world", *used, inputs=talk)
    other = chat(tmp_path / "world", *used, inputs=talk | {"seed": 7}, prefix="/artifacts/chat/b/")

    assert (first.exit_code, second.exit_code) == (0, 0)
    words = len(first.output("text.md").split())
    assert json.loads(second.output("response.json"))["usage"]["input_tokens"] == words
    assert second.output("reply.md") != other.output("reply.md")
    assert second.envelope["meta"]["inputs_hash"] != other.envelope["meta"]["inputs_hash"]


def test_the_same_question_gets_the_same_answer(tmp_path: Path) -> None:
    first, second = (chat(tmp_path / name) for name in ("a", "b"))

    assert first.envelope["outputs"] == second.envelope["outputs"]
    assert first.envelope["meta"]["memo_key"] == second.envelope["meta"]["memo_key"]
    assert first.envelope["execution_id"] != second.envelope["execution_id"]


def test_a_second_run_replaces_the_whole_of_the_first(tmp_path: Path) -> None:
    zoo("many", world=tmp_path)

    result = zoo("good", world=tmp_path)

    under = [path for path in result.visible if path.startswith("/artifacts/zoo/")]
    assert result.exit_code == 0
    assert under == [
        "/artifacts/zoo/" + name for name in ("outputs.json", "outputs/seen.txt", "receipt.json")
    ]


def test_a_failed_run_leaves_what_was_there(tmp_path: Path) -> None:
    before = zoo("many", world=tmp_path)

    assert zoo("stray", world=tmp_path).exit_code == 1
    assert before.output("a.txt") == b"a.txt"


def test_two_runs_can_not_share_a_folder(tmp_path: Path) -> None:
    assert zoo("good", prefix="/artifacts/a/", world=tmp_path).exit_code == 0

    within = zoo("good", prefix="/artifacts/a/b/", world=tmp_path)

    assert within.error == ("ERR_INPUTS", "prefix_occupied")


def test_a_name_that_only_begins_alike_is_another_folder(tmp_path: Path) -> None:
    assert zoo("good", prefix="/artifacts/a/b/", world=tmp_path).exit_code == 0
    assert zoo("good", prefix="/artifacts/a/bb/", world=tmp_path).exit_code == 0


def test_an_execution_id_is_used_once(tmp_path: Path) -> None:
    first = chat(tmp_path, "--execution-id", "e-1")

    again = chat(tmp_path, "--execution-id", "e-1")
    other = zoo("good", "--execution-id", "e-1", world=tmp_path)

    assert first.exit_code == again.exit_code == 0
    assert again.stdout == first.stdout
    assert traces.names(again) == [
        *("execution.start", "execution.resolved", "execution.recorded", "execution.settle")
    ]
    assert other.error == ("ERR_INPUTS", "execution_exists")


def test_the_execution_id_is_expanded_wherever_it_stands(tmp_path: Path) -> None:
    prefix = "/artifacts/{execution_id}/x-{execution_id}/"

    result = zoo("good", "--execution-id", "e-1", prefix=prefix, world=tmp_path)

    assert result.envelope["index_path"] == "/artifacts/e-1/x-e-1/outputs.json"


def test_an_attached_file_is_read_byte_for_byte(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(bytes(range(256)))

    result = zoo("copy", "--attach", f"source={tmp_path}/source", world=tmp_path / "world")

    assert result.output("copy.bin") == bytes(range(256))


@pytest.mark.parametrize("how", ["--attach", "--use"])
def test_a_processor_cannot_change_what_it_was_given(how: str, tmp_path: Path) -> None:
    world = tmp_path / "world"
    (tmp_path / "source").write_bytes(b"what was attached")
    zoo("copy", "--attach", f"source={tmp_path}/source", prefix="/artifacts/a/", world=world)
    given = f"{tmp_path}/source" if how == "--attach" else "/artifacts/a/outputs/copy.bin"

    result = zoo("rewrite_source", how, f"source={given}", prefix="/artifacts/b/", world=world)

    stored = "/artifacts/attached/" + hashlib.sha256(b"what was attached").hexdigest()
    assert result.exit_code == 0
    assert (tmp_path / "source").read_bytes() == b"what was attached"
    assert result.file(stored).read_bytes() == b"what was attached"
    assert result.file("/artifacts/a/outputs/copy.bin").read_bytes() == b"what was attached"


def test_a_file_attached_twice_is_stored_once(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"the same")
    words = ("--attach", f"source={tmp_path}/a", "--attach", f"other={tmp_path}/b")

    result = zoo("copy", *words, world=tmp_path / "world")

    assert result.output("copy.bin") == b"the same"
    assert len([path for path in result.visible if path.startswith("/artifacts/attached/")]) == 1


def test_by_default_the_world_lies_in_the_callers_folder(tmp_path: Path) -> None:
    words = ("--ref", "llm/chat@1", *MOCK, "--write-prefix", "/artifacts/a/", "--json")
    given = ("--inputs-json", json.dumps(QUESTION))
    with start(*words, *given, world=None, cwd=tmp_path) as process:
        result = finish(process, world=tmp_path / ".world")

    assert result.exit_code == 0
    assert result.output("reply.md")
    assert [path.name for path in tmp_path.iterdir()] == [".world"]


@pytest.mark.proves("BZ-2")
@pytest.mark.parametrize("under_bazel_run", [False, True])
def test_relative_paths_start_at_the_callers_folder(under_bazel_run: bool, tmp_path: Path) -> None:  # noqa: FBT001
    """``bazel run`` starts programs in their runfiles and names the caller's folder."""
    (tmp_path / "report.pdf").write_bytes(DOCUMENT)
    (tmp_path / "inputs.json").write_text('{"filename": "report.pdf"}')
    words = ("--ref", "doc/extract@1", *MOCK, "--write-prefix", "/artifacts/a/", "--json")
    given = ("--inputs-file", "inputs.json", "--attach", "source=report.pdf")
    with start(
        *(*words, *given, "--world", "my-world"),
        world=None,
        cwd=ROOT if under_bazel_run else tmp_path,
        env={"BUILD_WORKING_DIRECTORY": str(tmp_path)} if under_bazel_run else {},
    ) as process:
        result = finish(process, world=tmp_path / "my-world")

    assert result.exit_code == 0, result.stdout
    assert result.output("text.md")


def test_the_command_can_be_called_through_a_relative_path(tmp_path: Path) -> None:
    words = ("--ref", "llm/chat@1", *MOCK, "--write-prefix", "/artifacts/a/", "--json")
    relative = Path("..") / COMMAND.relative_to(ROOT.parent)
    with start(
        *(*words, "--inputs-json", json.dumps(QUESTION)),
        world=tmp_path,
        cwd=ROOT.parent / "_main",
        command=relative,
        env={"BUILD_WORKING_DIRECTORY": str(tmp_path)},
    ) as process:
        result = finish(process, world=tmp_path)

    assert result.exit_code == 0, result.stderr


def test_inputs_may_come_from_stdin(tmp_path: Path) -> None:
    words = ("--ref", "hostile/zoo@1", *MOCK, "--write-prefix", "/artifacts/a/", "--json")
    given = ("--inputs", "-")

    result = run(
        *words, *given, world=tmp_path, command=ZOO_COMMAND, stdin=b'{"behaviour": "good"}'
    )

    assert result.output("seen.txt") == b"seen\n"
