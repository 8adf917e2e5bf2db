"""The payload: the one JSON object a processor reads from its stdin.

``schema``, ``execution_id``, ``ref``, ``mode``, ``inputs``,
``artifacts{NAME:{path,cid,size_bytes}}`` and ``write_prefix``. It is the only way in: no flag and
no variable reaches the business code. The physical place of the files is a command-line argument
and never part of the payload, so the same payload has the same bytes everywhere.
"""

from __future__ import annotations

from processors.protocol import digests, paths, shapes
from processors.protocol.canonical import DEPTH_MAX, Json, canonical, parse_object
from processors.protocol.errors import inputs_error
from processors.protocol.refs import MODES, is_execution_id, is_name, parse_ref

SCHEMA = "v1"
# Inputs of one MiB, which grow at most 17 to 5 in canonical form (1e15), and the artifacts' names.
PAYLOAD_BYTES_MAX = 4_194_304


class Artifact:
    """A file the inputs may refer to by name."""

    __slots__ = ("cid", "path", "size_bytes")

    def __init__(self, path: str, cid: str, size_bytes: int) -> None:
        self.path = path
        self.cid = cid
        self.size_bytes = size_bytes

    def as_json(self) -> dict[str, Json]:
        """The artifact as it stands in a payload."""
        return {"path": self.path, "cid": self.cid, "size_bytes": self.size_bytes}


class Payload:
    """What one execution is asked to do. ``inputs`` have the processor's own input schema.

    A value: nothing of it changes, so its bytes and the digest of its inputs are made once.
    """

    __slots__ = (
        *("_encoded", "_inputs_hash"),
        *("artifacts", "execution_id", "inputs", "mode", "ref", "write_prefix"),
    )

    def __init__(
        self,
        *,
        execution_id: str,
        ref: str,
        mode: str,
        inputs: dict[str, Json],
        artifacts: dict[str, Artifact],
        write_prefix: str,
    ) -> None:
        self.execution_id = execution_id
        self.ref = ref
        self.mode = mode
        self.inputs = inputs
        self.artifacts = artifacts
        self.write_prefix = write_prefix
        self._encoded: bytes | None = None
        self._inputs_hash: str | None = None

    def encode(self) -> bytes:
        """The exact bytes sent: canonical JSON. ``payload_hash`` covers these."""
        if self._encoded is None:
            self._encoded = canonical(
                {
                    "schema": SCHEMA,
                    "execution_id": self.execution_id,
                    "ref": self.ref,
                    "mode": self.mode,
                    "inputs": self.inputs,
                    "artifacts": {name: item.as_json() for name, item in self.artifacts.items()},
                    "write_prefix": self.write_prefix,
                }
            )
        return self._encoded

    def inputs_hash(self) -> str:
        """The digest of the inputs and of the artifacts' contents, wherever these lie."""
        if self._inputs_hash is None:
            contents: dict[str, Json] = {name: item.cid for name, item in self.artifacts.items()}
            self._inputs_hash = digests.of_json({"inputs": self.inputs, "artifacts": contents})
        return self._inputs_hash


def decode(data: bytes) -> Payload:
    """Parse and check a payload.

    Raises:
        ContractError: ``ERR_INPUTS``; the sender broke the contract.
    """
    # The inputs may be as deep as the command line takes them; they lie one level down.
    document = parse_object(
        data, "the payload", bytes_max=PAYLOAD_BYTES_MAX, depth_max=DEPTH_MAX + 1
    )
    if (found := shapes.problem(document, _PAYLOAD, "payload")) is not None:
        raise inputs_error("schema_violation", found)
    artifacts = {}
    for name, item in shapes.members(document, "artifacts").items():
        found = shapes.problem(item, _ARTIFACT, f"payload.artifacts.{name}")
        if found is not None or not is_name(name):
            raise inputs_error("schema_violation", found or "an artifact's name is malformed")
        if paths.canonical_path(shapes.text(item, "path")) != shapes.text(item, "path"):
            raise inputs_error("schema_violation", f"payload.artifacts.{name}.path: not canonical")
        artifacts[name] = Artifact(
            shapes.text(item, "path"), shapes.text(item, "cid"), shapes.count(item, "size_bytes")
        )
    return Payload(
        execution_id=shapes.text(document, "execution_id"),
        ref=shapes.text(document, "ref"),
        mode=shapes.text(document, "mode"),
        inputs=shapes.members(document, "inputs"),
        artifacts=artifacts,
        write_prefix=paths.canonical_prefix(shapes.text(document, "write_prefix")),
    )


_PAYLOAD: shapes.Shape = {
    "schema": lambda value: value == SCHEMA,
    "execution_id": lambda value: isinstance(value, str) and is_execution_id(value),
    "ref": lambda value: isinstance(value, str) and parse_ref(value) is not None,
    "mode": lambda value: value in MODES,
    "inputs": shapes.is_object,
    "artifacts": shapes.is_object,
    "write_prefix": shapes.is_text,
}

_ARTIFACT: shapes.Shape = {
    "path": shapes.is_text,
    "cid": digests.is_digest,
    "size_bytes": shapes.is_count,
}
