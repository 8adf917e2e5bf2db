"""The envelope: the one JSON object a processor writes to its stdout.

success: ``status, execution_id, outputs[{path,cid,size_bytes,mime}], index_path, meta``
error:   ``status, execution_id, error{code,reason,message}, meta``

The processor's own ``meta`` holds what only it knows; the adapter adds the rest (``META_KEYS``)
and changes nothing else.
"""

from __future__ import annotations

from processors.protocol import digests, paths, shapes
from processors.protocol.canonical import Json, parse_object
from processors.protocol.errors import (
    MESSAGE_CHARS_MAX,
    PROCESSOR_CODES,
    ContractError,
    adapter_error,
    find_row,
)
from processors.protocol.payload import Payload

ENVELOPE_BYTES_MAX = 8_388_608  # about 30,000 outputs
ENVELOPE_MARKS_MAX = 262_144  # as many: five for an output, and some in its path

META_KEYS = (
    "processor_ref",
    "adapter",
    "mode",
    "lane",
    "app",
    "function",
    "image_digest",
    "env_fingerprint",
    "inputs_hash",
    "memo_key",
    "cost_micro_usd",
    "duration_ms",
)


class Output:
    """One artifact that an execution made. ``path`` is a canonical world path."""

    __slots__ = ("cid", "mime", "path", "size_bytes")

    def __init__(self, path: str, cid: str, size_bytes: int, mime: str) -> None:
        self.path = path
        self.cid = cid
        self.size_bytes = size_bytes
        self.mime = mime

    def as_json(self) -> dict[str, Json]:
        """The output as it stands in envelope and index."""
        return {
            "path": self.path,
            "cid": self.cid,
            "size_bytes": self.size_bytes,
            "mime": self.mime,
        }


class Reply:
    """A checked envelope of a processor: either outputs or an error of its own."""

    __slots__ = ("cost_micro_usd", "error", "outputs")

    def __init__(
        self, outputs: list[Output], error: ContractError | None, cost_micro_usd: int
    ) -> None:
        self.outputs = outputs
        self.error = error
        self.cost_micro_usd = cost_micro_usd


def index_document(outputs: list[Output]) -> dict[str, Json]:
    """The content of ``outputs.json``."""
    return {"schema": "v1", "outputs": [output.as_json() for output in outputs]}


def check(data: bytes, payload: Payload) -> Reply:
    """Judge the bytes a processor wrote to its stdout against the payload it was given.

    Raises:
        ContractError: ``ERR_ADAPTER_INVOCATION`` / ``envelope_invalid`` with the first fault.
    """
    text = data.strip(b" \t\r\n")
    if not text:
        raise _invalid(
            "nothing was printed on stdout; expected one JSON object, which runtime.main prints"
            " once run(job) has returned or raised"
        )
    try:
        document = parse_object(
            text,
            "stdout",
            bytes_max=ENVELOPE_BYTES_MAX,
            marks_max=ENVELOPE_MARKS_MAX,
        )
    except ContractError as error:
        raise _invalid(error.message) from None
    status = document.get("status")
    if status not in ("success", "error"):
        raise _invalid('status is neither "success" nor "error"')
    shape = _SUCCESS if status == "success" else _ERROR
    _require(shapes.problem(document, shape, "envelope"))
    _require(shapes.problem(document["meta"], _META, "envelope.meta"))
    meta = shapes.members(document, "meta")
    expected: tuple[tuple[str, Json, Json], ...] = (
        ("execution_id", document["execution_id"], payload.execution_id),
        ("meta.processor_ref", meta["processor_ref"], payload.ref),
        ("meta.mode", meta["mode"], payload.mode),
        ("meta.inputs_hash", meta["inputs_hash"], payload.inputs_hash()),
    )
    for name, seen, wanted in expected:
        if seen != wanted:
            raise _invalid(f"{name} is not the one of the payload")
    cost = shapes.count(meta, "cost_micro_usd")
    if status == "error":
        return Reply([], _own_error(document["error"]), cost)
    if document["index_path"] != paths.index_path(payload.write_prefix):
        raise _invalid(f"index_path is not {paths.index_path(payload.write_prefix)}")
    return Reply(_outputs(document["outputs"], payload.write_prefix), None, cost)


def _outputs(value: Json, write_prefix: str) -> list[Output]:
    folder = write_prefix + "outputs/"
    found: list[Output] = []
    for item in value if isinstance(value, list) else ():
        _require(shapes.problem(item, _OUTPUT, "envelope.outputs[]"))
        output = Output(
            shapes.text(item, "path"),
            shapes.text(item, "cid"),
            shapes.count(item, "size_bytes"),
            shapes.text(item, "mime"),
        )
        try:
            canonical = paths.canonical_path(output.path)
        except ContractError as error:
            raise _invalid(error.message) from None
        if canonical != output.path or not paths.is_under(canonical, folder):
            raise _invalid(f"an output's path is not canonical or not under {folder}")
        if found and output.path <= found[-1].path:
            raise _invalid("outputs are not sorted by path, or one is named twice")
        found.append(output)
    return found


def _own_error(value: Json) -> ContractError:
    _require(shapes.problem(value, _OWN_ERROR, "envelope.error"))
    code, reason = shapes.text(value, "code"), shapes.text(value, "reason")
    if code not in PROCESSOR_CODES or find_row(code, reason) is None:
        raise _invalid("error.code and error.reason are no pair that a processor may answer")
    if code == "ERR_ADAPTER_INVOCATION" and not reason.startswith(("provider_", "processor_")):
        raise _invalid("error.reason is not the processor's to answer")
    return ContractError(code, reason, shapes.text(value, "message"))


def _require(found: str | None) -> None:
    if found is not None:
        raise _invalid(found)


def _invalid(message: str) -> ContractError:
    return adapter_error("envelope_invalid", f"the processor's envelope is invalid: {message}")


_SUCCESS: shapes.Shape = {
    "status": shapes.is_text,
    "execution_id": shapes.is_text,
    "outputs": shapes.is_list,
    "index_path": shapes.is_text,
    "meta": shapes.is_object,
}

_ERROR: shapes.Shape = {
    "status": shapes.is_text,
    "execution_id": shapes.is_text,
    "error": shapes.is_object,
    "meta": shapes.is_object,
}

_META: shapes.Shape = {
    "processor_ref": shapes.is_text,
    "mode": shapes.is_text,
    "inputs_hash": digests.is_digest,
    "cost_micro_usd": shapes.is_count,
}

_OUTPUT: shapes.Shape = {
    "path": shapes.is_text,
    "cid": digests.is_digest,
    "size_bytes": shapes.is_count,
    "mime": shapes.is_text,
}

_OWN_ERROR: shapes.Shape = {
    "code": shapes.is_text,
    "reason": shapes.is_text,
    "message": lambda value: isinstance(value, str) and len(value) <= MESSAGE_CHARS_MAX,
}
