"""Give an environment the secrets that the embedded registries name, and say so in the ledger.

Each processor has a secret of its own, with the names of its registry and no others. A sync gives
all of them new values, and counts: the epoch says which values a deployment started with, since
what runs keeps those that it was started with. A value is handed to Modal and to nothing else.
"""

from __future__ import annotations

import os
import stat

from orchestrator import naming, secrets
from orchestrator.modal import synced
from processors.protocol import shapes
from processors.protocol.canonical import Json, parse_object
from processors.protocol.errors import ContractError, inputs_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator.images.processors import Processor
    from orchestrator.modal.session import Session

FILE_BYTES_MAX = 262_144
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def names_of(built: Sequence[Processor]) -> list[str]:
    """The names that an environment needs: of all processors together."""
    return sorted({name for each in built for name in each.secrets})


def parts_of(built: Sequence[Processor], environment: str) -> list[dict[str, Json]]:
    """What each processor is given, sorted by ref."""
    parts = [synced.wanted(each, naming.modal_secret_name(each.ref, environment)) for each in built]
    return sorted(parts, key=lambda part: str(part["ref"]))


def from_environment(names: Sequence[str], environ: Mapping[str, str]) -> dict[str, str]:
    """Take the values of variables that were named one by one."""
    return {name: environ[name] for name in names if environ.get(name)}


def from_file(path: str) -> dict[str, str]:
    """Read values from a JSON object of texts, in a file that nobody else may read.

    Raises:
        ContractError: ``ERR_INPUTS``: ``unreadable_file``, ``bad_value``, or how it is no JSON.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(fd, "rb") as file:
            mode = os.fstat(fd).st_mode
            data = file.read(FILE_BYTES_MAX + 1) if stat.S_ISREG(mode) else b""
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise inputs_error("unreadable_file", f"{path!a}: {why}") from None
    if not stat.S_ISREG(mode) or mode & _OTHERS:
        raise inputs_error("unreadable_file", f"{path!a}: a file of mode 600 is taken, no other")
    document = parse_object(data, "--from-file", bytes_max=FILE_BYTES_MAX)
    values = {key: value for key, value in document.items() if isinstance(value, str)}
    if len(values) != len(document):
        raise inputs_error("bad_value", "--from-file: every member is a text")
    return values


def check_values(values: Mapping[str, str], given: Sequence[str], needed: Sequence[str]) -> None:
    """Refuse what is not just the values that are needed.

    Args:
        values: What was found.
        given: The names that the caller gave.
        needed: The names that the registries have.

    Raises:
        ContractError: ``ERR_INPUTS`` / ``bad_value``; ``ERR_MISSING_SECRET``.
    """
    if extra := sorted(set(given) - set(needed)):
        raise inputs_error("bad_value", f"{', '.join(extra)}: no registry names such a secret")
    if missing := sorted(set(needed) - values.keys()):
        raise ContractError(
            "ERR_MISSING_SECRET", "absent", f"no value is given for {', '.join(missing)}"
        )
    secrets.check(values)


def send(
    session: Session,
    environment: str,
    parts: Sequence[dict[str, Json]],
    values: Mapping[str, str],
    before: dict[str, Json] | None,
) -> dict[str, Json]:
    """Give an environment its secrets; return the fact.

    Args:
        session: The way to Modal.
        environment: Which.
        parts: What each processor is given.
        values: All values.
        before: The last sync, or None.
    """
    for part in parts:
        names = part["names"]
        assert isinstance(names, list)
        if names:
            own: dict[str, Json] = {str(name): values[str(name)] for name in names}
            session.perform(
                "put_secret",
                {"environment": environment, "secret": part["secret"], "values": own},
            )
    return {
        "environment": environment,
        "epoch": 1 if before is None else shapes.count(before, "epoch") + 1,
        "names": list[Json](sorted(values)),
        "secrets": list[Json](parts),
    }


def check(
    session: Session,
    environment: str,
    parts: Sequence[dict[str, Json]],
    before: dict[str, Json] | None,
) -> None:
    """Refuse an environment that has not all that the registries name.

    Raises:
        ContractError: ``ERR_MISSING_SECRET`` / ``not_synced``; ``ERR_MODAL_LOOKUP``.
    """
    for part in parts:
        synced.check(before, part, environment)
        if part["names"]:
            session.perform(
                "has_secret",
                {"environment": environment, "secret": part["secret"], "keys": part["names"]},
            )
