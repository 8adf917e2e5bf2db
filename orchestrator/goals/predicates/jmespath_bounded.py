"""JMESPath that always ends: a check of the expression, and an interpreter that counts its steps.

An expression can make a value that is exponentially larger than the document (a list of itself,
nested and flattened) and texts that are its square (``join``). So what multiplies is bounded when a
goal is read, functions that make texts are refused, and evaluation stops after so many steps.
"""

from __future__ import annotations

from orchestrator.goals.view import CannotTellError
from processors.protocol.canonical import Json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from orchestrator.goals.view import Answer

    type Node = dict[str, Any]

EXPRESSION_CHARS_MAX = 1_000
STEPS_MAX = 1_000_000  # nodes of the expression that are evaluated
COPIES_MAX = 64  # how often a part of the document can stand in a value that is made of it

FUNCTIONS = (
    *("abs", "avg", "ceil", "contains", "ends_with", "floor", "keys", "length", "map", "max"),
    *("max_by", "min", "min_by", "not_null", "reverse", "sort", "sort_by", "starts_with", "sum"),
    *("to_array", "to_number", "type", "values"),
)


def problem(expression: str) -> str | None:
    """Say why an expression is refused, or None."""
    if len(expression) > EXPRESSION_CHARS_MAX:
        return f"{len(expression)} characters; at most {EXPRESSION_CHARS_MAX}"
    from jmespath import exceptions

    try:
        root = _compiled(expression)
    except exceptions.JMESPathError as error:
        return f"no JMESPath: {' '.join(str(error).split())}"
    except RecursionError:
        return "nested too deep"
    copies = 1
    for node in _nodes(root):
        if (wrong := _function_problem(node)) is not None:
            return wrong
        if node["type"] in ("multi_select_list", "multi_select_dict"):
            copies *= max(1, len(node["children"]))
    if copies > COPIES_MAX:
        return f"it can make {copies} copies of a part of the document; at most {COPIES_MAX}"
    return None


def holds(expression: str, document: Json) -> Answer:
    """Whether an expression that ``problem`` has passed gives true for a document.

    Raises:
        CannotTellError: It gives something that is neither true, false nor null, or takes too long.
    """
    from jmespath import exceptions, visitor

    class Counting(visitor.TreeInterpreter):  # type: ignore[misc] # it carries no types
        steps = 0

        def visit(self, node: Node, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - likewise
            self.steps += 1
            if self.steps > STEPS_MAX:
                raise CannotTellError("too_costly", f"more than {STEPS_MAX} steps")
            return super().visit(node, *args, **kwargs)

    try:
        found = Counting().visit(_compiled(expression), document)
    except (exceptions.JMESPathError, ArithmeticError, TypeError, ValueError):
        # A function met a value that it does not take; the library does not foresee all of them.
        return False, {"why": "wrong_type"}
    if found is None:
        return False, {"why": "null"}
    if not isinstance(found, bool):
        raise CannotTellError("not_boolean", "the expression gives neither true nor false nor null")
    return found, {}


def _compiled(expression: str) -> Node:
    import jmespath

    parsed: Node = jmespath.compile(expression).parsed
    return parsed


def _nodes(root: Node) -> list[Node]:
    found, waiting = [], [root]
    while waiting:
        node = waiting.pop()
        found.append(node)
        waiting += [child for child in node["children"] if isinstance(child, dict)]
    return found


def _function_problem(node: Node) -> str | None:
    if node["type"] != "function_expression":
        return None
    from jmespath.functions import Functions

    name = node["value"]
    if name not in FUNCTIONS:
        return f"function {name} is none of {', '.join(FUNCTIONS)}"
    signature = Functions.FUNCTION_TABLE[name]["signature"]
    given, taken = len(node["children"]), len(signature)
    more = bool(signature and signature[-1].get("variadic"))
    if given < taken or (given > taken and not more):
        return f"function {name} takes {taken} argument(s), not {given}"
    return None
