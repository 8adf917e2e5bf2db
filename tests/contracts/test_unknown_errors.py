"""What nobody foresaw is a row of the table too, and shows its traceback only on request."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.fixtures import traces
from tests.fixtures.commands import ADAPTER, DESCRIPTION, Copy
from tests.harness import Result, run, zoo_words

SECRET_TEXT = "text-of-an-unforeseen-error"  # noqa: S105 - which could be anything
LAZY = "run_processor.tree/app/orchestrator/images/registry.py"
TRACES = ("Traceback", ".py", "File ", SECRET_TEXT)


def broken(tmp_path: Path, *words: str) -> Result:
    """Run a copy of the command that lacks a module, so that a flag that needs it fails."""
    copy = Copy(tmp_path)
    copy.file(LAZY).unlink()
    root = ("--registry-root", str(tmp_path))
    world = tmp_path / "world"
    return run(*zoo_words("good", *root, *words), world=world, command=copy.command)


def unknown(result: Result, name: str) -> None:
    """Judge an envelope that stands for an unknown error of a type."""
    assert result.error == ("ERR_ADAPTER_INVOCATION", "orchestrator_error")
    assert result.exit_code == 1
    assert name in result.envelope["error"]["message"]
    assert "--debug" in result.envelope["error"]["message"]


@pytest.mark.proves("ERR_ADAPTER_INVOCATION")
def test_without_debug_an_unknown_error_shows_its_type_alone(tmp_path: Path) -> None:
    result = broken(tmp_path)

    unknown(result, "ImportError")
    assert [word for word in TRACES if word.encode() in result.stderr + result.stdout] == []
    assert traces.names(result) == ["execution.start", "execution.settle"]
    assert result.envelope["meta"]["processor_ref"] == "hostile/zoo@1"
    assert result.visible == []


@pytest.mark.proves("ERR_ADAPTER_INVOCATION")
def test_with_debug_the_frames_are_shown_and_the_text_is_not(tmp_path: Path) -> None:
    result = broken(tmp_path, "--debug")

    unknown(result, "ImportError")
    told = [event["text"] for event in result.events if event["event"] == "debug.traceback"]
    assert "resolve.py" in told[-1]
    assert not any("cannot import name" in text for text in told)
    assert b"Traceback" not in result.stdout


def test_debug_changes_nothing_where_every_error_is_known(tmp_path: Path) -> None:
    copy = Copy(tmp_path)
    words = zoo_words("good", "--debug", "--timeout-s", "0")

    result = run(*words, world=tmp_path / "world", command=copy.command)

    assert result.error == ("ERR_INPUTS", "bad_value")
    assert traces.names(result) == ["execution.start", "execution.settle"]


@pytest.mark.proves("ERR_ADAPTER_INVOCATION")
@pytest.mark.parametrize("debug", [(), ("--debug",)])
def test_an_unknown_error_after_the_start_leaves_a_receipt_and_a_trace_in_order(
    debug: tuple[str, ...], tmp_path: Path
) -> None:
    copy = Copy(tmp_path)
    copy.replace(ADAPTER, "    lines.close()", f"    raise RuntimeError({SECRET_TEXT!r})")
    words = zoo_words("good", *debug, "--execution-id", "x-1")

    result = run(*words, world=tmp_path / "world", command=copy.command)

    unknown(result, "RuntimeError")
    receipt = json.loads(result.file("/artifacts/execution/x-1/determinism.json").read_bytes())
    assert (receipt["writer"], receipt["status"]) == ("supervisor", "error")
    assert receipt["error"]["reason"] == "orchestrator_error"
    assert [path for path in result.visible if "/outputs" in path] == []
    shown = [event for event in result.events if event["event"] == "debug.traceback"]
    unwanted = (SECRET_TEXT,) if debug else TRACES
    assert [word for word in unwanted if word.encode() in result.stderr + result.stdout] == []
    assert bool(shown) == bool(debug)
    traces.names(result)


@pytest.mark.proves("PA-3")
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('{"argv"', '{"argv'),
        ('"lock":', '"lock":"","lock":'),
        ('"schema":"v1","source_root"', '"schema":"v2","source_root"'),
        ('"lock":"sha256:', '"lock":"md5:'),
        ('"registry_file"', '"registry"'),
        ('"source_root"', '"source"'),
        ('"argv":["{python}"', '"argv":[],"more":["{python}"'),
    ],
)
def test_what_the_build_left_broken_is_refused_before_anything_starts(
    old: str, new: str, tmp_path: Path
) -> None:
    copy = Copy(tmp_path)
    copy.replace(DESCRIPTION, old, new)

    result = run(*zoo_words("good"), world=tmp_path / "world", command=copy.command)

    assert result.error == ("ERR_REGISTRY_MISMATCH", "invalid_registry")
    assert "hostile/zoo@1 as it was built" in result.envelope["error"]["message"]
    assert traces.names(result) == ["execution.start", "execution.settle"]
    assert result.visible == []


@pytest.mark.proves("PA-3")
def test_a_build_that_cannot_be_read_is_refused_before_anything_starts(tmp_path: Path) -> None:
    copy = Copy(tmp_path)
    copy.file(DESCRIPTION).unlink()
    copy.file(DESCRIPTION).mkdir()

    result = run(*zoo_words("good"), world=tmp_path / "world", command=copy.command)

    assert result.error == ("ERR_REGISTRY_MISMATCH", "invalid_registry")
    assert "Is a directory" in result.envelope["error"]["message"]
