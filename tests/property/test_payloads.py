"""Nothing of inputs, attached files or outputs shows on stderr, whatever goes wrong with them.

The words are those of the orchestrator, of the runtime around a processor and of the processors we
ship. What a processor prints by itself is its author's: wrapped and bounded, and not judged here.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fixtures import traces
from tests.fixtures.canary import CANARY, shows
from tests.harness import MOCK, REAL, Result, run, zoo
from tests.property.profile import searched

EXAMPLES = 60  # of whole runs, each a process or two
runs = settings(searched, max_examples=EXAMPLES)


def test_the_canary_is_long_enough_and_is_found_when_it_shows() -> None:
    assert len(CANARY.encode()) == 64
    for text in (CANARY, CANARY[20:40], json.dumps(CANARY), f"{CANARY}é{CANARY}"):
        assert shows(text.encode())
    assert not shows(b'{"event":"execution.start"}')


def judge(result: Result, *, message: bool = True) -> None:
    """Nothing of the canary is on stderr, nor in what an error says.

    Only a name that leads nowhere is called by name, in the envelope.
    """
    assert not shows(result.stderr), result.stderr
    traces.names(result)
    error = result.envelope.get("error")
    if message and error is not None and error["reason"] != "unknown_name":
        assert not shows(error["message"].encode()), error


AROUND = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
TEXTS = st.builds(lambda before, after: before + CANARY + after, AROUND, AROUND)
PLANTED: st.SearchStrategy[Any] = st.recursive(
    TEXTS,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3),
        st.dictionaries(TEXTS, inner | st.integers() | st.none(), min_size=1, max_size=3),
        st.fixed_dictionaries({"role": st.just("user"), "content": inner}),
        st.fixed_dictionaries({"role": inner}),
        st.fixed_dictionaries({"role": st.just("user"), "artifact": inner}),
    ),
    max_leaves=6,
)
CHAT: dict[str, Any] = {
    "endpoint": "openai",
    "model": "gpt-4o-mini",
    "messages": [{"role": "user", "content": CANARY}],
}
CHAT_KEYS = (*CHAT, "temperature", "seed", "max_output_tokens", "timeout_s", CANARY)
SHORT = st.integers(0, 32).map(lambda at: CANARY[at : at + 32])  # as long as an artifact's name
# Inputs of two processors: well formed or not, with the canary somewhere.
CHATS = st.one_of(
    st.builds(lambda key, value: CHAT | {key: value}, st.sampled_from(CHAT_KEYS), PLANTED),
    st.builds(lambda key, text: CHAT | {key: text}, st.sampled_from(["endpoint", "model"]), SHORT),
    st.builds(
        lambda key, text: CHAT | {"messages": [{"role": "user", key: text}]},
        st.sampled_from(["content", "artifact"]),
        SHORT | TEXTS,
    ),
)
EXTRACTS = st.fixed_dictionaries(
    {}, optional={"filename": PLANTED | st.sampled_from([f"{CANARY}.txt", f"a.{CANARY}", CANARY])}
)


def words(ref: str, lane: tuple[str, ...]) -> list[str]:
    return ["--ref", ref, *lane, "--write-prefix", "/artifacts/x/", "--json"]


def execute(data: bytes, *more: str, ref: str, lane: tuple[str, ...] = MOCK) -> Result:
    """Run a processor with these bytes as inputs, in a world of its own."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "inputs").write_bytes(data)
        file = ("--inputs-file", f"{folder}/inputs")
        return run(*words(ref, lane), *file, *more, world=Path(folder) / "world")


@pytest.mark.proves("OB-4")
@runs
@given(CHATS, st.booleans())
def test_inputs_of_a_chat_never_show(inputs: dict[str, Any], escaped: bool) -> None:  # noqa: FBT001 - drawn
    judge(execute(json.dumps(inputs, ensure_ascii=escaped).encode(), ref="llm/chat@1"))


@pytest.mark.proves("OB-4")
@runs
@given(st.one_of(EXTRACTS, PLANTED), st.booleans())
def test_inputs_of_an_extraction_never_show(inputs: object, escaped: bool) -> None:  # noqa: FBT001 - drawn
    judge(execute(json.dumps(inputs, ensure_ascii=escaped).encode(), ref="doc/extract@1"))


WHOLE = json.dumps(CHAT).encode()
NEARLY_JSON = st.one_of(
    st.builds(lambda at: WHOLE[:at], st.integers(0, len(WHOLE))),
    st.builds(
        lambda at, byte: WHOLE[:at] + bytes([byte]) + WHOLE[at:],
        st.integers(0, len(WHOLE)),
        st.integers(0, 255),
    ),
    st.sampled_from(
        [
            CANARY.encode(),
            f"[{CANARY}]".encode(),
            f'{{"{CANARY}":1,"{CANARY}":2}}'.encode(),
            f'{{"{CANARY}":1e999}}'.encode(),
            f'{{"{CANARY}":NaN}}'.encode(),
            f'{{"a":"{CANARY}\\ud800"}}'.encode(),
            f'{{"{CANARY}\\udc00":1}}'.encode(),
            f'{{"a":"{CANARY}\\x"}}'.encode(),
            f'{{"a":"{CANARY}'.encode(),
            f"{{'{CANARY}':1}}".encode(),
            json.dumps(CANARY).encode(),
            WHOLE + CANARY.encode(),
            b"\xef\xbb\xbf" + WHOLE,
            b"[" * 100 + CANARY.encode(),
            *(WHOLE.decode().encode(name) for name in ("utf-16", "utf-16-le", "utf-32", "utf-7")),
            WHOLE + b"\xff",
        ]
    ),
)


@pytest.mark.proves("OB-4")
@runs
@given(NEARLY_JSON)
def test_what_is_no_json_never_shows(data: bytes) -> None:
    judge(execute(data, ref="llm/chat@1"))


NAMES = ("a.txt", "a.md", "a.html", "a.pdf", "a.docx", f"{CANARY}.txt", f"a.{CANARY}", "none")
DOCUMENTS = st.builds(
    lambda head, text, encoding, tail: head + text.encode(encoding, "replace") + tail,
    st.sampled_from(
        [b"", b"%PDF-1.4\n", b"PK\x03\x04", b"<html><title>", b"<meta charset='x'>", b"\0", b"# "]
    ),
    TEXTS,
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1", "utf-7"]),
    st.sampled_from([b"", b"\xff", b"</title><p>", b"\n%%EOF", b"<p>" * 3_000]),
)


@pytest.mark.proves("OB-4")
@pytest.mark.parametrize("lane", [MOCK, REAL], ids=["mock", "real"])
@runs
@given(document=DOCUMENTS, name=st.sampled_from(NAMES))
def test_an_attached_document_and_its_text_never_show(
    lane: tuple[str, ...], document: bytes, name: str
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "document").write_bytes(document)
        attach = ("--attach", f"source={folder}/document")
        inputs = json.dumps({"filename": name}).encode()
        judge(execute(inputs, *attach, ref="doc/extract@1", lane=lane))


FORGED: list[list[list[Any]]] = [
    [[["outputs", 0, "path"], f"/artifacts/zoo/outputs/{CANARY}"]],
    [[["outputs", 0, "path"], CANARY]],
    [[["outputs", 0, "mime"], CANARY], [["outputs", 0, CANARY], CANARY]],
    [[["execution_id"], CANARY]],
    [[["index_path"], CANARY]],
    [[["status"], CANARY]],
    [[[CANARY], CANARY]],
    [[["meta", CANARY], CANARY]],
    [[["meta", "inputs_hash"], CANARY]],
]


@pytest.mark.proves("OB-4")
@pytest.mark.parametrize(
    ("behaviour", "text"),
    [
        ("echo", CANARY),  # as an output
        ("raise_text", CANARY),  # as what an exception says, and its cause
        (CANARY, ""),
        ("lose", CANARY),
        ("forge_receipt", json.dumps([[CANARY, CANARY]])),
        ("forge_receipt", json.dumps([["outputs", CANARY]])),
        *(("forge", json.dumps(each)) for each in FORGED),
    ],
)
def test_a_processor_that_fails_leaves_nothing_of_it_on_stderr(
    behaviour: str, text: str, tmp_path: Path
) -> None:
    judge(zoo(behaviour, text=text, world=tmp_path), message=False)  # some paths are quoted there


@pytest.mark.proves("OB-4")
@pytest.mark.parametrize("flag", ["--inputs-json", "--inputs-file", "--inputs", "--execution-id"])
def test_inputs_in_the_wrong_place_never_show_on_stderr(flag: str, tmp_path: Path) -> None:
    result = run(*words("llm/chat@1", MOCK), flag, CANARY, "--debug", world=tmp_path)

    assert result.envelope["status"] == "error"
    judge(result, message=False)
