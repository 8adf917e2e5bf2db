"""The process that runs Modal's SDK for the deploy step: as ``calls``, and it can deploy, too.

It alone brings the app along, which no other part of the orchestrator knows.
"""

from __future__ import annotations

from orchestrator.modal import calls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from orchestrator.modal.operations import Perform


def main() -> NoReturn:
    """Serve the parent until its pipe ends."""
    calls.main(_more)


def _more() -> Perform:
    from orchestrator.modal import deployments  # with the SDK, once the hook of ``calls`` is there

    return deployments.perform
