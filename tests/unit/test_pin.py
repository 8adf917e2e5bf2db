"""Editing a pin: the digest changes, and every other byte of ``registry.yaml`` stays."""

from __future__ import annotations

import pytest

from orchestrator.images import pin, proposal
from orchestrator.images.branch import Tree, problem
from orchestrator.images.pin import Source
from orchestrator.images.registry import load
from orchestrator.lanes import PROTECTED_BRANCHES
from processors.protocol.errors import ContractError
from processors.protocol.refs import Ref

REF = Ref("doc", "extract", 1)
OLD = "sha256:" + "0a" * 32
NEW = "sha256:" + "1b" * 32
ESCAPED = '"sha256\\x3a' + OLD[7:] + '"'
HEAD = """\
# A comment that mentions digest: null and {digest}.
schema: v1
ref: doc/extract@1
summary: 'reads a document; its digest: is elsewhere'
runtime: python3.13
entrypoint: main.py
"""
TAIL = """\
inputs:
  type: object
  properties: {digest: {type: string, description: "digest: null \u2028 \U0001f600"}}  # another
requires: {}
produces: []
limits: {time_s: 20, memory_mb: 256, max_input_bytes: 1, max_output_bytes: 1}
cost: {estimate_micro_usd: 0}
secrets: []
endpoints: {}
prices: {}
"""

# What a registry says of the image. @ is where the pin is; beside it, what stands there before
# and afterwards.
STYLES = [
    ("image: {repository: a/b, digest: @}", "null", NEW),
    ("image: {digest: @, repository: a/b}", "null", NEW),
    ("image: {repository: a/b, digest: @ }", "~", NEW),
    ("image: {repository: a/b, digest:@}", "", f" {NEW}"),
    ("image: {digest:@, repository: a/b}", "", f" {NEW}"),
    ("image: {repository: a/b, digest: @}", OLD, NEW),
    ('image: {"repository":"a/b","digest":@}', "null", NEW),
    ('image: {"repository":"a/b","digest":"@"}', OLD, NEW),
    ("image:\n  repository: a/b\n  digest: @", "null", NEW),
    ("image:\n  digest: @  # none\n  repository: a/b", "Null", NEW),
    ("image:\n  digest:@\n  repository: a/b", "", f" {NEW}"),
    ("image:\n  digest:@   # none\n  repository: a/b", "", f" {NEW}"),
    ("image:\n    digest  :   @\n    repository: a/b", "null", NEW),
    ("image:\n  digest: '@' # old\n  repository: a/b", OLD, NEW),
    ('image:\n  digest: "@"\n  repository: a/b', OLD, NEW),
    ("image:\n  digest: |-\n    @\n  repository: a/b", OLD, NEW),
    ("image:\n  digest: >-\n    @\n\n  repository: a/b", OLD, NEW),
    ("image:\n  digest:\n    @\n  repository: a/b", OLD, NEW),
    ("image:\n  digest: @\n  repository: a/b", ESCAPED, NEW),
    (f"image:\n  digest: |- # was {OLD}\n    @\n  repository: a/b", OLD, NEW),
    ("image:\n  ? digest\n  : @\n  ? repository\n  : a/b", "null", NEW),
]


def texts(image: str, old: str, new: str) -> tuple[bytes, bytes]:
    """A registry before and after."""
    before, after = (f"{HEAD}{image.replace('@', each)}\n{TAIL}" for each in (old, new))
    return before.encode(), after.encode()


def edited(data: bytes) -> bytes:
    return pin.edited(data, NEW, REF, "registry.yaml")


@pytest.mark.proves("IL-3")
@pytest.mark.parametrize(("image", "old", "new"), STYLES)
def test_the_digest_alone_changes_in_every_style(image: str, old: str, new: str) -> None:
    before, after = texts(image, old, new)

    assert edited(before) == after
    assert load(after, REF, "registry.yaml").image.digest == NEW
    assert edited(after) == after


@pytest.mark.proves("IL-3")
@pytest.mark.parametrize(("image", "old", "new"), STYLES)
def test_lines_keep_their_ends(image: str, old: str, new: str) -> None:
    before, after = (data.replace(b"\n", b"\r\n") for data in texts(image, old, new))

    assert edited(before) == after


@pytest.mark.proves("IL-3")
def test_a_file_may_end_with_the_pin_and_without_a_newline() -> None:
    for old, new in (("null", NEW), ("'" + OLD + "'", "'" + NEW + "'"), ("", " " + NEW)):
        head = f"{HEAD}{TAIL}image:\n  repository: a/b\n  digest:"
        blank = " " if old else ""

        assert edited(f"{head}{blank}{old}".encode()) == f"{head}{blank}{new}".encode()


@pytest.mark.parametrize(
    "image", ["image: {repository: a/b, digest}", "image: {? digest, repository: a/b}"]
)
def test_a_pin_without_a_place_of_its_own_is_refused(image: str) -> None:
    before, _ = texts(image, "", "")
    load(before, REF, "registry.yaml")

    with pytest.raises(ContractError, match="invalid_registry") as caught:
        edited(before)

    assert "digest: null" in caught.value.message


@pytest.mark.proves("IL-3")
def test_branches_that_change_by_review_alone_are_refused() -> None:
    assert set(PROTECTED_BRANCHES) == {"main", "master", "staging"}
    for name in PROTECTED_BRANCHES:
        refused = problem(name)
        assert refused is not None
        assert (refused.code, refused.reason) == ("ERR_CI_SAFETY", "protected_branch")
        assert name in refused.message
    unknown = problem(None)
    assert unknown is not None
    assert unknown.reason == "unknown_branch"
    for name in ("pin-doc-extract", "mainly", "feature/main", "Main", "HEAD"):
        assert problem(name) is None


def test_a_patch_has_the_path_that_git_knows() -> None:
    tree = Tree("work", "/some/where")
    before, after = texts(*STYLES[8])

    patch = proposal.patch(before, after, tree.path_of("/some/where/processors/registry.yaml"))

    lines = patch.splitlines()
    assert lines[:2] == ["--- a/processors/registry.yaml", "+++ b/processors/registry.yaml"]
    changed = [line for line in lines[2:] if line.startswith(("+", "-"))]
    assert changed == ["-  digest: null", f"+  digest: {NEW}"]


@pytest.mark.proves("CI-5")
def test_what_comes_next_is_a_proposal_with_the_record_and_nothing_that_is_run() -> None:
    before, after = texts(*STYLES[8])
    source = Source("processors/r.yaml", "/t/processors/r.yaml", before, load(before, REF, "r"))
    verified = {"platforms": ["linux/amd64"], "referrers": {"image_sbom": "verified"}}
    result = {"ref": "doc/extract@1", "digest": NEW, "repository": "localhost/a/b"}
    result |= {"kind": "registry", "verified": verified}

    proposed = proposal.of(source, after, Tree("work", "/t"), result)
    again = proposal.of(source, before, Tree("work", "/t"), result)

    assert str(proposed["message"]).splitlines() == [
        f"Pin doc/extract@1 to {NEW[:19]}",
        "",
        f"image: {NEW}",
        "fetched back by digest from: localhost/a/b (registry)",
        "platforms: linux/amd64",
        "sbom: verified",
    ]
    commands = proposed["next"]
    assert isinstance(commands, list)
    assert [str(each).split()[:2] for each in commands[:3]] == [
        ["git", "diff"],
        ["git", "commit"],
        ["git", "push"],
    ]
    assert f"image: {NEW}" in str(commands[1])
    assert (again["patch"], again["next"]) == ("", [])
