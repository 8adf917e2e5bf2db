"""The same payload by the local adapter and by the one for Modal: the same envelope.

What is in a container runs for real, over a transport in memory; what a real transport adds is
tested where there is one. The mask is the contract's, and nothing besides it may differ.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.execution.request import Request
from orchestrator.execution.run import Setting, run
from orchestrator.execution.trail import Trail
from processors.protocol import digests
from processors.protocol.canonical import canonical
from processors.protocol.refs import Ref
from processors.protocol.spawn import Stop
from tests.fixtures.modal_apps import Container, Line
from tests.harness import ROOT
from tests.property.profile import searched

MASK = (
    *("adapter", "lane", "app", "function", "image_digest"),
    *("env_fingerprint", "memo_key", "duration_ms"),
)
_DURATION = re.compile(rb'"duration_ms":\d+')  # of an event, in what a processor printed
DIGEST = "sha256:" + "d1" * 32
SECRET = {"ZOO_SECRET": "zoo-key-7f3b51c09d2e4a68"}
PROCESSORS, TEST_PROCESSORS = ROOT / "processors", ROOT / "tests/fixtures/processors"

# Of the test processor: what it does well, and what it does wrong in each of the ways there are.
GOOD = ("good", "many", "chatty_stderr", "print_stdout", "native_stdout", "odd_bytes", "say")
BAD = (
    *("no_outputs", "half_envelope", "noise_after", "not_json", "two_envelopes", "other_id"),
    *("stray", "wrong_bytes", "missing_output", "symlink_output", "pipe_output", "stray_deep"),
    *("stray_link", "unlisted", "hard_link", "symlink_same", "linked_folder", "change_index"),
    *("own_error", "foreign_code", "exit_7", "exit_0_silent", "kill_self", "unsorted", "twice"),
    *("raise_text", "forge_events", "write_receipt_first", "no such behaviour"),
)
CHATS = st.fixed_dictionaries(
    {
        "endpoint": st.sampled_from(["openai", "nowhere"]),
        "model": st.sampled_from(["gpt-4o-mini", "gpt-4o", "no-model"]),
        "messages": st.lists(
            st.fixed_dictionaries(
                {
                    "role": st.sampled_from(["user", "system", "assistant"]),
                    "content": st.text(min_size=1, max_size=40),
                }
            ),
            max_size=3,
        ),
    }
)
DOCUMENTS = st.tuples(
    st.sampled_from(["a.md", "b.txt", "c.html", "d.pdf", "e.docx", "f.exe", "g"]),
    st.one_of(
        st.text(max_size=200).map(str.encode),
        st.binary(max_size=60),
        st.just(b"%PDF-1.7 and no more"),
        st.just(b"<html><body><p>text</p></body></html>"),
    ),
)


class Pair:
    """One processor twice: from source, and as in its image."""

    def __init__(self, base: Path, folder: Path, ref: Ref) -> None:
        self._base, self.ref = base, ref
        self._folder = _pinned(folder, ref, base / "built")
        self._line = Line(Container(folder / ref.folder, base, SECRET), DIGEST)
        self._count = 0
        self.failed = 0

    def compare(self, inputs: dict[str, Any], mode: str = "mock", **attached: bytes) -> None:
        """Run a payload both ways; the envelopes are equal under the mask."""
        self._count += 1
        files = {}
        for name, data in attached.items():
            file = self._base / f"{name}-{self._count}"
            file.write_bytes(data)
            files[name] = str(file)
        both = [self._run(adapter, mode, inputs, files) for adapter in ("local", "modal")]
        local, remote = (_masked(each) for each in both)
        assert local == remote
        assert both[1]["meta"]["image_digest"] in (DIGEST, None)  # None: nothing was to run
        assert both[0]["meta"]["image_digest"] is None
        self.failed += local["status"] == "error"
        assert SECRET["ZOO_SECRET"] not in json.dumps(both)

    def _run(
        self, adapter: str, mode: str, inputs: dict[str, Any], files: dict[str, str]
    ) -> dict[str, Any]:
        here = adapter == "local" and mode == "real"
        request = Request(
            ref=self.ref,
            adapter=adapter,
            mode=mode,
            lane="dev",
            write_prefix=f"/artifacts/p/{self._count}/",
            inputs=inputs,
            execution_id=f"x-{self._count}",
            attach=files,
            allow_env=list(SECRET) if here else [],
        )
        stop = Stop()
        setting = Setting(
            world=str(self._base / f"world-{adapter}"),
            processors_folder=str(self._folder),
            environ=SECRET if here else {},
            stop=stop,
            debug=False,
            connect=lambda _: self._line,
        )
        fd = os.open(os.devnull, os.O_WRONLY)
        try:
            envelope = run(request, setting, Trail(request.execution_id, fd))
        finally:
            os.close(fd)
            stop.close()
        found = json.loads(canonical(envelope))
        assert isinstance(found, dict)
        return found


def _pinned(folder: Path, ref: Ref, copy: Path) -> Path:
    """What the build left of a processor, with a pin, which both adapters are given alike."""
    own = copy / ref.folder
    own.mkdir(parents=True)
    (own / "tree").symlink_to(folder / ref.folder / "tree")
    described = json.loads((folder / ref.folder / "processor.json").read_bytes())
    described["registry"]["image"]["digest"] = DIGEST
    (own / "processor.json").write_text(json.dumps(described))
    return copy


def _masked(envelope: dict[str, Any]) -> dict[str, Any]:
    meta = {key: value for key, value in envelope["meta"].items() if key not in MASK}
    if "tails" in meta:
        meta["tails"] = {name: _timeless(tail) for name, tail in meta["tails"].items()}
    return {**envelope, "meta": meta}


def _timeless(tail: dict[str, Any]) -> dict[str, Any]:
    """A stream with every duration that it tells of masked, and its length and digest with them.

    Both are of what is told, so they are made anew of the rest; before, they must be right.
    """
    text = tail["text"].encode()
    if not _DURATION.search(text):
        return tail
    assert (tail["digest"], tail["size_bytes"]) == (digests.of_bytes(text), len(text)), tail
    masked = _DURATION.sub(b'"duration_ms":0', text)
    return {
        "text": masked.decode(),
        "digest": digests.of_bytes(masked),
        "size_bytes": len(masked),
    }


def pair(base: Path, folder: Path, *ref: str) -> Pair:
    return Pair(base, folder, Ref(ref[0], ref[1], 1))


@pytest.mark.proves("LN-6")
@pytest.mark.parametrize("behaviours", [GOOD, BAD], ids=["good", "bad"])
def test_whatever_a_processor_does_both_adapters_say_the_same(
    behaviours: tuple[str, ...], tmp_path: Path
) -> None:
    zoo = pair(tmp_path, TEST_PROCESSORS, "hostile", "zoo")

    @settings(searched, max_examples=60)
    @given(st.sampled_from(behaviours), st.text(st.characters(codec="utf-8"), max_size=30))
    def search(behaviour: str, text: str) -> None:
        zoo.compare({"behaviour": behaviour, "text": text})

    search()
    if behaviours is BAD:
        assert zoo.failed >= 50


@pytest.mark.proves("LN-6", "F-12")
@pytest.mark.parametrize(
    "behaviour", ["leak_secret", "leak_in_message", "leak_in_file_name", "leak_in_output_path"]
)
def test_a_secret_is_masked_alike_by_both(behaviour: str, tmp_path: Path) -> None:
    zoo = pair(tmp_path, TEST_PROCESSORS, "hostile", "zoo")

    zoo.compare({"behaviour": behaviour}, mode="real")

    assert zoo.failed == 1


@pytest.mark.proves("LN-6")
def test_a_document_is_the_same_document_wherever_it_is_read(tmp_path: Path) -> None:
    doc = pair(tmp_path, PROCESSORS, "doc", "extract")

    @settings(searched, max_examples=50)
    @given(DOCUMENTS)
    def search(document: tuple[str, bytes]) -> None:
        name, data = document
        doc.compare({"filename": name}, source=data)

    search()
    assert doc.failed >= 20


@pytest.mark.proves("LN-6")
def test_a_conversation_is_the_same_wherever_it_is_answered(tmp_path: Path) -> None:
    chat = pair(tmp_path, PROCESSORS, "llm", "chat")

    @settings(searched, max_examples=40)
    @given(CHATS)
    def search(inputs: dict[str, Any]) -> None:
        chat.compare(inputs)

    search()
    assert chat.failed >= 10
