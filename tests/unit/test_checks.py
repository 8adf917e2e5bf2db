"""What a processor left behind is judged by its bytes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.execution import checks
from processors.protocol import digests, envelope, paths, receipt
from processors.protocol.canonical import Json, canonical
from processors.protocol.envelope import Output
from processors.protocol.errors import ContractError, inputs_error
from processors.protocol.payload import Payload

PREFIX = "/artifacts/demo/"
PAYLOAD = Payload(
    execution_id="x-1",
    ref="doc/extract@1",
    mode="mock",
    inputs={},
    artifacts={},
    write_prefix=PREFIX,
)
HASH = digests.of_bytes(PAYLOAD.encode())
OUTPUT = Output(PREFIX + "outputs/a.md", digests.of_bytes(b"words"), 5, "text/markdown")
RECEIPT = paths.receipt_path(PREFIX)
DETERMINISM = paths.determinism_path("x-1")
INDEX = paths.index_path(PREFIX)
META: dict[str, Json] = {
    "processor_ref": PAYLOAD.ref,
    "mode": PAYLOAD.mode,
    "inputs_hash": PAYLOAD.inputs_hash(),
    "cost_micro_usd": 0,
}
SUCCESS = canonical(
    {
        "status": "success",
        "execution_id": "x-1",
        "outputs": [OUTPUT.as_json()],
        "index_path": INDEX,
        "meta": META,
    }
)
ERROR = canonical(
    {
        "status": "error",
        "execution_id": "x-1",
        "error": dict(inputs_error("corrupt_document", "no").as_json()),
        "meta": META,
    }
)


class Tree:
    """A staging tree after a run that kept the contract; tests spoil it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.write(OUTPUT.path, b"words")
        self.write(INDEX, canonical(envelope.index_document([OUTPUT])) + b"\n")
        self.attest(None)

    def attest(self, error: ContractError | None) -> None:
        """Write both receipts."""
        data = receipt.encode(
            writer="processor",
            payload=PAYLOAD,
            payload_hash=HASH,
            outputs=[] if error else [OUTPUT],
            error=error,
            cost_micro_usd=0,
            started_at="2026-01-01T00:00:00Z",
            duration_ms=1,
        )
        self.write(RECEIPT, data)
        self.write(DETERMINISM, data)

    def at(self, path: str) -> Path:
        """Where a world path lies."""
        return self.folder / path.removeprefix("/")

    def write(self, path: str, data: bytes) -> None:
        """Write a file."""
        self.at(path).parent.mkdir(parents=True, exist_ok=True)
        self.at(path).write_bytes(data)

    def judge(self, stdout: bytes = SUCCESS) -> envelope.Reply:
        """Check the run."""
        return checks.reply(stdout, PAYLOAD, HASH, checks.Tree(str(self.folder)))


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def spoil_with_a_link(tree: Tree, path: str) -> None:
    """Put a link to the same bytes in a file's place."""
    tree.at(path).rename(tree.folder / "moved")
    tree.at(path).symlink_to(tree.folder / "moved")


def spoil_with_a_linked_folder(tree: Tree) -> None:
    """Put a link in the place of the folder with the outputs."""
    tree.at(PREFIX + "outputs").rename(tree.folder / "moved")
    tree.at(PREFIX + "outputs").symlink_to(tree.folder / "moved")


def spoil_both_receipts(tree: Tree) -> None:
    """Write the same nonsense twice."""
    tree.write(RECEIPT, b"{")
    tree.write(DETERMINISM, b"{")


def hard_link(tree: Tree) -> None:
    """Give an output a second name outside."""
    os.link(tree.at(OUTPUT.path), tree.folder / "second")


SPOILED: dict[str, tuple[Callable[[Tree], object], str]] = {
    "output absent": (lambda tree: tree.at(OUTPUT.path).unlink(), "output_invalid"),
    "output changed": (lambda tree: tree.write(OUTPUT.path, b"Words"), "output_invalid"),
    "output longer": (lambda tree: tree.write(OUTPUT.path, b"words "), "output_invalid"),
    "output linked": (lambda tree: spoil_with_a_link(tree, OUTPUT.path), "output_invalid"),
    "outputs linked": (spoil_with_a_linked_folder, "output_invalid"),
    "output with two names": (hard_link, "output_invalid"),
    "index differs": (
        lambda tree: tree.write(INDEX, canonical(envelope.index_document([]))),
        "output_invalid",
    ),
    "receipt absent": (lambda tree: tree.at(RECEIPT).unlink(), "receipt_invalid"),
    "copy absent": (lambda tree: tree.at(DETERMINISM).unlink(), "receipt_invalid"),
    "copies differ": (
        lambda tree: tree.write(RECEIPT, tree.at(RECEIPT).read_bytes() + b"\n"),
        "receipt_invalid",
    ),
    "receipt linked": (lambda tree: spoil_with_a_link(tree, RECEIPT), "receipt_invalid"),
    "receipt of an error": (
        lambda tree: tree.attest(inputs_error("bad_json", "no")),
        "receipt_invalid",
    ),
    "receipts are no JSON": (
        spoil_both_receipts,
        "receipt_invalid",
    ),
    "file beside the outputs": (lambda tree: tree.write(PREFIX + "x", b""), "stray_file"),
    "file among the outputs": (lambda tree: tree.write(PREFIX + "outputs/x", b""), "stray_file"),
    "file deep below": (lambda tree: tree.write(PREFIX + "a/b/c", b""), "stray_file"),
    "link to a folder": (
        lambda tree: tree.at(PREFIX + "x").symlink_to(tree.folder),
        "stray_file",
    ),
}


def test_a_run_that_kept_the_contract_is_accepted(tree: Tree) -> None:
    assert [output.as_json() for output in tree.judge().outputs] == [OUTPUT.as_json()]


@pytest.mark.proves("EV-3", "EV-4", "RC-1", "RC-2")
@pytest.mark.parametrize(("spoil", "reason"), SPOILED.values(), ids=SPOILED)
def test_every_other_run_is_refused(
    tree: Tree, spoil: Callable[[Tree], object], reason: str
) -> None:
    spoil(tree)

    with pytest.raises(ContractError) as caught:
        tree.judge()

    assert (caught.value.code, caught.value.reason) == ("ERR_ADAPTER_INVOCATION", reason)


@pytest.mark.proves("RC-2")
def test_an_error_needs_its_receipts_too(tree: Tree) -> None:
    with pytest.raises(ContractError) as caught:
        tree.judge(ERROR)
    assert caught.value.reason == "receipt_invalid"

    tree.attest(inputs_error("corrupt_document", "no"))
    found = tree.judge(ERROR)
    assert found.error is not None
    assert found.error.reason == "corrupt_document"
