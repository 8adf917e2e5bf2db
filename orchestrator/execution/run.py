"""``run``: the one surface that executes processors.

judge by the lane table → resolve names, registry, image and secrets → stage → invoke → check →
settle. Each step either returns a value or raises one ``ContractError``; ``run`` turns both into
the one envelope. Nothing else in the repository reaches an adapter.
"""

from __future__ import annotations

import os
import signal

from orchestrator import lanes
from orchestrator.execution import checks, fingerprint
from orchestrator.execution import request as asked
from orchestrator.execution.adapters import local, modal
from orchestrator.execution.request import Request
from orchestrator.execution.resolve import Resolved, names, resolve
from orchestrator.execution.trail import Trail
from orchestrator.world.store import Staging, World
from processors.protocol import digests, paths, spawn, supervisor
from processors.protocol.canonical import Json, canonical
from processors.protocol.envelope import META_KEYS, Reply
from processors.protocol.errors import ContractError, adapter_error, inputs_error
from processors.protocol.events import FIELD_CHARS_MAX
from processors.protocol.payload import Payload

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


DEBUG_FRAMES_MAX = 32  # of a traceback, the innermost ones


class Setting:
    """What an execution runs in: given once by the command, the same for every request."""

    __slots__ = ("debug", "environ", "processors_folder", "stop", "world")

    def __init__(
        self,
        *,
        world: World,
        processors_folder: str,
        environ: Mapping[str, str],
        stop: spawn.Stop,
        debug: bool,
    ) -> None:
        self.debug = debug  # whether the traceback of an unknown error is shown
        self.world = world
        self.processors_folder = processors_folder
        self.environ = environ  # read for the secrets that were opted in by name, and nothing else
        self.stop = stop


def run(request: Request, setting: Setting, trail: Trail) -> dict[str, Json]:
    """Execute one request and return its envelope; never raises for what a request can cause."""
    return _Execution(request, setting, trail).envelope()


def refusal(
    execution_id: str, error: ContractError, meta: dict[str, Json], trail: Trail
) -> dict[str, Json]:
    """The error envelope."""
    meta["duration_ms"] = trail.elapsed_ms
    return {
        "status": "error",
        "execution_id": execution_id,
        "error": dict(error.as_json()),
        "meta": meta,
    }


def known(error: Exception, trail: Trail, *, debug: bool) -> ContractError:
    """Return an error of the table for whatever was raised.

    What the table does not know becomes ``orchestrator_error``: its type is told, its text is not,
    since that could hold anything. Where it came from is shown when ``debug`` asks for it.
    """
    if isinstance(error, ContractError):
        return error
    if debug:
        import traceback  # rarely needed

        for frame in traceback.extract_tb(error.__traceback__)[-DEBUG_FRAMES_MAX:]:
            where = f"{frame.filename}:{frame.lineno} in {frame.name}"
            trail.emit("debug.traceback", {"text": where[-FIELD_CHARS_MAX:]})
    return adapter_error(
        "orchestrator_error",
        f"unexpected {type(error).__name__}; run again with --debug to see where",
    )


def success(
    execution_id: str, reply: Reply, write_prefix: str, meta: dict[str, Json], trail: Trail
) -> dict[str, Json]:
    """The envelope of a success: the processor's own, checked, with our ``meta`` around its own."""
    meta["duration_ms"] = trail.elapsed_ms
    return {
        "status": "success",
        "execution_id": execution_id,
        "outputs": [output.as_json() for output in reply.outputs],
        "index_path": paths.index_path(write_prefix),
        "meta": meta,
    }


def last_event(reply: Reply, stdout: spawn.Tail) -> tuple[str, dict[str, Json]]:
    """The adapter's last event: how it went, and the digest of the processor's own envelope."""
    kept: dict[str, Json] = {"reply_digest": stdout.digest}
    if reply.error is None:
        return "adapter.invoke.complete", kept
    return "adapter.invoke.error", {"code": reply.error.code, "reason": reply.error.reason, **kept}


class _Execution:
    """One execution on its way from a request to an envelope."""

    def __init__(self, request: Request, setting: Setting, trail: Trail) -> None:
        self._request = request
        self._setting = setting
        self._trail = trail
        self._meta: dict[str, Json] = dict.fromkeys(META_KEYS)
        self._meta.update(lane=request.lane, cost_micro_usd=0)
        trail.context.update(env=request.lane)
        self._know(processor_ref=str(request.ref), adapter=request.adapter, mode=request.mode)

    def envelope(self) -> dict[str, Json]:
        """Run every step; the first error is the answer."""
        try:
            reply = self._execute()
            if reply.error is not None:
                raise reply.error
        except Exception as error:  # noqa: BLE001 - whatever it is, the answer is one envelope
            return refusal(self._request.execution_id, self._known(error), self._meta, self._trail)
        request = self._request
        return success(request.execution_id, reply, request.write_prefix, self._meta, self._trail)

    def _known(self, error: Exception) -> ContractError:
        return known(error, self._trail, debug=self._setting.debug)

    def _execute(self) -> Reply:
        request = self._request
        refused = lanes.judge(
            lane=request.lane,
            adapter=request.adapter,
            mode=request.mode,
            override=request.image_override is not None,
            secrets=bool(request.allow_env),
            registry_root=request.registry_root is not None,
            allow_real=request.allow_real,
        )
        if refused is not None:
            raise refused
        resolved = self._resolve()
        if request.adapter == "modal":
            self._say_resolved(resolved)
            modal.invoke(resolved.processor, resolved.names.app, request.lane)
        world = self._setting.world
        world.check_free(request.execution_id, request.write_prefix)
        for gone in world.abandoned():
            from processors.protocol import leftovers  # rarely needed

            leftovers.end_attempt(gone.attempt)
            world.discard(gone)
        staging = world.begin(request.execution_id)
        try:
            payload = self._payload(staging)
            self._remember(payload, resolved)
            self._say_resolved(resolved)
            world.lay_out(staging, payload.artifacts, request.write_prefix)
            return self._attempt(resolved, payload, staging)
        finally:
            world.discard(staging)

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
        resolved = resolve(request, named, self._setting.processors_folder, self._setting.environ)
        self._know(image_digest=resolved.image_digest)
        if resolved.overridden:
            self._meta["override"] = True
        return resolved

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

    def _payload(self, staging: Staging) -> Payload:
        """Bring the named files and artifacts together with the inputs."""
        request, world = self._request, self._setting.world
        artifacts = {name: world.attach(file, staging) for name, file in request.attach.items()}
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

    def _remember(self, payload: Payload, resolved: Resolved) -> None:
        """Put into ``meta`` what the result depends on."""
        env_fingerprint = fingerprint.of_local(resolved.processor.lock)
        inputs_hash = payload.inputs_hash()
        key: dict[str, Json] = {
            "ref": payload.ref,
            "code": resolved.processor.source_root,
            "mode": payload.mode,
            "inputs_hash": inputs_hash,
            "env_fingerprint": env_fingerprint,
        }
        self._meta.update(
            env_fingerprint=env_fingerprint,
            inputs_hash=inputs_hash,
            memo_key=digests.of_json(key),
        )

    def _attempt(self, resolved: Resolved, payload: Payload, staging: Staging) -> Reply:
        """Start the processor, judge what it left, and make that visible."""
        sent = payload.encode()
        payload_hash = digests.of_bytes(sent)
        self._trail.emit("adapter.invoke.start", {"payload_hash": payload_hash})
        try:
            ended = self._invoke(resolved, sent, staging)
            self._meta["tails"] = _tails(ended)
            reply = _judge(ended, payload, payload_hash, staging)
            self._meta["cost_micro_usd"] = reply.cost_micro_usd
            self._trail.emit("processor.outputs", {"count": len(reply.outputs)})
            self._trail.emit("processor.receipt")
            self._publish(reply, payload, staging)
        except Exception as error:
            found = known(error, self._trail, debug=False)
            self._say_failed(found, None)
            self._attest(found, payload, payload_hash, staging)
            if isinstance(error, ContractError):
                raise _masked(error, list(resolved.secrets.values())) from None
            raise  # envelope() shows where it came from
        if reply.error is None:
            del self._meta["tails"]
        self._trail.emit(*last_event(reply, ended.stdout))
        return reply

    def _say_failed(self, error: ContractError, reply_digest: str | None) -> None:
        """Log the end of a run that failed; a reply of its own counts if it was valid."""
        self._trail.emit(
            "adapter.invoke.error",
            {"code": error.code, "reason": error.reason, "reply_digest": reply_digest},
        )

    def _invoke(self, resolved: Resolved, sent: bytes, staging: Staging) -> spawn.Ended:
        processor = resolved.processor
        registry_file = processor.registry_file
        if self._request.registry_root is not None:
            registry_file = _write_registry(processor.registry, staging)
        self._trail.emit("processor.start")
        return local.invoke(
            processor,
            sent,
            staging=staging,
            secrets=resolved.secrets,
            timeout_s=min(
                self._request.timeout_s or asked.TIMEOUT_S_MAX, processor.limit("time_s")
            ),
            registry_file=registry_file,
            trail=self._trail,
            stop=self._setting.stop,
        )

    def _publish(self, reply: Reply, payload: Payload, staging: Staging) -> None:
        """Make visible what was checked: outputs, index, receipts, or the receipts of a failure."""
        prefix = payload.write_prefix
        determinism = paths.determinism_path(payload.execution_id)
        if reply.error is not None:
            self._publish_failure(staging, staging.tree, payload)
            return
        visible = [output.path for output in reply.outputs]
        # The receipt last: a write prefix with one is a settled one.
        visible += [paths.index_path(prefix), determinism, paths.receipt_path(prefix)]
        self._setting.world.publish(staging, staging.tree, visible, replace=prefix)

    def _attest(
        self, error: ContractError, payload: Payload, payload_hash: str, staging: Staging
    ) -> None:
        """Leave a receipt in the place of the one that the processor did not write, or forged."""
        supervisor.write_stub(staging.own, payload, payload_hash, error, self._trail.elapsed_ms)
        try:
            self._publish_failure(staging, staging.own, payload)
        except ContractError:
            return  # the world takes nothing; the envelope already says what failed first

    def _publish_failure(self, staging: Staging, tree: str, payload: Payload) -> None:
        """Make the receipts of a failure visible; it never replaces what a success has made."""
        visible = [paths.determinism_path(payload.execution_id)]
        replace = ""
        if not self._setting.world.is_settled(payload.write_prefix):
            visible.append(paths.receipt_path(payload.write_prefix))
            replace = payload.write_prefix
        self._setting.world.publish(staging, tree, visible, replace=replace)


def _judge(ended: spawn.Ended, payload: Payload, payload_hash: str, staging: Staging) -> Reply:
    """Turn the end of a child into its reply, or into the one error that names what went wrong."""
    if ended.stopped is not None:
        reason = "interrupted" if ended.stopped == signal.SIGINT else "terminated"
        raise adapter_error(reason, f"signal {ended.stopped} ended the run")
    if ended.timed_out:
        raise adapter_error("time_limit", f"the processor ran longer than {ended.elapsed_ms} ms")
    if ended.returncode < 0:
        raise adapter_error("killed", f"signal {-ended.returncode} ended the processor")
    if ended.returncode != 0 and ended.stdout.size_bytes == 0:
        raise adapter_error("exit_status", f"the processor ended with status {ended.returncode}")
    if not ended.stdout.complete:
        size = ended.stdout.size_bytes
        raise adapter_error("envelope_invalid", f"stdout has {size} bytes, more than an envelope")
    return checks.reply(bytes(ended.stdout.data), payload, payload_hash, staging.tree)


def _masked(error: ContractError, secret_values: list[str]) -> ContractError:
    """The error without a secret, which a name that the processor chose could hold."""
    if not secret_values:
        return error
    from processors.protocol.redact import masked  # runs without a secret do without it

    return ContractError(error.code, error.reason, masked(error.whole_message, secret_values))


def _tails(ended: spawn.Ended) -> dict[str, Json]:
    return {
        name: {
            "text": stream.text(),
            "digest": stream.digest,
            "size_bytes": stream.size_bytes,
        }
        for name, stream in (("stderr", ended.stderr), ("stdout", ended.stdout))
    }


def _write_registry(registry: dict[str, Json], staging: Staging) -> str:
    """Write out a registry from --registry-root for the processor, without its image pin."""
    own = {key: value for key, value in registry.items() if key != "image"}
    path = os.path.join(staging.folder, "registry.json")
    with open(path, "xb") as file:
        file.write(canonical(own))
    return path
