"""The admin port: orders faults and tells what there is. It is no part of what Modal has.

Plain HTTP and JSON. Nothing that it answers holds a payload or a secret's value.

    POST /faults   {"kind": ..., "times": 1, "rpc": "", "seconds": 0, "data": base64}
    POST /answers  {"delay_s": 0, "hold": false, "canned": [[base64, base64], ...]}
                   (simulated containers; what is held is answered when nothing is held any more)
    POST /secrets/remove  {"environment": ..., "name": ...}
    GET  /state    counts, processes of containers, what has happened, the transcript
    POST /reset    forgets faults and transcript
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

from aiohttp import web
from grpclib.exceptions import GRPCError

from tools.modal_local.faults import KINDS, OF_AN_RPC, Fault, Faults
from tools.modal_local.secrets import Secrets
from tools.modal_local.session import SERVICE, Session
from tools.modal_local.simulated import Answers

BODY_BYTES_MAX = 16 << 20


class Admin:
    """The requests that are not Modal's.

    Attributes:
        counts: What there is, for ``/state``.
    """

    def __init__(
        self,
        session: Session,
        faults: Faults,
        secrets: Secrets,
        answers: Answers,
        counts: Callable[[], dict[str, Any]],
    ) -> None:
        self._session = session
        self._faults = faults
        self._secrets = secrets
        self._answers = answers
        self._counts = counts

    def application(self) -> web.Application:
        """The routes."""
        found = web.Application(client_max_size=BODY_BYTES_MAX, middlewares=[_plain_errors])
        found.router.add_post("/faults", self._add_fault)
        found.router.add_post("/answers", self._set_answers)
        found.router.add_post("/secrets/remove", self._remove_secret)
        found.router.add_get("/state", self._state)
        found.router.add_post("/reset", self._reset)
        return found

    async def _add_fault(self, request: web.Request) -> web.Response:
        given = _fields(await request.json(), "kind", "times", "rpc", "seconds", "data")
        fault = Fault(
            kind=given.get("kind", ""),
            times=int(given.get("times", 1)),
            rpc=given.get("rpc", ""),
            seconds=float(given.get("seconds", 0.0)),
            data=base64.b64decode(given.get("data", ""), validate=True),
        )
        if fault.kind not in KINDS:
            raise ValueError(f"kind: one of {', '.join(KINDS)}")
        if (fault.kind in OF_AN_RPC) != bool(fault.rpc):
            raise ValueError(f"rpc: wanted with {', '.join(sorted(OF_AN_RPC))}, and with no other")
        if fault.rpc and fault.rpc not in SERVICE.methods_by_name:
            raise ValueError(f"rpc: {fault.rpc} is not in the wheel")
        if fault.times < 1:
            raise ValueError("times: 1 or more")
        self._faults.add(fault)
        return web.json_response({"pending": self._faults.pending})

    async def _set_answers(self, request: web.Request) -> web.Response:
        given = _fields(await request.json(), "delay_s", "hold", "canned")
        self._answers.delay_s = float(given.get("delay_s", 0.0))
        self._answers.canned = [
            (base64.b64decode(part, validate=True), base64.b64decode(answer, validate=True))
            for part, answer in given.get("canned", [])
        ]
        if given.get("hold", False):
            self._answers.released.clear()
        else:
            self._answers.released.set()
        return web.json_response({})

    async def _remove_secret(self, request: web.Request) -> web.Response:
        given = _fields(await request.json(), "environment", "name")
        self._secrets.drop(given["name"], given.get("environment", ""))
        return web.json_response({})

    async def _state(self, _: web.Request) -> web.Response:
        found = {
            **self._counts(),
            "faults_pending": self._faults.pending,
            "faults_happened": self._faults.happened,
            "transcript": list(self._session.transcript),
        }
        return web.json_response(found)

    async def _reset(self, _: web.Request) -> web.Response:
        self._faults.clear()
        self._session.transcript.clear()
        return web.json_response({})


def _fields(given: object, *names: str) -> dict[str, Any]:
    if not isinstance(given, dict) or not set(given) <= set(names):
        raise ValueError(f"an object with {', '.join(names)} and nothing else")
    return given


@web.middleware
async def _plain_errors(request: web.Request, handler: Any) -> web.StreamResponse:  # noqa: ANN401
    """Answer 400 with the reason."""
    try:
        answer: web.StreamResponse = await handler(request)
    except (ValueError, KeyError, TypeError, json.JSONDecodeError) as error:
        return web.json_response({"error": str(error)}, status=400)
    except GRPCError as error:
        return web.json_response({"error": str(error.message)}, status=400)
    return answer
