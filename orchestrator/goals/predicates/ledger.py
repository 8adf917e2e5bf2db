"""``ledger``: the world's own history is whole."""

from __future__ import annotations

from orchestrator.goals.predicate import Predicate, arguments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orchestrator.goals.predicate import Args
    from orchestrator.goals.view import Answer, View


def _intact(_: Args, view: View) -> Answer:
    wrong, found = view.ledger()
    return wrong is None, found


PREDICATES = (
    Predicate(
        "ledger.intact",
        "every event, its place in the chain, what is folded from them and the published head hold",
        arguments([]),
        _intact,
        paths=(),
    ),
)
