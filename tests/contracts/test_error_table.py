"""Every row of the error table is reached through the command line, and says what to do.

A case names its row and pieces of the message: what was seen, and what is due. Every case puts a
canary into the payload, and no message and no line of stderr may hold it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGTERM, Signals
from typing import Any, NamedTuple

import pytest
import yaml
from _pytest.mark import ParameterSet

from processors.protocol.errors import ERRORS, find_row
from tests.fixtures import traces
from tests.fixtures.commands import ADAPTER, DESCRIPTION, LEDGER_FILE, REAPER, Copy
from tests.harness import (
    COMMAND,
    MOCK,
    REAL,
    ROOT,
    ZOO_COMMAND,
    Result,
    finish,
    read_until,
    run,
    start,
    zoo,
    zoo_words,
)
from tests.simulators import openai_server as simulated

# Rows that only a later step can reach, and that step.
DUE: dict[str, str] = {}
# Rows of other commands, and where they are reached.
IMAGES = "tests/contracts/test_image_errors.py"
MODAL = "tests/integration/test_modal_deploy.py"
CALLS = "tests/integration/test_modal_calls.py"
ELSEWHERE = {
    "ERR_REGISTRY_MISMATCH/content_mismatch": "tests/acceptance/pinned/test_images.py",
    "ERR_IMAGE_UNAVAILABLE/remote_refused": MODAL,
    "ERR_MISSING_SECRET/not_synced": MODAL,
    "ERR_MODAL_LOOKUP/not_deployed": MODAL,
    "ERR_MODAL_LOOKUP/unreachable": MODAL,
    **{
        f"{code}/{reason}": CALLS
        for code, reason in (
            ("ERR_MODAL_INVOCATION", "exchange_invalid"),
            ("ERR_MODAL_INVOCATION", "file_lost"),
            ("ERR_MODAL_INVOCATION", "remote_error"),
            ("ERR_MODAL_TIMEOUT", "call_time_limit"),
            ("ERR_MODAL_TIMEOUT", "remote_time_limit"),
        )
    },
    "ERR_CI_SAFETY/protected_branch": IMAGES,
    "ERR_CI_SAFETY/unknown_branch": IMAGES,
    **{
        f"ERR_IMAGE_UNAVAILABLE/{reason}": IMAGES
        for reason in (
            "not_built",
            "not_in_store",
            "platform_missing",
            "registry_denied",
            "registry_failed",
            "registry_throttled",
            "registry_unreachable",
        )
    },
    **{
        f"ERR_REGISTRY_MISMATCH/{reason}": IMAGES
        for reason in (
            "blob_corrupt",
            "build_stale",
            "digest_chain",
            "digest_mismatch",
            "layout_invalid",
            "pin_stale",
            "referrer_mismatch",
        )
    },
    **{
        f"ERR_INPUTS/{reason}": "tests/contracts/test_achieve.py"
        for reason in ("goal_cycle", "goal_unproved", "invalid_goal", "no_plan", "unknown_goal")
    },
    "ERR_CI_SAFETY/step_refused": "tests/contracts/test_achieve.py",
    "ERR_INPUTS/unwritable_target": "tests/contracts/test_world_command.py",
    "ERR_INPUTS/world_absent": "tests/contracts/test_ledger_command.py",
    "ERR_CI_SAFETY/verdict_differs": "tests/contracts/test_ledger_command.py",
}
BUSY = "ERR_INPUTS/world_busy"
# Acceptance rows that are due with this table; the other codes' rows are proved elsewhere or later.
PROVED = {
    "ERR_IMAGE_UNPINNED",
    "ERR_INPUTS",
    "ERR_CI_SAFETY",
    "ERR_MISSING_SECRET",
    "ERR_ADAPTER_INVOCATION",
}
STATUS = {"time_limit": 124, "interrupted": 130, "terminated": 143}  # the rest of the rule: judge

CANARY = "canary-5b1f0c9e-7d3a-4e0b-9a55-2f6f4d1c8e77-canary-5b1f0c9e-7d3a"
CHAT = ROOT / "processors/llm/chat/v1/registry.yaml"
ZOO = ROOT / "tests/fixtures/processors/hostile/zoo/v1/registry.yaml"
IMAGE = ("--image-override", "tests/zoo@sha256:" + "0" * 64)
KEY = ("--allow-env", "ZOO_SECRET")


def lane(name: str, adapter: str, mode: str) -> tuple[str, ...]:
    return ("--adapter", adapter, "--mode", mode, "--lane", name)


class Case(NamedTuple):
    """One call of the test processor. ``{tmp}`` is a folder with some files to name."""

    error: str
    says: tuple[str, ...]
    behaviour: str = "good"
    words: tuple[str, ...] = ()
    lane: tuple[str, ...] = MOCK
    prefix: str = "/artifacts/zoo/"
    env: tuple[tuple[str, str], ...] = ()
    inputs: str | None = None  # the text of the inputs, instead of a behaviour
    text: str = CANARY
    without: str = ""  # a flag that is left out
    before: tuple[str, ...] | None = None  # a successful call comes first, with these words
    world: str = "{tmp}/world"


def path(reason: str, prefix: str, *says: str) -> Case:
    return Case(f"ERR_INPUTS/path_{reason}", says, prefix=prefix)


def payload(reason: str, inputs: str, *says: str) -> Case:
    return Case(f"ERR_INPUTS/{reason}", ("--inputs-json", *says), inputs=inputs)


def safety(reason: str, chosen: tuple[str, ...], *words: str, says: tuple[str, ...]) -> Case:
    return Case(f"ERR_CI_SAFETY/{reason}", says, lane=chosen, words=words)


def adapter(reason: str, behaviour: str, *says: str, text: str = CANARY) -> Case:
    words = ("--timeout-s", "2")
    error = f"ERR_ADAPTER_INVOCATION/{reason}"
    return Case(error, says, behaviour=behaviour, text=text, words=words)


COMMAND_LINE = (
    Case("ERR_INPUTS/missing_flag", ("missing", "--ref"), without="--ref"),
    Case("ERR_INPUTS/unknown_flag", ("'--unheard-of'", "--help"), words=("--unheard-of",)),
    Case("ERR_INPUTS/unknown_flag", ("'word'", "--help"), words=("word",)),
    Case("ERR_INPUTS/repeated_flag", ("--mode", "twice"), words=("--mode", "mock")),
    Case("ERR_INPUTS/repeated_flag", ("--use", "twice"), words=("--use", "a=/x", "--use", "a=/y")),
    Case("ERR_INPUTS/missing_value", ("--timeout-s", "needs a value: N"), words=("--timeout-s=",)),
    Case("ERR_INPUTS/missing_value", ("--execution-id", "ID"), words=("--execution-id=",)),
    Case("ERR_INPUTS/conflicting_flags", ("only one", "--inputs"), words=("--inputs", "-")),
    Case("ERR_INPUTS/bad_value", ("'0'", "1 to 86400"), words=("--timeout-s", "0")),
    Case("ERR_INPUTS/bad_value", ("'1.5'", "1 to 86400"), words=("--timeout-s", "1.5")),
    Case("ERR_INPUTS/bad_value", ("'86401'", "1 to 86400"), words=("--timeout-s", "86401")),
    Case("ERR_INPUTS/bad_value", ("'An Id'", "[a-z0-9]"), words=("--execution-id", "An Id")),
    Case("ERR_INPUTS/bad_value", ("'word'", "NAME="), words=("--attach", "word")),
    Case("ERR_INPUTS/bad_value", ("--allow-real", "no value"), words=("--allow-real=yes",)),
    Case("ERR_INPUTS/bad_value", ("'smoke'", "mock, real"), lane=lane("pr", "local", "smoke")),
    Case("ERR_INPUTS/bad_value", ("'MOCK'", "mock, real"), lane=lane("pr", "local", "MOCK")),
    Case("ERR_INPUTS/bad_value", ("'here'", "local, modal"), lane=lane("pr", "here", "mock")),
    Case("ERR_INPUTS/bad_value", ("'ci'", "staging, main"), lane=lane("ci", "local", "mock")),
    Case("ERR_INPUTS/bad_value", ("HOME", "declares"), lane=REAL, words=("--allow-env", "HOME")),
    Case(
        "ERR_INPUTS/bad_value",
        ("--image-override", "'Zoo'", "a-z", "sha256:<64"),
        lane=lane("dev", "modal", "mock"),
        words=("--image-override", "tests/Zoo@sha256:" + "0" * 64),
    ),
    Case(
        "ERR_INPUTS/unknown_ref",
        ("zoo/zoo@7", "known: hostile/zoo@1"),
        without="--ref",
        words=("--ref", "zoo/zoo@7"),
    ),
    Case("ERR_INPUTS/unreadable_file", ("/no/such", "No such"), words=("--attach", "a=/no/such")),
    Case("ERR_INPUTS/unreadable_file", ("regular file",), words=("--attach", "a={tmp}")),
    Case("ERR_INPUTS/unknown_artifact", ("no/such",), words=("--use", "a=/artifacts/no/such")),
    Case("ERR_INPUTS/unknown_artifact", ("/artifacts",), words=("--use", "a=/artifacts")),
    Case(
        "ERR_INPUTS/execution_exists",
        ("x-1",),
        words=("--execution-id", "x-1"),
        prefix="/artifacts/other/",
        before=("--execution-id", "x-1"),
    ),
    Case("ERR_INPUTS/prefix_occupied", ("/zoo/",), prefix="/artifacts/zoo/in/", before=()),
    Case("ERR_INPUTS/prefix_occupied", ("/zoo/",), prefix="/artifacts/zoo/outputs/", before=()),
    Case(
        "ERR_INPUTS/prefix_occupied",
        ("--use source", "replace what it reads"),
        behaviour="copy",
        words=("--use", "source=/artifacts/zoo/outputs/seen.txt"),
        before=(),
    ),
    Case("ERR_INPUTS/world_unwritable", ("/dev/null/w", "Not a dir"), world="/dev/null/w"),
    Case("ERR_INPUTS/world_unwritable", ("canary.txt", "File exists"), world="{tmp}/canary.txt"),
    Case("ERR_INPUTS/world_unwritable", ("littered", "Not a dir"), world="{tmp}/littered"),
    Case("ERR_INPUTS/world_corrupt", ("corrupt", "not a database"), world="{tmp}/corrupt"),
    Case("ERR_INPUTS/world_format", ("format 99", "newer"), world="{tmp}/newer"),
)
PAYLOADS = (
    payload("bad_json", f'{{"text": "{CANARY}"', "line 1 column"),
    payload("bad_json", CANARY, "line 1 column 1"),
    payload("bad_encoding", f'{{"text": "{CANARY}\udcff"}}', "not UTF-8 at byte"),
    payload("bad_encoding", f'\ufeff{{"text": "{CANARY}"}}', "byte order mark", "leave it out"),
    payload("bad_unicode", f'{{"text": "{CANARY}\\ud800"}}', "lone surrogate"),
    payload("duplicate_key", f'{{"text": "{CANARY}", "text": "{CANARY}"}}', "twice"),
    payload("number_out_of_range", f'{{"text": "{CANARY}", "n": NaN}}', "9007199254740991"),
    payload("number_out_of_range", f'{{"text": "{CANARY}", "n": 9007199254740992}}', "at most"),
    payload("too_deep", f'{{"text": {"[" * 99}"{CANARY}"{"]" * 99}}}', "at most 64 levels"),
    payload("not_an_object", f'["{CANARY}"]', "array", "not an object"),
    Case(
        "ERR_INPUTS/too_large",
        ("--inputs-file", "bytes; at most 1048576"),
        without="--inputs-json",
        words=("--inputs-file", "{tmp}/large"),
    ),
    Case("ERR_INPUTS/schema_violation", ("lacks behaviour",), inputs=f'{{"text": "{CANARY}"}}'),
    Case(
        "ERR_INPUTS/schema_violation",
        ("unknown member", "known: behaviour, text"),
        inputs=f'{{"behaviour": "good", "{CANARY}": "{CANARY}"}}',
    ),
    Case(
        "ERR_INPUTS/schema_violation",
        ("inputs.behaviour", "at most 64"),
        inputs=json.dumps({"behaviour": CANARY + CANARY}),
    ),
    Case(
        "ERR_INPUTS/unknown_name",
        ("'source'", "given: none"),
        behaviour="copy",
    ),
    Case(
        "ERR_INPUTS/empty_input",
        ("source", "no bytes"),
        behaviour="copy",
        words=("--attach", "source={tmp}/empty"),
    ),
    Case(
        "ERR_INPUTS/input_too_large",
        ("source", "1048577 bytes; at most 1048576"),
        behaviour="copy",
        words=("--attach", "source={tmp}/large"),
    ),
)
PATHS = (
    path("not_absolute", "artifacts/x/", "'artifacts/x", "start with /"),
    path("empty_segment", "/artifacts//a/", "'/artifacts//a", "empty segment"),
    path("dot_segment", "/artifacts/a/../b/", ".. segment"),
    path("dot_segment", "/artifacts/a/%2e%2e/b/", ".. segment"),
    path("bad_percent", "/artifacts/a%/", "%", "no single escape"),
    path("encoded_slash", "/artifacts/a%2Fb/", "hides a slash"),
    path("bad_character", "/artifacts/a\nb/", "control character"),
    path("unknown_facet", "/etc/x/", "'/etc/x'", "/artifacts/"),
    path("too_long", f"/artifacts/{'a' * 256}/", "256 bytes; at most 255"),
    path("too_long", f"/artifacts/{'a/' * 300}", "at most 512"),
    path("bad_prefix", "/artifacts/x", "does not end with /"),
    path("bad_prefix", "/artifacts/", "under /artifacts/"),
    path("bad_prefix", "/plan/x/", "under /artifacts/"),
    path("bad_prefix", "/artifacts/execution/x/", "reserved"),
    path("bad_prefix", "/artifacts/attached/", "reserved"),
)
POLICY = (
    safety("lane_adapter", lane("pr", "modal", "mock"), says=("pr runs adapter local", "modal")),
    safety("lane_adapter", lane("main", "local", "mock"), says=("main runs adapter modal",)),
    safety("lane_mode", lane("pr", "local", "real"), says=("pr runs mode mock", "not real")),
    safety(
        "lane_real_unconfirmed",
        lane("staging", "modal", "real"),
        says=("real", "staging", "needs --allow-real"),
    ),
    safety("lane_allow_real", MOCK, "--allow-real", says=("--allow-real is for", "staging")),
    safety("lane_override", MOCK, *IMAGE, says=("lane pr", "pinned or source")),
    safety("lane_override", lane("main", "modal", "mock"), *IMAGE, says=("lane main", "pinned")),
    safety("lane_secrets", MOCK, *KEY, says=("--allow-env is for lane dev", "real")),
    safety(
        "lane_registry_root",
        lane("staging", "modal", "mock"),
        *("--registry-root", "{tmp}"),
        says=("staging", "embedded registries only"),
    ),
    safety(
        "override_without_image",
        lane("dev", "local", "mock"),
        *IMAGE,
        says=("local runs no image to override",),
    ),
)
BEFORE_THE_START = (
    Case(
        "ERR_IMAGE_UNPINNED/no_pin",
        ("hostile/zoo@1", "image.digest null", "pinned images"),
        lane=lane("staging", "modal", "mock"),
    ),
    Case(
        "ERR_MODAL_LOOKUP/no_credentials",
        ("hostile-zoo-v1", "MODAL_TOKEN_ID", "dev"),
        lane=lane("dev", "modal", "mock"),
        words=IMAGE,
    ),
    Case(
        "ERR_REGISTRY_MISMATCH/invalid_registry",
        ("/none/hostile/zoo/v1/registry.yaml", "No such file"),
        words=("--registry-root", "{tmp}/none"),
    ),
    Case(
        "ERR_REGISTRY_MISMATCH/ref_mismatch",
        ("says ref hostile/zoo@2", "its folder stands for hostile/zoo@1"),
        words=("--registry-root", "{tmp}/registries"),
    ),
    Case("ERR_MISSING_SECRET/absent", ("ZOO_SECRET", "set it and opt in"), lane=REAL, words=KEY),
    Case(
        "ERR_MISSING_SECRET/absent",
        ("ZOO_SECRET", "opt in with --allow-env"),
        lane=REAL,
        env=(("ZOO_SECRET", CANARY),),
    ),
    Case(
        "ERR_MISSING_SECRET/too_short",
        ("ZOO_SECRET", "fewer than 8 bytes"),
        lane=REAL,
        words=KEY,
        env=(("ZOO_SECRET", CANARY[:7]),),
    ),
    Case(
        "ERR_MISSING_SECRET/malformed",
        ("ZOO_SECRET", "not UTF-8", "set it again"),
        lane=REAL,
        words=KEY,
        env=(("ZOO_SECRET", CANARY + "\udcff"),),
    ),
)
PROCESSORS = (
    adapter("exit_status", "exit_7", "status 7"),
    adapter("killed", "kill_self", "signal 9"),
    adapter("time_limit", "sleep", "longer than", "ms"),
    adapter("envelope_invalid", "not_json", "envelope"),
    adapter(
        "envelope_invalid", "exit_0_silent", "nothing was printed on stdout", "expected one JSON"
    ),
    adapter("envelope_invalid", "foreign_code", "no pair that a processor may answer"),
    adapter("output_invalid", "wrong_bytes", "seen.txt", "not what the envelope says"),
    Case(
        "ERR_ADAPTER_INVOCATION/effect_missing",
        ("/artifacts/zoo/outputs/promised.txt is declared", "no output is there"),
        words=("--registry-root", "{tmp}/promises"),
    ),
    adapter("receipt_invalid", "spoil", "receipt.json", "differ", text="receipt.json"),
    adapter("stray_file", "stray", "/artifacts/zoo/stray.txt", "no output"),
    adapter("processor_error", "raise", "RuntimeError"),
    adapter("processor_error", "fail_as", "UnknownReasonError", text="ERR_INPUTS my_own"),
    adapter("processor_error", "write_as", "job.write", "has a .. segment", text="../a"),
    adapter("processor_error", "write_as", "job.write: b is written twice", text="a\nb\nb"),
    adapter("provider_unavailable", "own_error", "the zoo is closed"),
)
CASES = (*COMMAND_LINE, *PAYLOADS, *PATHS, *POLICY, *BEFORE_THE_START, *PROCESSORS)


class Document(NamedTuple):
    """A file, by the name that ``doc/extract@1`` is told, and how it is refused."""

    error: str
    says: tuple[str, ...]
    name: str
    data: bytes


DOCUMENTS = (
    Document("ERR_INPUTS/unsupported_format", ("none of .pdf",), "a.xyz", b"x"),
    Document("ERR_INPUTS/unsupported_format", ("none of .pdf",), f"a.{CANARY}", b"x"),
    Document(
        "ERR_INPUTS/format_mismatch",
        ("name says pdf", "content is plain text"),
        *("a.pdf", CANARY.encode()),
    ),
    Document(
        "ERR_INPUTS/corrupt_document",
        ("PDF cannot be parsed",),
        *("a.pdf", b"%PDF-1.7\n" + CANARY.encode()),
    ),
    Document(
        "ERR_INPUTS/encrypted_document",
        ("OLE file: encrypted",),
        *("a.docx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + CANARY.encode()),
    ),
    Document("ERR_INPUTS/no_text", ("text document", "no text"), "a.txt", b" \n\n"),
    Document(
        "ERR_INPUTS/bad_encoding",
        ("the text is not UTF-8",),
        *("a.txt", CANARY.encode() + b"\xff"),
    ),
    Document(
        "ERR_INPUTS/bad_encoding",
        ("the page declares no known encoding",),
        *("a.html", f'<meta charset="{CANARY}"><p>a'.encode()),
    ),
)


class Talk(NamedTuple):
    """A question to ``llm/chat@1`` with changed inputs, and how its provider behaves."""

    error: str
    says: tuple[str, ...]
    behaviour: simulated.Behaviour = simulated.reset()
    inputs: tuple[tuple[str, Any], ...] = ()


def provider(reason: str, behaviour: simulated.Behaviour, *says: str) -> Talk:
    return Talk(f"ERR_ADAPTER_INVOCATION/provider_{reason}", says, behaviour)


TALKS = (
    Talk("ERR_INPUTS/unknown_endpoint", (".endpoint", "loopback"), inputs=(("endpoint", CANARY),)),
    Talk("ERR_INPUTS/unknown_price", ("inputs.model", "gpt-5"), inputs=(("model", CANARY),)),
    provider("auth", simulated.status(401, message=CANARY), "401"),
    provider("quota", simulated.status(429, code="insufficient_quota", message=CANARY), "loopback"),
    provider("rate_limited", simulated.status(429, message=CANARY), "attempt 1 of at most 1"),
    provider("timeout", simulated.status(408, message=CANARY), "attempt 1 of at most 1"),
    provider("unavailable", simulated.status(503, message=CANARY), "503", "attempt 1 of at most 1"),
    provider("refused", simulated.status(422, message=CANARY), "422"),
    provider("bad_reply", simulated.body(CANARY.encode()), "not JSON", "1 of at most 1"),
)


class Signal(NamedTuple):
    """A signal to the orchestrator while the processor works."""

    error: str
    says: tuple[str, ...]
    signum: Signals


SIGNALS = (
    Signal("ERR_ADAPTER_INVOCATION/interrupted", ("signal 2", "ended the run"), SIGINT),
    Signal("ERR_ADAPTER_INVOCATION/terminated", ("signal 15", "ended the run"), SIGTERM),
    Signal("ERR_ADAPTER_INVOCATION/terminated", ("signal 1", "ended the run"), SIGHUP),
)


class Broken(NamedTuple):
    """A copy of the command in which one place of a file is another."""

    error: str
    says: tuple[str, ...]
    file: str
    old: str
    new: str
    behaviour: str = "good"
    lane: tuple[str, ...] = MOCK


BROKEN = (
    *(
        Broken(
            "ERR_IMAGE_UNPINNED/bad_pin",
            ("hostile/zoo@1", pin),
            *(DESCRIPTION, '"digest":null', f'"digest":"{pin}"'),
            lane=lane("main", "modal", "mock"),
        )
        for pin in ("latest", "sha256:abcdef", "sha256:" + "A" * 64, "sha256:" + "0" * 64)
    ),
    Broken(
        "ERR_ADAPTER_INVOCATION/unsupported_platform",
        ("/proc/self/task/N/children", "Linux"),
        *(REAPER, '/children"):', '/no-such"):'),
    ),
    Broken(
        "ERR_ADAPTER_INVOCATION/survivors",
        ("cannot be ended",),
        *(REAPER, "END_S_MAX = 1.0", "END_S_MAX = -1.0"),
        behaviour="daemon",
    ),
    Broken(
        "ERR_ADAPTER_INVOCATION/spawn_failed",
        ("/no/such/program", "No such file"),
        *(DESCRIPTION, "{python}", "/no/such/program"),
    ),
    Broken(
        "ERR_ADAPTER_INVOCATION/orchestrator_error",
        ("unexpected KeyError", "--debug"),
        *(DESCRIPTION, '"memory_mb"', '"memory"'),
    ),
    Broken(
        "ERR_ADAPTER_INVOCATION/orchestrator_error",
        ("unexpected NameError", "--debug"),
        *(ADAPTER, "lines = relay.Relay(trail)", "lines = undefined"),
    ),
    Broken(
        "ERR_REGISTRY_MISMATCH/invalid_registry",
        ("hostile/zoo@1 as it was built", "JSON", "build it again"),
        *(DESCRIPTION, '{"argv"', '{"argv'),
    ),
)


type AnyCase = Case | Document | Talk | Signal | Broken


def every(cases: Iterable[AnyCase]) -> list[ParameterSet]:
    """The cases as parameters; each proves its code's acceptance row, if that is due."""
    return [
        pytest.param(
            case,
            id=f"{number}-{case.error}",
            marks=pytest.mark.proves("EV-9", *PROVED.intersection(case.error.split("/"))),
        )
        for number, case in enumerate(cases)
    ]


def judge(result: Result, error: str, says: tuple[str, ...]) -> None:
    """Hold the end of a call against its row."""
    code, reason = error.split("/")
    row = find_row(code, reason)
    assert row is not None
    assert result.error == (code, reason), result.stdout
    assert result.exit_code == STATUS.get(reason, 2 if code == "ERR_INPUTS" else 1)
    assert result.exit_code == row.exit_code
    message = result.envelope["error"]["message"]
    assert [piece for piece in says if piece not in message] == [], message
    assert CANARY[:7] not in message
    assert CANARY.encode() not in result.stderr + result.stdout
    traces.names(result)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What the cases name as ``{tmp}``."""
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "canary.txt").write_text(CANARY)
    (tmp_path / "large").write_bytes((CANARY * 20_000)[:1_048_577].encode())
    (tmp_path / "littered/.staging").mkdir(parents=True)
    (tmp_path / "littered/.staging/x").write_bytes(b"no folder of an attempt")
    (tmp_path / "corrupt").mkdir()
    (tmp_path / "corrupt/ledger.sqlite3").write_bytes(b"this is no database, as anybody can see")
    (tmp_path / "newer").mkdir()
    newer = sqlite3.connect(tmp_path / "newer/ledger.sqlite3")
    newer.execute("PRAGMA application_id = 0x574C4447")
    newer.execute("PRAGMA user_version = 99")
    newer.execute("CREATE TABLE artifacts (path, cid)")
    newer.close()
    for root, old, new in (
        ("registries", "hostile/zoo@1", "hostile/zoo@2"),
        ("promises", "produces: []", 'produces: ["/artifacts/a/{name}/outputs/promised.txt"]'),
    ):
        place = tmp_path / root / "hostile/zoo/v1/registry.yaml"
        place.parent.mkdir(parents=True)
        place.write_text(ZOO.read_text().replace(old, new))
    return tmp_path


@pytest.mark.parametrize("case", every(CASES))
def test_an_error_is_the_one_of_its_row(case: Case, folder: Path) -> None:
    def placed(word: str) -> str:
        return word.replace("{tmp}", str(folder))

    world = Path(placed(case.world))
    if case.before is not None:
        assert zoo("good", *case.before, world=world).exit_code == 0
    words = zoo_words(case.behaviour, lane=case.lane, prefix=case.prefix, text=case.text)
    if case.inputs is not None:
        words[words.index("--inputs-json") + 1] = case.inputs
    if case.without:
        at = words.index(case.without)
        del words[at : at + 2]

    result = run(
        *(*words, *map(placed, case.words)), world=world, env=dict(case.env), command=ZOO_COMMAND
    )

    judge(result, case.error, case.says)


@pytest.mark.parametrize("case", every(DOCUMENTS))
def test_a_document_that_cannot_be_read_is_told_by_its_row(case: Document, folder: Path) -> None:
    (folder / "document").write_bytes(case.data)
    inputs = ("--inputs-json", json.dumps({"filename": case.name}))

    result = run(
        *("--ref", "doc/extract@1", *REAL, "--write-prefix", "/artifacts/x/", "--json", *inputs),
        *("--attach", f"source={folder}/document"),
        world=folder / "world",
        command=COMMAND,
    )

    judge(result, case.error, case.says)


@pytest.mark.parametrize("case", every(TALKS))
def test_a_provider_that_fails_is_told_by_its_row(case: Talk, folder: Path) -> None:
    question: dict[str, Any] = {"endpoint": "loopback", "model": "gpt-5"}
    question["messages"] = [{"role": "user", "content": CANARY}]
    place = folder / "registries/llm/chat/v1/registry.yaml"
    place.parent.mkdir(parents=True)
    registry = yaml.safe_load(CHAT.read_text())
    registry["limits"]["attempts_max"] = 1
    with simulated.Server() as server:
        endpoint = {"base_url": server.base_url, "secret": "OPENAI_API_KEY"}
        registry["endpoints"]["loopback"] = endpoint
        place.write_text(json.dumps(registry))
        server.script(case.behaviour)
        result = run(
            *("--ref", "llm/chat@1", *REAL, "--write-prefix", "/artifacts/x/", "--json"),
            *("--inputs-json", json.dumps(question | dict(case.inputs))),
            *("--registry-root", str(folder / "registries"), "--allow-env", "OPENAI_API_KEY"),
            world=folder / "world",
            env={"OPENAI_API_KEY": simulated.KEY},
            command=COMMAND,
        )

    judge(result, case.error, case.says)


@pytest.mark.parametrize("case", every(SIGNALS))
def test_a_signal_is_told_by_its_row(case: Signal, tmp_path: Path) -> None:
    words = zoo_words("sleep", text=CANARY)
    with start(*words, world=tmp_path, command=ZOO_COMMAND) as process:
        read = read_until(process, "processor.log")
        process.send_signal(case.signum)
        result = finish(process, world=tmp_path, read=read)

    judge(result, case.error, case.says)


@pytest.mark.parametrize("case", every(BROKEN))
def test_a_broken_build_is_told_by_its_row(case: Broken, tmp_path: Path) -> None:
    copy = Copy(tmp_path)
    copy.replace(case.file, case.old, case.new)

    words = zoo_words(case.behaviour, text=CANARY, lane=case.lane)
    result = run(*words, world=tmp_path / "world", command=copy.command)

    judge(result, case.error, case.says)


def test_a_world_that_somebody_else_writes_for_too_long_is_told(tmp_path: Path) -> None:
    copy = Copy(tmp_path)
    copy.replace(LEDGER_FILE, "BUSY_S = 30.0", "BUSY_S = 0.1")
    run(*zoo_words("good"), world=tmp_path / "world", command=copy.command)
    writer = sqlite3.connect(tmp_path / "world/ledger.sqlite3", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")

    result = run(*zoo_words("good", text=CANARY), world=tmp_path / "world", command=copy.command)

    writer.close()
    judge(result, BUSY, ("another process",))


@pytest.mark.proves("EV-9", *PROVED)
def test_every_row_has_a_case_or_is_due_later() -> None:
    reached = {case.error for case in (*CASES, *DOCUMENTS, *TALKS, *SIGNALS, *BROKEN)} | {BUSY}
    rows = {f"{row.code}/{row.reason}" for row in ERRORS}

    assert reached <= rows
    assert reached.isdisjoint(DUE)
    assert rows - reached == DUE.keys() | ELSEWHERE.keys()
