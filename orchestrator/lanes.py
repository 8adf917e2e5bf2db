"""Lanes are one table: what may run where, and nothing else decides it.

``judge`` looks a request up in ``LANES``. It reads no clock, no environment and no file, so the
same flags give the same verdict on every machine.
"""

from __future__ import annotations

from processors.protocol import digests
from processors.protocol.canonical import Json
from processors.protocol.errors import ContractError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    type Table = Mapping[str, LanePolicy]

ADAPTERS = ("local", "modal")

# Branches that change by review alone. No command edits a pin there.
PROTECTED_BRANCHES = ("main", "master", "staging")


class LanePolicy:
    """One row: what a lane allows."""

    __slots__ = (
        "adapters",
        "artifacts",
        "egress",
        "lane",
        "modes",
        "override",
        "purpose",
        "real",
        "registry_root",
        "secrets",
    )

    def __init__(
        self,
        lane: str,
        *,
        artifacts: str,
        adapters: tuple[str, ...],
        modes: tuple[str, ...],
        egress: bool,
        override: bool,
        secrets: bool,
        registry_root: bool,
        real: str,
        purpose: str,
    ) -> None:
        self.lane = lane
        self.artifacts = artifacts  # "source", "any" or "pinned"
        self.adapters = adapters
        self.modes = modes
        self.egress = egress
        self.override = override  # whether --image-override is accepted
        self.secrets = secrets  # whether --allow-env is accepted (real, local)
        self.registry_root = registry_root  # whether --registry-root is accepted
        self.real = real  # "never", "free" or "confirmed" (by --allow-real)
        self.purpose = purpose

    def document(self) -> dict[str, Json]:
        """The row as data, but for what it is for; ``of_document`` reads it again."""
        return {
            "artifacts": self.artifacts,
            "adapters": list(self.adapters),
            "modes": list(self.modes),
            "egress": self.egress,
            "override": self.override,
            "secrets": self.secrets,
            "registry_root": self.registry_root,
            "real": self.real,
        }


LANES: dict[str, LanePolicy] = {
    policy.lane: policy
    for policy in (
        LanePolicy(
            "pr",
            artifacts="source",
            adapters=("local",),
            modes=("mock",),
            egress=False,
            override=False,
            secrets=False,
            registry_root=True,
            real="never",
            purpose="fast, hermetic development loop",
        ),
        LanePolicy(
            "dev",
            artifacts="any",
            adapters=("local", "modal"),
            modes=("mock", "real"),
            egress=True,
            override=True,
            secrets=True,
            registry_root=True,
            real="free",
            purpose="reproduce and debug",
        ),
        LanePolicy(
            "staging",
            artifacts="pinned",
            adapters=("modal",),
            modes=("mock", "real"),
            egress=True,
            override=False,
            secrets=False,
            registry_root=False,
            real="confirmed",
            purpose="supply chain and deployment",
        ),
        LanePolicy(
            "main",
            artifacts="pinned",
            adapters=("modal",),
            modes=("mock", "real"),
            egress=True,
            override=False,
            secrets=False,
            registry_root=False,
            real="confirmed",
            purpose="production",
        ),
    )
}


def document() -> dict[str, Json]:
    """The table as data."""
    return {lane: policy.document() for lane, policy in LANES.items()}


VERSION = digests.of_json(document())  # by which policy a verdict was reached


def of_document(lane: str, row: dict[str, Json]) -> LanePolicy:
    """A row that was written down: a verdict is reached again by the policy of its time."""
    adapters, modes = row["adapters"], row["modes"]
    assert isinstance(adapters, list)
    assert isinstance(modes, list)
    return LanePolicy(
        lane,
        artifacts=str(row["artifacts"]),
        adapters=tuple(map(str, adapters)),
        modes=tuple(map(str, modes)),
        egress=row["egress"] is True,
        override=row["override"] is True,
        secrets=row["secrets"] is True,
        registry_root=row["registry_root"] is True,
        real=str(row["real"]),
        purpose="",
    )


def judge(
    *,
    lane: str,
    adapter: str,
    mode: str,
    override: bool,
    secrets: bool,
    registry_root: bool,
    allow_real: bool,
    table: Table = LANES,
) -> ContractError | None:
    """Return why a lane refuses a request, or None if it allows it.

    Args:
        lane: A key of the table.
        adapter: One of ``ADAPTERS``.
        mode: ``mock`` or ``real``.
        override: Whether --image-override is given.
        secrets: Whether --allow-env is given.
        registry_root: Whether --registry-root is given.
        allow_real: Whether --allow-real is given.
        table: The rows that count.
    """
    policy = table[lane]
    if adapter not in policy.adapters:
        allowed = " or ".join(policy.adapters)
        return _refusal("lane_adapter", f"lane {lane} runs adapter {allowed}, not {adapter}")
    if mode not in policy.modes:
        allowed = " or ".join(policy.modes)
        return _refusal("lane_mode", f"lane {lane} runs mode {allowed}, not {mode}")
    if override and not policy.override:
        return _refusal("lane_override", f"lane {lane} runs pinned or source artifacts only")
    if override and adapter == "local":
        return _refusal("override_without_image", "adapter local runs no image to override")
    if secrets and not (policy.secrets and adapter == "local" and mode == "real"):
        return _refusal("lane_secrets", "--allow-env is for lane dev, adapter local, mode real")
    if registry_root and not policy.registry_root:
        return _refusal("lane_registry_root", f"lane {lane} reads the embedded registries only")
    if allow_real and not (policy.real == "confirmed" and mode == "real"):
        return _refusal("lane_allow_real", "--allow-real is for mode real in staging and main")
    if mode == "real" and policy.real == "confirmed" and not allow_real:
        return _refusal("lane_real_unconfirmed", f"mode real in lane {lane} needs --allow-real")
    return None


def answer(question: dict[str, Json], table: Table = LANES) -> ContractError | None:
    """``judge``, asked as the ledger keeps the question: a verdict can be reached again."""
    words = {key: str(question[key]) for key in ("lane", "adapter", "mode")}
    switches = ("override", "secrets", "registry_root", "allow_real")
    return judge(
        lane=words["lane"],
        adapter=words["adapter"],
        mode=words["mode"],
        **{key: question[key] is True for key in switches},
        table=table,
    )


def _refusal(reason: str, message: str) -> ContractError:
    return ContractError("ERR_CI_SAFETY", reason, message)
