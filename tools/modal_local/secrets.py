"""Secrets: named ones by environment, and those that an app brings along.

Values go to containers and nowhere else: no log, no answer, no admin request shows one. What has
been made is never changed by making it again; only an update or an overwrite does that.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

from google.protobuf.empty_pb2 import Empty
from modal_proto import api_pb2

from tools.modal_local import failures
from tools.modal_local.environments import Environments
from tools.modal_local.session import Caller, Table, new_id

PAGE = 100


@dataclass
class Secret:
    """One secret; without a name it belongs to an app."""

    secret_id: str
    name: str
    environment: str
    values: dict[str, str]
    created_at: float

    def metadata(self) -> api_pb2.SecretMetadata:
        """Everything but the values."""
        return api_pb2.SecretMetadata(
            name=self.name,
            keys=sorted(self.values),
            environment_name=self.environment,
            creation_info=api_pb2.CreationInfo(created_at=self.created_at),
        )


class Secrets:
    """All secrets."""

    def __init__(self, environments: Environments) -> None:
        self._environments = environments
        self._all: dict[str, Secret] = {}
        self._named: dict[tuple[str, str], str] = {}

    def table(self) -> Table:
        """What is served of them."""
        return {
            "SecretDelete": self._delete,
            "SecretGetInfo": self._info,
            "SecretGetOrCreate": self._get_or_create,
            "SecretList": self._list,
            "SecretUpdate": self._update,
        }

    def get(self, secret_id: str) -> Secret:
        """One of them."""
        if secret_id not in self._all:
            raise failures.not_found(f"Secret {secret_id} not found")
        return self._all[secret_id]

    def values(self, secret_ids: Iterable[str]) -> dict[str, str]:
        """What a container gets; of two secrets with one key, the later wins."""
        return {k: v for each in secret_ids for k, v in self.get(each).values.items()}

    def drop(self, name: str, environment: str) -> None:
        """Forget a secret, as if somebody had deleted it."""
        secret_id = self._named.pop((self._environments.name(environment), name), "")
        if not secret_id:
            raise failures.not_found(f"Secret {name!r} not found")
        del self._all[secret_id]

    async def _get_or_create(
        self, request: api_pb2.SecretGetOrCreateRequest, _: Caller
    ) -> api_pb2.SecretGetOrCreateResponse:
        environment = self._environments.name(request.environment_name)
        place = (environment, request.deployment_name)
        kind = request.object_creation_type
        known = self._all.get(self._named.get(place, ""))
        if kind == api_pb2.OBJECT_CREATION_TYPE_ANONYMOUS_OWNED_BY_APP:
            secret = self._make("", environment, dict(request.env_dict))
        elif kind == api_pb2.OBJECT_CREATION_TYPE_UNSPECIFIED:
            if known is None:
                raise failures.not_found(
                    f"Secret {request.deployment_name!r} not found in environment {environment!r}"
                )
            secret = known
        elif known is None:
            secret = self._make(request.deployment_name, environment, dict(request.env_dict))
        elif kind == api_pb2.OBJECT_CREATION_TYPE_CREATE_FAIL_IF_EXISTS:
            raise failures.exists(f"Secret {request.deployment_name!r} exists already")
        elif kind == api_pb2.OBJECT_CREATION_TYPE_CREATE_OVERWRITE_IF_EXISTS:
            known.values = dict(request.env_dict)
            secret = known
        elif kind == api_pb2.OBJECT_CREATION_TYPE_CREATE_IF_MISSING:
            secret = known
        else:
            raise failures.unimplemented(f"making a secret in way {kind}")
        if absent := [key for key in request.required_keys if key not in secret.values]:
            raise failures.not_found(f"Secret {secret.name!r} lacks the keys {', '.join(absent)}")
        return api_pb2.SecretGetOrCreateResponse(
            secret_id=secret.secret_id, metadata=secret.metadata()
        )

    def _make(self, name: str, environment: str, values: dict[str, str]) -> Secret:
        secret = Secret(new_id("st"), name, environment, values, time.time())
        self._all[secret.secret_id] = secret
        if name:
            self._named[environment, name] = secret.secret_id
        return secret

    async def _update(self, request: api_pb2.SecretUpdateRequest, _: Caller) -> Empty:
        secret = self.get(request.secret_id)
        for update in request.updates:
            if update.HasField("value"):
                secret.values[update.key] = update.value
            else:
                secret.values.pop(update.key, None)
        return Empty()

    async def _delete(self, request: api_pb2.SecretDeleteRequest, _: Caller) -> Empty:
        secret = self.get(request.secret_id)
        self._named.pop((secret.environment, secret.name), None)
        del self._all[secret.secret_id]
        return Empty()

    async def _info(
        self, request: api_pb2.SecretGetInfoRequest, _: Caller
    ) -> api_pb2.SecretGetInfoResponse:
        return api_pb2.SecretGetInfoResponse(metadata=self.get(request.secret_id).metadata())

    async def _list(
        self, request: api_pb2.SecretListRequest, _: Caller
    ) -> api_pb2.SecretListResponse:
        environment = self._environments.name(request.environment_name)
        before = request.pagination.created_before or float("inf")
        found = [
            self._all[secret_id]
            for (place, _name), secret_id in self._named.items()
            if place == environment and self._all[secret_id].created_at < before
        ]
        found.sort(key=lambda secret: -secret.created_at)
        limit = min(request.pagination.max_objects or PAGE, PAGE)
        return api_pb2.SecretListResponse(
            environment_name=environment,
            items=[
                api_pb2.SecretListItem(
                    label=secret.name,
                    created_at=secret.created_at,
                    environment_name=environment,
                    secret_id=secret.secret_id,
                    metadata=secret.metadata(),
                )
                for secret in found[:limit]
            ],
        )
