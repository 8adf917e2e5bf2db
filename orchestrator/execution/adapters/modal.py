"""``adapter=modal``: the pinned image, on Modal.

What the deployment says of itself is held against the pin before anything is sent. What comes back
is believed in nothing: the reply is plain data, each file is fetched by its content id and hashed
again, and the result is judged as a local run's is.
"""

from __future__ import annotations

import time

from orchestrator.execution import relay
from orchestrator.execution.trail import Trail
from orchestrator.images.processors import Processor
from orchestrator.world.staging import Staging
from processors.protocol import paths, spawn
from processors.protocol.canonical import Json
from processors.protocol.errors import ContractError, adapter_error, mismatch, modal_error
from processors.protocol.payload import Payload

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.modal.frames import Frame
    from orchestrator.modal.session import Session
    from processors.protocol.remote import Left, Reply

# For the look-up; and once more for all there is besides running the processor: for a container to
# come, for files to go there and back, and for the SDK to send again what the network loses.
WAIT_S = 300
FETCH_BYTES_MAX = 68_719_476_736  # of one execution's files

# What the app may say kept a processor from running; the rest is the orchestrator's to say.
_CODES_OF_APP = (
    "ERR_ADAPTER_INVOCATION",
    "ERR_MISSING_SECRET",
    "ERR_MODAL_INVOCATION",
    "ERR_REGISTRY_MISMATCH",
)


class Deployed:
    """A deployment that was looked up and found to be the one that is asked for.

    Attributes:
        app: The app.
        environment: Where it is deployed.
        content_root: What its files must measure.
    """

    __slots__ = ("app", "content_root", "environment")

    def __init__(self, app: str, environment: str, content_root: str) -> None:
        self.app = app
        self.environment = environment
        self.content_root = content_root


def look_up(
    connect: Callable[[], Session],
    processor: Processor,
    *,
    app: str,
    environment: str,
    digest: str,
    real: bool,
    stop: spawn.Stop,
) -> Deployed:
    """Find the deployment of an image.

    Args:
        connect: Opens the way to Modal.
        processor: The processor.
        app: The name that it is deployed under.
        environment: Where.
        digest: Of the image that must be deployed there.
        real: Whether the secrets of mode real must be there.
        stop: Ends it early.

    Raises:
        ContractError: ``ERR_MODAL_LOOKUP``; ``ERR_MODAL_TIMEOUT``; ``ERR_MISSING_SECRET``;
            ``ERR_REGISTRY_MISMATCH`` / ``digest_chain`` when another image is deployed.
    """
    from orchestrator import naming
    from orchestrator.modal import tags

    needs = real and bool(processor.secrets)
    try:
        session = connect()
    except ContractError as error:
        where = f"{app} in environment {environment}"
        raise ContractError(error.code, error.reason, f"{where}: {error.message}") from None
    frame = _Exchange(session, WAIT_S, stop).ask(
        "lookup",
        {
            "app": app,
            "environment": environment,
            "secret": naming.modal_secret_name(processor.ref, environment) if needs else None,
            "keys": list[Json](processor.secrets if needs else []),
        },
    )
    found = frame[0]["result"]
    assert isinstance(found, dict)
    deployed = tags.long(found.get(tags.DIGEST))
    root = tags.long(found.get(tags.CONTENT_ROOT))
    if deployed != digest or root is None:
        raise mismatch(
            "digest_chain",
            f"{app} in environment {environment} runs {deployed or 'an unknown image'}, and"
            f" {digest} is to run; deploy it",
        )
    return Deployed(app, environment, root)


def invoke(
    session: Session,
    deployed: Deployed,
    payload: Payload,
    *,
    registry: str,
    staging: Staging,
    timeout_s: int,
    trail: Trail,
    stop: spawn.Stop,
) -> spawn.Ended:
    """Run a processor to its end, and fetch what it left into the staging tree.

    Args:
        session: The way to Modal.
        deployed: What to call.
        payload: What it is asked.
        registry: The digest of the registry that applies.
        staging: Where its artifacts lie, and where what it made goes.
        timeout_s: Wall-clock limit of the processor in seconds. All that is done for it has
            ``WAIT_S`` more.
        trail: Takes its breadcrumbs.
        stop: Ends it early.

    Raises:
        ContractError: ``ERR_MODAL_LOOKUP``, ``ERR_MODAL_INVOCATION``, ``ERR_MODAL_TIMEOUT``, or
            what the app found wrong.
    """
    from processors.protocol.remote import Request, decode_reply

    request = Request(
        payload=payload.encode(),
        content_root=deployed.content_root,
        registry=registry,
        timeout_s=timeout_s,
    )
    exchange = _Exchange(session, timeout_s + WAIT_S, stop)
    place: dict[str, Json] = {"environment": deployed.environment}
    if payload.artifacts:
        files = {item.cid: staging.tree + item.path for item in payload.artifacts.values()}
        sent: list[Json] = [{"cid": cid, "path": path} for cid, path in files.items()]
        exchange.ask("upload", {**place, "files": sent})
    _, body = exchange.ask("call", {**place, "app": deployed.app}, request.encode())
    reply = decode_reply(body)
    _relay(reply, trail)
    if reply.error is not None:
        raise _of_app(reply.error)
    assert reply.ended is not None
    _check_left(reply.left, payload)
    if reply.left:
        left = [each.as_json() for each in reply.left]
        fetch = {**place, "tree": staging.tree, "files": list[Json](left)}
        exchange.ask("fetch", fetch)
    return reply.ended


class _Exchange:
    """All that is asked of Modal for one execution, within one time."""

    __slots__ = ("_ends_at", "_session", "_stop")

    def __init__(self, session: Session, limit_s: int, stop: spawn.Stop) -> None:
        self._session = session
        self._ends_at = time.monotonic() + limit_s
        self._stop = stop

    def ask(self, op: str, document: dict[str, Json], body: bytes = b"") -> Frame:
        """Ask, and wait for the answer.

        A signal, or the end of the time, cancels what is asked, here and where it runs.
        """
        from orchestrator.modal.session import CHECK_S, LATE_S, stopped

        left_s = max(0, round(self._ends_at - time.monotonic()))
        ticket = self._session.ask(op, document, body, within_s=left_s)
        while not self._session.wait(ticket, CHECK_S):
            if self._stop.signum is not None:
                self._session.cancel(ticket)
                ticket.wait(LATE_S)
                raise stopped(self._stop.signum)
        return ticket.take()


def _relay(reply: Reply, trail: Trail) -> None:
    """Forward the processor's lines as a local child's are."""
    lines = relay.Relay(trail)
    for line in reply.lines:
        lines.line(line)
    lines.missed(reply.dropped)
    lines.close()


def _of_app(error: ContractError) -> ContractError:
    if error.code in _CODES_OF_APP:
        return error
    return modal_error("exchange_invalid", f"the app answers {error.code}/{error.reason}")


def _check_left(left: list[Left], payload: Payload) -> None:
    """Refuse files that would be laid where a processor's are not, or that are too many bytes."""
    seen = set()
    for each in left:
        if each.path in seen or not _is_own(each.path, payload):
            raise adapter_error("stray_file", f"{each.path} is no output, index or receipt")
        seen.add(each.path)
    if (size := sum(each.size_bytes for each in left)) > FETCH_BYTES_MAX:
        raise adapter_error("output_invalid", f"{size} bytes were left; at most {FETCH_BYTES_MAX}")


def _is_own(path: str, payload: Payload) -> bool:
    if path == paths.determinism_path(payload.execution_id):
        return True
    try:
        return paths.canonical_path(path) == path and paths.is_under(path, payload.write_prefix)
    except ContractError:
        return False
