"""What a processor declares is held against what it made, at the end of a run and after a kill."""

from __future__ import annotations

from pathlib import Path
from signal import SIGKILL

import pytest

from orchestrator.world.ledger import Ledger
from tests.harness import ROOT, ZOO_COMMAND, Result, artifacts, read_until, start, zoo, zoo_words

ZOO = (ROOT / "tests/fixtures/processors/hostile/zoo/v1/registry.yaml").read_text()
SEEN = "/artifacts/seen/{name}/outputs/seen.txt"
ID = ("--execution-id", "x-1")


def declaring(folder: Path, *products: str) -> tuple[str, ...]:
    """Words that give the test processor a registry with these products."""
    place = folder / "registries/hostile/zoo/v1/registry.yaml"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(ZOO.replace("produces: []", f"produces: {list(products)}"))
    return "--registry-root", str(folder / "registries")


def types(world: Path) -> list[str]:
    with Ledger(str(world), make=False) as ledger:
        return [event.type for event in ledger.events()]


@pytest.mark.proves("WL-6")
@pytest.mark.parametrize("prefix", ["/artifacts/seen/a/", "/artifacts/by/hand/"])
def test_a_run_that_made_what_it_declares_succeeds(prefix: str, tmp_path: Path) -> None:
    words = declaring(tmp_path, SEEN)

    result = zoo("good", *words, prefix=prefix, world=tmp_path / "w")

    assert result.exit_code == 0
    assert prefix + "outputs/seen.txt" in artifacts(tmp_path / "w")


@pytest.mark.proves("WL-6")
@pytest.mark.parametrize("prefix", ["/artifacts/seen/a/", "/artifacts/by/hand/"])
@pytest.mark.parametrize("behaviour", ["no_outputs", "many"])
def test_a_run_that_did_not_fails_and_nothing_of_it_is_visible(
    behaviour: str, prefix: str, tmp_path: Path
) -> None:
    words = declaring(tmp_path, SEEN)

    result = zoo(behaviour, *words, *ID, prefix=prefix, world=tmp_path / "w")

    assert result.error == ("ERR_ADAPTER_INVOCATION", "effect_missing")
    assert prefix + "outputs/seen.txt" in result.envelope["error"]["message"]
    assert [path for path in artifacts(tmp_path / "w") if "/outputs" in path] == []
    receipt = result.file("/artifacts/execution/x-1/determinism.json").read_text()
    assert '"writer":"supervisor"' in receipt
    assert types(tmp_path / "w").count("execution.settled") == 1


@pytest.mark.proves("WL-6")
def test_what_a_run_makes_besides_is_an_output_and_no_failure(tmp_path: Path) -> None:
    words = declaring(tmp_path, "/artifacts/seen/{name}/outputs/a.txt")

    result = zoo("many", *words, world=tmp_path / "w")

    assert result.exit_code == 0
    assert len(result.envelope["outputs"]) == 4


@pytest.mark.proves("WL-6")
def test_an_error_of_the_processors_own_needs_no_product(tmp_path: Path) -> None:
    words = declaring(tmp_path, SEEN)

    result = zoo("fail_as", *words, text="ERR_INPUTS no_text", world=tmp_path / "w")

    assert result.error == ("ERR_INPUTS", "no_text")


def killed(world: Path, *words: str) -> None:
    """Run until the processor has finished, and kill the orchestrator before it settles."""
    line = zoo_words("finish_and_hang", *ID, *words)
    with start(*line, world=world, command=ZOO_COMMAND) as process:
        read_until(process, "processor.log")
        process.send_signal(SIGKILL)
        process.wait()


def after(world: Path) -> Result:
    """Any other run in the world: it settles what was left, or gives it up."""
    return zoo("good", prefix="/artifacts/other/", world=world)


@pytest.mark.proves("WL-6")
@pytest.mark.parametrize(
    ("product", "settled"),
    [("/artifacts/a/{n}/outputs/seen.txt", 2), ("/artifacts/a/{n}/outputs/promised.txt", 1)],
)
def test_after_a_kill_the_registry_of_the_attempt_is_held_against_what_it_left(
    product: str, settled: int, tmp_path: Path
) -> None:
    killed(tmp_path / "w", *declaring(tmp_path, product))

    assert after(tmp_path / "w").exit_code == 0

    found = types(tmp_path / "w")
    assert found.count("execution.settled") == settled
    assert found.count("execution.abandoned") == 2 - settled


@pytest.mark.proves("WL-6")
def test_after_a_kill_no_other_registry_will_do(tmp_path: Path) -> None:
    killed(tmp_path / "w", *declaring(tmp_path, "/artifacts/a/{n}/outputs/promised.txt"))
    [kept] = (tmp_path / "w/.staging").glob("*/registry.json")
    kept.write_text(kept.read_text().replace("promised.txt", "seen.txt"))

    assert after(tmp_path / "w").exit_code == 0

    assert types(tmp_path / "w").count("execution.abandoned") == 1
