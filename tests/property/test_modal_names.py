"""Deploying and looking up compute one name, in any process and under any hash seed."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator import naming
from orchestrator.execution import resolve
from orchestrator.execution.request import Request
from orchestrator.modal import deploy
from processors.protocol.refs import Ref, parse_ref
from tests.property.profile import searched, searched_by_runs

WORDS = st.from_regex(r"[a-z][a-z0-9_]{0,31}", fullmatch=True)
REFS = st.builds(Ref, WORDS, WORDS, st.integers(1, 9999))
# No lone surrogates: what a shell hands over is checked before anything is named.
TEXTS = st.none() | st.text(st.characters(codec="utf-8"), max_size=80)
PLACES = st.sampled_from(["staging", "main"]).map(lambda lane: (lane, None, None)) | st.tuples(
    st.just("dev"), TEXTS, TEXTS
)

_PROGRAM = """
import json, sys
from orchestrator.modal import deploy
from processors.protocol.refs import parse_ref
ref, lane, branch, user = json.loads(sys.argv[1])
found = deploy.target(
    parse_ref(ref), lane, branch=branch, user=user, override=False, scratch=False
)
print(json.dumps(found.app))
"""


def looked_up(ref: Ref, lane: str, branch: str | None, user: str | None) -> str | None:
    request = Request(
        ref=ref,
        adapter="modal",
        mode="mock",
        lane=lane,
        write_prefix="/artifacts/x/",
        inputs={},
        execution_id="x",
        branch=branch,
        user=user,
    )
    return resolve.names(request).app


def deployed(ref: Ref, lane: str, branch: str | None, user: str | None) -> str:
    return deploy.target(ref, lane, branch=branch, user=user, override=False, scratch=False).app


@pytest.mark.proves("NM-6")
@settings(searched)
@given(REFS, PLACES)
def test_the_name_of_a_deployment_is_the_name_that_is_called(
    ref: Ref, place: tuple[str, str | None, str | None]
) -> None:
    assert deployed(ref, *place) == looked_up(ref, *place)
    assert parse_ref(str(ref)) is not None
    assert deployed(ref, *place) == naming.modal_app_name_from_ref(ref, *place)


@pytest.mark.proves("NM-6")
@settings(searched_by_runs)
@given(REFS, PLACES, st.integers(0, 4_294_967_295))
def test_another_process_under_another_hash_seed_computes_the_same(
    ref: Ref, place: tuple[str, str | None, str | None], seed: int
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, json.dumps([str(ref), *place])],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONHASHSEED": str(seed),
            "PYTHONPATH": ":".join(path for path in sys.path if path),
        },
        capture_output=True,
        check=True,
    )

    assert json.loads(done.stdout) == looked_up(ref, *place)
