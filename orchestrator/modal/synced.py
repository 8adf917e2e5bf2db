"""Which secrets an environment must have been given before a processor is deployed there. Pure.

A sync is good for as long as the registries say what they said then: it is the names, and every
other word of the registry with its pin, that may not have changed since.
"""

from __future__ import annotations

from processors.protocol import digests, shapes
from processors.protocol.canonical import Json
from processors.protocol.errors import ContractError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from orchestrator.images.processors import Processor
    from orchestrator.world.chain import Event

FACT = "secrets.synced"
BEGUN = "secrets.sending"  # written before the first value is sent
_UNFINISHED = "unfinished"


def last(events: Iterable[Event], environment: str) -> dict[str, Json] | None:
    """What was synced last for an environment, or None."""
    found = None
    for event in events:
        found = after(found, event, environment)
    return found


def after(before: dict[str, Json] | None, event: Event, environment: str) -> dict[str, Json] | None:
    """What was synced last, once an event has come.

    A sync that was begun has perhaps replaced some values and not others. Until one is finished,
    nothing of the one before is good any more but its number.
    """
    if event.type not in (FACT, BEGUN) or event.data["environment"] != environment:
        return before
    if event.type == FACT:
        return event.data
    return {"epoch": 0 if before is None else before["epoch"], _UNFINISHED: True}


def wanted(processor: Processor, secret: str) -> dict[str, Json]:
    """A processor's part of a sync."""
    return {
        "ref": str(processor.ref),
        "secret": secret,
        "names": list[Json](sorted(processor.secrets)),
        "registry": digests.of_json(processor.registry),
    }


def problem(fact: dict[str, Json] | None, part: dict[str, Json], environment: str) -> str | None:
    """Say what a processor lacks of a sync, or None if its environment has it all."""
    if fact is None:
        return f"the secrets of environment {environment} have never been synced"
    if _UNFINISHED in fact:
        return f"the last sync of environment {environment} was not finished"
    parts = fact["secrets"]
    assert isinstance(parts, list)
    found = [each for each in parts if shapes.text(each, "ref") == part["ref"]]
    if not found:
        return f"{part['ref']} is not in the last sync of environment {environment}"
    if found[0] != part:
        return f"the registry of {part['ref']} has changed since the sync of {environment}"
    return None


def check(fact: dict[str, Json] | None, part: dict[str, Json], environment: str) -> None:
    """Refuse what ``problem`` finds.

    Raises:
        ContractError: ``ERR_MISSING_SECRET`` / ``not_synced``.
    """
    if (wrong := problem(fact, part, environment)) is not None:
        todo = f"run //:sync_modal_secrets -- --lane {environment}"
        raise ContractError("ERR_MISSING_SECRET", "not_synced", f"{wrong}; {todo}")
