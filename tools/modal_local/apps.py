"""Apps: deployed under a name in an environment, in numbered versions, stopped, rolled back.

What is published is what runs. A redeployment gives the same functions new definitions; containers
of the old ones finish what they hold and take nothing more.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from google.protobuf.empty_pb2 import Empty
from modal_proto import api_pb2

from tools.modal_local import failures
from tools.modal_local.app_records import DEPLOYED, STOPPED, App, Version
from tools.modal_local.definitions import data_of
from tools.modal_local.environments import Environments
from tools.modal_local.functions import Functions
from tools.modal_local.session import Caller, Table, new_id


class Apps:
    """All apps.

    Attributes:
        published: Called with the functions whose definitions have changed.
        stopped: Called with the functions of an app that was stopped.
    """

    def __init__(self, environments: Environments, functions: Functions) -> None:
        self.published: Callable[[list[str]], None] = lambda _: None
        self.stopped: Callable[[list[str]], None] = lambda _: None
        self.environments = environments
        self._functions = functions
        self._all: dict[str, App] = {}
        self._named: dict[tuple[str, str], str] = {}

    def __len__(self) -> int:
        return sum(app.state == DEPLOYED for app in self._all.values())

    def table(self) -> Table:
        """What is served of them."""
        return {
            "AppClientDisconnect": self._disconnect,
            "AppCreate": self._create,
            "AppGetByDeploymentName": self._by_name,
            "AppGetLayout": self._layout,
            "AppGetOrCreate": self._lookup,
            "AppHeartbeat": self._heartbeat,
            "AppPublish": self._publish,
            "AppRollback": self._rollback,
            "AppStop": self._stop,
            "FunctionGet": self._function_get,
            "FunctionPrecreate": self._precreate,
        }

    def get(self, app_id: str) -> App:
        """One of them."""
        if app_id not in self._all:
            raise failures.not_found(f"App {app_id} not found")
        return self._all[app_id]

    def all(self) -> list[App]:
        """All of them, stopped ones as well."""
        return list(self._all.values())

    def _deployed(self, name: str, environment_name: str) -> App | None:
        environment = self.environments.name(environment_name)
        return self._all.get(self._named.get((environment, name), ""))

    async def _by_name(
        self, request: api_pb2.AppGetByDeploymentNameRequest, _: Caller
    ) -> api_pb2.AppGetByDeploymentNameResponse:
        environment = self.environments.name(request.environment_name)
        app = self._deployed(request.name, environment)
        return api_pb2.AppGetByDeploymentNameResponse(
            app_id=app.app_id if app else "",
            environment_name=environment,
            lifecycle=app.lifecycle() if app else None,
        )

    async def _create(
        self, request: api_pb2.AppCreateRequest, _: Caller
    ) -> api_pb2.AppCreateResponse:
        if request.app_state != api_pb2.APP_STATE_INITIALIZING:
            raise failures.unimplemented("an app that is not deployed")
        app = self._make(self.environments.name(request.environment_name), request.description)
        app.tags = dict(request.tags)
        return api_pb2.AppCreateResponse(app_id=app.app_id)

    def _make(self, environment: str, description: str) -> App:
        app = App(new_id("ap"), environment, description, time.time())
        self._all[app.app_id] = app
        return app

    async def _lookup(
        self, request: api_pb2.AppGetOrCreateRequest, _: Caller
    ) -> api_pb2.AppGetOrCreateResponse:
        environment = self.environments.name(request.environment_name)
        app = self._all.get(request.app_name) or self._deployed(request.app_name, environment)
        if app is None:
            if request.object_creation_type != api_pb2.OBJECT_CREATION_TYPE_CREATE_IF_MISSING:
                raise failures.not_found(
                    f"App {request.app_name!r} not found in environment {environment!r}"
                )
            app = self._make(environment, request.app_name)
            self._name(app, request.app_name)
            app.state = DEPLOYED
        return api_pb2.AppGetOrCreateResponse(app_id=app.app_id, handle_metadata=app.metadata())

    def _name(self, app: App, name: str) -> None:
        app.name = app.description = name
        self._named[app.environment, name] = app.app_id

    async def _heartbeat(self, request: api_pb2.AppHeartbeatRequest, _: Caller) -> Empty:
        self.get(request.app_id)
        return Empty()

    async def _disconnect(self, request: api_pb2.AppClientDisconnectRequest, _: Caller) -> Empty:
        app = self.get(request.app_id)
        if app.state == api_pb2.APP_STATE_INITIALIZING:
            app.state = STOPPED
            app.stopped_at = time.time()
        return Empty()

    async def _layout(
        self, request: api_pb2.AppGetLayoutRequest, _: Caller
    ) -> api_pb2.AppGetLayoutResponse:
        app = self.get(request.app_id)
        layout = api_pb2.AppLayout()
        for name, function_id in app.versions[-1].function_ids.items() if app.versions else ():
            layout.function_ids[name] = function_id
            definition = self._functions.definition(function_id)
            layout.objects.append(
                api_pb2.Object(
                    object_id=function_id,
                    function_handle_metadata=self._functions.metadata(function_id, definition),
                )
            )
        return api_pb2.AppGetLayoutResponse(app_layout=layout)

    async def _precreate(
        self, request: api_pb2.FunctionPrecreateRequest, _: Caller
    ) -> api_pb2.FunctionPrecreateResponse:
        return self._functions.precreate(request, self.get(request.app_id).environment)

    async def _publish(
        self, request: api_pb2.AppPublishRequest, _: Caller
    ) -> api_pb2.AppPublishResponse:
        app = self.get(request.app_id)
        if request.app_state != DEPLOYED or request.class_ids or request.staged:
            raise failures.unimplemented("publishing otherwise than as a deployment")
        definitions = dict(request.definition_ids)
        for function_id in request.function_ids.values():
            self._functions.get(function_id)
            if definitions.get(function_id, "") not in self._functions.definitions:
                raise failures.invalid(f"Function {function_id} has no definition")
        last = app.versions[-1] if app.versions else None
        same = last and (last.definitions, last.function_ids, last.tag, app.tags) == (
            definitions,
            dict(request.function_ids),
            request.deployment_tag,
            dict(request.tags),
        )
        if same and app.state == DEPLOYED:
            return api_pb2.AppPublishResponse(url=_url(app))
        self._name(app, request.name)
        app.tags = dict(request.tags)
        number = self._add(app, definitions, dict(request.function_ids), request, rollback_of=0)
        return api_pb2.AppPublishResponse(url=_url(app), deployed_at=number.deployed_at)

    def _add(
        self,
        app: App,
        definitions: dict[str, str],
        function_ids: dict[str, str],
        request: api_pb2.AppPublishRequest,
        *,
        rollback_of: int,
    ) -> Version:
        before = app.versions[-1].definitions if app.versions else {}
        version = Version(
            number=len(app.versions) + 1,
            definitions=definitions,
            function_ids=function_ids,
            tag=request.deployment_tag,
            deployed_at=time.time(),
            rollback_of=rollback_of,
            client_version=request.client_version,
            commit=request.commit_info,
        )
        app.versions.append(version)
        app.state = DEPLOYED
        gone = [each for each in before if each not in definitions]
        for function_id in gone:
            self._functions.get(function_id).current = None
        for function_id, definition_id in definitions.items():
            function = self._functions.get(function_id)
            function.current = self._functions.definitions[definition_id]
        self.stopped(gone)
        self.published([each for each in definitions if before.get(each) != definitions[each]])
        return version

    async def _rollback(
        self, request: api_pb2.AppRollbackRequest, _: Caller
    ) -> api_pb2.AppRollbackResponse:
        app = self.get(request.app_id)
        if app.state != DEPLOYED:
            raise failures.conflict(f"App {app.name!r} is not deployed")
        wanted = request.version if request.version > 0 else len(app.versions) - 1
        if not 0 < wanted < len(app.versions):
            raise failures.invalid(f"no version {request.version} to go back to")
        old = app.versions[wanted - 1]
        again = api_pb2.AppPublishRequest(deployment_tag=old.tag, commit_info=old.commit)
        made = self._add(app, old.definitions, old.function_ids, again, rollback_of=wanted)
        return api_pb2.AppRollbackResponse(url=_url(app), deployed_at=made.deployed_at)

    async def _stop(self, request: api_pb2.AppStopRequest, _: Caller) -> Empty:
        app = self.get(request.app_id)
        if app.state != STOPPED:
            app.state, app.stopped_at = STOPPED, time.time()
            self._named.pop((app.environment, app.name), None)
            ids = list(app.versions[-1].definitions) if app.versions else []
            for function_id in ids:
                self._functions.get(function_id).current = None
            self.stopped(ids)
        return Empty()

    async def _function_get(
        self, request: api_pb2.FunctionGetRequest, _: Caller
    ) -> api_pb2.FunctionGetResponse:
        app = self._deployed(request.app_name, request.environment_name)
        if app is None or not app.versions:
            raise failures.not_found(f"App {request.app_name!r} is not deployed")
        if request.app_version:
            raise failures.unimplemented("a call of another version than the last")
        function_id = app.versions[-1].function_ids.get(request.object_tag)
        if function_id is None:
            raise failures.not_found(f"App {request.app_name!r} has no {request.object_tag!r}")
        definition = self._functions.definition(function_id)
        return api_pb2.FunctionGetResponse(
            function_id=function_id,
            handle_metadata=self._functions.metadata(function_id, definition),
            function=data_of(definition.function),
        )


def _url(app: App) -> str:
    return f"loopback/apps/{app.app_id}"
