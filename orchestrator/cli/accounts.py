"""What ``world why`` says, as lines for people."""

from __future__ import annotations

from processors.protocol import shapes
from processors.protocol.canonical import Json, canonical

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

SHOWN_CHARS_MAX = 60  # of a value; --json has it whole
LAST_LINES_MAX = 20  # of what a processor printed before it failed; --json has the whole tail

type Account = dict[str, Json]


def account_lines(account: Account) -> list[str]:
    """What made an artifact or an execution, and from what."""
    lines: list[str] = []
    artifact, execution = account["artifact"], account["execution"]
    if isinstance(artifact, dict):
        lines.append(f"{artifact['path']}")
        lines += _rows((name, artifact[name]) for name in ("cid", "size_bytes", "mime"))
        lines += _rows([("put", _put(artifact["put"]))])
        if isinstance(source := artifact["source"], dict):
            lines += _rows([("source", f"folder {source['folder']} of goal {source['goal']}")])
    if isinstance(execution, dict):
        lines += _execution_lines(execution)
    else:
        lines.append("  it came from outside; no execution made it")
    return lines


def difference_lines(found: Account) -> list[str]:
    """The parts in which two executions differ."""
    lines = []
    for side in ("a", "b"):
        told = shapes.members(found, side)
        lines.append(f"{side}  {told['execution_id']}  {told['ref']}  {told['status']}")
    parts = found["differences"]
    assert isinstance(parts, list)
    if not parts:
        return [*lines, "  nothing that a result depends on differs: the memo key is the same"]
    for part in parts:
        assert isinstance(part, dict)
        lines.append(f"  {part['part']}")
        lines += [
            f"    {side}: {_shown(part[side]) if side in part else '(absent)'}" for side in "ab"
        ]
    if found["inputs_compared"] == "by digest":
        lines.append("  (of inputs only the digests are known: their bytes are gone)")
    return lines


def _execution_lines(told: Account) -> list[str]:
    memo = told["memo"] if isinstance(told["memo"], dict) else {}
    lines = [f"execution {told['execution_id']}  {told['status']}"]
    lines += _rows((name, told[name]) for name in ("ref", "adapter", "mode", "lane"))
    lines += _rows((name, memo.get(name)) for name in ("code", "registry", "env_fingerprint"))
    lines += _rows((name, told[name]) for name in ("write_prefix", "memo_key", "origin", "attempt"))
    lines += _rows([("inputs", _file(told["inputs"]))])
    artifacts = told["artifacts"]
    for name, item in artifacts.items() if isinstance(artifacts, dict) else ():
        lines += _rows([(f"artifact {name}", _file(item))])
        lines += _rows([("  put", _put(item["put"] if isinstance(item, dict) else None))])
    lines += _rows([("admission", _admission(told["admission"])), ("error", told["error"])])
    failure = told["failure"]
    if isinstance(failure, dict):
        lines += _rows([("message", failure["message"])])
        stderr = failure["stderr"]
        last = stderr.splitlines()[-LAST_LINES_MAX:] if isinstance(stderr, str) else []
        lines += _rows(("stderr", line) for line in last)
    outputs = told["outputs"]
    for item in outputs if isinstance(outputs, list) else ():
        lines += _rows([("output", _file(item))])
    receipt = told["receipt"]
    if isinstance(receipt, dict) and isinstance(files := receipt["files"], list):
        lines += _rows([("receipt by", receipt["writer"])])
        lines += _rows(("receipt", _file(item)) for item in files)
    return lines + _rows([("envelope", _file(told["envelope"]))])


def _rows(pairs: Iterable[tuple[str, Json]]) -> list[str]:
    """Name and value a line; what is not known is left out."""
    return [f"  {name:<16} {_shown(value, 1_000)}" for name, value in pairs if value is not None]


def _shown(value: Json, chars_max: int = SHOWN_CHARS_MAX) -> str:
    text = value if isinstance(value, str) else canonical(value).decode("utf-8")
    return text if len(text) <= chars_max else text[:chars_max] + "..."


def _file(item: Json) -> str | None:
    return f"{item['path']}  {item['cid']}" if isinstance(item, dict) else None


def _put(event: Json) -> str | None:
    if not isinstance(event, dict):
        return None
    maker = event["execution_id"]
    return f"by event {event['seq']}, {event['type']}" + (f" of {maker}" if maker else "")


def _admission(verdict: Json) -> str | None:
    if not isinstance(verdict, dict):
        return None
    return f"{verdict['verdict']} by policy {verdict['policy']}, event {verdict['seq']}"
