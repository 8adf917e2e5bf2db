"""A request: what one call of ``run_processor`` asks for, checked word by word.

Everything is explicit. Nothing here reads the environment, and nothing has a default that
changes what runs.
"""

from __future__ import annotations

import os
import time

from orchestrator.lanes import ADAPTERS, LANES
from processors.protocol import canonical, paths
from processors.protocol.canonical import Json
from processors.protocol.errors import inputs_error
from processors.protocol.refs import (
    EXECUTION_ID_GRAMMAR,
    MODES,
    NAME_GRAMMAR,
    REF_GRAMMAR,
    Ref,
    is_execution_id,
    is_name,
    parse_ref,
)

TIMEOUT_S_MAX = 86_400
_ID_MARK = "{execution_id}"


class Request:
    """One execution that is asked for."""

    __slots__ = (
        "adapter",
        "allow_env",
        "allow_real",
        "attach",
        "branch",
        "execution_id",
        "image_override",
        "inputs",
        "lane",
        "memo",
        "mode",
        "ref",
        "registry_root",
        "timeout_s",
        "use",
        "user",
        "write_prefix",
    )

    def __init__(
        self,
        *,
        ref: Ref,
        adapter: str,
        mode: str,
        lane: str,
        write_prefix: str,
        inputs: dict[str, Json],
        execution_id: str,
        attach: dict[str, str] | None = None,
        use: dict[str, str] | None = None,
        timeout_s: int | None = None,
        image_override: str | None = None,
        allow_env: list[str] | None = None,
        allow_real: bool = False,
        registry_root: str | None = None,
        memo: bool = False,
        branch: str | None = None,
        user: str | None = None,
    ) -> None:
        self.ref = ref
        self.adapter = adapter
        self.mode = mode
        self.lane = lane
        self.write_prefix = write_prefix
        self.inputs = inputs
        self.execution_id = execution_id
        self.attach = attach or {}
        self.use = use or {}
        self.timeout_s = timeout_s
        self.image_override = image_override
        self.allow_env = allow_env or []
        self.allow_real = allow_real
        self.registry_root = registry_root
        self.memo = memo
        self.branch = branch
        self.user = user


def new_execution_id() -> str:
    """An id that sorts by time and does not collide: UTC second, then 40 random bits."""
    return time.strftime("%Y%m%dt%H%M%Sz-", time.gmtime()) + os.urandom(5).hex()


def check_ref(text: str) -> Ref:
    """Return the ref, or raise ``ERR_INPUTS`` / ``bad_value``."""
    ref = parse_ref(text)
    if ref is None:
        raise inputs_error("bad_value", f"--ref {_show(text)} is not of the form {REF_GRAMMAR}")
    return ref


def check_choice(flag: str, text: str, choices: tuple[str, ...]) -> str:
    """Return the text if it is one of the choices, or raise ``ERR_INPUTS`` / ``bad_value``."""
    if text not in choices:
        raise inputs_error("bad_value", f"{flag} {_show(text)} is none of {', '.join(choices)}")
    return text


def check_mode(text: str) -> str:
    """``mock`` or ``real``; anything else is refused."""
    return check_choice("--mode", text, MODES)


def check_adapter(text: str) -> str:
    """``local`` or ``modal``; anything else is refused."""
    return check_choice("--adapter", text, ADAPTERS)


def check_lane(text: str) -> str:
    """A lane of the table; anything else is refused."""
    return check_choice("--lane", text, tuple(LANES))


def check_execution_id(text: str) -> str:
    """Return the id, or raise ``ERR_INPUTS`` / ``bad_value``."""
    if not is_execution_id(text):
        raise inputs_error(
            "bad_value", f"--execution-id {_show(text)} is not of the form {EXECUTION_ID_GRAMMAR}"
        )
    return text


def check_write_prefix(text: str, execution_id: str) -> str:
    """Expand ``{execution_id}`` once and return the canonical prefix."""
    return paths.canonical_prefix(text.replace(_ID_MARK, execution_id))


def check_timeout(text: str) -> int:
    """Return whole seconds, or raise ``ERR_INPUTS`` / ``bad_value``."""
    plain = text.isascii() and text.isdigit() and len(text) <= 5
    if not plain or not 1 <= int(text) <= TIMEOUT_S_MAX:
        raise inputs_error(
            "bad_value", f"--timeout-s {_show(text)} is no whole number from 1 to {TIMEOUT_S_MAX}"
        )
    return int(text)


def check_named(flag: str, items: list[str]) -> dict[str, str]:
    """Split repeated ``NAME=VALUE`` flags; each name once."""
    found: dict[str, str] = {}
    for item in items:
        name, equals, value = item.partition("=")
        if not equals or not is_name(name) or not value:
            raise inputs_error(
                "bad_value", f"{flag} {_show(item)} is not NAME=..., NAME being {NAME_GRAMMAR}"
            )
        if name in found:
            raise inputs_error("repeated_flag", f"{flag} names {name} twice")
        found[name] = value
    return found


def check_inputs(data: bytes, flag: str) -> dict[str, Json]:
    """Parse the inputs: one strict JSON object."""
    return canonical.parse_object(data, flag)


def _show(text: str) -> str:
    return ascii(text[:80]) + ("..." if len(text) > 80 else "")
