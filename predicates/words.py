"""``words``: how many words a text has. An example of a predicate of one's own."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from predicates.contract import Args, Own, View


def at_least(args: Args, view: View) -> tuple[bool, Args]:
    """Whether the text at a path has so many words."""
    found = view.artifact(args["path"])
    text = None if found is None else view.text(found)
    if text is None:
        return False, {"why": "no_text"}
    count = len(text.split())
    return count >= args["words"], {"words": count}


PREDICATES: dict[str, Own] = {
    "at_least": {
        "summary": "the text at the path has at least so many words",
        "args": {
            "type": "object",
            "required": ["path", "words"],
            "properties": {
                "path": {"type": "string", "minLength": 1, "maxLength": 1024},
                "words": {"type": "integer", "minimum": 1, "maximum": 1000000},
            },
        },
        "paths": ["path"],
        "judge": at_least,
    },
}
