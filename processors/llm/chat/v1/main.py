"""llm/chat@1: one chat completion from an OpenAI-compatible endpoint.

Judges the inputs, gets one reply (in mock mode from the inputs themselves, in real mode through
``provider.py``), and writes ``reply.md`` and ``response.json``. Where a request goes and which
key it carries are the registry's words alone; inputs only choose among the endpoints it names.
The SDK is imported in real mode, after every check that needs no provider.
"""

from __future__ import annotations

import os
import time

from processors.protocol import digests, shapes
from processors.protocol.canonical import Json
from processors.protocol.errors import ContractError, inputs_error
from processors.protocol.runtime import Job

TYPE_CHECKING = False
if TYPE_CHECKING:
    from processors.llm.chat.v1.provider import Reply

OPERATION = "chat.completions"
MAX_OUTPUT_TOKENS = 4_096  # when the inputs name none
TIMEOUT_S = 90  # for one attempt, when the inputs name none; three fit into the registry's limit
SECRET_BYTES_MIN = 8  # a shorter one cannot be redacted safely
RESPONSE_BYTES_MAX = 4_096  # response.json; the reply may take the rest of max_output_bytes
RESERVE_S_MAX = 5.0  # kept back for writing outputs and receipts

_BEGAN = time.monotonic()


def run(job: Job) -> None:
    """Answer the conversation of the inputs.

    Raises:
        ContractError: The inputs, the secret or the provider does not allow an answer.
    """
    endpoint = _listed(job, "endpoint", "endpoints", "unknown_endpoint")
    price = _listed(job, "model", "prices", "unknown_price")
    body = _body(job)
    if job.mode == "mock":
        _answer_mock(job, body)
    else:
        _answer_real(job, body, endpoint, price)


def _answer_mock(job: Job, body: dict[str, Json]) -> None:
    """Answer from a digest of the request: the same inputs always get the same words."""
    endpoint = shapes.text(job.inputs, "endpoint")
    with job.provider_call(endpoint, OPERATION):
        digest = digests.of_json({"endpoint": endpoint, "body": body})
        text = f"Mock reply to {digest}.\n"
    messages = body["messages"]
    assert isinstance(messages, list)
    words = sum(len(shapes.text(message, "content").split()) for message in messages)
    _write(job, text, shapes.text(body, "model"), "stop", words, len(text.split()))


def _answer_real(
    job: Job, body: dict[str, Json], endpoint: dict[str, Json], price: dict[str, Json]
) -> None:
    key = _take_key(shapes.text(endpoint, "secret"))
    from processors.llm.chat.v1 import provider  # the SDK: real mode alone pays for it

    def charge(input_tokens: int, output_tokens: int) -> None:
        job.cost_micro_usd = _cost_micro_usd(price, input_tokens, output_tokens)

    time_s = job.limit("time_s")
    call = provider.Call(
        endpoint=shapes.text(job.inputs, "endpoint"),
        base_url=shapes.text(endpoint, "base_url"),
        key=key,
        operation=OPERATION,
        body=body,
        timeout_s=_integer(job, "timeout_s", TIMEOUT_S),
        deadline=_BEGAN + time_s - min(RESERVE_S_MAX, time_s / 10),
        attempts_max=job.limit("attempts_max"),
        text_bytes_max=job.limit("max_output_bytes") - RESPONSE_BYTES_MAX,
    )
    reply: Reply = provider.complete(job, call, charge)
    _write(
        job, reply.text, reply.model, reply.finish_reason, reply.input_tokens, reply.output_tokens
    )


def _write(
    job: Job, text: str, model: str, finish_reason: str, input_tokens: int, output_tokens: int
) -> None:
    job.write("reply.md", text.encode("utf-8"), mime="text/markdown")
    job.write_json(
        "response.json",
        {
            "model": model,  # as the provider names it, which may be more exact than the inputs
            "endpoint": shapes.text(job.inputs, "endpoint"),
            "finish_reason": finish_reason,
            "usage": {"input_tokens": input_tokens, "output_tokens": output_tokens},
            "cost_micro_usd": job.cost_micro_usd,
        },
    )


def _listed(job: Job, name: str, table: str, reason: str) -> dict[str, Json]:
    """The entry that an input chooses from one of the registry's tables."""
    entries = shapes.members(job.registry, table)
    chosen = shapes.text(job.inputs, name)
    if chosen not in entries:
        listed = ", ".join(sorted(entries)) or "none"
        raise inputs_error(reason, f"inputs.{name} is none of the registry's {table}: {listed}")
    return shapes.members(entries, chosen)


def _body(job: Job) -> dict[str, Json]:
    """The request's body, with the text of the artifacts in place of their names."""
    given = job.inputs["messages"]
    assert isinstance(given, list)
    limit = job.limit("max_input_bytes")
    messages: list[Json] = []
    size = 0
    for number, message in enumerate(given):
        content = _content(job, message, f"inputs.messages[{number}]")
        size += len(content.encode("utf-8"))
        if size > limit:
            raise inputs_error("input_too_large", f"the messages hold more than {limit} bytes")
        messages.append({"role": shapes.text(message, "role"), "content": content})
    body: dict[str, Json] = {
        "model": job.inputs["model"],
        "messages": messages,
        "max_completion_tokens": _integer(job, "max_output_tokens", MAX_OUTPUT_TOKENS),
    }
    for name in ("temperature", "seed"):
        if name in job.inputs:
            body[name] = job.inputs[name]
    return body


def _content(job: Job, message: Json, where: str) -> str:
    assert isinstance(message, dict)
    if ("content" in message) == ("artifact" in message):
        raise inputs_error("schema_violation", f"{where} needs exactly one of content, artifact")
    if "content" in message:
        return shapes.text(message, "content")
    name = shapes.text(message, "artifact")
    with open(job.artifact(name), "rb") as file:
        data = file.read()
    if data.startswith(b"\xef\xbb\xbf"):
        raise inputs_error("bad_encoding", f"{name} starts with a byte order mark; leave it out")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise inputs_error("bad_encoding", f"{name} is not UTF-8 at byte {error.start}") from None


def _integer(job: Job, name: str, default: int) -> int:
    return shapes.count(job.inputs, name) if name in job.inputs else default


def _take_key(variable: str) -> str:
    """Return the endpoint's key, and forget every setting that the SDK would read by itself.

    Raises:
        ContractError: The key is absent or cannot be used; the message never holds it.
    """
    key = os.environ.get(variable, "")
    # The SDK takes addresses, organisations, headers and log levels from these variables.
    for name in [name for name in os.environ if name.startswith("OPENAI_")]:
        del os.environ[name]
    if not key:
        raise ContractError("ERR_MISSING_SECRET", "absent", f"{variable} is not set")
    if len(os.fsencode(key)) < SECRET_BYTES_MIN:
        least = f"at least {SECRET_BYTES_MIN} bytes are needed"
        raise ContractError("ERR_MISSING_SECRET", "too_short", f"{variable} is too short; {least}")
    if not (key.isascii() and key.isprintable()) or " " in key:
        unusable = f"{variable} holds characters that no header carries"
        raise ContractError("ERR_MISSING_SECRET", "malformed", unusable)
    return key


def _cost_micro_usd(price: dict[str, Json], input_tokens: int, output_tokens: int) -> int:
    """What the tokens cost, rounded up to a whole millionth of a dollar."""
    millionths = input_tokens * shapes.count(price, "input_micro_usd_per_mtok")
    millionths += output_tokens * shapes.count(price, "output_micro_usd_per_mtok")
    return -(-millionths // 1_000_000)
