"""Each forbidden pattern is tried, and refused where a caller would see it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.fixtures import traces
from tests.fixtures.commands import ADAPTER, Copy
from tests.harness import ROOT, run, zoo, zoo_words

REGISTRY = ROOT / "tests/fixtures/processors/hostile/zoo/v1/registry.yaml"
OVERRIDE = ("--image-override", "tests/zoo@sha256:" + "0" * 64)
END = "    lines.close()"  # in the adapter, when the processor has ended
REPLY = "ended.stdout.data"
REFUSED = ["execution.start", "execution.settle"]


def lane(name: str, adapter: str = "modal", mode: str = "mock") -> tuple[str, ...]:
    return ("--adapter", adapter, "--mode", mode, "--lane", name)


# A new mode.


@pytest.mark.proves("PA-6")
@pytest.mark.parametrize("mode", ["smoke", "dry-run", "replay", "canary", "Mock", "mock,real"])
@pytest.mark.parametrize("name", ["pr", "dev", "staging", "main"])
def test_no_lane_has_a_third_mode(name: str, mode: str, tmp_path: Path) -> None:
    adapter = "local" if name == "pr" else "modal"

    result = zoo("good", lane=lane(name, adapter, mode), world=tmp_path / "world")

    assert result.error == ("ERR_INPUTS", "bad_value")
    assert traces.names(result) == REFUSED
    assert result.visible == []


@pytest.mark.proves("PA-6")
@pytest.mark.parametrize("line", ["mode: dry", "modes: [mock, real, dry]"])
def test_no_registry_brings_a_mode(line: str, tmp_path: Path) -> None:
    file = tmp_path / "registries/hostile/zoo/v1/registry.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(f"{REGISTRY.read_text()}\n{line}\n")

    result = zoo("good", "--registry-root", str(tmp_path / "registries"), world=tmp_path / "world")

    assert result.error == ("ERR_REGISTRY_MISMATCH", "invalid_registry")


# A second path of execution; the paths inside our own code are those of test_source_rules.py.


@pytest.mark.proves("PA-6")
def test_a_processor_reaches_neither_the_orchestrator_nor_another_processor(
    tmp_path: Path,
) -> None:
    """With either, it could run processors that no admission has seen."""
    result = zoo("reach_out", world=tmp_path)

    assert json.loads(result.output("reached.json")) == ["processors.protocol.runtime"]


@pytest.mark.proves("PA-6")
@pytest.mark.parametrize("line", ["runtime: exec", "entrypoint: other.py"])
def test_no_registry_names_another_program_than_the_built_one(line: str, tmp_path: Path) -> None:
    file = tmp_path / "registries/hostile/zoo/v1/registry.yaml"
    file.parent.mkdir(parents=True)
    name = line.partition(":")[0]
    lines = [line if old.startswith(name) else old for old in REGISTRY.read_text().splitlines()]
    file.write_text("\n".join(lines))

    result = zoo("good", "--registry-root", str(tmp_path / "registries"), world=tmp_path / "world")

    assert result.error == ("ERR_REGISTRY_MISMATCH", "invalid_registry")
    assert traces.names(result) == REFUSED


# An adapter that rewrites.


@pytest.mark.proves("PA-6")
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("stdin=payload,", "stdin=payload.replace(b'good', b'many'),"),
        ("stdin=payload,", "stdin=payload.replace(b'mock', b'real'),"),
        ("stdin=payload,", "stdin=b' ' + payload,"),
        (END, f"    {REPLY}[:] = {REPLY}.replace(b'seen', b'sown')"),
        (END, f"    {REPLY}[:] = {REPLY}.replace(b':0', b':1')"),
    ],
)
def test_what_an_adapter_rewrites_is_found(old: str, new: str, tmp_path: Path) -> None:
    copy = Copy(tmp_path)
    copy.replace(ADAPTER, old, new)

    result = run(*zoo_words("good"), world=tmp_path / "world", command=copy.command)

    assert result.error[0] == "ERR_ADAPTER_INVOCATION"
    assert result.error[1] in ("receipt_invalid", "envelope_invalid")
    assert [path for path in result.visible if "/outputs" in path] == []


@pytest.mark.proves("PA-6")
def test_the_same_copy_with_nothing_rewritten_succeeds(tmp_path: Path) -> None:
    """Without this, the test above would prove nothing."""
    copy = Copy(tmp_path)

    result = run(*zoo_words("good"), world=tmp_path / "world", command=copy.command)

    assert result.output("seen.txt") == b"seen\n"


# Words on stdout besides the envelope.


@pytest.mark.proves("PA-6")
@pytest.mark.parametrize("behaviour", ["print_stdout", "native_stdout"])
def test_what_a_processor_prints_is_no_part_of_stdout(behaviour: str, tmp_path: Path) -> None:
    result = zoo(behaviour, world=tmp_path)

    assert result.envelope["status"] == "success"
    assert "processor.log" in traces.names(result)


# An override where images are pinned.


@pytest.mark.proves("PA-6")
@pytest.mark.parametrize("name", ["staging", "main"])
@pytest.mark.parametrize("more", [(), ("--allow-real",)])
def test_no_pinned_lane_takes_an_override(name: str, more: tuple[str, ...], tmp_path: Path) -> None:
    chosen = lane(name, mode="real" if more else "mock")

    result = zoo("good", *OVERRIDE, *more, lane=chosen, world=tmp_path / "world")

    assert result.error == ("ERR_CI_SAFETY", "lane_override")
    assert result.envelope["meta"]["image_digest"] is None
    assert traces.names(result) == REFUSED


# A pin that writes itself; the code that could is looked for by test_source_rules.py.


@pytest.mark.proves("PA-6")
def test_no_call_writes_a_pin(tmp_path: Path) -> None:
    file = tmp_path / "registries/hostile/zoo/v1/registry.yaml"
    file.parent.mkdir(parents=True)
    file.write_bytes(REGISTRY.read_bytes())
    before = file.stat()
    built = [path.read_bytes() for path in sorted(ROOT.rglob("processor.json"))]
    words = ("--registry-root", str(tmp_path / "registries"))

    overridden = zoo("good", *words, *OVERRIDE, lane=lane("dev"), world=tmp_path / "a")
    local = zoo("good", *words, world=tmp_path / "b")
    unpinned = zoo("good", lane=lane("staging"), world=tmp_path / "c")

    assert overridden.error == ("ERR_MODAL_LOOKUP", "no_credentials")
    assert local.exit_code == 0
    assert unpinned.error == ("ERR_IMAGE_UNPINNED", "no_pin")
    assert file.read_bytes() == REGISTRY.read_bytes()
    assert file.stat().st_mtime_ns == before.st_mtime_ns
    assert [path.read_bytes() for path in sorted(ROOT.rglob("processor.json"))] == built


@pytest.mark.proves("PA-6")
def test_ci_neither_pins_nor_commits() -> None:
    text = (ROOT / ".ci/run").read_text()

    assert "tools/bazel test" in text
    assert [word for word in ("git ", "pin", "registry.yaml", "push") if word in _code(text)] == []


def _code(text: str) -> str:
    """A shell script without its comments."""
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
