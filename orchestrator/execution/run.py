"""``run``: the one surface that executes processors.

judge by the lane table → resolve names, registry, image and secrets → bring the inputs into the
world → begin, as a fact → invoke → check → settle, as facts. Each step either returns a value or
raises one ``ContractError``; ``run`` turns both into the one envelope. Nothing else in the
repository reaches an adapter.
"""

from __future__ import annotations

import _thread
import os

from orchestrator import lanes
from orchestrator.execution import answer, fingerprint, judge, memo, record, settle
from orchestrator.execution import request as asked
from orchestrator.execution.adapters import local, modal
from orchestrator.execution.begin import Beginning
from orchestrator.execution.recover import recover
from orchestrator.execution.request import Request
from orchestrator.execution.resolve import Resolved, names, resolve
from orchestrator.execution.settle import Attempt
from orchestrator.execution.trail import Trail
from orchestrator.images import processors
from orchestrator.images.processors import Processor
from orchestrator.world import heads
from orchestrator.world.ledger import utc_now
from orchestrator.world.placing import Placing
from orchestrator.world.staging import Staging
from orchestrator.world.world import World
from processors.protocol import paths, spawn, supervisor
from processors.protocol.canonical import Json, canonical
from processors.protocol.envelope import META_KEYS, Reply
from processors.protocol.errors import ContractError, inputs_error
from processors.protocol.payload import Payload

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager
    from typing import Protocol, Self

    from orchestrator.execution.begin import Gate
    from orchestrator.modal.session import Session
    from orchestrator.world.records import Ahead

    class Worlds(Protocol):
        """Lends an open world, to one thread at a time. Whoever has it asks for no other."""

        def lend(self) -> AbstractContextManager[World]:
            """A block that has it."""


# What the caller has to put right before there is a proposal to judge, and what is no verdict.
_UNJUDGED = ("ERR_INPUTS", "ERR_ADAPTER_INVOCATION")


class Setting:
    """What an execution runs in: given once by the command, the same for every request."""

    __slots__ = (
        *("debug", "environ", "processors_folder", "publish", "signing_key", "stop", "world"),
        *("_connect", "_session", "_starting"),
    )

    def __init__(
        self,
        *,
        world: str,
        processors_folder: str,
        environ: Mapping[str, str],
        stop: spawn.Stop,
        debug: bool,
        signing_key: heads.SigningKey | None = None,
        publish: bool = True,
        connect: Callable[[Mapping[str, str]], Session] | None = None,
    ) -> None:
        self.publish = publish  # whether a run publishes the head; a loop does so at its end
        self.debug = debug  # whether it is shown where an unknown error came from
        self.world = world  # its folder
        self.processors_folder = processors_folder
        self.environ = environ  # read for the secrets that were opted in by name, and nothing else
        self.stop = stop
        self.signing_key = signing_key  # signs the head that is published at the end
        self._connect = connect  # opens the way to Modal; None for the one there is
        self._session: Session | None = None
        self._starting = _thread.allocate_lock()

    def session(self) -> Session:
        """The one way to Modal, opened when it is first needed, and anew once it is gone.

        Raises:
            ContractError: ``ERR_MODAL_LOOKUP``: ``no_credentials`` or ``unreachable``.
        """
        from orchestrator.modal.session import Session  # local runs do without it

        with self._starting:
            if self._session is not None and self._session.has_ended:
                self.close()
            if self._session is None:
                self._session = (self._connect or Session)(self.environ)
            return self._session

    def close(self) -> None:
        """Let go of what was opened; what still runs remotely is cancelled."""
        if self._session is not None:
            self._session.close()
            self._session = None


def run(
    request: Request,
    setting: Setting,
    trail: Trail,
    gate: Gate | None = None,
    *,
    worlds: Worlds | None = None,
    processor: Processor | None = None,
) -> dict[str, Json]:
    """Execute one request and return its envelope; never raises for what a request can cause.

    Args:
        request: What is asked for.
        setting: What it runs in.
        trail: Takes the breadcrumbs.
        gate: What it has to pass to begin, if it is a step of a plan.
        worlds: Lends the setting's world, if a loop has it open, has checked it against its head
            and has recovered it. It is held while there is something to read or write, and not
            while the processor runs. None opens it for this execution.
        processor: What the request names, if that is loaded already.

    Raises:
        ValueError: A step of a plan is to take an earlier result, which passes no gate: a mistake
            in our code.
    """
    if gate is not None and request.memo:
        raise ValueError("a step of a plan passes its gate, and takes no earlier result")
    return _Execution(request, setting, trail, gate, worlds, processor).envelope()


def publish(world: World, setting: Setting, trail: Trail) -> None:
    """Leave the world at rest and write its head down; what is settled stands if that fails."""
    for act in (world.wait, lambda: heads.publish(world.ledger, setting.signing_key, utc_now())):
        try:
            act()
        except ContractError as lost:
            _say_unrecorded(trail, lost)


def _say_unrecorded(trail: Trail, lost: ContractError) -> None:
    trail.emit("execution.unrecorded", {"code": lost.code, "reason": lost.reason})


class _One:
    """Lends the world that one execution has to itself."""

    __slots__ = ("_world",)

    def __init__(self, world: World) -> None:
        self._world = world

    def lend(self) -> Self:
        """A block that has the world."""
        return self

    def __enter__(self) -> World:
        return self._world

    def __exit__(self, *_: object) -> None:
        pass


class _Execution:
    """One execution on its way from a request to an envelope."""

    def __init__(
        self,
        request: Request,
        setting: Setting,
        trail: Trail,
        gate: Gate | None,
        worlds: Worlds | None,
        processor: Processor | None,
    ) -> None:
        self._gate = gate
        self._worlds = worlds
        self._processor = processor
        self._request = request
        self._setting = setting
        self._trail = trail
        self._meta: dict[str, Json] = dict.fromkeys(META_KEYS)
        self._meta.update(lane=request.lane, cost_micro_usd=0)
        trail.context.update(env=request.lane)
        self._know(processor_ref=str(request.ref), adapter=request.adapter, mode=request.mode)
        self._deployed: modal.Deployed | None = None
        self._ended: spawn.Ended | None = None

    def envelope(self) -> dict[str, Json]:
        """Run every step; the first error is the answer."""
        try:
            resolved = self._admit()
            if self._worlds is not None:
                return self._execute(self._worlds, resolved)
            with World(self._setting.world, make=True) as world:
                heads.check(world.ledger)
                return self._live(world, resolved)
        except Exception as error:  # noqa: BLE001 - whatever it is, the answer is one envelope
            self._show(error)
            return self._refusal(answer.known(error))

    def _live(self, world: World, resolved: Resolved) -> dict[str, Json]:
        """Execute in an open world, where nothing that somebody left is in the way."""
        recover(world, self._setting.processors_folder)
        envelope = self._execute(_One(world), resolved)
        if self._setting.publish:
            publish(world, self._setting, self._trail)
        return envelope

    def _admit(self) -> Resolved:
        """Judge the request and resolve what it names; a refusal is a fact of the ledger."""
        request = self._request
        try:
            refused = lanes.answer(record.question(request))
            if refused is not None:
                raise refused
            resolved = self._resolve()
            if request.adapter == "modal":
                self._deployed = self._look_up(resolved)
        except ContractError as error:
            if error.code not in _UNJUDGED:
                self._record_refusal(error)
            raise
        return resolved

    def _record_refusal(self, error: ContractError) -> None:
        fact = record.refused(self._request, error)
        try:
            if self._worlds is not None:
                with self._worlds.lend() as world, world.ledger.writing() as transaction:
                    transaction.append("execution.refused", fact)
                return
            with World(self._setting.world, make=True) as world:
                heads.check(world.ledger)
                with world.ledger.writing() as transaction:
                    transaction.append("execution.refused", fact)
                if self._setting.publish:
                    publish(world, self._setting, self._trail)
        except ContractError as lost:  # the refusal stands all the same
            _say_unrecorded(self._trail, lost)

    def _refusal(self, error: ContractError) -> dict[str, Json]:
        self._meta["duration_ms"] = self._trail.elapsed_ms
        if self._ended is not None:
            self._meta["tails"] = answer.tails(self._ended)
        return answer.refusal(self._request.execution_id, error, self._meta)

    def _show(self, error: Exception) -> None:
        if self._setting.debug and not isinstance(error, ContractError):
            answer.show_frames(error, self._trail)

    def _know(self, **known: Json) -> None:
        """Put what is known from now on into the envelope's meta and onto every event."""
        self._meta.update(known)
        self._trail.context.update(known)

    def _resolve(self) -> Resolved:
        """Resolve every name and digest, once."""
        request = self._request
        named = names(request)
        self._know(app=named.app, function=named.function)
        if named.missing:
            self._trail.emit("naming.warning", {"missing": list(named.missing)})
        processor = self._processor
        if processor is None or request.registry_root is not None:  # that one is for this run alone
            processor = processors.load(self._setting.processors_folder, request.ref)
        resolved = resolve(request, named, processor, self._setting.environ)
        self._know(image_digest=resolved.image_digest)
        if resolved.overridden:
            self._meta["override"] = True
        return resolved

    def _look_up(self, resolved: Resolved) -> modal.Deployed:
        """Find the deployment of what was resolved."""
        assert resolved.image_digest is not None
        app = resolved.names.app
        assert app is not None
        try:
            return modal.look_up(
                self._setting.session,
                resolved.processor,
                app=app,
                environment=self._request.lane,
                digest=resolved.image_digest,
                real=self._request.mode == "real",
                stop=self._setting.stop,
            )
        except ContractError:
            self._say_resolved(resolved)
            raise

    def _say_resolved(self, resolved: Resolved) -> None:
        """Log what was resolved, once; nothing of it changes afterwards."""
        local_run = self._request.adapter == "local"
        self._trail.emit(
            "execution.resolved",
            {
                "override": resolved.overridden,
                "source_root": resolved.processor.source_root if local_run else None,
                **{key: self._meta[key] for key in ("env_fingerprint", "inputs_hash", "memo_key")},
            },
        )

    def _execute(self, worlds: Worlds, resolved: Resolved) -> dict[str, Json]:
        """Begin and run; or answer with what is known already."""
        with worlds.lend() as world:
            begun = self._begin(world, resolved)
            if not isinstance(begun, Attempt):
                return begun
            mark, stagings = world.mark(begun.staging), world.stagings
        try:
            return self._attempt(worlds, resolved, begun, mark)
        finally:
            settle.let_go(begun, stagings)

    def _begin(self, world: World, resolved: Resolved) -> Attempt | dict[str, Json]:
        """Bring the inputs in and begin; or what is known already."""
        world.wait_if_many()  # while there is nothing that could be lost
        with world.objects.placing() as placing:
            payload = self._payload(world, placing)
            inputs = placing.write(canonical(payload.inputs))
            known = self._remember(payload, inputs[0], resolved)
            self._say_resolved(resolved)
            ahead = world.place_ahead(placing)
            begun = Beginning(self._request, self._meta, world, payload, known, inputs, self._gate)
            if self._gate is None and (envelope := begun.recorded()) is not None:
                self._trail.emit("execution.recorded")
                return envelope
            if (envelope := self._reused(begun, placing, ahead)) is not None:
                return envelope
            return begun.begin(ahead)

    def _reused(self, begun: Beginning, placing: Placing, ahead: Ahead) -> dict[str, Json] | None:
        """Answer with what an earlier execution made, if that is asked for and possible."""
        origin = begun.origin() if self._request.memo else None
        if origin is None:
            return None
        self._trail.emit("execution.reused", {"origin": origin.execution_id})
        self._meta.update(duration_ms=self._trail.elapsed_ms, reused_from=origin.execution_id)
        return begun.reuse(origin, placing, ahead)

    def _payload(self, world: World, placing: Placing) -> Payload:
        """Bring the named files and artifacts together with the inputs."""
        request = self._request
        artifacts = {name: world.attach(file, placing) for name, file in request.attach.items()}
        for name, text in request.use.items():
            path = paths.canonical_path(text)
            if paths.is_under(path, request.write_prefix):
                raise inputs_error(
                    "prefix_occupied", f"--use {name}: the run would replace what it reads"
                )
            artifacts[name] = world.find(path)
        return Payload(
            execution_id=request.execution_id,
            ref=str(request.ref),
            mode=request.mode,
            inputs=request.inputs,
            artifacts=artifacts,
            write_prefix=request.write_prefix,
        )

    def _remember(self, payload: Payload, inputs: str, resolved: Resolved) -> dict[str, Json]:
        """Put into ``meta`` what the result depends on; return it whole."""
        image, processor = resolved.image_digest, resolved.processor
        env_fingerprint = (
            fingerprint.of_local(processor.lock) if image is None else fingerprint.of_modal(image)
        )
        known = memo.preimage(
            payload,
            inputs,
            code=image or processor.source_root,
            registry=processor.registry_digest,
            env_fingerprint=env_fingerprint,
        )
        self._meta.update(
            env_fingerprint=env_fingerprint,
            inputs_hash=payload.inputs_hash(),
            memo_key=memo.key(known),
        )
        return known

    def _attempt(
        self, worlds: Worlds, resolved: Resolved, attempt: Attempt, mark: str
    ) -> dict[str, Json]:
        """Start the processor, judge what it left, and settle."""
        self._trail.emit("adapter.invoke.start", {"payload_hash": attempt.payload_hash})
        try:
            ended = self._invoke(resolved, attempt, mark)
            self._ended = ended
            reply = judge.reply(ended, attempt, resolved.processor.products)
            self._meta["cost_micro_usd"] = reply.cost_micro_usd
            self._trail.emit("processor.outputs", {"count": len(reply.outputs)})
            self._trail.emit("processor.receipt")
        except Exception as error:  # noqa: BLE001 - whatever it is, what was started is settled
            return self._attest(worlds, error, list(resolved.secrets.values()), attempt)
        try:
            with worlds.lend() as world:
                envelope = self._settle(world, attempt, reply, ended.stdout.digest)
        except ContractError as error:
            attempt.is_left = error.reason in settle.WORLD_TROUBLE
            self._say_failed(error)
            return self._refusal(error)
        self._trail.emit(*answer.last_event(reply, ended.stdout))
        return envelope

    def _say_failed(self, error: ContractError) -> None:
        own: dict[str, Json] = {"code": error.code, "reason": error.reason, "reply_digest": None}
        self._trail.emit("adapter.invoke.error", own)

    def _invoke(self, resolved: Resolved, attempt: Attempt, mark: str) -> spawn.Ended:
        processor, staging = resolved.processor, attempt.staging
        timeout_s = min(self._request.timeout_s or asked.TIMEOUT_S_MAX, processor.limit("time_s"))
        if self._deployed is not None:
            self._trail.emit("processor.start")
            return modal.invoke(
                self._setting.session(),
                self._deployed,
                attempt.payload,
                registry=processor.registry_digest,
                staging=staging,
                timeout_s=timeout_s,
                trail=self._trail,
                stop=self._setting.stop,
            )
        registry_file = processor.registry_file
        if self._request.registry_root is not None:
            registry_file = _write_registry(processor.registry, staging)
        self._trail.emit("processor.start")
        return local.invoke(
            processor,
            attempt.payload.encode(),
            staging=staging,
            mark=mark,
            secrets=resolved.secrets,
            timeout_s=timeout_s,
            registry_file=registry_file,
            trail=self._trail,
            stop=self._setting.stop,
        )

    def _settle(self, world: World, attempt: Attempt, reply: Reply, digest: str) -> dict[str, Json]:
        """Write down how the processor says that it ended; return the envelope."""
        payload = attempt.payload
        if reply.error is not None:
            envelope = self._refusal(reply.error)
            settle.failure(world, attempt, "processor", envelope, digest)
            return envelope
        meta = {**self._meta, "duration_ms": self._trail.elapsed_ms}
        envelope = answer.success(payload.execution_id, reply.outputs, payload.write_prefix, meta)
        settle.success(world, attempt, reply.outputs, envelope, digest)
        return envelope

    def _attest(
        self, worlds: Worlds, error: Exception, secret_values: list[str], attempt: Attempt
    ) -> dict[str, Json]:
        """Settle in the place of a processor that left no receipt, or one that cannot stand."""
        found = answer.masked(answer.known(error), secret_values)
        self._say_failed(found)
        self._show(error)
        envelope = self._refusal(found)
        try:
            settle.disown(attempt)
            supervisor.write_stub(
                attempt.staging.own,
                attempt.payload,
                attempt.payload_hash,
                found,
                self._trail.elapsed_ms,
            )
            with worlds.lend() as world:
                settle.failure(world, attempt, "supervisor", envelope, None)
        except (ContractError, OSError) as lost:  # the envelope already says what failed first
            _say_unrecorded(self._trail, answer.known(lost))
        return envelope


def _write_registry(registry: dict[str, Json], staging: Staging) -> str:
    """Write out a registry from --registry-root for the processor, without its image pin."""
    own = {key: value for key, value in registry.items() if key != "image"}
    path = os.path.join(staging.folder, settle.REGISTRY_COPY)
    with open(path, "xb") as file:
        file.write(canonical(own))
    return path
