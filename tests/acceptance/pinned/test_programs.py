"""The image of a processor that is a program: how it is built, and that it runs as any other.

What is in it is judged as for every image, by the test beside it (test_structure.py).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from processors.protocol import content
from tests.fixtures import rootfs
from tests.fixtures.modal_house import NOWHERE, PREFIX, STAGING, House, facts, site
from tests.harness import ROOT

REF = "polyglot/alone@1"
PLACE = Path("tests/fixtures/processors/polyglot/alone/v1")
PROGRAM = PLACE / "alone"


@pytest.mark.proves("BZ-9")
def test_the_program_lies_in_its_image_as_it_was_and_can_be_started(tmp_path: Path) -> None:
    image = rootfs.Image(ROOT / PLACE / "image")
    image.unpack(tmp_path)
    program = tmp_path / content.FOLDER[1:] / "app" / PROGRAM

    assert program.read_bytes() == (ROOT / PROGRAM).read_bytes()
    assert program.stat().st_mode & 0o777 == 0o755
    content.check(str(tmp_path / content.FOLDER[1:]), image.labels["processor.content-root"])
    assert image.config["config"]["Entrypoint"][-1] == f"{content.FOLDER}/start.py"


@pytest.mark.proves("BZ-9")
def test_its_image_runs_on_modal_as_any_other(tmp_path: Path) -> None:
    """Pushed, pinned, deployed and called by the programs, none of which knows of programs."""
    with site(tmp_path / "state") as there:
        house = House(tmp_path, *there)
        house.pin_all(NOWHERE)
        house.move_in(REF, ROOT / PLACE)
        digest = house.push(REF)
        house.pin(REF, digest)

        house.sync("staging")
        deployed = house.deploy(REF, "staging")
        ran = house.run(REF, *STAGING, *PREFIX, "--inputs-json", '{"text":"hello"}')

        assert deployed["status"] == "success", deployed
        assert ran.exit_code == 0, (ran.stdout, ran.stderr, house.plane.logs())
        assert ran.envelope["meta"]["image_digest"] == digest
        assert ran.output("text.txt") == b"hello"
        [started] = facts(house, "execution.started")
        assert (started["data"]["app"], started["data"]["image_digest"]) == (
            "polyglot-alone-v1",
            digest,
        )
