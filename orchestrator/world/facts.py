"""The closed set of facts that a ledger can hold, each with a version and a shape.

A shape that events were written with never changes: another one is another version, and the old one
stays, since a ledger has to verify for as long as it exists. So nothing here reads a table that may
change, like the lanes. Facts hold no floats and no keys outside ASCII (see ``chain.encode``).

A fact says what its type says and nothing else; whether it may follow the facts before it is for
``fold`` to say.
"""

from __future__ import annotations

from orchestrator.world import deployment_facts, goal_facts, grammar, image_facts, loop_facts
from processors.protocol import digests, refs, shapes
from processors.protocol.canonical import Json

FORMAT = 5  # of a world; counts up when projections or moves change. Events are never rewritten.

# What an event of each type is written as today.
VERSIONS = {
    "world.created": 1,
    "artifact.put": 2,
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
    **image_facts.VERSIONS,
    **deployment_facts.VERSIONS,
    **goal_facts.VERSIONS,
    **loop_facts.VERSIONS,
}


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


def _is_question(value: Json) -> bool:
    return shapes.problem(value, _QUESTION, "question") is None


def _are_named_files(value: Json) -> bool:
    return isinstance(value, dict) and all(
        refs.is_name(name) and grammar.is_file(item) for name, item in value.items()
    )


def _is_source_or_null(value: Json) -> bool:
    """The goal and the folder that its file names, of what a source brought in; else null."""
    return value is None or shapes.problem(value, _SOURCE, "source") is None


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
    return isinstance(value, list) and len(value) in (1, 2) and all(map(grammar.is_file, value))


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


_OUTPUT: shapes.Shape = {**grammar.FILE, "mime": shapes.is_text}

_SOURCE: shapes.Shape = {
    "goal": lambda value: isinstance(value, str) and refs.is_name(value),
    "folder": shapes.is_text,
}

_QUESTION: shapes.Shape = {
    "lane": shapes.is_text,
    "adapter": shapes.is_text,
    "mode": lambda value: value in refs.MODES,
    "override": grammar.is_bool,
    "secrets": grammar.is_bool,
    "registry_root": grammar.is_bool,
    "allow_real": grammar.is_bool,
}

_SHAPES: dict[tuple[str, int], shapes.Shape] = {
    ("world.created", 1): {"world": grammar.is_world_id, "format": grammar.is_positive},
    ("artifact.put", 1): _OUTPUT,
    ("artifact.put", 2): {**_OUTPUT, "source": _is_source_or_null},
    ("artifact.removed", 1): {"path": grammar.is_path},
    ("execution.requested", 1): {
        "execution_id": grammar.is_execution_id,
        "intent": digests.is_digest,
        "ref": grammar.is_ref,
        "adapter": shapes.is_text,
        "mode": lambda value: value in refs.MODES,
        "lane": shapes.is_text,
        "write_prefix": grammar.is_prefix,
        "inputs_hash": digests.is_digest,
        "inputs": grammar.is_file,
        "artifacts": _are_named_files,
    },
    ("execution.refused", 1): {
        "execution_id": grammar.is_execution_id,
        "ref": grammar.is_ref,
        "write_prefix": grammar.is_prefix,
        "policy": digests.is_digest,
        "question": _is_question,
        "error": grammar.is_error,
    },
    ("execution.admitted", 1): {
        "execution_id": grammar.is_execution_id,
        "policy": digests.is_digest,
        "question": _is_question,
    },
    ("execution.started", 1): {
        "execution_id": grammar.is_execution_id,
        "attempt": grammar.is_positive,
        "payload_hash": digests.is_digest,
        "memo_key": digests.is_digest,
        "memo": grammar.is_plain_object,
        "app": grammar.is_text_or_null,
        "function": grammar.is_text_or_null,
        "image_digest": grammar.is_digest_or_null,
        "override": grammar.is_bool,
    },
    ("execution.outputs", 1): {
        "execution_id": grammar.is_execution_id,
        "attempt": grammar.is_positive,
        "replaces": grammar.is_prefix,
        "outputs": _are_outputs,
        "index": grammar.is_file,
    },
    ("execution.receipts", 1): {
        "execution_id": grammar.is_execution_id,
        "attempt": grammar.is_positive,
        "writer": lambda value: value in ("processor", "supervisor"),
        "replaces": grammar.is_prefix_or_null,
        "receipts": _are_receipts,
    },
    ("execution.settled", 1): {
        "execution_id": grammar.is_execution_id,
        "attempt": shapes.is_count,  # 0: refused after admission, before anything started
        "status": lambda value: value in ("success", "error"),
        "error": grammar.is_error_or_null,
        "cost_micro_usd": shapes.is_count,
        "duration_ms": shapes.is_count,
        "reply_digest": grammar.is_digest_or_null,
        "envelope": grammar.is_file,
    },
    ("execution.abandoned", 1): {
        "execution_id": grammar.is_execution_id,
        "attempt": grammar.is_positive,
    },
    ("execution.reused", 1): {
        "execution_id": grammar.is_execution_id,
        "origin": grammar.is_execution_id,
        "memo_key": digests.is_digest,
        "replaces": grammar.is_prefix,
        "outputs": _are_outputs,
        "index": grammar.is_file,
        "envelope": grammar.is_file,
    },
    **image_facts.SHAPES,
    **deployment_facts.SHAPES,
    **goal_facts.SHAPES,
    **loop_facts.SHAPES,
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
    **goal_facts.RULES,
    **loop_facts.RULES,
}
