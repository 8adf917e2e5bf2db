"""The simulator of a registry: it is one, and it fails in the way that it is told to."""

from __future__ import annotations

import hashlib
import http.client
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures import layouts
from tests.fixtures.bench import CRANE
from tests.simulators import registry as simulated

BLOB = b"some bytes"
DIGEST = "sha256:" + hashlib.sha256(BLOB).hexdigest()


@pytest.fixture
def registry() -> Iterator[simulated.Server]:
    with simulated.Server(CRANE) as server:
        yield server


class Reply:
    """What came back."""

    def __init__(self, found: http.client.HTTPResponse) -> None:
        self.status = found.status
        self.headers = dict(found.getheaders())
        self.body = found.read()


def ask(
    registry: simulated.Server,
    path: str,
    method: str = "GET",
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> Reply:
    connection = http.client.HTTPConnection("127.0.0.1", registry.port, timeout=20)
    try:
        connection.request(method, path, body, headers or {})
        return Reply(connection.getresponse())
    finally:
        connection.close()


def store(registry: simulated.Server) -> str:
    """Store a blob; return its path."""
    place = ask(registry, "/v2/a/b/blobs/uploads/", "POST").headers["Location"]
    ask(registry, place, "PATCH", BLOB)
    assert ask(registry, f"{place}?digest={DIGEST}", "PUT", b"").status == 201
    return f"/v2/a/b/blobs/{DIGEST}"


def test_it_keeps_what_it_is_given_and_records_what_passed(registry: simulated.Server) -> None:
    path = store(registry)

    reply = ask(registry, path)

    assert (reply.status, reply.body) == (200, BLOB)
    assert ask(registry, "/v2/a/b/manifests/none").status == 404
    assert [each.method for each in registry.requests] == ["POST", "PATCH", "PUT", "GET", "GET"]
    assert [each.size_bytes for each in registry.sent("PATCH")] == [len(BLOB)]
    assert [each.status for each in registry.sent("GET", simulated.MANIFESTS)] == [404]


def test_a_client_can_push_to_it_and_validate_what_lies_there(
    registry: simulated.Server, tmp_path: Path
) -> None:
    """So what the tests lay out are images, by the judgement of another program."""
    digest = layouts.write_image(tmp_path, architectures=("amd64", "arm64"))
    name = f"{registry.host}/a/b@{digest}"

    for words in (("push", str(tmp_path / "image"), name), ("validate", "--remote", name)):
        subprocess.run(
            [CRANE, *words],
            env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
            check=True,
            capture_output=True,
        )


@pytest.mark.parametrize("scheme", ["Basic", "Bearer"])
def test_it_wants_credentials(registry: simulated.Server, scheme: str) -> None:
    registry.require(scheme)
    given = simulated.basic() if scheme == "Basic" else f"Bearer {simulated.TOKEN}"

    refused = ask(registry, "/v2/")

    assert refused.status == 401
    assert refused.headers["WWW-Authenticate"].startswith(f"{scheme} realm=")
    assert ask(registry, "/v2/", headers={"Authorization": "Basic eDp5"}).status == 401
    assert ask(registry, "/v2/", headers={"Authorization": given}).status == 200
    assert ask(registry, "/token", headers={"Authorization": "Basic eDp5"}).status == 401
    token = ask(registry, "/token", headers={"Authorization": simulated.basic()})
    assert simulated.TOKEN.encode() in token.body


def test_it_refuses_as_often_as_it_is_told(registry: simulated.Server) -> None:
    registry.tell(simulated.throttled("7"), method="GET", path="/v2/$", times=2)

    replies = [ask(registry, "/v2/") for _ in range(3)]

    assert [each.status for each in replies] == [429, 429, 200]
    assert replies[0].headers["Retry-After"] == "7"
    registry.tell(simulated.closed_for(seconds=60), path="/v2/", times=9)
    assert [ask(registry, "/v2/").status for _ in range(2)] == [429, 429]


def test_it_sends_blobs_from_elsewhere(registry: simulated.Server) -> None:
    path = store(registry)
    registry.tell(simulated.redirected, method="GET", path=simulated.BLOBS)

    sent_on = ask(registry, path)

    assert sent_on.status == 307
    host, _, place = sent_on.headers["Location"].removeprefix("http://").partition("/")
    assert host == f"localhost:{registry.port}"
    assert ask(registry, f"/{place}").body == BLOB


def test_it_turns_a_bit_or_answers_with_something_else(registry: simulated.Server) -> None:
    path = store(registry)
    registry.tell(simulated.corrupted, method="GET", path=simulated.BLOBS)
    registry.tell(simulated.replaced(b"other"), method="GET", path=simulated.BLOBS)

    assert [ask(registry, path).body for _ in range(3)] == [b"rome bytes", b"other", BLOB]


def test_it_dies_in_the_middle_and_comes_back(registry: simulated.Server) -> None:
    place = ask(registry, "/v2/a/b/blobs/uploads/", "POST").headers["Location"]
    registry.tell(simulated.dies(3), method="PATCH")

    for path in (place, "/v2/"):
        with pytest.raises(OSError, match=r"reset|Broken pipe|closed"):
            ask(registry, path, "PATCH" if path == place else "GET", BLOB)
    assert [each.size_bytes for each in registry.sent("PATCH")] == [3]
    registry.revive()
    assert ask(registry, "/v2/").status == 200


def test_it_says_nothing_until_it_stops() -> None:
    with simulated.Server(CRANE) as registry:
        registry.tell(simulated.hangs, path="/v2/")
        connection = http.client.HTTPConnection("127.0.0.1", registry.port, timeout=0.2)
        connection.request("GET", "/v2/")
        with pytest.raises(TimeoutError):
            connection.getresponse()
        connection.close()
