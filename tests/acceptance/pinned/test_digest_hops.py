"""From the build to the pin: each hop leaves a record of one digest; a verifier compares them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.bench import CRANE, REF, Bench
from tests.fixtures.programs import ledger
from tests.simulators import registry as simulated


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def registry() -> Iterator[simulated.Server]:
    with simulated.Server(CRANE) as server:
        yield server


@pytest.mark.proves("IL-6", "IL-3")
def test_the_hops_of_an_image_hold_one_digest(
    bench: Bench, registry: simulated.Server, tmp_path: Path
) -> None:
    digest = bench.image()
    bench.referrers(digest)
    world = tmp_path / "world"
    told = ("--world", str(world))

    bench.build(*told)
    partly = ledger("images", "--ref", REF, world=world).result
    bench.push("--registry", registry.host, *told)
    bench.pin("--registry", registry.host, *told)
    whole = ledger("images", "--ref", REF, world=world).result

    later = {"deploy": None, "run": None}
    none = {"build": 2, "push": None, "pin": None, **later}
    assert partly == {"ref": REF, "digest": digest, "hops": none}
    all_three = {"build": 2, "push": 3, "pin": 4, **later}
    assert whole == {"ref": REF, "digest": digest, "hops": all_three}
    assert ledger("verify", world=world).result["count"] == 4
    [_, built, pushed, pinned] = [each["body"] for each in ledger("tail", world=world).items]
    assert [each["type"] for each in (built, pushed, pinned)] == [
        "image.built",
        "image.pushed",
        "image.pinned",
    ]
    assert {each["data"]["digest"] for each in (built, pushed, pinned)} == {digest}
    assert pinned["data"]["previous"] is None
    assert f"digest: {digest}" in bench.registry.read_text()


@pytest.mark.proves("IL-6")
@pytest.mark.parametrize("hop", ["push", "pin"])
def test_a_hop_with_another_digest_is_named(
    bench: Bench, registry: simulated.Server, tmp_path: Path, hop: str
) -> None:
    world = tmp_path / "world"
    told = ("--world", str(world))
    old = bench.image(contents=(b"old\n",))
    bench.build(*told)
    bench.push("--registry", registry.host, *told)
    bench.pin("--registry", registry.host, *told)
    new = bench.image(contents=(b"new\n",))
    bench.build(*told)
    if hop == "pin":
        bench.push("--registry", registry.host, *told)

    refused = ledger("images", "--ref", REF, world=world)

    assert refused.error == ("ERR_REGISTRY_MISMATCH", "digest_chain", 1)
    for word in (REF, f"hop {hop} holds {old}", new, f"repeat hop {hop}"):
        assert word in refused.message
    if hop == "push":
        bench.push("--registry", registry.host, *told)
    bench.commit()
    bench.pin("--registry", registry.host, *told)
    assert ledger("images", "--ref", REF, world=world).result["digest"] == new


@pytest.mark.proves("IL-6")
def test_an_image_without_a_record_has_none(bench: Bench, tmp_path: Path) -> None:
    world = tmp_path / "world"
    bench.image()
    bench.build("--world", str(world))

    other = ledger("images", "--ref", "hostile/zoo@2", world=world).result

    assert other["digest"] is None
    assert set(other["hops"].values()) == {None}


def test_a_hop_that_fails_leaves_no_record(bench: Bench, tmp_path: Path) -> None:
    world = tmp_path / "world"
    told = ("--world", str(world))
    bench.image()
    bench.build(*told)

    assert bench.push("--registry", "127.0.0.1:9", *told).exit_code == 1
    assert bench.pin("--layout", str(tmp_path / "none"), *told).exit_code == 1

    hops = ledger("images", "--ref", REF, world=world).result["hops"]
    assert hops == {"build": 2, "push": None, "pin": None, "deploy": None, "run": None}
