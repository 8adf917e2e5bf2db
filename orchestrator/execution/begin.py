"""Begin an execution, or find that there is nothing to begin: decided with the ledger at hand.

An id that was answered is answered again with the same envelope. A memo hit takes what an earlier
execution of the same key made. Otherwise one transaction writes down what came from outside, the
request, its verdict and that an attempt starts; nothing starts before it is durable.

A step of a plan asks its gate before anything else. Its id was chosen by what the ledger said a
moment ago, so another loop can have taken it since, and only the gate tells what follows from that.
"""

from __future__ import annotations

from orchestrator.execution import answer, record, settle
from orchestrator.execution.request import Request
from orchestrator.execution.settle import Attempt
from orchestrator.world import fold
from orchestrator.world.placing import Placing
from orchestrator.world.records import Ahead, Execution
from orchestrator.world.world import World
from processors.protocol import digests, paths
from processors.protocol.canonical import Json, parse_object
from processors.protocol.envelope import ENVELOPE_BYTES_MAX, Output
from processors.protocol.errors import ContractError, inputs_error
from processors.protocol.payload import Artifact, Payload

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from orchestrator.world.ledger import Writing

    class Gate(Protocol):
        """What a step of a plan has to pass to begin: no id gets through that was taken."""

        def admit(
            self, world: World, transaction: Writing, execution_id: str
        ) -> ContractError | None:
            """Write down what becomes of the step; return the error if it may not begin."""


class Beginning:
    """What is decided, with the ledger at hand, before anything starts."""

    def __init__(
        self,
        request: Request,
        meta: dict[str, Json],
        world: World,
        payload: Payload,
        known: dict[str, Json],
        inputs: tuple[str, int],
        gate: Gate | None,
    ) -> None:
        self._request = request
        self._meta = meta
        self._world = world
        self._payload = payload
        self._memo = known
        self._inputs = record.file(paths.inputs_path(request.execution_id), *inputs)
        self._intent = record.intent(request, payload, known["registry"])
        self._gate = gate
        self._before = None if gate else world.ledger.execution(request.execution_id)

    def recorded(self) -> dict[str, Json] | None:
        """The envelope that this id has been answered with, or None.

        Raises:
            ContractError: ``ERR_INPUTS`` / ``execution_exists``: the id was given to something
                else, or another process works on it.
        """
        before = self._before
        if before is None:
            return None
        if before.intent != self._intent:
            raise _exists(before.execution_id, "was asked for something else")
        if before.envelope is not None:
            data = self._world.objects.read(before.envelope, bytes_max=ENVELOPE_BYTES_MAX)
            return parse_object(data, "the recorded envelope", bytes_max=ENVELOPE_BYTES_MAX)
        if before.status == fold.RUNNING:
            raise _exists(before.execution_id, _UNDER_WAY)
        return None

    def origin(self) -> Execution | None:
        """The execution whose results can be taken: of the same key, with all its bytes there."""
        ledger, objects = self._world.ledger, self._world.objects
        found = ledger.by_memo(str(self._meta["memo_key"]))
        if found is None or self._before is not None:
            return None
        try:
            for each in self._made(found):
                for _ in objects.chunks(each.cid):
                    pass  # every byte is judged; a hit must not pass on what has rotted
        except ContractError:
            return None
        return found

    def reuse(self, origin: Execution, placing: Placing, ahead: Ahead) -> dict[str, Json]:
        """Give an earlier execution's contents this one's prefix; return the envelope."""
        payload, world = self._payload, self._world
        world.check_free(payload.write_prefix, payload.execution_id)
        made = self._made(origin)
        envelope = answer.success(
            payload.execution_id, made, payload.write_prefix, dict(self._meta)
        )
        for output in made:
            placing.keep(output.cid, output.size_bytes)
        data = settle.reuse(placing, payload, made, envelope)
        ahead = [*ahead, *world.place_ahead(placing)]
        with world.ledger.writing(ahead) as transaction:
            self._check_unchanged()
            world.check_free(payload.write_prefix, payload.execution_id)
            for kind, fact in (*self._asked(), ("execution.reused", data)):
                transaction.append(kind, fact)
        return envelope

    def begin(self, ahead: Ahead) -> Attempt:
        """Make the attempt's folder and write down that it starts, if its gate lets it.

        Args:
            ahead: What its request refers to and is written ahead.
        """
        payload, world, gate = self._payload, self._world, self._gate
        if gate is None:
            world.check_free(payload.write_prefix, payload.execution_id)
        number = 1 if self._before is None else self._before.attempt + 1
        payload_hash = digests.of_bytes(payload.encode())
        staging = world.stagings.begin()
        try:
            world.lay_out(staging, payload.artifacts, payload.write_prefix)
            begun = record.started(self._request, payload_hash, number, self._memo, self._meta)
            with world.ledger.writing(ahead) as transaction:
                refused = gate and gate.admit(world, transaction, payload.execution_id)
                if not refused:
                    if gate is None:
                        self._check_unchanged()
                    world.check_free(payload.write_prefix, payload.execution_id)
                    world.stagings.claim(staging, settle.name_of(payload.execution_id, number))
                    for kind, fact in (*self._asked(), ("execution.started", begun)):
                        transaction.append(kind, fact)
            if refused:
                raise refused
        except BaseException:
            world.stagings.discard(staging)
            raise
        return Attempt(payload, payload_hash, number, staging)

    def _asked(self) -> list[tuple[str, dict[str, Json]]]:
        """The facts before a start: what came from outside, the request, the verdict."""
        facts = [
            ("artifact.put", record.attached(artifact))
            for artifact in self._attached()
            if self._world.ledger.artifact(artifact.path) is None
        ]
        if self._before is None:
            wanted = record.requested(self._request, self._payload, self._intent, self._inputs)
            facts.append(("execution.requested", wanted))
        return [*facts, ("execution.admitted", record.admitted(self._request))]

    def _attached(self) -> list[Artifact]:
        by_path = {
            artifact.path: artifact
            for name, artifact in self._payload.artifacts.items()
            if name in self._request.attach
        }
        return list(by_path.values())

    def _check_unchanged(self) -> None:
        """Refuse when another process was faster with this id."""
        now = self._world.ledger.execution(self._payload.execution_id)
        before = self._before
        if (now and (now.attempt, now.status)) != (before and (before.attempt, before.status)):
            raise _exists(self._payload.execution_id, _UNDER_WAY)

    def _made(self, origin: Execution) -> list[Output]:
        """An earlier execution's outputs, as they are called under this prefix."""
        assert origin.outputs_seq is not None
        made = self._world.ledger.event_of(
            origin.execution_id, origin.outputs_seq, "execution.outputs"
        )
        items = made.data["outputs"]
        assert isinstance(items, list)
        return [
            record.moved(item, origin.write_prefix, self._payload.write_prefix) for item in items
        ]


_UNDER_WAY = "is under way"


def _exists(execution_id: str, why: str) -> ContractError:
    return inputs_error("execution_exists", f"execution {execution_id} {why}")
