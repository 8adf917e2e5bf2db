"""The simulated provider: it speaks the protocol, and each of its failures is a real one."""

from __future__ import annotations

import contextlib
import http.client
import json
import time
from typing import TYPE_CHECKING

import httpx2
import openai
import pytest

from tests.simulators import openai_server as simulated

if TYPE_CHECKING:
    from collections.abc import Iterator

QUESTION = {"model": "test-model", "messages": [{"role": "user", "content": "Hello?"}]}
AUTHORIZED = {"Authorization": f"Bearer {simulated.KEY}", "Content-Type": "application/json"}


@pytest.fixture
def server() -> Iterator[simulated.Server]:
    with simulated.Server() as running:
        yield running


def send(
    server: simulated.Server,
    *,
    method: str = "POST",
    path: str = simulated.PATH,
    headers: dict[str, str] = AUTHORIZED,
    body: bytes | None = None,
    timeout_s: float = 5,
) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=timeout_s)
    content = json.dumps(QUESTION).encode() if body is None else body
    try:
        connection.request(method, path, content, headers)
        return connection.getresponse()  # it owns the socket from here on
    except OSError:
        connection.close()
        raise


def test_the_official_client_gets_a_typed_completion(server: simulated.Server) -> None:
    with openai.OpenAI(
        api_key=simulated.KEY,
        base_url=server.base_url,
        max_retries=0,
        http_client=httpx2.Client(trust_env=False),
    ) as client:
        reply = client.chat.completions.create(
            model="test-model", messages=[{"role": "user", "content": "Hello?"}]
        )

    assert reply.choices[0].message.content == simulated.CONTENT
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage is not None
    assert reply.usage.prompt_tokens == simulated.PROMPT_TOKENS
    assert reply.usage.completion_tokens == simulated.COMPLETION_TOKENS


def test_requests_are_recorded(server: simulated.Server) -> None:
    send(server)

    (request,) = server.requests
    assert (request.method, request.path) == ("POST", simulated.PATH)
    assert request.key == simulated.KEY
    assert request.document == QUESTION
    assert simulated.KEY not in repr(request)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"path": "/v1/other"}, 404),
        ({"method": "GET"}, 405),
        ({"headers": {}}, 401),
        ({"headers": {"Authorization": "Bearer another"}}, 401),
        ({"body": b"{"}, 400),
        ({"body": b"[]"}, 400),
        ({"body": b'{"model":"m","messages":[]}'}, 400),
        ({"body": b'{"model":"m","messages":[{"role":"robot","content":"x"}]}'}, 400),
        ({"body": b'{"model":"m","messages":[{"role":"user","content":null}]}'}, 400),
        ({"body": b'{"messages":[{"role":"user","content":"x"}]}'}, 400),
    ],
)
def test_a_request_outside_the_protocol_is_refused(
    server: simulated.Server, change: dict[str, object], expected: int
) -> None:
    response = send(server, **change)  # type: ignore[arg-type]

    assert response.status == expected
    assert "error" in json.loads(response.read())


def test_the_script_is_played_once_and_in_order(server: simulated.Server) -> None:
    server.script(simulated.status(503), simulated.status(429, retry_after="7", code="slow_down"))

    first, second, third = send(server), send(server), send(server)

    assert [first.status, second.status, third.status] == [503, 429, 200]
    assert second.headers["Retry-After"] == "7"
    assert json.loads(second.read())["error"]["code"] == "slow_down"


def test_a_redirect_names_the_other_place(server: simulated.Server) -> None:
    server.script(simulated.redirect("http://127.0.0.1:9/elsewhere"))

    response = send(server)

    assert response.status == 307
    assert response.headers["Location"] == "http://127.0.0.1:9/elsewhere"


def test_members_of_the_completion_can_be_replaced_and_removed(server: simulated.Server) -> None:
    server.script(simulated.ok(choices=[], usage=None))

    document = json.loads(send(server).read())

    assert document["choices"] == []
    assert "usage" not in document


def test_bytes_are_sent_as_they_are(server: simulated.Server) -> None:
    server.script(simulated.body(b"{", content_type="text/plain", encoding="gzip"))

    response = send(server)

    assert response.read() == b"{"
    assert response.headers["Content-Type"] == "text/plain"
    assert response.headers["Content-Encoding"] == "gzip"


def test_a_truncated_body_is_noticed_by_a_client(server: simulated.Server) -> None:
    server.script(simulated.body(b'{"id":', length=100))

    with pytest.raises(http.client.IncompleteRead):
        send(server).read()


def test_a_reset_breaks_the_connection(server: simulated.Server) -> None:
    server.script(simulated.reset())

    with pytest.raises(ConnectionResetError):
        send(server)


def test_silence_is_silent(server: simulated.Server) -> None:
    server.script(simulated.silence(20))

    with pytest.raises(TimeoutError):
        send(server, timeout_s=0.2)


def test_a_late_answer_is_a_good_one(server: simulated.Server) -> None:
    server.script(simulated.late(0.1))

    assert send(server).status == 200


def test_trickled_headers_outlive_a_limit_on_single_reads(server: simulated.Server) -> None:
    server.script(simulated.trickled_headers(every_s=0.02))
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=0.5)
    received = 0
    with contextlib.closing(connection):
        connection.request("POST", simulated.PATH, b"{}")
        began = time.monotonic()
        while time.monotonic() - began < 1:
            received += len(connection.sock.recv(64))

    assert received > len("HTTP/1.1 200 Simulated\r\nX-Trickle: ")


def test_a_trickled_body_outlives_a_limit_on_single_reads(server: simulated.Server) -> None:
    server.script(simulated.trickled_body(every_s=0.02))
    response = send(server, timeout_s=0.5)
    began = time.monotonic()

    while time.monotonic() - began < 1:
        assert response.read(1) == b" "


def test_an_endless_body_goes_on(server: simulated.Server) -> None:
    server.script(simulated.endless_body())
    response = send(server)

    assert len(response.read(2_000_000)) == 2_000_000
    response.close()


def test_stopping_does_not_wait_for_slow_behaviours() -> None:
    began = time.monotonic()
    with simulated.Server() as server:
        server.script(simulated.silence(600))
        with pytest.raises(TimeoutError):
            send(server, timeout_s=0.2)

    assert time.monotonic() - began < 10
