"""Deploy a processor's pinned image to Modal, tell what runs there, stop it, go back.

judge by the lane table → the pin → secrets synced → the image is in its registry → deploy, and say
so in the ledger. Nothing is sent before what the machine knows by itself has been judged.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from orchestrator import lanes, naming
from orchestrator.images import processors, published, reference, store
from orchestrator.images.processors import Processor
from orchestrator.images.published import Published
from orchestrator.lanes import LANES
from orchestrator.modal import synced, tags
from processors.protocol import shapes
from processors.protocol.canonical import Json
from processors.protocol.errors import ContractError, inputs_error, mismatch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from orchestrator.images.crane import Crane
    from orchestrator.modal.session import Session
    from orchestrator.world.chain import Event
    from processors.protocol.refs import Ref

MADE, UNCHANGED, STOPPED = "deployment.made", "deployment.unchanged", "deployment.stopped"
TIME_MARGIN_S = 120  # of a call besides its processor: files laid out, files kept
STARTUP_S = 600  # for a container to start, its image pulled
MEMORY_MARGIN_MB = 512  # of a container besides its processor


@dataclass(frozen=True)
class Target:
    """One processor in one environment: what is deployed is called by it.

    Attributes:
        ref: The processor.
        lane: The lane, and the environment called like it.
        app: The app.
        missing: What the app's full name would need and was not given.
    """

    ref: Ref
    lane: str
    app: str
    missing: tuple[str, ...]

    def as_json(self) -> dict[str, Json]:
        """The target as facts and answers have it."""
        return {"ref": str(self.ref), "environment": self.lane, "app": self.app}


def target(
    ref: Ref, lane: str, *, branch: str | None, user: str | None, override: bool, scratch: bool
) -> Target:
    """Name what is to be deployed, if the lane lets it.

    Args:
        ref: The processor.
        lane: A key of ``LANES``.
        branch: Whose app it is, in dev.
        user: Likewise.
        override: Whether another image than the pinned one is given.
        scratch: Whether the pins are those of another folder than the built-in one.

    Raises:
        ContractError: ``ERR_CI_SAFETY``; ``ERR_INPUTS`` / ``bad_value``.
    """
    check_lane(lane, override=override, scratch=scratch)
    app = naming.modal_app_name_from_ref(ref, lane, branch, user)
    return Target(ref, lane, app, naming.missing_parts(lane, branch, user))


def check_lane(lane: str, *, override: bool = False, scratch: bool = False) -> None:
    """Refuse a lane that has nothing on Modal, or not this.

    Raises:
        ContractError: ``ERR_CI_SAFETY``; ``ERR_INPUTS`` / ``bad_value``.
    """
    if lane not in LANES:
        raise inputs_error("bad_value", f"--lane {lane[:80]!a} is none of {', '.join(LANES)}")
    refused = lanes.judge(
        lane=lane,
        adapter="modal",
        mode="mock",
        override=override,
        secrets=False,
        registry_root=scratch,
        allow_real=False,
    )
    if refused is not None:
        raise refused


def check_pins(root: str, lane: str) -> None:
    """Refuse to deploy in a pinned lane while any processor of the tree is unpinned.

    Raises:
        ContractError: ``ERR_IMAGE_UNPINNED``.
    """
    if LANES[lane].artifacts != "pinned":
        return
    for processor in processors.load_all(os.path.join(root, "processors")):
        processors.pin_of(processor)


@dataclass(frozen=True)
class Wanted:
    """What is to be deployed: an image, for a processor.

    Attributes:
        processor: The processor, with the registry that applies.
        digest: Of the image.
        repository: Where the image lies.
        overridden: Whether it is another one than the pinned.
    """

    processor: Processor
    digest: str
    repository: str
    overridden: bool


def wanted(processor: Processor, registry: str | None, override: str | None) -> Wanted:
    """The image to deploy: the pin, or in lane dev the override.

    Raises:
        ContractError: ``ERR_IMAGE_UNPINNED``; ``ERR_INPUTS`` / ``bad_value`` or ``missing_flag``.
    """
    if override is not None:
        found = reference.parse(override, "--image-override")
        if found.host:
            place = f"{found.host}/{found.path}"
        elif registry is None:
            raise inputs_error("missing_flag", "missing: --registry, where that image lies")
        else:
            place = store.repository_at(registry, found.path)
        return Wanted(processor, found.digest, place, overridden=True)
    digest = processors.pin_of(processor)
    if registry is None:
        raise inputs_error("missing_flag", "missing: --registry, where the pinned image lies")
    repository = shapes.text(processor.registry["image"], "repository")
    place = store.repository_at(registry, repository)
    return Wanted(processor, digest, place, overridden=False)


class History:
    """What the ledger says of one target's deployments, and of its environment's secrets."""

    def __init__(self, events: Iterable[Event], of: Target) -> None:
        self.made: list[dict[str, Json]] = []
        self.running: dict[str, Json] | None = None
        self.synced: dict[str, Json] | None = None
        for event in events:
            self.synced = synced.after(self.synced, event, of.lane)
            if event.type in (MADE, STOPPED) and all(
                event.data[key] == value for key, value in of.as_json().items()
            ):
                self.running = event.data if event.type == MADE else None
                if event.type == MADE:
                    self.made.append(event.data)

    def before(self) -> str:
        """The digest that was deployed before the one that is.

        Raises:
            ContractError: ``ERR_MODAL_LOOKUP`` / ``not_deployed``: there is none.
        """
        digests = [shapes.text(each, "digest") for each in self.made]
        earlier = [each for each in digests if each != digests[-1]]
        if not earlier:
            raise ContractError(
                "ERR_MODAL_LOOKUP", "not_deployed", "no other image was deployed before"
            )
        return earlier[-1]


def back(of: Wanted, history: History, lane: str) -> Wanted:
    """The image that was deployed before, which in a pinned lane must be the pinned one.

    Raises:
        ContractError: ``ERR_MODAL_LOOKUP`` / ``not_deployed``; ``ERR_REGISTRY_MISMATCH`` /
            ``digest_chain`` when a pinned lane pins another image.
    """
    digest = history.before()
    if LANES[lane].artifacts == "pinned" and digest != of.digest:
        raise mismatch(
            "digest_chain",
            f"{digest} was deployed before, and lane {lane} deploys what is pinned, {of.digest};"
            " put the pin back first",
        )
    return Wanted(of.processor, digest, of.repository, overridden=digest != of.digest)


class Deployer:
    """The deploy step's doing part."""

    def __init__(self, session: Session, history: History, of: Target) -> None:
        self._session = session
        self._history = history
        self._target = of

    def deploy(self, image: Published, of: Wanted) -> tuple[str, dict[str, Json]]:
        """Deploy, unless the same is deployed; return the fact that says so."""
        part = synced.wanted(of.processor, naming.modal_secret_name(of.processor.ref, self._lane))
        epoch = 0
        if of.processor.secrets:
            assert self._history.synced is not None
            epoch = shapes.count(self._history.synced, "epoch")
        fact: dict[str, Json] = {
            **self._target.as_json(),
            "version": None,
            "digest": image.digest,
            "content_root": image.content_root,
            "override": of.overridden,
            "epoch": epoch,
        }
        if self._is_running(fact):
            return UNCHANGED, {**fact, "version": (self._history.running or {})["version"]}
        answer = self._session.perform(
            "deploy",
            {
                "environment": self._lane,
                "app": self._target.app,
                "image": image.reference,
                "digest": image.digest,
                "content_root": image.content_root,
                "secret": part["secret"] if of.processor.secrets else None,
                "keys": part["names"],
                "memory_mb": of.processor.limit("memory_mb") + MEMORY_MARGIN_MB,
                "timeout_s": of.processor.limit("time_s") + TIME_MARGIN_S,
                "startup_timeout_s": STARTUP_S,
            },
        )
        assert isinstance(answer, dict)
        return MADE, {**fact, "version": answer["version"]}

    def status(self) -> dict[str, Json]:
        """What is deployed, by its own words, and what the ledger says was.

        Raises:
            ContractError: ``ERR_MODAL_LOOKUP``.
        """
        asked: dict[str, Json] = {"app": self._target.app, "environment": self._lane}
        found = self._session.perform("lookup", {**asked, "secret": None, "keys": []})
        assert isinstance(found, dict)
        recorded = self._history.running
        return {
            **self._target.as_json(),
            "digest": tags.long(found.get(tags.DIGEST)),
            "content_root": tags.long(found.get(tags.CONTENT_ROOT)),
            "recorded": recorded["digest"] if recorded is not None else None,
        }

    def drift(self, digest: str) -> dict[str, Json]:
        """Hold what is deployed against what is pinned.

        Raises:
            ContractError: ``ERR_REGISTRY_MISMATCH`` / ``digest_chain`` when they differ.
        """
        found = self.status()
        if found["digest"] != digest:
            raise mismatch(
                "digest_chain",
                f"{self._target.app} in environment {self._lane} runs {found['digest']}, and"
                f" {digest} is pinned; deploy it",
            )
        return {**found, "pinned": digest}

    def stop(self) -> dict[str, Json]:
        """Stop the app, and what runs of it; return the fact."""
        self._session.perform("stop", {"app": self._target.app, "environment": self._lane})
        return self._target.as_json()

    @property
    def _lane(self) -> str:
        return self._target.lane

    def _is_running(self, fact: dict[str, Json]) -> bool:
        """Whether both Modal and the ledger say that just this is deployed."""
        recorded = self._history.running
        if recorded is None or {**recorded, "version": None} != fact:
            return False
        try:
            found = self.status()
        except ContractError as error:
            if error.reason == "not_deployed":
                return False
            raise
        return all(found[key] == fact[key] for key in ("digest", "content_root"))


def find(crane: Crane, of: Wanted) -> Published:
    """The image in its registry; see ``published.read``."""
    return published.read(crane, of.repository, of.digest, of.processor.ref)
