"""What there is to know about apps: their list, history, life and tags."""

from __future__ import annotations

from google.protobuf.empty_pb2 import Empty
from modal_proto import api_pb2

from tools.modal_local.app_records import WHO
from tools.modal_local.apps import Apps
from tools.modal_local.session import Caller, Table


class AppReports:
    """The reports."""

    def __init__(self, apps: Apps) -> None:
        self._apps = apps

    def table(self) -> Table:
        """What is served of them."""
        return {
            "AppDeploymentHistory": self._history,
            "AppGetInfo": self._info,
            "AppGetLifecycle": self._lifecycle,
            "AppGetTags": self._get_tags,
            "AppList": self._list,
            "AppSetTags": self._set_tags,
        }

    async def _history(
        self, request: api_pb2.AppDeploymentHistoryRequest, _: Caller
    ) -> api_pb2.AppDeploymentHistoryResponse:
        app = self._apps.get(request.app_id)
        return api_pb2.AppDeploymentHistoryResponse(
            production_app_version=len(app.versions),
            app_deployment_histories=[
                api_pb2.AppDeploymentHistory(
                    app_id=app.app_id,
                    version=each.number,
                    client_version=each.client_version,
                    deployed_at=each.deployed_at,
                    deployed_by=WHO,
                    tag=each.tag,
                    rollback_version=each.rollback_of,
                    rollback_allowed=each.number != len(app.versions),
                    commit_info=each.commit,
                )
                for each in reversed(app.versions)
            ],
        )

    async def _info(
        self, request: api_pb2.AppGetInfoRequest, _: Caller
    ) -> api_pb2.AppGetInfoResponse:
        return api_pb2.AppGetInfoResponse(info=self._apps.get(request.app_id).metadata())

    async def _lifecycle(
        self, request: api_pb2.AppGetLifecycleRequest, _: Caller
    ) -> api_pb2.AppGetLifecycleResponse:
        return api_pb2.AppGetLifecycleResponse(lifecycle=self._apps.get(request.app_id).lifecycle())

    async def _get_tags(
        self, request: api_pb2.AppGetTagsRequest, _: Caller
    ) -> api_pb2.AppGetTagsResponse:
        return api_pb2.AppGetTagsResponse(tags=self._apps.get(request.app_id).tags)

    async def _set_tags(self, request: api_pb2.AppSetTagsRequest, _: Caller) -> Empty:
        self._apps.get(request.app_id).tags = dict(request.tags)
        return Empty()

    async def _list(self, request: api_pb2.AppListRequest, _: Caller) -> api_pb2.AppListResponse:
        environment = self._apps.environments.name(request.environment_name)
        return api_pb2.AppListResponse(
            apps=[
                api_pb2.AppListResponse.AppListItem(
                    app_id=app.app_id,
                    description=app.description,
                    state=app.state,  # type: ignore[arg-type]
                    created_at=app.created_at,
                    stopped_at=app.stopped_at,
                    name=app.name,
                    metadata=app.metadata(),
                )
                for app in self._apps.all()
                if app.environment == environment
            ]
        )
