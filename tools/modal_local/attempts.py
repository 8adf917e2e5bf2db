"""The input plane: the other way to call a function, with a word for each attempt.

It shares calls and pools with the control plane. Each request must carry a token that was fetched
with ``AuthTokenGet`` and is not past its time.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
import time

from modal_proto import api_pb2

from tools.modal_local import failures
from tools.modal_local.call_records import Input
from tools.modal_local.calls import SYNC, Calls
from tools.modal_local.functions import Functions
from tools.modal_local.session import Caller, Table

TOKEN_S = 20 * 60


class Attempts:
    """The attempts at inputs."""

    def __init__(self, calls: Calls, functions: Functions) -> None:
        self._calls = calls
        self._functions = functions
        self._key = secrets.token_bytes(32)

    def table(self) -> Table:
        """What is served of them."""
        return {
            "AttemptAwait": self._await,
            "AttemptRetry": self._retry,
            "AttemptStart": self._start,
            "AuthTokenGet": self._token,
        }

    async def _token(
        self, _request: api_pb2.AuthTokenGetRequest, _: Caller
    ) -> api_pb2.AuthTokenGetResponse:
        head = _encoded({"alg": "HS256", "typ": "JWT"})
        body = f"{head}.{_encoded({'exp': int(time.time()) + TOKEN_S})}"
        return api_pb2.AuthTokenGetResponse(token=f"{body}.{self._signature(body)}")

    def _signature(self, body: str) -> str:
        found = hmac.digest(self._key, body.encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(found).decode().rstrip("=")

    def _check(self, caller: Caller) -> None:
        token = caller.metadata.get("x-modal-auth-token", "")
        body, _, signature = token.rpartition(".")
        if not body or not hmac.compare_digest(signature, self._signature(body)):
            raise failures.unauthenticated("no token of this input plane")
        payload = body.rpartition(".")[2]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        if claims["exp"] < time.time():
            raise failures.unauthenticated("token has expired")

    async def _start(
        self, request: api_pb2.AttemptStartRequest, caller: Caller
    ) -> api_pb2.AttemptStartResponse:
        self._check(caller)
        call = self._calls.make(request.function_id, SYNC)
        made = self._calls.put(call, request.input)
        definition = self._functions.definition(request.function_id)
        return api_pb2.AttemptStartResponse(
            attempt_token=_word(made), retry_policy=definition.function.retry_policy
        )

    async def _await(
        self, request: api_pb2.AttemptAwaitRequest, caller: Caller
    ) -> api_pb2.AttemptAwaitResponse:
        self._check(caller)
        entry = self._entry(request.attempt_token)
        try:
            async with asyncio.timeout(max(request.timeout_secs, 0.0)):
                while entry.output is None:
                    await entry.call.changed.wait()
                    if entry.output is None:
                        entry.call.changed.clear()
        except TimeoutError:
            return api_pb2.AttemptAwaitResponse()
        entry.call.taken_at = time.monotonic()
        return api_pb2.AttemptAwaitResponse(output=entry.output)

    async def _retry(
        self, request: api_pb2.AttemptRetryRequest, caller: Caller
    ) -> api_pb2.AttemptRetryResponse:
        self._check(caller)
        entry = self._entry(request.attempt_token)
        self._calls.again(entry)
        return api_pb2.AttemptRetryResponse(attempt_token=_word(entry))

    def _entry(self, token: str) -> Input:
        jwt, _, number = token.partition("/")
        entry = self._calls.by_jwt(jwt)
        if number != str(entry.retry_count):
            raise failures.invalid("an attempt that is over")
        return entry


def _word(entry: Input) -> str:
    return f"{entry.jwt}/{entry.retry_count}"


def _encoded(claims: dict[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
