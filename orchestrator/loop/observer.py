"""What the loop tells of itself while it goes on, to whoever shows it to people.

An observer is told and never asked: nothing that it does changes what happens. It must return at
once, since it is called between two steps, and from the threads that these run in.
"""

from __future__ import annotations

from orchestrator.execution.trail import Trail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orchestrator.loop.propose import Proposed
    from orchestrator.world.commitments import Budget
    from processors.protocol.errors import ContractError

STDERR = 2


class Observer:
    """The one that shows nothing: the breadcrumbs of each execution go to stderr, and that is all.

    A step is named by its write prefix.
    """

    def trail(self, execution_id: str) -> Trail:
        """What takes the breadcrumbs of an execution, or of the loop itself."""
        return Trail(execution_id, STDERR)

    def judging(self, budget: Budget | None) -> None:
        """A round begins: the goal is judged. The budget is exact; nothing runs."""

    def planned(self, proposed: Proposed) -> None:
        """A plan was accepted, and its steps are about to run."""

    def attempt_begins(self, step: str, execution_id: str) -> None:
        """An attempt at a step begins; it may still not be admitted."""

    def attempt_ends(self, step: str, error: ContractError | None, spent_micro_usd: int) -> None:
        """An attempt has ended, and what it cost; after an error another one may follow."""

    def step_waits(self, step: str, note: str) -> None:
        """A step has to wait, and for what; an attempt may have begun, which nothing came of."""

    def step_ends(self, step: str, executions: list[str], error: ContractError | None) -> None:
        """A step has ended, or was refused; without an execution it had been done before."""
