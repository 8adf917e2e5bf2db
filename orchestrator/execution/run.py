"""``run``: the one surface that executes processors.

judge by the lane table → resolve registry, image and secrets → stage → invoke → check → settle.
Each step either returns a value or raises one ``ContractError``; ``run`` turns both into the one
envelope. Nothing else in the repository reaches an adapter.
"""

from __future__ import annotations

import os
import signal

from orchestrator import lanes, secrets
from orchestrator.execution import checks, fingerprint, input_schema
from orchestrator.execution import request as asked
from orchestrator.execution.adapters import local, modal
from orchestrator.execution.request import Request
from orchestrator.execution.trail import Trail
from orchestrator.images import processors
from orchestrator.images.processors import Processor
from orchestrator.world.store import Staging, World
from processors.protocol import digests, paths, spawn
from processors.protocol.canonical import Json, canonical
from processors.protocol.envelope import META_KEYS, Reply
from processors.protocol.errors import ContractError, adapter_error, inputs_error
from processors.protocol.payload import Payload

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

REGISTRY_BYTES_MAX = 262_144


class Setting:
    """What an execution runs in: given once by the command, the same for every request."""

    __slots__ = ("environ", "processors_folder", "stop", "world")

    def __init__(
        self,
        *,
        world: World,
        processors_folder: str,
        environ: Mapping[str, str],
        stop: spawn.Stop,
    ) -> None:
        self.world = world
        self.processors_folder = processors_folder
        self.environ = environ  # read for the secrets that were opted in by name, and nothing else
        self.stop = stop


def run(request: Request, setting: Setting, trail: Trail) -> dict[str, Json]:
    """Execute one request and return its envelope; never raises for what a request can cause."""
    meta: dict[str, Json] = dict.fromkeys(META_KEYS)
    meta.update(
        processor_ref=str(request.ref),
        adapter=request.adapter,
        mode=request.mode,
        lane=request.lane,
        cost_micro_usd=0,
    )
    trail.context.update(
        processor_ref=str(request.ref), adapter=request.adapter, mode=request.mode, env=request.lane
    )
    try:
        outcome = _execute(request, setting, trail, meta)
    except ContractError as error:
        return refusal(request.execution_id, error, meta, trail)
    if outcome.error is not None:
        return refusal(request.execution_id, outcome.error, meta, trail)
    meta["duration_ms"] = trail.elapsed_ms
    return {
        "status": "success",
        "execution_id": request.execution_id,
        "outputs": [output.as_json() for output in outcome.outputs],
        "index_path": paths.index_path(request.write_prefix),
        "meta": meta,
    }


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


def _execute(request: Request, setting: Setting, trail: Trail, meta: dict[str, Json]) -> Reply:
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
    processor = processors.load(setting.processors_folder, request.ref)
    if request.registry_root is not None:
        processor.registry = _read_registry(request.registry_root, processor)
    schema = processor.registry["inputs"]
    assert isinstance(schema, dict)
    if (wrong := input_schema.problem(request.inputs, schema)) is not None:
        raise inputs_error("schema_violation", wrong)
    if request.adapter == "modal":
        meta["image_digest"] = _image(request, processor, meta)
        trail.context["image_digest"] = meta["image_digest"]
        modal.invoke(processor, request.lane)
    return _run_local(request, processor, setting, trail, meta)


def _run_local(
    request: Request, processor: Processor, setting: Setting, trail: Trail, meta: dict[str, Json]
) -> Reply:
    needed = processor.secrets if request.mode == "real" else []
    values = secrets.select(needed, request.allow_env, setting.environ)
    world = setting.world
    world.check_free(request.execution_id, request.write_prefix)
    artifacts = {name: world.attach(file) for name, file in request.attach.items()}
    for name, path in request.use.items():
        artifacts[name] = world.find(paths.canonical_path(path))
    payload = Payload(
        execution_id=request.execution_id,
        ref=str(request.ref),
        mode=request.mode,
        inputs=request.inputs,
        artifacts=artifacts,
        write_prefix=request.write_prefix,
    )
    print_of_run = fingerprint.of_local(processor.lock)
    meta.update(
        env_fingerprint=print_of_run,
        inputs_hash=payload.inputs_hash(),
        memo_key=digests.of_json(
            {
                "ref": str(request.ref),
                "code": processor.source_root,
                "mode": request.mode,
                "inputs_hash": payload.inputs_hash(),
                "env_fingerprint": print_of_run,
            }
        ),
    )
    staging = world.stage(request.execution_id, artifacts, request.write_prefix)
    try:
        return _attempt(request, processor, payload, staging, values, setting, trail, meta)
    finally:
        world.discard(staging)


def _attempt(
    request: Request,
    processor: Processor,
    payload: Payload,
    staging: Staging,
    values: dict[str, str],
    setting: Setting,
    trail: Trail,
    meta: dict[str, Json],
) -> Reply:
    sent = payload.encode()
    trail.emit("adapter.invoke.start", {"payload_hash": digests.of_bytes(sent)})
    try:
        trail.emit("processor.start")
        ended = local.invoke(
            processor,
            sent,
            staging=staging,
            secrets=values,
            timeout_s=min(request.timeout_s or asked.TIMEOUT_S_MAX, processor.limit("time_s")),
            registry_file=_registry_file(request, processor, staging),
            trail=trail,
            stop=setting.stop,
        )
        meta["tails"] = _tails(ended, list(values.values()))
        found = _judge(ended, payload, digests.of_bytes(sent), staging)
    except ContractError as error:
        trail.emit("adapter.invoke.error", {"code": error.code, "reason": error.reason})
        raise
    meta["cost_micro_usd"] = found.cost_micro_usd
    trail.emit("processor.outputs", {"count": len(found.outputs)})
    trail.emit("processor.receipt")
    if found.error is None:
        del meta["tails"]
    _publish(found, payload, staging, setting.world)
    if found.error is None:
        trail.emit("adapter.invoke.complete", {"reply_digest": ended.stdout.digest})
    else:
        own = {"code": found.error.code, "reason": found.error.reason}
        trail.emit("adapter.invoke.error", {**own, "reply_digest": ended.stdout.digest})
    return found


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


def _publish(found: Reply, payload: Payload, staging: Staging, world: World) -> None:
    """Make visible what was checked: outputs, index and receipts, or the receipts of a failure."""
    prefix = payload.write_prefix
    visible = [output.path for output in found.outputs]
    if found.error is None:
        visible.append(paths.index_path(prefix))
    # Last: a write prefix with a receipt is a settled one.
    visible += [paths.determinism_path(payload.execution_id), paths.receipt_path(prefix)]
    if found.error is not None and world.is_settled(prefix):
        visible.pop()  # a failure never takes the place of what an earlier execution made
        prefix = ""
    world.publish(staging, visible, replace=prefix)


def _image(request: Request, processor: Processor, meta: dict[str, Json]) -> str:
    """The digest of the image to run: the pin, or in lane dev the override."""
    if request.image_override is not None:
        meta["override"] = True
        digest = request.image_override.rpartition("@")[2]
        if not digests.is_digest(digest):
            raise inputs_error("bad_value", "--image-override is not REPOSITORY@sha256:<64 hex>")
        return digest
    if processor.image_digest is None:
        raise ContractError(
            "ERR_IMAGE_UNPINNED",
            "no_pin",
            f"adapter modal runs pinned images, and {processor.ref} has image.digest null",
        )
    return processor.image_digest


def _read_registry(root: str, processor: Processor) -> dict[str, Json]:
    """Read and check a registry.yaml from a folder instead of the built-in one."""
    from orchestrator.images import registry  # heavy (pydantic, YAML), and rarely needed

    path = os.path.join(root, processor.ref.folder, "registry.yaml")
    try:
        with open(path, "rb") as file:
            data = file.read(REGISTRY_BYTES_MAX + 1)
    except OSError as error:
        raise ContractError(
            "ERR_REGISTRY_MISMATCH", "invalid_registry", f"{path}: {error.strerror}"
        ) from None
    return registry.load(data, processor.ref, path).document()


def _registry_file(request: Request, processor: Processor, staging: Staging) -> str:
    """The registry the processor reads; one from --registry-root is written out for it."""
    if request.registry_root is None:
        return processor.registry_file
    own = {key: value for key, value in processor.registry.items() if key != "image"}
    path = os.path.join(staging.folder, "registry.json")
    with open(path, "xb") as file:
        file.write(canonical(own))
    return path


def _tails(ended: spawn.Ended, secret_values: list[str]) -> dict[str, Json]:
    return {
        name: {
            "text": secrets.redact(stream.text(), secret_values),
            "digest": stream.digest,
            "size_bytes": stream.size_bytes,
        }
        for name, stream in (("stderr", ended.stderr), ("stdout", ended.stdout))
    }
