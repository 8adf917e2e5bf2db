"""The OpenAI SDK at work: bounded attempts at one chat completion.

What is bounded, and by what:

* where the request goes: the base URL given; no redirect, no proxy, nothing from the environment;
* time: each attempt has its own limit, and all of them one deadline. The SDK's limits hold for a
  single read, so a peer that sends a byte now and then outlives them; the attempt therefore runs
  in a thread, and the caller stops waiting when its time is over;
* size: of the body as it comes off the wire, and of the reply's text;
* attempts: the SDK's own retries are off, because each attempt must leave its breadcrumbs.

Tried again: refusals by rate, failures of the provider or the connection, and timeouts. A reply
that is not of the protocol is not: it may have been paid for. Messages hold status codes and
names; never a key, a header, a prompt or a piece of a reply.
"""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

import httpx2
import openai

from processors.protocol.canonical import Json, parse_object
from processors.protocol.errors import ContractError, adapter_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from openai.types.chat import ChatCompletionMessageParam

    from processors.protocol.runtime import Job

BACKOFF_FIRST_S: Final = 0.5
BACKOFF_MAX_S: Final = 8.0
RETRY_AFTER_MAX_S: Final = 60.0  # who is told to wait longer should be told by us, and not wait
ESCAPE_BYTES_MAX: Final = 6  # JSON writes one byte of text in at most six
REPLY_FRAME_BYTES_MAX: Final = 65_536  # all of a reply but its text
ERROR_BODY_BYTES_MAX: Final = 65_536  # of an error's body only its code is of use
NAME_CHARS_MAX: Final = 256
TOKENS_MAX: Final = 1_000_000_000  # more is no count of tokens, and would overflow the cost
_SLUG: Final = frozenset("abcdefghijklmnopqrstuvwxyz_")
_SYSTEM_RANDOM: Final = random.SystemRandom()


@dataclass(frozen=True, kw_only=True)
class Call:
    """One completion that is wanted, and its limits."""

    endpoint: str  # for messages and breadcrumbs
    base_url: str
    key: str = field(repr=False)
    operation: str
    body: dict[str, Json] = field(repr=False)
    timeout_s: float  # for one attempt
    deadline: float  # for all of them, on the monotonic clock
    attempts_max: int
    text_bytes_max: int

    @property
    def body_bytes_max(self) -> int:
        """The largest body that can hold a text of the largest size."""
        return self.text_bytes_max * ESCAPE_BYTES_MAX + REPLY_FRAME_BYTES_MAX


@dataclass(frozen=True, kw_only=True)
class Reply:
    """A reply that is of the protocol."""

    text: str = field(repr=False)
    model: str
    finish_reason: str
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, kw_only=True)
class _Answer:
    """A successful HTTP response, unread."""

    content_type: str
    body: bytes = field(repr=False)


class _AttemptError(ContractError):
    """One attempt failed.

    Attributes:
        again: Whether another attempt can help.
        wait_s: How long the provider asks to be left alone, if it says so.
    """

    def __init__(
        self, reason: str, message: str, *, again: bool = False, wait_s: float | None = None
    ) -> None:
        super().__init__("ERR_ADAPTER_INVOCATION", reason, message)
        self.again = again
        self.wait_s = wait_s


def complete(job: Job, call: Call, charge: Callable[[int, int], None]) -> Reply:
    """Ask until there is a reply, or until asking again is useless or not allowed.

    Args:
        job: Gets the breadcrumbs of every attempt.
        call: What to ask, whom, and within which limits.
        charge: Called with the tokens used, also when the reply is then refused.

    Raises:
        ContractError: ``ERR_ADAPTER_INVOCATION`` with a ``provider_*`` reason.
    """
    attempt = 1
    while True:
        try:
            with job.provider_call(call.endpoint, call.operation, attempt):
                return _read(_ask(call), call, charge)
        except _AttemptError as error:
            pause_s = _pause_s(error, attempt, call)
            if pause_s is None:
                message = f"{error.message} (attempt {attempt} of at most {call.attempts_max})"
                raise adapter_error(error.reason, message) from None
        time.sleep(pause_s)
        attempt += 1


def _pause_s(error: _AttemptError, attempt: int, call: Call) -> float | None:
    """How long to wait before the next attempt, or None if there is none."""
    if not error.again or attempt >= call.attempts_max:
        return None
    pause_s = error.wait_s
    if pause_s is None:
        # Spread, so that many processors that failed together do not return together.
        most_s: float = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2 ** (attempt - 1))
        pause_s = _SYSTEM_RANDOM.uniform(most_s / 2, most_s)
    elif pause_s > RETRY_AFTER_MAX_S:
        return None
    return pause_s if time.monotonic() + pause_s < call.deadline else None


def _ask(call: Call) -> _Answer:
    """One attempt that ends in its time, whatever the peer does."""
    seconds = min(call.timeout_s, call.deadline - time.monotonic())
    if seconds <= 0:
        raise _AttemptError("provider_timeout", "the processor's time was over before the attempt")
    client = _client(call, seconds)
    answer: Future[_Answer] = Future()
    # A daemon: a thread whose peer keeps it waiting must not keep the process. It shares nothing
    # with the next attempt, and its own limits end it soon unless the peer trickles headers.
    threading.Thread(target=_exchange_into, args=(answer, client, call), daemon=True).start()
    try:
        return answer.result(seconds)
    except TimeoutError:
        raise _timeout(call) from None


def _exchange_into(answer: Future[_Answer], client: openai.OpenAI, call: Call) -> None:
    try:
        with client:
            answer.set_result(_exchange(client, call))
    except BaseException as error:  # noqa: BLE001 - the caller of the thread raises it again
        answer.set_exception(error)


def _exchange(client: openai.OpenAI, call: Call) -> _Answer:
    body = call.body
    try:
        raw = client.chat.completions.with_raw_response.create(
            model=cast("str", body["model"]),
            messages=cast("list[ChatCompletionMessageParam]", body["messages"]),
            max_completion_tokens=cast("int", body["max_completion_tokens"]),
            temperature=cast("float | openai.Omit", body.get("temperature", openai.omit)),
            seed=cast("int | openai.Omit", body.get("seed", openai.omit)),
        )
    except openai.OpenAIError as error:
        raise _failure(error, call) from None
    return _Answer(content_type=raw.headers.get("content-type", ""), body=raw.content)


def _client(call: Call, seconds: float) -> openai.OpenAI:
    """A client for one attempt, with its lazy parts loaded so that none of them costs time."""
    client = openai.OpenAI(
        api_key=call.key,
        base_url=call.base_url,
        max_retries=0,
        timeout=seconds,
        http_client=httpx2.Client(
            transport=_Bounded(httpx2.HTTPTransport(trust_env=False), call.body_bytes_max),
            headers={"Accept-Encoding": "identity"},
            follow_redirects=False,
            trust_env=False,
        ),
    )
    _ = client.chat.completions.with_raw_response
    return client


def _failure(error: openai.OpenAIError, call: Call) -> _AttemptError:
    """What an exception of the SDK means, judged by its type."""
    who = f"endpoint {call.endpoint}"
    match error:
        case openai.APITimeoutError():
            return _timeout(call)
        case openai.APIConnectionError():
            broken = f"{who} could not be reached, or the connection broke"
            return _AttemptError("provider_unavailable", broken, again=True)
        case openai.APIStatusError():
            return _refusal(error, f"{who} answered with status {error.status_code}")
        case _:
            seen = f"{who}: the SDK raised {type(error).__name__}"
            return _AttemptError("provider_bad_reply", seen)


def _refusal(error: openai.APIStatusError, seen: str) -> _AttemptError:
    """What a status outside 2xx means."""
    wait_s = _seconds(error.response.headers.get("retry-after", ""))
    match error:
        case openai.AuthenticationError() | openai.PermissionDeniedError():
            return _AttemptError("provider_auth", seen)
        case openai.RateLimitError() if error.code == "insufficient_quota":
            # Waiting does not fill an account.
            return _AttemptError("provider_quota", f"{seen}: the account has no quota left")
        case openai.RateLimitError():
            return _AttemptError("provider_rate_limited", seen, again=True, wait_s=wait_s)
        case openai.InternalServerError():
            return _AttemptError("provider_unavailable", seen, again=True, wait_s=wait_s)
    if error.status_code == 408:
        return _AttemptError("provider_timeout", seen, again=True, wait_s=wait_s)
    if error.status_code < 400:
        return _AttemptError("provider_bad_reply", f"{seen}; redirects are not followed")
    return _AttemptError("provider_refused", seen)


def _timeout(call: Call) -> _AttemptError:
    message = f"endpoint {call.endpoint} did not answer completely in its time"
    return _AttemptError("provider_timeout", message, again=True)


def _seconds(text: str) -> float | None:
    """Retry-After in its form of whole seconds (RFC 9110 section 10.2.3); dates are ignored."""
    return float(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None


def _read(answer: _Answer, call: Call, charge: Callable[[int, int], None]) -> Reply:
    """The reply in a response's body."""
    media_type = answer.content_type.partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise _bad("its content type is not application/json")
    try:
        document = parse_object(answer.body, "the reply", bytes_max=call.body_bytes_max)
    except ContractError as error:
        raise _bad(error.message) from None
    usage = _object(document, "usage")
    input_tokens = _tokens(usage, "prompt_tokens")
    output_tokens = _tokens(usage, "completion_tokens")
    charge(input_tokens, output_tokens)
    choices = document.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise _bad("it has no choices")
    finish_reason = _name(choices[0], "finish_reason")
    if not _SLUG.issuperset(finish_reason):
        raise _bad("its finish_reason is not a word")
    return Reply(
        text=_text(_object(choices[0], "message"), finish_reason, call),
        model=_name(document, "model"),
        finish_reason=finish_reason,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
    )


def _text(message: dict[str, Json], finish_reason: str, call: Call) -> str:
    text = message.get("content")
    if not text and (message.get("refusal") or finish_reason == "content_filter"):
        raise _AttemptError("provider_refused", "the model declined to answer")
    if not isinstance(text, str) or not text:
        spent = "; every token was spent before the answer" if finish_reason == "length" else ""
        raise _bad(f"it has no text{spent}")
    if len(text.encode("utf-8")) > call.text_bytes_max:
        raise _bad(f"its text has more than {call.text_bytes_max} bytes")
    return text


def _object(document: dict[str, Json], key: str) -> dict[str, Json]:
    value = document.get(key)
    if not isinstance(value, dict):
        raise _bad(f"its {key} is not an object")
    return value


def _name(document: dict[str, Json], key: str) -> str:
    value = document.get(key)
    if not isinstance(value, str) or not 1 <= len(value) <= NAME_CHARS_MAX:
        raise _bad(f"its {key} is not a text of 1 to {NAME_CHARS_MAX} characters")
    return value


def _tokens(usage: dict[str, Json], key: str) -> int:
    value = usage.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= TOKENS_MAX:
        raise _bad(f"its usage.{key} is not an integer from 0 to {TOKENS_MAX}")
    return value


def _bad(fault: str) -> _AttemptError:
    return _AttemptError("provider_bad_reply", f"the provider's reply was refused: {fault}")


class _Bounded(httpx2.BaseTransport):
    """Lets through of each response what is used, up to a size.

    Of the headers only two pass. Without Content-Encoding a body is never decompressed, so a
    small body cannot become a large one; none is asked for either.
    """

    def __init__(self, inner: httpx2.BaseTransport, bytes_max: int) -> None:
        self._inner = inner
        self._bytes_max = bytes_max

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request."""
        response = self._inner.handle_request(request)
        assert isinstance(response.stream, httpx2.SyncByteStream)
        # As bytes: a server's words need not be ASCII.
        names = [b"retry-after", *([b"content-type"] if response.is_success else [])]
        passed = [pair for pair in response.headers.raw if pair[0].lower() in names]
        if response.is_success:
            stream = _BoundedStream(response.stream, self._bytes_max, cut=False)
        else:
            passed.append((b"content-type", b"application/json"))  # by which the SDK decodes it
            stream = _BoundedStream(response.stream, ERROR_BODY_BYTES_MAX, cut=True)
        return httpx2.Response(response.status_code, headers=passed, stream=stream)

    def close(self) -> None:
        """Close the connections."""
        self._inner.close()


class _BoundedStream(httpx2.SyncByteStream):
    """A body that is cut, or refused, when it is larger than its limit."""

    def __init__(self, inner: httpx2.SyncByteStream, bytes_max: int, *, cut: bool) -> None:
        self._inner = inner
        self._bytes_max = bytes_max
        self._cut = cut

    def __iter__(self) -> Iterator[bytes]:
        left = self._bytes_max
        for chunk in self._inner:
            if len(chunk) > left:
                if not self._cut:
                    raise _bad(f"its body has more than {self._bytes_max} bytes")
                yield chunk[:left]
                return
            left -= len(chunk)
            yield chunk

    def close(self) -> None:
        self._inner.close()
