"""What a predicate is: a name, a schema for its arguments, and a pure function over a view."""

from __future__ import annotations

from functools import lru_cache

from orchestrator.execution import input_schema
from orchestrator.goals.templates import Template
from processors.protocol.canonical import Json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.goals.templates import Bindings
    from orchestrator.goals.view import Answer, View

    type Args = dict[str, Json]
    type Judge = Callable[[Args, View], Answer]

TEXT: dict[str, Json] = {"type": "string", "minLength": 1, "maxLength": 1_024}
COUNT: dict[str, Json] = {"type": "integer", "minimum": 0, "maximum": 2**53 - 1}


def arguments(required: list[str], **properties: dict[str, Json]) -> dict[str, Json]:
    """The schema of arguments; what is not required may be left out."""
    return {
        "type": "object",
        "required": list[Json](required),
        "properties": dict[str, Json](properties),
    }


class Predicate:
    """A predicate that goals can name.

    Attributes:
        name: ``family.what``.
        summary: When it is true, for the reference.
        args: The schema of its arguments, of the subset that ``input_schema`` knows.
        judge: Tells whether it is true of a view and what was found; pure.
        free: The arguments that are objects of any members, which ``check`` alone judges.
        paths: The arguments that are world paths; with ``for_each`` they may hold its wildcards.
    """

    __slots__ = ("_check", "args", "free", "judge", "name", "paths", "summary")

    def __init__(
        self,
        name: str,
        summary: str,
        args: dict[str, Json],
        judge: Judge,
        *,
        paths: tuple[str, ...] = ("path",),
        free: tuple[str, ...] = (),
        check: Callable[[Args], str | None] = lambda _: None,
    ) -> None:
        self.name = name
        self.summary = summary
        self.args = args
        self.judge = judge
        self.paths = paths
        self.free = free
        self._check = check

    def problem(self, args: Args, wildcards: tuple[str, ...]) -> tuple[str | None, str]:
        """What is wrong with arguments, or None, and which argument it is about ("" for all).

        Args:
            args: The arguments as a goal has them.
            wildcards: What paths may hold: the names of ``for_each``.
        """
        plain: Args = {name: {} if name in self.free else item for name, item in args.items()}
        if (wrong := input_schema.problem(plain, self.args, "args")) is not None:
            return wrong, wrong.partition(" ")[0].removeprefix("args").lstrip(".").partition("[")[0]
        for name in self.paths:
            wrong = _path_problem(str(args[name]), wildcards) if name in args else None
            if wrong is not None:
                return f"args.{name}: {wrong}", name
        return self._check(args), ""

    def bound(self, args: Args, bindings: Bindings) -> Args:
        """Arguments with the wildcards of their paths replaced."""
        given = [name for name in self.paths if name in args]
        return {**args, **{n: _template(str(args[n])).substitute(bindings) for n in given}}


@lru_cache(maxsize=256)
def _template(text: str) -> Template:
    """A template of a goal, of which there are few, each for many artifacts."""
    return Template(text)


def _path_problem(path: str, wildcards: tuple[str, ...]) -> str | None:
    try:
        names = Template(path).names
    except ValueError as error:
        return str(error)
    if unknown := [name for name in names if name not in wildcards]:
        return f"{{{unknown[0]}}} is no wildcard of for_each"
    return None
