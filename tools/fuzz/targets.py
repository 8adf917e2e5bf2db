"""What is fuzzed: one target a parser, each with the sentence that must hold for any bytes."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from random import Random

from orchestrator.cli import flags
from orchestrator.cli.run_processor import FLAGS, INPUTS
from orchestrator.execution import relay
from orchestrator.execution import request as asked
from orchestrator.execution.trail import Trail
from orchestrator.images import reference, registry
from processors.protocol import canonical, digests, envelope, events, paths, payload, receipt
from processors.protocol.canonical import Json
from processors.protocol.envelope import Output
from processors.protocol.errors import CODES, PROCESSOR_CODES, inputs_error
from processors.protocol.payload import Artifact, Payload
from processors.protocol.refs import Ref
from tools.fuzz import mutate

type Grammar = Callable[[Random], bytes]
type Run = Callable[[bytes], object]


class Target:
    """One parser.

    Args:
        name: What ``--target`` calls it.
        invariant: What holds for any bytes, in one sentence.
        code: The only code that a refusal may have.
        run: Parses some bytes and asserts the invariant; it raises ContractError to refuse.
        corpus: Good inputs, and bad ones that were once a bug.
        grammar: Makes an input that is nearly good.
        words: Bytes that mean something to the parser.
        weight: The share of the executions that it gets.
    """

    def __init__(
        self,
        name: str,
        invariant: str,
        *,
        run: Run,
        corpus: tuple[bytes, ...],
        grammar: Grammar,
        words: tuple[bytes, ...],
        code: str = "ERR_INPUTS",
        weight: int = 20,
    ) -> None:
        assert code in CODES
        self.name = name
        self.invariant = invariant
        self.run = run
        self.corpus = corpus
        self.grammar = grammar
        self.words = words
        self.code = code
        self.weight = weight


_ID = "20260101t000000z-0123456789"
_CID = digests.of_bytes(b"a")
_REF = Ref("llm", "chat", 1)
_PAYLOAD = Payload(
    execution_id=_ID,
    ref=str(_REF),
    mode="mock",
    inputs={"text": "Gr\u00fc\u00dfe", "n": 1, "x": [0.5, None, True, {"deep": {}}]},
    artifacts={"document": Artifact("/artifacts/attached/a.pdf", _CID, 1)},
    write_prefix="/artifacts/demo/",
)
_OUTPUTS = [
    Output("/artifacts/demo/outputs/a.md", _CID, 1, "text/markdown"),
    Output("/artifacts/demo/outputs/b/c.json", _CID, 0, "application/json"),
]
_PAYLOAD_HASH = digests.of_bytes(_PAYLOAD.encode())
_COST = 1  # which Python takes for true

_META: Json = {
    "processor_ref": _PAYLOAD.ref,
    "mode": _PAYLOAD.mode,
    "inputs_hash": _PAYLOAD.inputs_hash(),
    "cost_micro_usd": _COST,
}
_SUCCESS: Json = {
    "status": "success",
    "execution_id": _ID,
    "outputs": [output.as_json() for output in _OUTPUTS],
    "index_path": "/artifacts/demo/outputs.json",
    "meta": _META,
}
_ERROR: Json = {
    "status": "error",
    "execution_id": _ID,
    "error": {"code": "ERR_INPUTS", "reason": "no_text", "message": "a scan"},
    "meta": _META,
}
_REGISTRY: Json = {
    "schema": "v1",
    "ref": str(_REF),
    "summary": "answers",
    "runtime": "python3.13",
    "entrypoint": "main.py",
    "image": {"repository": "processors/llm-chat", "digest": _CID},
    "inputs": {
        "type": "object",
        "required": ["text"],
        "properties": {
            "text": {"type": "string", "description": "what", "minLength": 1, "maxLength": 5},
            "kind": {"type": "string", "enum": ["a", "b"]},
            "share": {"type": "number", "minimum": 0, "maximum": 0.5, "enum": [0.25, 0.5]},
            "list": {"type": "array", "maxItems": 3, "items": {"type": "integer", "enum": [1]}},
        },
    },
    "requires": {"text": "/artifacts/text/{name}/outputs/text.md"},
    "produces": ["/artifacts/chat/{name}/outputs/reply.md"],
    "limits": {"time_s": 1, "memory_mb": 1, "max_input_bytes": 1, "max_output_bytes": 1},
    "cost": {"estimate_micro_usd": 0},
    "secrets": ["OPENAI_API_KEY"],
    "endpoints": {"openai": {"base_url": "https://api.test/v1", "secret": "OPENAI_API_KEY"}},
    "prices": {"m": {"input_micro_usd_per_mtok": 1, "output_micro_usd_per_mtok": 2}},
}
_EVENTS: tuple[Json, ...] = (
    {"event": "provider.call", "provider": "openai", "operation": "chat", "attempt": 1},
    {
        "event": "provider.response",
        "provider": "openai",
        "operation": "chat",
        "attempt": 1,
        "outcome": "ok",
        "duration_ms": 12,
    },
)
_RECEIPT = receipt.encode(
    writer="processor",
    payload=_PAYLOAD,
    payload_hash=_PAYLOAD_HASH,
    outputs=_OUTPUTS,
    error=None,
    cost_micro_usd=_COST,
    started_at="2026-01-01T00:00:00Z",
    duration_ms=12,
)

_JSON_WORDS = (
    *(b"{", b"}", b"[", b"]", b":", b",", b'"', b"\\", b'""', b'"a":1,', b"null", b"true", b"-"),
    *(b"-0", b"1e400", b"1e15", b"0.1", b"9007199254740992", b"NaN", b"-Infinity", b"0x1", b"\n"),
    *(b'"\\ud800"', b'"\\ud83d\\ude00"', b"\\u0000", b"\xef\xbb\xbf", b"\xff", b"\xed\xa0\x80"),
)
_PATH_WORDS = (
    *(b"/", b"//", b"artifacts", b"/artifacts/", b"streams", b"attached/", b"execution/", b"a"),
    *(b".", b"..", b"%2e", b"%2E%2e", b"%2F", b"%25", b"%", b"%c3%a9", b"%C3", b"%ed%a0%80"),
    *(b"%00", b" ", b"\\", b"{execution_id}", b"{", b"\x00", b"\n", b"\x7f", b"\xc2\x85", b"\xff"),
    *("\u00e9".encode(), "e\u0301".encode(), "\u212b".encode(), "\u0958".encode(), b"b" * 250),
)
_YAML_WORDS = (
    *(b"- ", b"? ", b": ", b"&a ", b"*a", b"<<: ", b"|\n ", b">\n ", b"---\n", b"...\n"),
    *(b"!!int ''", b"!!float ''", b"!!bool a", b"!!timestamp a", b"!!binary a", b"!!null a"),
    *(b"!!set {a}", b"!!omap []", b"!!pairs [a]", b"!!str 1", b"! ", b"!a ", b"!!python/tuple "),
    *(b".nan", b".inf", b"1_0", b"0b1", b"0x_", b"1:59", b"2020-01-01", b"2020-99-99", b"~", b"="),
    *(b"yes", b"'", b'"', b'"\\ud800"', b'"\\xff"', b"%YAML 1.9\n", b"\xff\xfe", b"\x00", b"\x85"),
    *(b"{", b"}", b"[", b"]", b",", b"#", b"\t", b"\n  ", b"9" * 5_000),
)
_IMAGE_WORDS = (
    *(b"@", b"sha256:", b"0a" * 32, b"0A" * 32, b"processors/llm-chat", b":v1", b"/", b"\xff"),
    *("\u0661".encode() * 64, b"a", b"@sha256:" + b"0" * 64, b"\n", b" ", b"\x00", b"A", b"\xc3"),
    *(b"localhost", b"r.test", b":5000", b":0", b":65536", b":", b"[::1]", b"127.0.0.1", b"--"),
    *(b".", b"..", b"_", b"__", b"___", b"b" * 63, b"c" * 64, b"d/" * 60, b"//", b"https://"),
)
_FLAG_WORDS = (
    *(flag.name.encode() for flag in FLAGS),
    *(b"=", b"\0", b"-", b"--", b"", b"local", b"mock", b"dev", b"llm/chat@1", b"llm/chat@0"),
    *(b"a=b", b"/artifacts/{execution_id}/", b"{}", b'{"a":1}', b"30", b"\xd9\xa1", b"86401"),
)
_COMMAND = (
    *("--ref", "llm/chat@1", "--adapter", "local", "--mode", "mock", "--lane", "pr"),
    *("--write-prefix", "/artifacts/{execution_id}/", "--inputs-json", '{"a":1}'),
    *("--attach", "one=a.pdf", "--use=two=/artifacts/a", "--timeout-s", "30", "--json"),
)


def _text(data: bytes) -> str:
    """Bytes as the operating system hands them to a program (PEP 383)."""
    return data.decode("utf-8", "surrogateescape")


def _payload(data: bytes) -> None:
    found = payload.decode(data)
    again = payload.decode(found.encode())
    assert again.encode() == found.encode()
    assert (again.inputs, again.execution_id) == (found.inputs, found.execution_id)
    assert found.inputs_hash() == again.inputs_hash()


def _inputs(data: bytes) -> None:
    found = asked.check_inputs(data, "--inputs-json")
    assert canonical.parse(canonical.canonical(found), "again") == found
    sent = Payload(
        execution_id=_ID,
        ref=str(_REF),
        mode="mock",
        inputs=found,
        artifacts={},
        write_prefix="/artifacts/demo/",
    )
    try:
        payload.decode(sent.encode())
    except Exception as error:
        raise AssertionError("inputs that no processor accepts") from error


def _envelope(data: bytes) -> None:
    found = envelope.check(data, _PAYLOAD)
    names = [output.path for output in found.outputs]
    assert names == sorted(set(names))
    assert all(paths.is_under(name, "/artifacts/demo/outputs/") for name in names)
    assert all(paths.canonical_path(name) == name for name in names)
    assert found.error is None or (found.error.code in PROCESSOR_CODES and not names)
    canonical.canonical(envelope.index_document(found.outputs))


def _registry(data: bytes) -> None:
    document = registry.load(data, _REF, "registry.yaml").document()
    assert canonical.parse(canonical.canonical(document), "registry") == document


def _world_path(data: bytes) -> None:
    found = paths.canonical_path(_text(data))
    assert paths.canonical_path(found) == found
    _assert_inside(found)


def _write_prefix(data: bytes) -> None:
    found = asked.check_write_prefix(_text(data), _ID)
    assert found.endswith("/")
    assert found.startswith("/artifacts/")
    assert not found.startswith((paths.ATTACHED, paths.EXECUTIONS))
    assert paths.canonical_prefix(found) == found
    _assert_inside(found[:-1])


def _assert_inside(path: str) -> None:
    segments = path.split("/")[1:]
    assert segments[0] in paths.FACETS
    assert not {"", ".", ".."} & set(segments)
    assert "\0" not in path
    assert os.path.normpath("/world" + path) == "/world" + path
    assert all(len(os.fsencode(segment)) <= 255 for segment in segments)


# The grammar once more, from the OCI Distribution Specification 1.1 and distribution/reference.
_LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_NAME = "[a-z0-9]+(?:(?:[.]|_|__|-+)[a-z0-9]+)*"
_IMAGE = re.compile(
    rf"(?:{_LABEL}(?:[.]{_LABEL})*(?::[1-9][0-9]{{0,4}})?/)?{_NAME}(?:/{_NAME})*@sha256:[0-9a-f]{{64}}"
)


def _image_reference(data: bytes) -> None:
    text = _text(data)
    found = reference.parse(text, "--image-override")
    assert str(found) == text
    assert _IMAGE.fullmatch(text)
    assert len(text) <= reference.REPOSITORY_CHARS_MAX + len("@" + found.digest)
    assert (found.host == "") != (found.host == text.partition("/")[0])


def _event_line(data: bytes) -> None:
    line = data.replace(b"\n", b" ")  # the spawn helper splits there
    reader, writer = os.pipe()
    try:
        relay.Relay(Trail(_ID, writer)).line(line)
        told = os.read(reader, 2 * events.LINE_BYTES_MAX)
    finally:
        os.close(reader)
        os.close(writer)
    assert len(told) <= events.LINE_BYTES_MAX
    assert told.count(b"\n") == 1
    found = json.loads(told)
    assert (found["execution_id"], found["seq"]) == (_ID, 1)
    if found["event"] == "processor.log":
        raise inputs_error("schema_violation", "no event, but told")
    assert found.keys() >= events.CHILD_EVENTS[found["event"]].keys()


def _receipt(data: bytes) -> None:
    document = canonical.parse(data, "receipt")
    wrong = receipt.problem(
        document,
        _PAYLOAD,
        _PAYLOAD_HASH,
        outputs=_OUTPUTS,
        error=None,
        cost_micro_usd=_COST,
    )
    if wrong is not None:
        raise inputs_error("schema_violation", wrong)
    assert isinstance(document, dict)
    volatile = document["volatile"]
    assert isinstance(volatile, dict)
    started_at, duration_ms = volatile["started_at"], volatile["duration_ms"]
    assert isinstance(started_at, str)
    assert isinstance(duration_ms, int)
    again = receipt.encode(
        writer="processor",
        payload=_PAYLOAD,
        payload_hash=_PAYLOAD_HASH,
        outputs=_OUTPUTS,
        error=None,
        cost_micro_usd=_COST,
        started_at=started_at,
        duration_ms=duration_ms,
    )
    assert again == canonical.canonical(document) + b"\n"


def _command_line(data: bytes) -> None:
    given = flags.parse(FLAGS, [_text(word) for word in data.split(b"\0")], one_of=INPUTS)
    execution_id = asked.check_execution_id(given.get("--execution-id") or _ID)
    ref = asked.check_ref(given.require("--ref"))
    assert asked.check_ref(str(ref)).folder == ref.folder
    asked.check_adapter(given.require("--adapter"))
    asked.check_mode(given.require("--mode"))
    asked.check_lane(given.require("--lane"))
    prefix = asked.check_write_prefix(given.require("--write-prefix"), execution_id)
    assert asked.check_write_prefix(prefix, "") == prefix
    if (text := given.get("--inputs-json")) is not None:
        asked.check_inputs(os.fsencode(text), "--inputs-json")
    for flag in ("--attach", "--use"):
        assert all(asked.check_named(flag, given.all(flag)).values())
    if (limit := given.get("--timeout-s")) is not None:
        assert 1 <= asked.check_timeout(limit) <= asked.TIMEOUT_S_MAX


def _canary(data: bytes) -> None:
    """Judges segments before it decodes them: a classic."""
    text = _text(data)
    if not text.startswith("/artifacts/") or {"", ".", ".."} & set(text[1:].split("/")):
        raise inputs_error("path_dot_segment", "refused")
    assert ".." not in text.replace("%2e", ".").split("/")


def _documents(*examples: Json) -> Grammar:
    return lambda rng: mutate.document(rng, examples)


def _sentences(
    words: tuple[bytes, ...], most: int, start: bytes = b"", end: bytes = b""
) -> Grammar:
    return lambda rng: (
        (start if rng.random() < 0.8 else b"")
        + mutate.sentence(rng, words, most)
        + (end if rng.random() < 0.8 else b"")
    )


def _commands(rng: Random) -> bytes:
    """A good command with some words replaced, taken out or put in."""
    words = [word.encode() for word in _COMMAND]
    for _ in range(rng.randint(0, 3)):
        at = rng.randrange(len(words))
        words[at : at + rng.randint(0, 2)] = rng.choices(_FLAG_WORDS, k=rng.randint(0, 2))
        words = words or [b""]
    return b"\0".join(words)


def _json_lines(*documents: Json) -> tuple[bytes, ...]:
    return tuple(canonical.canonical(document) for document in documents)


TARGETS = (
    Target(
        "payload",
        "any bytes: a Payload whose encode() decodes to the same value, or ERR_INPUTS",
        run=_payload,
        corpus=(_PAYLOAD.encode(),),
        grammar=_documents(json.loads(_PAYLOAD.encode())),
        words=_JSON_WORDS,
    ),
    Target(
        "inputs",
        "any bytes: an object that survives its canonical form and a payload, or ERR_INPUTS",
        run=_inputs,
        corpus=_json_lines(_PAYLOAD.inputs, {}),
        grammar=_documents(_PAYLOAD.inputs, {"a": 1}),
        words=_JSON_WORDS,
    ),
    Target(
        "envelope",
        "any bytes: a Reply whose outputs are sorted and in the prefix, or envelope_invalid",
        run=_envelope,
        corpus=_json_lines(_SUCCESS, _ERROR),
        grammar=_documents(_SUCCESS, _ERROR),
        words=_JSON_WORDS,
        code="ERR_ADAPTER_INVOCATION",
    ),
    Target(
        "registry",
        "any bytes: a Registry whose document() is canonical JSON, or ERR_REGISTRY_MISMATCH",
        run=_registry,
        corpus=_json_lines(_REGISTRY),
        grammar=_documents(_REGISTRY),
        words=_YAML_WORDS,
        code="ERR_REGISTRY_MISMATCH",
        weight=1,
    ),
    Target(
        "world-path",
        "any bytes: a path that is its own canonical form and stays in its facet, or ERR_INPUTS",
        run=_world_path,
        corpus=(b"/artifacts/a/b.md", b"/streams/%C3%A9", b"/goals/x/y/z"),
        grammar=_sentences(_PATH_WORDS, 8, start=b"/artifacts/"),
        words=_PATH_WORDS,
    ),
    Target(
        "write-prefix",
        "any bytes: a canonical folder under /artifacts/ that is not reserved, or ERR_INPUTS",
        run=_write_prefix,
        corpus=(b"/artifacts/demo/", b"/artifacts/{execution_id}/a/"),
        grammar=_sentences(_PATH_WORDS, 6, start=b"/artifacts/", end=b"/"),
        words=_PATH_WORDS,
    ),
    Target(
        "image-reference",
        "any bytes: a reference of the grammar that prints as it was read, or ERR_INPUTS",
        run=_image_reference,
        corpus=tuple(
            name + b"@" + _CID.encode()
            for name in (b"processors/llm-chat", b"localhost:5000/a", b"r-1.x:1/a/b__c")
        ),
        grammar=_sentences(_IMAGE_WORDS, 6, end=b"@" + _CID.encode()),
        words=_IMAGE_WORDS,
    ),
    Target(
        "event-line",
        "any line: one line of ours in its bound, an event of the schema or a processor.log",
        run=_event_line,
        corpus=_json_lines(*_EVENTS),
        grammar=_documents(*_EVENTS),
        words=_JSON_WORDS,
    ),
    Target(
        "receipt",
        "any bytes: a receipt that is the one of the run byte for byte, or ERR_INPUTS",
        run=_receipt,
        corpus=(_RECEIPT,),
        grammar=_documents(json.loads(_RECEIPT)),
        words=_JSON_WORDS,
    ),
    Target(
        "command-line",
        "any words: flags whose values pass their own checks again, or ERR_INPUTS",
        run=_command_line,
        corpus=("\0".join(_COMMAND).encode(),),
        grammar=_commands,
        words=_FLAG_WORDS,
    ),
)

CANARY_EXECUTIONS = 100_000  # in which the canary must be found; it takes about 6,000
CANARY = Target(
    "canary",
    "a parser that is broken on purpose: the search must find it",
    run=_canary,
    corpus=(b"/artifacts/a",),
    grammar=_sentences(_PATH_WORDS, 8, start=b"/artifacts/"),
    words=_PATH_WORDS,
)
