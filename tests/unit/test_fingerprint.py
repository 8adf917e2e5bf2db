"""The fingerprint of a run's environment: sorted, escaped, one writer."""

from __future__ import annotations

import sys

import pytest

from orchestrator.execution import fingerprint

LOCK = "sha256:" + "0" * 64


@pytest.mark.proves("EV-5")
@pytest.mark.parametrize(
    ("facts", "text"),
    [
        ({}, ""),
        ({"b": "2", "a": "1"}, "a=1;b=2"),
        ({"a": ""}, "a="),
        ({"a": "1;b=2"}, "a=1%3Bb%3D2"),
        ({"a": "100%"}, "a=100%25"),
        ({"a": "%3B"}, "a=%253B"),
        ({"a": "%25"}, "a=%2525"),
    ],
)
def test_facts_are_sorted_and_no_value_can_forge_another_fact(
    facts: dict[str, str], text: str
) -> None:
    assert fingerprint.encode(facts) == text
    assert fingerprint.decode(text) == facts


@pytest.mark.proves("EV-5")
def test_a_local_run_names_machine_lock_system_and_interpreter() -> None:
    found = fingerprint.of_local(LOCK)
    facts = fingerprint.decode(found)

    assert list(facts) == ["arch", "lock", "os", "python"]
    assert facts["lock"] == LOCK
    assert facts["python"] == ".".join(map(str, sys.version_info[:3]))
    assert all(facts.values())


@pytest.mark.proves("EV-5")
def test_the_same_machine_has_the_same_fingerprint_and_another_lock_another() -> None:
    assert fingerprint.of_local(LOCK) == fingerprint.of_local(LOCK)
    assert fingerprint.of_local(LOCK) != fingerprint.of_local(LOCK.replace("0", "1"))
