"""``adapter=modal``: the pinned image, on Modal.

Nothing deploys to Modal yet, so no deployment can be found; this module says so and does no more.
"""

from __future__ import annotations

from orchestrator.images.processors import Processor
from processors.protocol.errors import ContractError


def invoke(processor: Processor, app: str | None, lane: str) -> None:
    """Refuse: there is no deployment to call.

    Args:
        processor: What would run.
        app: The name under which it would be deployed.
        lane: The environment that would hold it.

    Raises:
        ContractError: ``ERR_MODAL_LOOKUP`` / ``not_deployed``, always.
    """
    raise ContractError(
        "ERR_MODAL_LOOKUP",
        "not_deployed",
        f"{processor.ref} is not deployed as {app} in environment {lane}",
    )
