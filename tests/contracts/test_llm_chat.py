"""llm/chat@1 seen from outside, in both modes, against a provider that may fail in any way."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from processors.protocol.payload import Payload
from tests.harness import ROOT, run
from tests.simulators import openai_server as simulated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.harness import Result

FOLDER = ROOT / "processors/llm/chat/v1"
PREFIX = "/artifacts/demo/x/"
CANARY = "canary-5b1f0c9e-7d3a-4e0b-9a55-2f6f4d1c8e77-canary-5b1f0c9e-7d3a"
QUESTION: dict[str, Any] = {
    "endpoint": "loopback",
    "model": "test-model",
    "messages": [{"role": "user", "content": f"Hello? {CANARY}"}],
}


class Bench:
    """A world, a registry with a loopback endpoint, and the provider behind it."""

    def __init__(self, folder: Path, server: simulated.Server) -> None:
        self.folder = folder
        self.server = server
        self.registry: dict[str, Any] = yaml.safe_load((FOLDER / "registry.yaml").read_text())
        self.registry["endpoints"]["loopback"] = {
            "base_url": server.base_url,
            "secret": "OPENAI_API_KEY",
        }
        self.registry["prices"]["test-model"] = {
            "input_micro_usd_per_mtok": 150_000,
            "output_micro_usd_per_mtok": 600_000,
        }

    def limit(self, **limits: int) -> None:
        """Change limits of the registry."""
        self.registry["limits"] |= limits

    def ask(
        self,
        inputs: dict[str, Any] = QUESTION,
        *,
        mode: str = "real",
        env: dict[str, str] | None = None,
        attach: dict[str, bytes] | None = None,
        world: str = "world",
    ) -> Result:
        """Run the processor; every variable of ``env`` is allowed to reach it."""
        root = self.folder / "registries"
        (root / "llm/chat/v1").mkdir(parents=True, exist_ok=True)
        (root / "llm/chat/v1/registry.yaml").write_text(json.dumps(self.registry))
        variables = {"OPENAI_API_KEY": simulated.KEY} if env is None else env
        argv = ["--ref", "llm/chat@1", "--adapter", "local", "--mode", mode, "--lane", "dev"]
        argv += ["--registry-root", str(root), "--inputs-json", json.dumps(inputs)]
        argv += ["--write-prefix", PREFIX, "--json"]
        if mode == "real":
            for name in variables:
                argv += ["--allow-env", name]
        for name, data in (attach or {}).items():
            (self.folder / name).write_bytes(data)
            argv += ["--attach", f"{name}={self.folder / name}"]
        return run(*argv, world=self.folder / world, env=variables)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with simulated.Server() as server:
        yield Bench(tmp_path, server)


def error_of(result: Result) -> tuple[str, str]:
    """Code and reason of an error envelope."""
    assert result.envelope["status"] == "error"
    return result.envelope["error"]["code"], result.envelope["error"]["reason"]


def provider_error(result: Result) -> str:
    """The reason of an error that the provider caused; nothing of the talk is in it."""
    code, reason = error_of(result)
    assert code == "ERR_ADAPTER_INVOCATION"
    assert result.exit_code == 1
    assert CANARY not in json.dumps(result.envelope)
    assert_nothing_leaks(result)
    return reason


def assert_nothing_leaks(result: Result) -> None:
    """The key is nowhere that we can read afterwards; the talk is not on stderr."""
    key = simulated.KEY.encode()
    assert key not in result.stdout
    assert key not in result.stderr
    assert CANARY.encode() not in result.stderr
    files = [path for path in result.world.rglob("*") if path.is_file()]
    assert files
    assert [path for path in files if key in path.read_bytes()] == []


def breadcrumbs(result: Result) -> list[tuple[str, int, str | None]]:
    """What was said about the provider: event, attempt, outcome."""
    return [
        (event["event"], event["attempt"], event.get("outcome"))
        for event in result.events
        if event["event"].startswith("provider.")
    ]


def with_inputs(**changes: object) -> dict[str, Any]:
    """The question with other members."""
    return QUESTION | changes


# A good answer.


def test_a_reply_is_written_with_its_usage_and_cost(bench: Bench) -> None:
    bench.server.script(simulated.ok(f"Grüß dich.\n{CANARY}", model="test-model-2025-08-01"))

    result = bench.ask()

    assert result.exit_code == 0
    assert result.output("reply.md").decode() == f"Grüß dich.\n{CANARY}"
    assert json.loads(result.output("response.json")) == {
        "model": "test-model-2025-08-01",
        "endpoint": "loopback",
        "finish_reason": "stop",
        "usage": {"input_tokens": 12, "output_tokens": 3},
        "cost_micro_usd": 4,  # 12 * 0.15 + 3 * 0.6 = 3.6, rounded up
    }
    assert result.envelope["meta"]["cost_micro_usd"] == 4
    assert [item["path"] for item in result.envelope["outputs"]] == [
        f"{PREFIX}outputs/reply.md",
        f"{PREFIX}outputs/response.json",
    ]
    assert breadcrumbs(result) == [("provider.call", 1, None), ("provider.response", 1, "ok")]
    assert_nothing_leaks(result)


def test_the_request_says_what_the_inputs_say(bench: Bench) -> None:
    talk = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "artifact": "question"},
        {"role": "assistant", "content": "Yes?"},
    ]
    inputs = with_inputs(messages=talk, temperature=0.25, seed=7, max_output_tokens=99)

    result = bench.ask(inputs, attach={"question": "Wie spät?\n".encode()})

    assert result.exit_code == 0
    (request,) = bench.server.requests
    assert (request.method, request.path) == ("POST", simulated.PATH)
    assert request.key == simulated.KEY
    assert request.document == {
        "model": "test-model",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Wie spät?\n"},
            {"role": "assistant", "content": "Yes?"},
        ],
        "temperature": 0.25,
        "seed": 7,
        "max_completion_tokens": 99,
    }


def test_what_the_inputs_leave_out_is_left_to_the_provider(bench: Bench) -> None:
    bench.ask()

    (request,) = bench.server.requests
    assert request.document.keys() == {"model", "messages", "max_completion_tokens"}
    assert request.document["max_completion_tokens"] == 4096


@pytest.mark.parametrize(
    ("tokens", "price", "cost"),
    [((1, 0), 1, 1), ((0, 0), 5_000_000, 0), ((1_000_000, 0), 7, 7), ((1_000_001, 0), 7, 8)],
)
def test_the_cost_is_rounded_up(
    bench: Bench, tokens: tuple[int, int], price: int, cost: int
) -> None:
    bench.registry["prices"]["test-model"]["input_micro_usd_per_mtok"] = price
    usage = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1]}
    bench.server.script(simulated.ok(usage=usage))

    assert bench.ask().envelope["meta"]["cost_micro_usd"] == cost


# Inputs that allow no answer: judged alike in both modes, before any call.


@pytest.mark.parametrize("mode", ["mock", "real"])
@pytest.mark.parametrize(
    ("inputs", "reason", "named"),
    [
        (with_inputs(endpoint="elsewhere"), "unknown_endpoint", "loopback, openai"),
        (with_inputs(endpoint="http://evil.test/v1"), "unknown_endpoint", "loopback, openai"),
        (with_inputs(model="no-model"), "unknown_price", "test-model"),
        (with_inputs(messages=[]), "schema_violation", ""),
        (with_inputs(messages=[{"role": "robot", "content": "x"}]), "schema_violation", ""),
        (with_inputs(messages=[{"role": "user"}]), "schema_violation", "messages[0]"),
        (
            with_inputs(messages=[{"role": "user", "content": "x", "artifact": "question"}]),
            "schema_violation",
            "messages[0]",
        ),
        (with_inputs(messages=[{"role": "user", "artifact": "other"}]), "unknown_name", "other"),
        (with_inputs(temperature=2.5), "schema_violation", ""),
        (with_inputs(max_output_tokens=0), "schema_violation", ""),
        (with_inputs(timeout_s=601), "schema_violation", ""),
        (with_inputs(base_url="http://evil.test/v1"), "schema_violation", ""),
    ],
)
def test_inputs_are_judged_before_any_call(
    bench: Bench, mode: str, inputs: dict[str, Any], reason: str, named: str
) -> None:
    result = bench.ask(inputs, mode=mode, attach={"question": b"Hello?"})

    assert error_of(result) == ("ERR_INPUTS", reason)
    assert result.exit_code == 2
    assert named in result.envelope["error"]["message"]
    assert bench.server.requests == []
    assert breadcrumbs(result) == []


@pytest.mark.parametrize("mode", ["mock", "real"])
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\xff\xfe", "bad_encoding"),
        (b"\xef\xbb\xbfHello?", "bad_encoding"),
        (b"", "empty_input"),
        (b"x" * 1001, "input_too_large"),
        (b"x" * 501, "input_too_large"),  # twice in the talk, so the sum is too large
    ],
)
def test_an_attached_text_is_judged_before_any_call(
    bench: Bench, mode: str, data: bytes, reason: str
) -> None:
    bench.limit(max_input_bytes=1000)
    talk = [{"role": "user", "artifact": "question"}] * 2

    result = bench.ask(with_inputs(messages=talk), mode=mode, attach={"question": data})

    assert error_of(result) == ("ERR_INPUTS", reason)
    assert bench.server.requests == []


# The key.


@pytest.mark.parametrize(
    ("key", "reason"), [(None, "absent"), ("", "absent"), ("sk-1234", "too_short")]
)
def test_without_a_usable_key_nothing_is_called(bench: Bench, key: str | None, reason: str) -> None:
    result = bench.ask(env={} if key is None else {"OPENAI_API_KEY": key})

    assert error_of(result) == ("ERR_MISSING_SECRET", reason)
    assert "OPENAI_API_KEY" in result.envelope["error"]["message"]
    assert "sk-1234" not in json.dumps(result.envelope)
    assert bench.server.requests == []


def test_a_key_that_no_header_carries_is_not_sent(bench: Bench) -> None:
    key = "sk-0123456789\nX-Injected: yes"

    result = bench.ask(env={"OPENAI_API_KEY": key})

    assert error_of(result) == ("ERR_MISSING_SECRET", "malformed")
    assert bench.server.requests == []
    assert b"sk-0123456789" not in result.stdout + result.stderr


def test_the_environment_cannot_redirect_or_adorn_the_request(bench: Bench) -> None:
    with simulated.Server() as other:
        proxy = f"http://127.0.0.1:{other.port}"
        ambient = {
            "OPENAI_BASE_URL": other.base_url,
            "OPENAI_ORG_ID": "org-ambient",
            "OPENAI_PROJECT_ID": "proj-ambient",
            "OPENAI_ADMIN_KEY": "sk-admin-ambient",
            "OPENAI_CUSTOM_HEADERS": "Authorization: Bearer ambient\nX-Ambient: yes",
            "OPENAI_LOG": "debug   ",  # a secret has 8 bytes
            "HTTP_PROXY": proxy,
            "http_proxy": proxy,
            "ALL_PROXY": proxy,
        }
        # Declared as secrets, these variables reach the processor.
        bench.registry["secrets"] += sorted(ambient)

        result = bench.ask(env={"OPENAI_API_KEY": simulated.KEY, **ambient})

        assert result.exit_code == 0
        assert other.requests == []
    (request,) = bench.server.requests
    assert request.key == simulated.KEY
    assert [name for name in request.headers if name.startswith(("openai-", "x-ambient"))] == []
    assert "ambient" not in json.dumps(request.headers)
    assert_nothing_leaks(result)


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_is_a_bad_reply_and_the_key_stays(bench: Bench, code: int) -> None:
    with simulated.Server() as other:
        bench.server.script(simulated.redirect(f"{other.base_url}/chat/completions", code=code))

        assert provider_error(bench.ask()) == "provider_bad_reply"
        assert other.requests == []
    assert len(bench.server.requests) == 1


# Refusals.


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (400, "provider_refused"),
        (401, "provider_auth"),
        (403, "provider_auth"),
        (404, "provider_refused"),
        (409, "provider_refused"),
        (413, "provider_refused"),
        (422, "provider_refused"),
    ],
)
def test_a_refusal_is_final(bench: Bench, status: int, reason: str) -> None:
    bench.server.script(simulated.status(status, message=f"{simulated.KEY} {CANARY}"))

    result = bench.ask()

    assert provider_error(result) == reason
    assert str(status) in result.envelope["error"]["message"]
    assert result.envelope["meta"]["cost_micro_usd"] == 0
    assert breadcrumbs(result) == [("provider.call", 1, None), ("provider.response", 1, reason)]


def test_an_empty_account_is_not_asked_again(bench: Bench) -> None:
    bench.server.script(simulated.status(429, code="insufficient_quota"))

    assert provider_error(bench.ask()) == "provider_quota"
    assert len(bench.server.requests) == 1


# What is tried again.


PASSING = {
    "too_many": (simulated.status(429), "provider_rate_limited"),
    "too_many_wait_0": (simulated.status(429, retry_after="0"), "provider_rate_limited"),
    "internal": (simulated.status(500), "provider_unavailable"),
    "overloaded": (simulated.status(503), "provider_unavailable"),
    "too_slow_for_the_server": (simulated.status(408), "provider_timeout"),
    "reset": (simulated.reset(), "provider_unavailable"),
    "truncated": (simulated.body(b'{"id":', length=100), "provider_unavailable"),
    "html": (
        simulated.body(b"<html>", code=502, content_type="text/html"),
        "provider_unavailable",
    ),
    "deep": (simulated.body(b"[" * 60_000, code=500), "provider_unavailable"),
    "not_gzip": (simulated.body(b"x", code=500, encoding="gzip"), "provider_unavailable"),
    "endless": (simulated.endless_body(code=500), "provider_unavailable"),
}


@pytest.mark.parametrize(("behaviour", "reason"), PASSING.values(), ids=PASSING)
def test_a_passing_failure_is_tried_again_up_to_the_limit(
    bench: Bench, behaviour: simulated.Behaviour, reason: str
) -> None:
    bench.limit(attempts_max=2)
    bench.server.script(behaviour, behaviour)

    result = bench.ask()

    assert provider_error(result) == reason
    assert len(bench.server.requests) == 2
    assert breadcrumbs(result) == [
        ("provider.call", 1, None),
        ("provider.response", 1, reason),
        ("provider.call", 2, None),
        ("provider.response", 2, reason),
    ]


def test_a_later_attempt_may_succeed(bench: Bench) -> None:
    bench.server.script(simulated.status(503), simulated.reset())

    result = bench.ask()

    assert result.exit_code == 0
    assert [attempt for _, attempt, _ in breadcrumbs(result)] == [1, 1, 2, 2, 3, 3]
    bodies = [request.body for request in bench.server.requests]
    assert len(bodies) == 3
    assert len(set(bodies)) == 1


def test_the_registry_sets_the_number_of_attempts(bench: Bench) -> None:
    bench.limit(attempts_max=1)
    bench.server.script(simulated.status(503))

    assert provider_error(bench.ask()) == "provider_unavailable"
    assert len(bench.server.requests) == 1


def test_retry_after_is_honoured(bench: Bench) -> None:
    bench.server.script(simulated.status(429, retry_after="2"))

    assert bench.ask().exit_code == 0

    first, second = bench.server.requests
    assert second.at - first.at >= 2


@pytest.mark.parametrize("seconds", ["30", "61", "999999999"])
def test_a_wait_beyond_a_limit_is_not_begun(bench: Bench, seconds: str) -> None:
    """30 seconds are more than the processor has left, 61 more than it ever waits."""
    bench.limit(time_s=20 if seconds == "30" else 300)
    bench.server.script(simulated.status(429, retry_after=seconds))

    assert provider_error(bench.ask()) == "provider_rate_limited"
    assert len(bench.server.requests) == 1


@pytest.mark.parametrize(
    "text", ["soon", "-1", "1.5", "Wed, 21 Oct 2015 07:28:00 GMT", "nan", "1é"]
)
def test_another_retry_after_is_as_none(bench: Bench, text: str) -> None:
    bench.server.script(simulated.status(429, retry_after=text))

    assert bench.ask().exit_code == 0


# Time.


@pytest.mark.parametrize(
    "behaviour",
    [simulated.silence(60), simulated.trickled_headers(), simulated.trickled_body()],
    ids=["silence", "trickled_headers", "trickled_body"],
)
def test_an_attempt_ends_in_its_time(bench: Bench, behaviour: simulated.Behaviour) -> None:
    bench.limit(attempts_max=2)
    bench.server.script(behaviour, behaviour)

    result = bench.ask(with_inputs(timeout_s=1))

    assert provider_error(result) == "provider_timeout"
    assert len(bench.server.requests) == 2
    durations_ms = [event["duration_ms"] for event in responses(result)]
    assert all(900 <= each < 20_000 for each in durations_ms)


def responses(result: Result) -> list[dict[str, Any]]:
    """The events of answers."""
    return [event for event in result.events if event["event"] == "provider.response"]


@pytest.mark.parametrize(
    "behaviour",
    [simulated.silence(60), simulated.trickled_headers(), simulated.trickled_body()],
    ids=["silence", "trickled_headers", "trickled_body"],
)
def test_all_attempts_end_in_the_processors_time(
    bench: Bench, behaviour: simulated.Behaviour
) -> None:
    """The processor answers by itself and writes its receipt before it would be ended."""
    bench.limit(time_s=6, attempts_max=3)
    bench.server.script(behaviour, behaviour, behaviour)

    result = bench.ask(with_inputs(timeout_s=600))

    assert provider_error(result) == "provider_timeout"
    assert result.file("/artifacts/demo/x/receipt.json").is_file()


def test_a_slow_answer_within_its_time_is_an_answer(bench: Bench) -> None:
    bench.server.script(simulated.late(0.5))

    assert bench.ask(with_inputs(timeout_s=30)).exit_code == 0


def test_nobody_listening_is_unavailable(bench: Bench) -> None:
    bench.limit(attempts_max=1)
    with simulated.Server() as other:
        gone = other.base_url
    bench.registry["endpoints"]["loopback"]["base_url"] = gone

    assert provider_error(bench.ask()) == "provider_unavailable"


# Replies that are not of the protocol: refused once, since they may have been paid for.

CHOICE = simulated.choice(CANARY)
WHOLE = json.dumps(simulated.completion()).encode()


def used(prompt_tokens: object) -> simulated.Behaviour:
    """An answer with this count of tokens."""
    return simulated.ok(usage={"prompt_tokens": prompt_tokens, "completion_tokens": 1})


OUTSIDE = {
    "broken_json": simulated.body(b"{"),
    "empty_body": simulated.body(b""),
    "array": simulated.body(b"[]"),
    "empty_object": simulated.body(b"{}"),
    "not_utf8": simulated.body(b"\xff"),
    "deep": simulated.body(b"[" * 100_000),
    "repeated_key": simulated.body(b'{"a":1,"a":2}'),
    "wrong_type": simulated.body(WHOLE, content_type="text/html"),
    "compressed": simulated.body(gzip.compress(WHOLE), encoding="gzip"),
    "choices_absent": simulated.ok(choices=None),
    "choices_empty": simulated.ok(choices=[]),
    "choices_of_numbers": simulated.ok(choices=[7]),
    "choices_object": simulated.ok(choices={"0": CHOICE}),
    "message_null": simulated.ok(choices=[CHOICE | {"message": None}]),
    "finish_reason_null": simulated.ok(choices=[CHOICE | {"finish_reason": None}]),
    "finish_reason_talk": simulated.ok(choices=[CHOICE | {"finish_reason": CANARY}]),
    "content_null": simulated.ok(choices=[simulated.choice(None)]),
    "content_empty": simulated.ok(choices=[simulated.choice("")]),
    "content_cut_off": simulated.ok(choices=[simulated.choice("", finish_reason="length")]),
    "content_list": simulated.ok(choices=[CHOICE | {"message": {"content": [1]}}]),
    "content_surrogate": simulated.ok("\ud800"),
    "model_number": simulated.ok(model=7),
    "model_long": simulated.ok(model="m" * 257),
    "usage_absent": simulated.ok(usage=None),
    "usage_empty": simulated.ok(usage={}),
    "usage_text": used("1"),
    "usage_negative": used(-1),
    "usage_boolean": used(True),  # noqa: FBT003 - a value of the reply
    "usage_huge": used(10**12),
}


@pytest.mark.parametrize("behaviour", OUTSIDE.values(), ids=OUTSIDE)
def test_a_reply_outside_the_protocol_is_refused(
    bench: Bench, behaviour: simulated.Behaviour
) -> None:
    bench.server.script(behaviour)

    result = bench.ask()

    assert provider_error(result) == "provider_bad_reply"
    assert len(bench.server.requests) == 1
    assert not (result.world / "artifacts/demo/x/outputs").exists()


@pytest.mark.parametrize(
    "choice",
    [
        simulated.choice(None, refusal=f"I cannot. {CANARY}"),
        simulated.choice(None, finish_reason="content_filter"),
        simulated.choice("", finish_reason="content_filter"),
    ],
)
def test_a_model_that_declines_is_a_refusal(bench: Bench, choice: dict[str, Any]) -> None:
    bench.server.script(simulated.ok(choices=[choice]))

    assert provider_error(bench.ask()) == "provider_refused"


def test_a_refused_reply_is_still_paid_for(bench: Bench) -> None:
    bench.server.script(simulated.ok(None))

    assert bench.ask().envelope["meta"]["cost_micro_usd"] == 4


@pytest.mark.parametrize(
    "behaviour",
    [simulated.endless_body(), simulated.ok("x" * 70_000), simulated.ok("\x01" * 61_500)],
    ids=["endless", "long_text", "long_escaped_text"],
)
def test_a_reply_beyond_its_size_is_refused(bench: Bench, behaviour: simulated.Behaviour) -> None:
    bench.limit(max_output_bytes=65_536)
    bench.server.script(behaviour)

    assert provider_error(bench.ask()) == "provider_bad_reply"
    assert len(bench.server.requests) == 1


def test_a_reply_of_the_largest_size_is_written(bench: Bench) -> None:
    bench.limit(max_output_bytes=65_536)
    largest = "\x01" * (65_536 - 4_096)  # six bytes each, as JSON writes them
    bench.server.script(simulated.ok(largest))

    assert bench.ask().output("reply.md").decode() == largest


# Mock mode.


def test_mock_answers_from_the_inputs_alone(bench: Bench) -> None:
    first = bench.ask(mode="mock", world="one")
    again = bench.ask(mode="mock", world="two")
    other = bench.ask(with_inputs(seed=1), mode="mock", world="three")

    assert first.exit_code == 0
    assert bench.server.requests == []
    for name in ("reply.md", "response.json"):
        assert first.output(name) == again.output(name)
    assert first.output("reply.md") != other.output("reply.md")
    assert json.loads(first.output("response.json")) == {
        "model": "test-model",
        "endpoint": "loopback",
        "finish_reason": "stop",
        "usage": {"input_tokens": 2, "output_tokens": 4},
        "cost_micro_usd": 0,
    }
    assert first.envelope["meta"]["cost_micro_usd"] == 0


def test_mock_answers_by_the_text_and_not_by_the_name_of_an_artifact(bench: Bench) -> None:
    def ask(name: str, data: bytes, world: str) -> bytes:
        talk = [{"role": "user", "artifact": name}]
        inputs = with_inputs(messages=talk)
        return bench.ask(inputs, mode="mock", attach={name: data}, world=world).output("reply.md")

    assert ask("question", b"Hello?", "one") == ask("renamed", b"Hello?", "two")
    assert ask("question", b"Hello?", "three") != ask("question", b"Goodbye?", "four")


def test_mock_leaves_the_same_trace_and_the_same_outputs_as_real(bench: Bench) -> None:
    mock = bench.ask(mode="mock", world="mock")
    real = bench.ask(mode="real", world="real")

    assert breadcrumbs(mock) == breadcrumbs(real)
    assert [item["path"] for item in mock.envelope["outputs"]] == [
        item["path"] for item in real.envelope["outputs"]
    ]
    documents = [json.loads(result.output("response.json")) for result in (mock, real)]
    assert documents[0].keys() == documents[1].keys()


@pytest.fixture
def bare(bench: Bench) -> Callable[[str], subprocess.CompletedProcess[bytes]]:
    """Starts the processor's main in an interpreter that has no installed package at all."""
    del bench.registry["image"]
    registry = bench.folder / "registry.json"
    registry.write_text(json.dumps(bench.registry))

    def start(mode: str) -> subprocess.CompletedProcess[bytes]:
        payload = Payload(
            execution_id=mode,
            ref="llm/chat@1",
            mode=mode,
            inputs=QUESTION,
            artifacts={},
            write_prefix=PREFIX,
        )
        root = bench.folder / mode
        (root / "artifacts").mkdir(parents=True)
        program = (
            "from processors.llm.chat.v1.main import run;"
            "from processors.protocol.runtime import main;"
            "main(run)"
        )
        argv = [sys.executable, "-P", "-s", "-S", "-B", "-u", "-c", program]
        return subprocess.run(
            [*argv, "--root", str(root), "--registry", str(registry)],
            input=payload.encode(),
            env={"PYTHONPATH": str(FOLDER / "tree/app"), "OPENAI_API_KEY": simulated.KEY},
            capture_output=True,
            check=False,
            timeout=60,
        )

    return start


@pytest.mark.proves("PA-1")
def test_mock_needs_no_sdk_and_real_imports_it_inside_the_call(
    bare: Callable[[str], subprocess.CompletedProcess[bytes]],
) -> None:
    mock, real = bare("mock"), bare("real")

    assert json.loads(mock.stdout)["status"] == "success"
    assert json.loads(real.stdout)["error"]["reason"] == "processor_error"
    *_, last, kind = real.stderr.decode().splitlines()
    line = int(last.partition("line ")[2].partition(",")[0])
    source = (FOLDER / "tree/app/processors/llm/chat/v1/provider.py").read_text().splitlines()
    assert (source[line - 1], kind) == ("import httpx2", "ModuleNotFoundError")
    assert b"ModuleNotFoundError" in real.stderr
