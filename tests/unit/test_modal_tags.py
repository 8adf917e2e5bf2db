"""Digests in the form that fits a tag, and nothing else taken for one."""

from __future__ import annotations

import pytest

from orchestrator.modal import tags

DIGEST = "sha256:" + "0123456789abcdef" * 4


def test_a_digest_fits_a_deployments_label_and_comes_back() -> None:
    text = tags.short(DIGEST)

    assert len(text) == 43  # of the 50 that a label takes, and the 63 of a tag
    assert tags.long(text) == DIGEST


@pytest.mark.parametrize(
    "text",
    [None, 7, "", "A" * 42, "A" * 44, "=" * 43, "ä" * 43, "A" * 42 + "B", "A" * 42 + "+"],
)
def test_what_stands_for_no_digest_stands_for_none(text: object) -> None:
    assert tags.long(text) is None
