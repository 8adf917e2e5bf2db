"""Published heads: what they find, what they refuse, and that they only move forward."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from orchestrator.world import heads
from orchestrator.world.heads import PublicKey, SigningKey, problem, publish
from orchestrator.world.ledger import Ledger
from processors.protocol import digests
from processors.protocol.canonical import Json, canonical
from processors.protocol.errors import ContractError
from tests.fixtures import lives
from tests.fixtures.lives import AT, story

# RFC 8032 section 7.1, test 1.
SECRET = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
PUBLIC = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """A world of ten events."""
    with Ledger(str(tmp_path / "w"), make=True, clock=lambda: AT) as opened:
        grow(opened, 9)
        yield opened


@pytest.fixture
def key() -> SigningKey:
    """A known key."""
    return SigningKey(Ed25519PrivateKey.from_private_bytes(SECRET))


def grow(ledger: Ledger, count: int) -> None:
    """Append more events."""
    start = ledger.head().count
    with ledger.writing() as transaction:
        for number in range(count):
            transaction.append(*lives.put(f"/artifacts/{start + number}"))


def refused(make: Callable[[], object]) -> tuple[str, str]:
    """Code and reason of the refusal."""
    with pytest.raises(ContractError) as caught:
        make()
    return caught.value.code, caught.value.reason


def on_disk(ledger: Ledger) -> dict[str, Json]:
    """The head beside the ledger."""
    return heads.read(os.path.join(ledger.folder, heads.FILE))


def test_an_unsigned_head_is_where_the_chain_ends(ledger: Ledger) -> None:
    document = publish(ledger, None, AT)

    assert document == on_disk(ledger)
    assert document == {
        "schema": "v1",
        "world": ledger.world(),
        "count": 10,
        "hash": ledger.head().hash,
        "at": AT,
        "key": None,
        "signature": None,
    }
    raw = Path(ledger.folder, heads.FILE).read_bytes()
    assert raw == canonical(document) + b"\n"
    assert problem(ledger, document, None) is None
    assert [name for name in os.listdir(ledger.folder) if "head" in name] == ["head.json"]


def test_a_signed_head_is_signed_over_the_rest(ledger: Ledger, key: SigningKey) -> None:
    document = publish(ledger, key, AT)

    assert document["key"] == digests.of_bytes(PUBLIC) == key.public.id
    rest = {name: item for name, item in document.items() if name != "signature"}
    expected = Ed25519PrivateKey.from_private_bytes(SECRET).sign(canonical(rest)).hex()
    assert document["signature"] == expected
    assert problem(ledger, document, key.public) is None
    assert problem(ledger, document, None) is None


def test_a_head_holds_for_a_chain_that_has_grown(ledger: Ledger, key: SigningKey) -> None:
    document = publish(ledger, key, AT)
    grow(ledger, 5)

    assert problem(ledger, document, key.public) is None
    assert publish(ledger, key, AT)["count"] == 15
    assert problem(ledger, document, key.public) is None


Change = Callable[[dict[str, Json]], object]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda head: head.update(hash="sha256:" + "0" * 64), "signature is not good"),
        (lambda head: head.update(count=9), "signature is not good"),
        (lambda head: head.update(at="2026-11-24T02:47:24.124Z"), "signature is not good"),
        (lambda head: head.update(world="0" * 32), "signature is not good"),
        (lambda head: head.update(signature="0" * 128), "signature is not good"),
        (lambda head: head.update(key="sha256:" + "0" * 64), "signed by another key"),
        (lambda head: head.update(key=None, signature=None), "unsigned"),
        (lambda head: head.update(key=None), "without a key"),
        (lambda head: head.update(signature=None), "without a signature"),
        (
            lambda head: head.update(signature=str(head["signature"]).upper()),
            "signature has a value",
        ),
        (lambda head: head.update(signature=""), "signature has a value"),
        (lambda head: head.update(schema="v2"), "schema has a value"),
        (lambda head: head.update(count=0), "count has a value"),
        (lambda head: head.update(count=True), "count has a value"),
        (lambda head: head.pop("at"), "lacks at"),
        (lambda head: head.update(note=1), "1 member(s)"),
    ],
)
def test_a_head_that_is_not_what_was_signed_is_found(
    ledger: Ledger, key: SigningKey, change: Change, words: str
) -> None:
    document = publish(ledger, key, AT)
    change(document)

    assert words in str(problem(ledger, document, key.public))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda head: head.update(hash="sha256:" + "0" * 64), "forked: event 10"),
        (lambda head: head.update(count=9), "forked: event 9"),
        (lambda head: head.update(count=11), "truncated: the ledger has 10 events, and had 11"),
        (lambda head: head.update(world="0" * 32), "another world"),
    ],
)
def test_a_head_that_is_not_of_this_chain_is_found(
    ledger: Ledger, change: Change, words: str
) -> None:
    document = publish(ledger, None, AT)
    change(document)

    assert words in str(problem(ledger, document, None))


def test_a_head_by_somebody_else_is_not_taken(ledger: Ledger, key: SigningKey) -> None:
    other = SigningKey(Ed25519PrivateKey.generate())
    document = publish(ledger, other, AT)

    assert problem(ledger, document, key.public) == "the head is signed by another key"
    forged: dict[str, Json] = {**document, "key": key.public.id}
    assert problem(ledger, forged, key.public) == "the head's signature is not good"


def copied(ledger: Ledger, name: str) -> str:
    """A copy of the world as it is on disk."""
    target = f"{ledger.folder}-{name}"
    shutil.copytree(ledger.folder, target)
    return target


def test_a_cut_tail_and_a_fork_are_found(ledger: Ledger, key: SigningKey) -> None:
    before = copied(ledger, "before")
    grow(ledger, 1)
    document = publish(ledger, key, AT)

    with Ledger(before, make=False) as older:
        assert str(problem(older, document, key.public)).startswith("truncated")
        with older.writing() as transaction:
            transaction.append(*lives.put("/artifacts/other"))
        assert str(problem(older, document, key.public)).startswith("forked: event 11")


def test_a_head_that_contradicts_the_chain_is_evidence_and_stays(
    ledger: Ledger, key: SigningKey
) -> None:
    before = copied(ledger, "before")
    grow(ledger, 1)
    publish(ledger, key, AT)
    raw = Path(ledger.folder, heads.FILE).read_bytes()
    Path(before, heads.FILE).write_bytes(raw)

    with Ledger(before, make=False) as older:
        for chosen in (key, None):
            found = refused(lambda k=chosen: publish(older, k, AT))  # type: ignore[misc]
            assert found == ("ERR_INPUTS", "world_corrupt")
    assert Path(before, heads.FILE).read_bytes() == raw


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"x" * 100_000, b'{"schema":"v1"}'])
def test_a_head_that_cannot_be_read_is_evidence_too(
    ledger: Ledger, key: SigningKey, content: bytes
) -> None:
    Path(ledger.folder, heads.FILE).write_bytes(content)

    for chosen in (key, None):
        assert refused(lambda k=chosen: publish(ledger, k, AT)) == ("ERR_INPUTS", "world_corrupt")  # type: ignore[misc]
    assert Path(ledger.folder, heads.FILE).read_bytes() == content


def test_our_own_head_with_a_bad_signature_is_not_written_over(
    ledger: Ledger, key: SigningKey
) -> None:
    document = {**publish(ledger, key, AT), "signature": "0" * 128}
    Path(ledger.folder, heads.FILE).write_bytes(canonical(document))
    grow(ledger, 1)

    assert refused(lambda: publish(ledger, key, AT)) == ("ERR_INPUTS", "world_corrupt")


def test_an_unsigned_head_never_takes_the_place_of_a_signed_one(
    ledger: Ledger, key: SigningKey
) -> None:
    assert publish(ledger, None, AT)["key"] is None
    signed = publish(ledger, key, AT)
    grow(ledger, 5)

    assert publish(ledger, None, AT) == signed == on_disk(ledger)
    assert publish(ledger, key, AT)["count"] == 15


def test_a_head_that_is_there_already_is_not_written_again(ledger: Ledger, key: SigningKey) -> None:
    for chosen in (None, key):
        first = publish(ledger, chosen, AT)
        written = os.stat(os.path.join(ledger.folder, heads.FILE)).st_ino
        assert publish(ledger, chosen, "2027-01-01T00:00:00.000Z") == first
        assert os.stat(os.path.join(ledger.folder, heads.FILE)).st_ino == written


def pem(key: SigningKey | None = None, password: bytes | None = None) -> bytes:
    """A private key as a file has it."""
    private = Ed25519PrivateKey.from_private_bytes(SECRET) if key is None else key
    assert isinstance(private, Ed25519PrivateKey)
    protection = NoEncryption() if password is None else BestAvailableEncryption(password)
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection)


def test_keys_are_read_from_pem_files(tmp_path: Path, key: SigningKey) -> None:
    (tmp_path / "key").write_bytes(pem())
    public = Ed25519PrivateKey.from_private_bytes(SECRET).public_key()
    (tmp_path / "pub").write_bytes(
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )

    signing = heads.read_signing_key(str(tmp_path / "key"))
    judging = heads.read_public_key(str(tmp_path / "pub"))

    assert signing.public.id == judging.id == key.public.id
    assert judging.has_signed(b"x", signing.sign(b"x"))
    assert not judging.has_signed(b"y", signing.sign(b"x"))
    assert not judging.has_signed(b"x", b"")


@pytest.mark.parametrize("read", [heads.read_signing_key, heads.read_public_key])
def test_what_is_no_key_is_refused(
    tmp_path: Path, read: Callable[[str], SigningKey | PublicKey]
) -> None:
    other = generate_private_key(SECP256R1())
    wrong = {
        "empty": b"",
        "text": b"a key",
        "encrypted": pem(password=b"p"),
        "curve": other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        "curve.pub": other.public_key().public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        ),
    }
    for name, data in wrong.items():
        (tmp_path / name).write_bytes(data)
        assert refused(lambda n=name: read(str(tmp_path / n))) == ("ERR_INPUTS", "bad_value")  # type: ignore[misc]
    (tmp_path / "large").write_bytes(bytes(70_000))
    assert refused(lambda: read(str(tmp_path / "large"))) == ("ERR_INPUTS", "too_large")
    for name in ("absent", "nul\0", "."):
        assert refused(lambda n=name: read(str(tmp_path / n))) == ("ERR_INPUTS", "unreadable_file")  # type: ignore[misc]


def test_a_head_is_made_of_a_story_of_every_fact(tmp_path: Path, key: SigningKey) -> None:
    with Ledger(str(tmp_path / "s"), make=True, clock=lambda: AT) as ledger:
        with ledger.writing() as transaction:
            for fact in story(50):
                transaction.append(*fact)
        document = publish(ledger, key, AT)
        assert json.loads(Path(ledger.folder, heads.FILE).read_bytes()) == document
        assert problem(ledger, document, key.public) is None
