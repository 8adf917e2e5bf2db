"""``text``: what a text says. What is not UTF-8 is false.

Patterns are RE2's, which takes time linear in the text whatever the pattern is; the standard
library's ``re`` can take exponential time, and cannot be stopped (docs/decisions/0013).
"""

from __future__ import annotations

from orchestrator.goals.predicate import TEXT, Predicate, arguments
from processors.protocol import shapes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from orchestrator.goals.predicate import Args
    from orchestrator.goals.view import Answer, View

PATTERN_CHARS_MAX = 1_000
MEMORY_BYTES_MAX = (
    8_388_608  # of one compiled pattern; where it is spent, RE2 is slower and still linear
)


def _matches(args: Args, view: View) -> Answer:
    found = view.artifact(shapes.text(args, "path"))
    if found is None:
        return False, {"why": "absent"}
    text = view.text(found)
    if text is None:
        return False, {"why": "bad_encoding"}
    match = _compiled(shapes.text(args, "pattern")).search(text)
    if match is None:
        return False, {"why": "no_match"}
    start, end = match.span()
    return True, {"start": start, "end": end}


def _pattern_problem(args: Args) -> str | None:
    pattern = shapes.text(args, "pattern")
    if len(pattern) > PATTERN_CHARS_MAX:
        return f"args.pattern has {len(pattern)} characters; at most {PATTERN_CHARS_MAX}"
    import re2

    try:
        _compiled(pattern)
    except re2.error as error:
        said = error.args[0] if error.args else error
        words = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        return f"args.pattern: no pattern of RE2: {words}"
    return None


def _compiled(pattern: str) -> Any:  # noqa: ANN401 - the binding carries no types
    import re2

    options = re2.Options()
    options.max_mem = MEMORY_BYTES_MAX
    options.log_errors = False
    return re2.compile(pattern, options)


PREDICATES = (
    Predicate(
        "text.matches",
        "the pattern (RE2) is found somewhere in the text at the path",
        arguments(["path", "pattern"], path=TEXT, pattern=TEXT),
        _matches,
        check=_pattern_problem,
    ),
)
