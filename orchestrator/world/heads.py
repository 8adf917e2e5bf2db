"""Published heads: where a chain ended, written down outside of it, and signed if a key is given.

A chain by itself proves only that it hangs together; whoever can write the file can cut its tail or
write another one. A head that lies elsewhere, best with somebody else, finds both up to its count.
What no head proves: that nothing came after it, that the times are true, or that whoever holds the
key is honest (docs/concepts/ledger.md).

A head is ``{schema, world, count, hash, at, key, signature}``; the signature is Ed25519 (RFC 8032)
over the RFC 8785 bytes of the rest, the key's id included. An unsigned head finds accidents alone.
"""

from __future__ import annotations

import os

from orchestrator.world import chain, durable, grammar, ledger_file
from orchestrator.world.ledger import Ledger
from processors.protocol import digests, shapes
from processors.protocol.canonical import Json, canonical, parse_object
from processors.protocol.errors import ContractError, inputs_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

    type Document = dict[str, Json]

FILE = ledger_file.HEAD
SCHEMA = "v1"
FILE_BYTES_MAX = 65_536  # of a head or a key; each has a few hundred
SIGNATURE_BYTES = 64
_MEND = f"restore {FILE} from a copy, or move it away and verify the ledger without it"


class PublicKey:
    """Judges signatures. Its id is the digest of the raw key."""

    __slots__ = ("_key", "id")

    def __init__(self, key: Ed25519PublicKey) -> None:
        self._key = key
        self.id = digests.of_bytes(key.public_bytes_raw())

    def has_signed(self, data: bytes, signature: bytes) -> bool:
        """Whether a signature over some bytes is this key's."""
        from cryptography.exceptions import InvalidSignature

        try:
            self._key.verify(signature, data)
        except InvalidSignature:
            return False
        return True


class SigningKey:
    """Signs. ``public`` is what judges the signatures."""

    __slots__ = ("_key", "public")

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = PublicKey(key.public_key())

    def sign(self, data: bytes) -> bytes:
        """The signature over some bytes."""
        return self._key.sign(data)


def read_signing_key(path: str) -> SigningKey:
    """Read an Ed25519 private key, PEM (PKCS 8), not encrypted.

    Raises:
        ContractError: ``ERR_INPUTS``: ``unreadable_file`` or ``bad_value``.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    data = _read(path)
    try:
        key = load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: it needs a password
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise inputs_error("bad_value", f"{path!a} is no Ed25519 private key in PEM, unencrypted")
    return SigningKey(key)


def read_public_key(path: str) -> PublicKey:
    """Read an Ed25519 public key, PEM.

    Raises:
        ContractError: ``ERR_INPUTS``: ``unreadable_file`` or ``bad_value``.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    data = _read(path)
    try:
        key = load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise inputs_error("bad_value", f"{path!a} is no Ed25519 public key in PEM")
    return PublicKey(key)


def read(path: str) -> Document:
    """Read a head from a file; ``problem`` judges it.

    Raises:
        ContractError: ``ERR_INPUTS``: ``unreadable_file``, or what keeps it from being JSON.
    """
    return parse_object(_read(path), f"the head {path!a}")


def own(ledger: Ledger) -> Document | None:
    """The head beside a ledger, if there is one; ``problem`` judges it.

    Raises:
        ContractError: ``ERR_INPUTS``: ``world_corrupt``: what has its name is none;
            ``unreadable_file``: of what is in it nothing is known.
    """
    path = os.path.join(ledger.folder, FILE)
    if not os.path.lexists(path):
        return None
    if not os.path.exists(path):  # what is replaced or ignored here would be evidence
        raise ledger.file.corrupt(f"{FILE} is a link that leads nowhere", _MEND)
    try:
        return parse_object(_read(path, _at_once), f"the head {path!a}")
    except ContractError as error:
        if error.reason == "unreadable_file":
            raise
        raise ledger.file.corrupt(error.message, _MEND) from None


def publish(ledger: Ledger, key: SigningKey | None, at: str) -> Document:
    """Write down where the chain ends, beside the ledger; return the head that is there now.

    A head never takes the place of a newer one, and an unsigned one never that of a signed one.

    Args:
        ledger: The ledger, in no transaction.
        key: Signs the head; None publishes an unsigned one.
        at: When, as in events.

    Raises:
        ContractError: ``ERR_INPUTS``: ``world_corrupt`` if the head that is there is not one of
            this chain, since it is the evidence then; ``unreadable_file`` if nobody can tell;
            ``world_unwritable``.
    """
    path = os.path.join(ledger.folder, FILE)
    try:
        with durable.Lock(ledger.folder, shared=False):
            document = _document(ledger, key, at)
            if (standing := _standing(ledger, key)) is not None:
                same = all(standing[name] == document[name] for name in ("count", "key"))
                if same or (key is None and standing["key"] is not None):
                    return standing
            durable.replace_file(path, canonical(document) + b"\n")
    except OSError as error:
        raise inputs_error(
            "world_unwritable", f"world {ledger.folder!a}: {error.strerror}"
        ) from None
    return document


def check(ledger: Ledger) -> None:
    """Refuse a ledger whose head lies beside it and does not fit it, before anything is added.

    Raises:
        ContractError: ``ERR_INPUTS``: ``world_corrupt``, or ``unreadable_file``.
    """
    _standing(ledger, None)


def problem(ledger: Ledger, document: Json, key: PublicKey | None) -> str | None:
    """Say what keeps a head from being one of this ledger's chain, or None if nothing does.

    That the events up to it hang together is for ``audit`` to say; together they are the proof.

    Args:
        ledger: The ledger.
        document: The head, from wherever it was kept.
        key: Who must have signed it; None takes any head and judges no signature.
    """
    found = shapes.problem(document, _HEAD, "the head") or _signature_problem(document, key)
    if found is not None:
        return found
    if shapes.text(document, "world") != ledger.world():
        return "the head is of another world"
    count = shapes.count(document, "count")
    at_count = ledger.head_at(count)
    if at_count is None:
        return (
            f"truncated: the ledger has {ledger.head().count} events,"
            f" and had {count} when the head was published"
        )
    if at_count.hash != shapes.text(document, "hash"):
        return f"forked: event {count} is not the one that the head was published for"
    return None


def _standing(ledger: Ledger, key: SigningKey | None) -> Document | None:
    """The head that is there, if one is, which must be one of this chain."""
    if (document := own(ledger)) is None:
        return None
    is_ours = key is not None and document.get("key") == key.public.id
    found = problem(ledger, document, key.public if key is not None and is_ours else None)
    if found is not None:
        raise ledger.file.corrupt(f"{FILE}: {found}")
    return document


def _document(ledger: Ledger, key: SigningKey | None, at: str) -> Document:
    head = ledger.head()
    document: Document = {
        "schema": SCHEMA,
        "world": ledger.world(),
        "count": head.count,
        "hash": head.hash,
        "at": at,
        "key": None if key is None else key.public.id,
    }
    signature = None if key is None else key.sign(canonical(document)).hex()
    return {**document, "signature": signature}


def _signature_problem(document: Json, key: PublicKey | None) -> str | None:
    assert isinstance(document, dict)
    signed = {name: item for name, item in document.items() if name != "signature"}
    signature = document["signature"]
    if (document["key"] is None) != (signature is None):
        return "the head has a key without a signature, or a signature without a key"
    if key is None:
        return None
    if not isinstance(signature, str):
        return "the head is unsigned"
    if document["key"] != key.id:
        return "the head is signed by another key"
    if not key.has_signed(canonical(signed), bytes.fromhex(signature)):
        return "the head's signature is not good"
    return None


def _at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def _read(path: str, opener: Callable[[str, int], int] | None = None) -> bytes:
    try:
        with open(path, "rb", opener=opener) as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise inputs_error("unreadable_file", f"{path!a}: {why}") from None
    if len(data) > FILE_BYTES_MAX:
        raise inputs_error("too_large", f"{path!a} has more than {FILE_BYTES_MAX} bytes")
    return data


def _is_signature(value: Json) -> bool:
    return (
        isinstance(value, str)
        and len(value) == 2 * SIGNATURE_BYTES
        and frozenset("0123456789abcdef").issuperset(value)
    )


_HEAD: shapes.Shape = {
    "schema": lambda value: value == SCHEMA,
    "world": grammar.is_world_id,
    "count": lambda value: shapes.is_count(value) and value != 0,
    "hash": digests.is_digest,
    "at": chain.is_time,
    "key": lambda value: value is None or digests.is_digest(value),
    "signature": lambda value: value is None or _is_signature(value),
}
