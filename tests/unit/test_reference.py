"""References to images: one grammar, one spelling, a stated limit for each part."""

from __future__ import annotations

import pytest

from orchestrator.images import reference
from processors.protocol.errors import ContractError

DIGEST = "sha256:" + "0a" * 32
LABEL = "a" * reference.LABEL_CHARS_MAX


@pytest.mark.parametrize(
    ("repository", "host", "path"),
    [
        ("x", "", "x"),
        ("r.test", "", "r.test"),
        ("processors/llm-chat", "", "processors/llm-chat"),
        ("a/b/c/d", "", "a/b/c/d"),
        ("x/a.b__c---d_e/0", "", "x/a.b__c---d_e/0"),
        ("localhost/x", "localhost", "x"),
        ("localhost:5000/x", "localhost:5000", "x"),
        ("registry:65535/x", "registry:65535", "x"),
        ("r.test/ns/a.b__c---d_e", "r.test", "ns/a.b__c---d_e"),
        ("r-1.x--y.test:1/x", "r-1.x--y.test:1", "x"),
        ("127.0.0.1:5000/x", "127.0.0.1:5000", "x"),
        (f"{LABEL}.test/x", f"{LABEL}.test", "x"),
        ("local-host/x", "", "local-host/x"),
        ("a" * reference.REPOSITORY_CHARS_MAX, "", "a" * reference.REPOSITORY_CHARS_MAX),
    ],
)
def test_a_reference_is_read_and_printed_as_it_was(repository: str, host: str, path: str) -> None:
    found = reference.parse(f"{repository}@{DIGEST}", "--image-override")

    assert (found.host, found.path, found.digest) == (host, path, DIGEST)
    assert str(found) == f"{repository}@{DIGEST}"


@pytest.mark.parametrize(
    "repository",
    [
        *("", "/", "/x", "x/", "a//b", ".", "..", "a/..", "a/./b", " ", "a b", "a\n", "\x00"),
        *("A", "a/B", "R.test/x", "\u00e9", "\u0661", "a/\u212a", "\udcff", "%61"),
        *("-a", "a-", "_a", "a_", "a.", "a..b", "a___b", "a._b", "a-_b", "a.-b", "x/-", "a+b"),
        *("x:v1", "r.test/x:v1", "r.test:5000", "r.test/", "localhost:5000/x:v1"),
        *(":5000/x", "r.test:/x", "r.test:0/x", "r.test:080/x", "r.test:65536/x", "r.test:1:1/x"),
        *("r.test:5e3/x", "r.test:\u0661/x", "r.test:-1/x", "r.test:999999/x"),
        *("-r.test/x", "r-.test/x", "r..test/x", ".test/x", "test./x", "r_t.test/x", "a.b__c/0"),
        *("[::1]:5000/x", "user@r.test/x", "https://r.test/x", "r.test/x?y", "r.test/x#y"),
        f"{LABEL}a.test/x",
        "a" * (reference.REPOSITORY_CHARS_MAX + 1),
        "a/" * 200 + "a",
    ],
)
def test_another_repository_is_refused_with_the_form_that_is_due(repository: str) -> None:
    assert reference.repository_problem(repository) is not None
    with pytest.raises(ContractError) as caught:
        reference.parse(f"{repository}@{DIGEST}", "--image-override")

    assert (caught.value.code, caught.value.reason) == ("ERR_INPUTS", "bad_value")
    assert caught.value.message.startswith("--image-override")
    assert reference.GRAMMAR in caught.value.message
    assert len(caught.value.message) < 700


@pytest.mark.parametrize(
    "digest",
    [
        *("", "@", "@latest", ":v1", "@sha256:", f"@{DIGEST[:-1]}", f"@{DIGEST}0", f"@{DIGEST}\n"),
        *(f"@{DIGEST.upper()}", "@sha256:" + "0A" * 32, "@sha512:" + "0a" * 64, "@" + "0a" * 32),
        *(f"@@{DIGEST}", f"@{DIGEST}@{DIGEST}", f":v1@{DIGEST}", "@sha256:" + "\u0661" * 64),
    ],
)
def test_an_image_is_named_by_a_whole_digest_alone(digest: str) -> None:
    with pytest.raises(ContractError) as caught:
        reference.parse("r.test/x" + digest, "--image-override")

    assert (caught.value.code, caught.value.reason) == ("ERR_INPUTS", "bad_value")
