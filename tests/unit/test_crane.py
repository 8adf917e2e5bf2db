"""What crane says, and what is made of it: statuses, pauses, errors; no password is shown."""

from __future__ import annotations

import pytest

from orchestrator.images import crane
from orchestrator.images.crane import Log
from orchestrator.images.tool import Lines

STAMP = "2026/11/24 02:47:24"
HOST = "https://registry.example:5000"
NAME = "registry.example:5000/a/b@sha256:" + "0a" * 32
MANIFEST = f"{HOST}/v2/a/b/manifests/sha256:{'0a' * 32}"


def log_of(*lines: str) -> Log:
    log = Log()
    splitter = Lines(log.take)
    splitter.feed("\n".join(lines).encode())
    splitter.end()
    return log


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (401, "registry_denied"),
        (403, "registry_denied"),
        (404, "not_in_store"),
        (429, "registry_throttled"),
        (500, "registry_failed"),
        (503, "registry_failed"),
        (400, "registry_failed"),
        (200, "registry_failed"),
    ],
)
def test_an_error_is_known_by_the_status_of_the_address_that_it_names(
    status: int, reason: str
) -> None:
    """And not by its words, which are the registry's own."""
    log = log_of(
        f"{STAMP} --> GET {HOST}/v2/",
        f"{STAMP} <-- 401 {HOST}/v2/ (1.2ms)",
        f"{STAMP} --> GET {MANIFEST}",
        f"{STAMP} <-- {status} {MANIFEST} (3ms)",
        f"{STAMP} HTTP/1.1 {status} Whatever",
        "",
        f"Error: fetching manifest {NAME}: GET {MANIFEST}: MADE_UP: not found 404 denied",
    )

    assert log.status == status
    assert crane.refusal(log, NAME).reason == reason


def test_a_request_that_nobody_answered_has_no_status() -> None:
    log = log_of(
        f"{STAMP} <-- 404 {MANIFEST} (3ms)",
        f"{STAMP} --> HEAD {MANIFEST}",
        f"{STAMP} <-- read: connection reset by peer HEAD {MANIFEST} (3ms)",
        f'Error: Head "{MANIFEST}": read tcp: connection reset by peer',
    )

    assert log.status == 0
    assert crane.refusal(log, NAME).reason == "registry_unreachable"


def test_what_is_not_of_its_digest_is_a_mismatch() -> None:
    log = log_of(
        f"{STAMP} <-- 200 {MANIFEST} (3ms)",
        f'Error: fetching manifest {NAME}: manifest digest: "sha256:1" does not match requested'
        f' digest: "sha256:2" for "{NAME}"',
    )

    assert crane.refusal(log, NAME).code == "ERR_REGISTRY_MISMATCH"


def test_a_503_with_a_pause_is_one_by_rate() -> None:
    log = log_of(
        f"{STAMP} <-- 503 {MANIFEST} (3ms)",
        f"{STAMP} HTTP/1.1 503 Service Unavailable",
        "Retry-After: 120",
        "",
        f"Error: GET {MANIFEST}: UNAVAILABLE: maintenance",
    )

    assert log.retry_after == "120"
    refused = crane.refusal(log, NAME)
    assert refused.reason == "registry_throttled"
    assert "wait 120" in refused.message


def test_a_pause_is_the_one_of_a_refusal() -> None:
    log = log_of(f"{STAMP} <-- 201 {HOST}/v2/a/b/blobs/uploads/ (3ms)", "Retry-After: 120")

    assert log.retry_after == ""


def test_what_was_sent_is_read_from_whole_lines_of_cranes_own() -> None:
    one, two = "sha256:" + "1" * 64, "sha256:" + "2" * 64
    log = log_of(
        f"{STAMP} pushed blob: {one}",
        f"{STAMP} existing blob: sha256:{'3' * 64}",
        f"{STAMP} {NAME}: digest: {two} size: 600",
        f'{{"note": "pushed blob: sha256:{"4" * 64}"}}',
    )

    assert log.sent == [one, two]


@pytest.mark.parametrize(
    ("field", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        ("3600", 3600.0),
        ("9" * 40, 999_999_999.0),
        ("Tue, 24 Nov 2026 02:47:34 GMT", 10.0),
        ("Tue, 24 Nov 2026 02:47:14 GMT", 0.0),
        ("", 0.0),
        ("soon", 0.0),
        ("-1", 0.0),
        ("1.5", 0.0),
        ("\u0661", 0.0),
    ],
)
def test_a_pause_is_seconds_or_a_date(field: str, seconds: float) -> None:
    assert crane.seconds(field, 1_795_488_444.0) == seconds


@pytest.mark.parametrize(
    "line",
    [
        'Error: Get "https://robot:hunter2@registry.example/v2/": dial tcp: refused',
        "Error: proxyconnect tcp: http://robot:hunter2@proxy:3128: refused",
        f"Error: GET {HOST}/blob?X-Signature=hunter2&Expires=1: DENIED: expired",
    ],
)
def test_no_password_and_no_signature_of_an_address_is_shown(line: str) -> None:
    message = crane.refusal(log_of(line), NAME).message

    assert "hunter2" not in message
    assert "registry.example" in message


def test_what_is_shown_and_kept_is_bounded() -> None:
    log = log_of(
        *(f"{STAMP} <-- 404 {HOST}/v2/{number} (1ms)" for number in range(6_000)),
        "Error: " + "x" * 200_000,
    )

    assert len(log.statuses) == 4_096
    assert len(log.said) <= crane.SAID_CHARS_MAX + 3


def test_a_long_line_is_cut_and_the_next_one_is_whole() -> None:
    found: list[bytes] = []
    lines = Lines(found.append)

    for _ in range(50):
        lines.feed(b"x" * 10_000)
    lines.feed(b"\nnext\n\nlast")
    lines.end()

    assert [len(line) for line in found] == [65_536, 4, 4]
    assert found[1:] == [b"next", b"last"]
