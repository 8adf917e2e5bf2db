"""The closed set of facts that a ledger can hold, each with a version and a shape.

A shape that events were written with never changes: another one is another version, and the old one
stays, since a ledger has to verify for as long as it exists. So nothing here reads a table that may
change, like the lanes. Facts hold no floats and no keys outside ASCII (see ``chain.encode``).

A fact says what its type says and nothing else; whether it may follow the facts before it is for
``fold`` to say.
"""

from __future__ import annotations

from processors.protocol import digests, paths, refs, shapes
from processors.protocol.canonical import SAFE_INTEGER_MAX, Json
from processors.protocol.errors import CODES, ContractError

FORMAT = 1  # of a world; counts up when projections change. Events are never rewritten.

# What an event of each type is written as today.
VERSIONS = {
    "world.created": 1,
    "artifact.put": 1,
    "artifact.removed": 1,
    "execution.requested": 1,
    "execution.refused": 1,
    "execution.admitted": 1,
    "execution.started": 1,
    "execution.outputs": 1,
    "execution.receipts": 1,
    "execution.settled": 1,
    "execution.abandoned": 1,
    "execution.reused": 1,
    "image.built": 1,
    "image.pushed": 1,
    "image.pinned": 1,
}

PLAIN_DEPTH_MAX = 8  # levels of a memo's pre-image; what is deeper is hashed into it

_HEX = frozenset("0123456789abcdef")
_SLUG = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_")


def check(kind: str, data: dict[str, Json]) -> int:
    """Refuse a fact that must not be written; return the version it is written as.

    Raises:
        ValueError: The fact is not of the contract: a mistake in our code, not in any input.
    """
    if kind not in VERSIONS:
        raise ValueError(f"{kind!a} is no type of event")
    version = VERSIONS[kind]
    if (found := problem(kind, version, data)) is not None:
        raise ValueError(found)
    return version


def problem(kind: str, version: int, data: Json) -> str | None:
    """Say what keeps stored data from being a fact, or None if nothing does."""
    shape = _SHAPES.get((kind, version))
    if shape is None:
        return f"{kind!a} version {version} is no type of event that this program knows"
    found = shapes.problem(data, shape, kind)
    if found is None and (rule := _RULES.get((kind, version))) is not None:
        assert isinstance(data, dict)
        found = rule(data)
    return found


def is_plain(value: Json, levels: int = PLAIN_DEPTH_MAX) -> bool:
    """Whether JSON is of the kind that facts hold: no floats, safe integers, keys in ASCII."""
    if value is None or isinstance(value, bool | str):
        return True
    if isinstance(value, int):
        return abs(value) <= SAFE_INTEGER_MAX
    if isinstance(value, dict):
        return levels > 0 and all(
            key.isascii() and is_plain(item, levels - 1) for key, item in value.items()
        )
    return isinstance(value, list) and levels > 0 and all(is_plain(x, levels - 1) for x in value)


def is_world_id(value: Json) -> bool:
    """32 hex digits, drawn by chance when the world was made."""
    return isinstance(value, str) and len(value) == 32 and _HEX.issuperset(value)


def _is_path(value: Json) -> bool:
    try:
        return isinstance(value, str) and paths.canonical_path(value) == value
    except ContractError:
        return False


def _is_prefix(value: Json) -> bool:
    try:
        return isinstance(value, str) and paths.canonical_prefix(value) == value
    except ContractError:
        return False


def _is_execution_id(value: Json) -> bool:
    return isinstance(value, str) and refs.is_execution_id(value)


def _is_ref(value: Json) -> bool:
    return isinstance(value, str) and refs.parse_ref(value) is not None


def _is_bool(value: Json) -> bool:
    return isinstance(value, bool)


def _is_positive(value: Json) -> bool:
    return shapes.is_count(value) and value != 0


def _is_prefix_or_null(value: Json) -> bool:
    return value is None or _is_prefix(value)


def _is_text_or_null(value: Json) -> bool:
    return value is None or shapes.is_text(value)


def _is_digest_or_null(value: Json) -> bool:
    return value is None or digests.is_digest(value)


def _is_error(value: Json) -> bool:
    return shapes.problem(value, _ERROR, "error") is None


def _is_error_or_null(value: Json) -> bool:
    return value is None or _is_error(value)


def _is_reason(value: Json) -> bool:
    return isinstance(value, str) and value != "" and _SLUG.issuperset(value)


def _is_file(value: Json) -> bool:
    return shapes.problem(value, _FILE, "file") is None


def _is_question(value: Json) -> bool:
    return shapes.problem(value, _QUESTION, "question") is None


def _is_plain_object(value: Json) -> bool:
    return isinstance(value, dict) and is_plain(value)


def _are_named_files(value: Json) -> bool:
    return isinstance(value, dict) and all(
        refs.is_name(name) and _is_file(item) for name, item in value.items()
    )


def _are_outputs(value: Json) -> bool:
    """Outputs as an envelope lists them: sorted by path, each once."""
    if not isinstance(value, list):
        return False
    last = ""
    for item in value:
        if shapes.problem(item, _OUTPUT, "output") is not None:
            return False
        path = shapes.text(item, "path")
        if path <= last:
            return False
        last = path
    return True


def _are_receipts(value: Json) -> bool:
    return isinstance(value, list) and len(value) in (1, 2) and all(map(_is_file, value))


def _is_word(value: Json) -> bool:
    """ASCII without a blank, as repositories and platforms are."""
    return isinstance(value, str) and value != "" and all("!" <= each <= "~" for each in value)


def _are_platforms(value: Json) -> bool:
    """Platforms as an index has them: sorted, each once, at least one."""
    if not isinstance(value, list) or not value:
        return False
    words = [each for each in value if isinstance(each, str) and _is_word(each)]
    return len(words) == len(value) and words == sorted(set(words))


def _paths_of(data: dict[str, Json], many: str) -> list[str]:
    files = data[many]
    assert isinstance(files, list)
    return [shapes.text(item, "path") for item in files]


def _outputs_rule(data: dict[str, Json]) -> str | None:
    """What replaces a prefix lies under it."""
    prefix = shapes.text(data, "replaces")
    made = [*_paths_of(data, "outputs"), shapes.text(data["index"], "path")]
    if not all(path.startswith(prefix) for path in made):
        return "an output or the index is not under the prefix that it replaces"
    return None


def _started_rule(data: dict[str, Json]) -> str | None:
    """The pre-image of the memo key is the one that gives this key."""
    if digests.of_json(data["memo"]) != data["memo_key"]:
        return "execution.started.memo_key is not the digest of execution.started.memo"
    return None


def _settled_rule(data: dict[str, Json]) -> str | None:
    """A success names no error and was started; an error names one."""
    success = data["status"] == "success"
    if success != (data["error"] is None):
        return "execution.settled: status and error contradict each other"
    if success and data["attempt"] == 0:
        return "execution.settled: a success without an attempt"
    return None


_ERROR: shapes.Shape = {"code": lambda value: value in CODES, "reason": _is_reason}

_FILE: shapes.Shape = {
    "path": _is_path,
    "cid": digests.is_digest,
    "size_bytes": shapes.is_count,
}

_OUTPUT: shapes.Shape = {**_FILE, "mime": shapes.is_text}

_QUESTION: shapes.Shape = {
    "lane": shapes.is_text,
    "adapter": shapes.is_text,
    "mode": lambda value: value in refs.MODES,
    "override": _is_bool,
    "secrets": _is_bool,
    "registry_root": _is_bool,
    "allow_real": _is_bool,
}

# Where an image was pushed to; no folder of a machine is a fact.
_PLACE: shapes.Shape = {
    "ref": _is_ref,
    "digest": digests.is_digest,
    "kind": lambda value: value in ("registry", "layout"),
    "repository": _is_word,
}

_SHAPES: dict[tuple[str, int], shapes.Shape] = {
    ("world.created", 1): {"world": is_world_id, "format": _is_positive},
    ("artifact.put", 1): _OUTPUT,
    ("artifact.removed", 1): {"path": _is_path},
    ("execution.requested", 1): {
        "execution_id": _is_execution_id,
        "intent": digests.is_digest,
        "ref": _is_ref,
        "adapter": shapes.is_text,
        "mode": lambda value: value in refs.MODES,
        "lane": shapes.is_text,
        "write_prefix": _is_prefix,
        "inputs_hash": digests.is_digest,
        "inputs": _is_file,
        "artifacts": _are_named_files,
    },
    ("execution.refused", 1): {
        "execution_id": _is_execution_id,
        "ref": _is_ref,
        "write_prefix": _is_prefix,
        "policy": digests.is_digest,
        "question": _is_question,
        "error": _is_error,
    },
    ("execution.admitted", 1): {
        "execution_id": _is_execution_id,
        "policy": digests.is_digest,
        "question": _is_question,
    },
    ("execution.started", 1): {
        "execution_id": _is_execution_id,
        "attempt": _is_positive,
        "payload_hash": digests.is_digest,
        "memo_key": digests.is_digest,
        "memo": _is_plain_object,
        "app": _is_text_or_null,
        "function": _is_text_or_null,
        "image_digest": _is_digest_or_null,
        "override": _is_bool,
    },
    ("execution.outputs", 1): {
        "execution_id": _is_execution_id,
        "attempt": _is_positive,
        "replaces": _is_prefix,
        "outputs": _are_outputs,
        "index": _is_file,
    },
    ("execution.receipts", 1): {
        "execution_id": _is_execution_id,
        "attempt": _is_positive,
        "writer": lambda value: value in ("processor", "supervisor"),
        "replaces": _is_prefix_or_null,
        "receipts": _are_receipts,
    },
    ("execution.settled", 1): {
        "execution_id": _is_execution_id,
        "attempt": shapes.is_count,  # 0: refused after admission, before anything started
        "status": lambda value: value in ("success", "error"),
        "error": _is_error_or_null,
        "cost_micro_usd": shapes.is_count,
        "duration_ms": shapes.is_count,
        "reply_digest": _is_digest_or_null,
        "envelope": _is_file,
    },
    ("execution.abandoned", 1): {
        "execution_id": _is_execution_id,
        "attempt": _is_positive,
    },
    ("execution.reused", 1): {
        "execution_id": _is_execution_id,
        "origin": _is_execution_id,
        "memo_key": digests.is_digest,
        "replaces": _is_prefix,
        "outputs": _are_outputs,
        "index": _is_file,
        "envelope": _is_file,
    },
    ("image.built", 1): {
        "ref": _is_ref,
        "digest": digests.is_digest,
        "platforms": _are_platforms,
    },
    ("image.pushed", 1): _PLACE,
    ("image.pinned", 1): {**_PLACE, "previous": _is_digest_or_null},
}

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    type Rule = Callable[[dict[str, Json]], str | None]

# What a shape cannot say, because it is about two members at once.
_RULES: dict[tuple[str, int], Rule] = {
    ("execution.started", 1): _started_rule,
    ("execution.outputs", 1): _outputs_rule,
    ("execution.reused", 1): _outputs_rule,
    ("execution.settled", 1): _settled_rule,
}
