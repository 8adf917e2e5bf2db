"""``adapter=modal``: the pinned image, on Modal.

Nothing deploys to Modal yet, so no deployment can be found; this module says so and does no more.
"""

from __future__ import annotations

from orchestrator.images.processors import Processor
from processors.protocol.errors import ContractError


def invoke(processor: Processor, lane: str) -> None:
    """Refuse: there is no deployment to call.

    Raises:
        ContractError: ``ERR_MODAL_LOOKUP`` / ``not_deployed``, always.
    """
    raise ContractError(
        "ERR_MODAL_LOOKUP", "not_deployed", f"{processor.ref} is not deployed in environment {lane}"
    )
