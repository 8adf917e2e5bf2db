"""Environments: a fixed list, given at the start. A name that is not in it is not found."""

from __future__ import annotations

from modal_proto import api_pb2

from tools.modal_local import failures
from tools.modal_local.session import Caller, Table, new_id

BUILDER_VERSION = "2025.06"


class Environments:
    """The environments; the first is the default."""

    def __init__(self, names: tuple[str, ...], builder_version: str = BUILDER_VERSION) -> None:
        self._ids = {name: new_id("en") for name in names}
        self._default = names[0]
        self._settings = api_pb2.EnvironmentSettings(image_builder_version=builder_version)

    def table(self) -> Table:
        """What is served of them."""
        return {
            "EnvironmentGetOrCreate": self._get,
            "EnvironmentList": self._list,
        }

    def name(self, asked: str) -> str:
        """The environment that a request means."""
        name = asked or self._default
        if name not in self._ids:
            raise failures.not_found(f"Environment {name!r} not found")
        return name

    async def _get(
        self, request: api_pb2.EnvironmentGetOrCreateRequest, _: Caller
    ) -> api_pb2.EnvironmentGetOrCreateResponse:
        if request.object_creation_type != api_pb2.OBJECT_CREATION_TYPE_UNSPECIFIED:
            raise failures.unimplemented("making an environment")
        name = self.name(request.deployment_name)
        return api_pb2.EnvironmentGetOrCreateResponse(
            environment_id=self._ids[name],
            metadata=api_pb2.EnvironmentMetadata(name=name, settings=self._settings),
        )

    async def _list(self, _request: object, _: Caller) -> api_pb2.EnvironmentListResponse:
        return api_pb2.EnvironmentListResponse(
            items=[
                api_pb2.EnvironmentListItem(
                    name=name, environment_id=identity, default=name == self._default
                )
                for name, identity in self._ids.items()
            ]
        )
