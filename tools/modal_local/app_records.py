"""One app, its versions, and what is told of them."""

from __future__ import annotations

from dataclasses import dataclass, field

from modal_proto import api_pb2

STOPPED = api_pb2.APP_STATE_STOPPED
DEPLOYED = api_pb2.APP_STATE_DEPLOYED
WHO = "local"


@dataclass(frozen=True)
class Version:
    """One deployment: which definition each function has."""

    number: int
    definitions: dict[str, str]  # function id → definition id
    function_ids: dict[str, str]  # name → function id
    tag: str
    deployed_at: float
    rollback_of: int
    client_version: str
    commit: api_pb2.CommitInfo


@dataclass
class App:
    """One app."""

    app_id: str
    environment: str
    description: str
    created_at: float
    state: int = api_pb2.APP_STATE_INITIALIZING
    name: str = ""
    stopped_at: float = 0.0
    tags: dict[str, str] = field(default_factory=dict)
    versions: list[Version] = field(default_factory=list)

    def lifecycle(self) -> api_pb2.AppLifecycle:
        """What the SDK shows of it."""
        last = self.versions[-1] if self.versions else None
        return api_pb2.AppLifecycle(
            app_state=self.state,  # type: ignore[arg-type]
            created_at=self.created_at,
            created_by=WHO,
            deployed_at=last.deployed_at if last else 0.0,
            deployed_by=WHO if last else "",
            version=last.number if last else 0,
            stopped_at=self.stopped_at,
        )

    def metadata(self) -> api_pb2.AppHandleMetadata:
        """What a client's handle of it holds."""
        return api_pb2.AppHandleMetadata(
            description=self.description,
            app_id=self.app_id,
            environment_name=self.environment,
            lifecycle=self.lifecycle(),
            functions=self.versions[-1].function_ids if self.versions else {},
        )
