"""Secrets: presence is all that is ever said of them.

Values are read from the environment once, handed to the child's environment and to the redactor,
and to nothing else.
"""

from __future__ import annotations

from processors.protocol.errors import ContractError, inputs_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

VALUE_BYTES_MIN = 8  # a shorter value would be found everywhere by the redactor


def select(
    required: Collection[str], allowed: Collection[str], environ: Mapping[str, str]
) -> dict[str, str]:
    """Return the values of the required secrets, each opted in by name.

    Args:
        required: The names the processor's registry declares.
        allowed: The names the caller opted in (``--allow-env``).
        environ: The caller's environment.

    Raises:
        ContractError: ``ERR_MISSING_SECRET``, naming the secrets; ``ERR_INPUTS`` for an opt-in
            that the registry does not declare.
    """
    check_declared(required, allowed, "the processor's registry declares")
    found = {name: environ[name] for name in required if name in allowed and environ.get(name)}
    if missing := sorted(set(required) - found.keys()):
        raise ContractError(
            "ERR_MISSING_SECRET",
            "absent",
            f"mode real needs {', '.join(missing)}: set it and opt in with --allow-env NAME",
        )
    check(found)
    return found


def check(found: Mapping[str, str]) -> None:
    """Refuse values that could not be sent or not be redacted; none is ever said.

    Raises:
        ContractError: ``ERR_MISSING_SECRET``: ``malformed`` or ``too_short``.
    """
    # What is no text in the environment has lone surrogates here (PEP 383).
    foreign = sorted(name for name in found if not _is_text(found[name]))
    if foreign:
        raise ContractError(
            "ERR_MISSING_SECRET", "malformed", f"{', '.join(foreign)} is not UTF-8; set it again"
        )
    short = sorted(name for name in found if len(found[name].encode()) < VALUE_BYTES_MIN)
    if short:
        raise ContractError(
            "ERR_MISSING_SECRET",
            "too_short",
            f"{', '.join(short)} has fewer than {VALUE_BYTES_MIN} bytes and can't be redacted",
        )


def check_declared(declared: Collection[str], allowed: Collection[str], whose: str) -> None:
    """Refuse an opt-in that nobody declares.

    Args:
        declared: The names that are declared.
        allowed: The names the caller opted in.
        whose: Who declares them, for the message.

    Raises:
        ContractError: ``ERR_INPUTS`` / ``bad_value``.
    """
    if extra := sorted(set(allowed) - set(declared)):
        raise inputs_error("bad_value", f"--allow-env {', '.join(extra)}: not a secret {whose}")


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
