"""The plane put together, on its three ports, from the start to the end."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from tools.modal_local import sandbox
from tools.modal_local.admin import Admin
from tools.modal_local.app_reports import AppReports
from tools.modal_local.apps import Apps
from tools.modal_local.attempts import Attempts
from tools.modal_local.blobs import Blobs, Store
from tools.modal_local.calls import Calls
from tools.modal_local.client_mount import ClientMount
from tools.modal_local.container_records import Parts
from tools.modal_local.containers import Containers
from tools.modal_local.definitions import Bindings
from tools.modal_local.environments import Environments
from tools.modal_local.failures import Details
from tools.modal_local.faults import Faults
from tools.modal_local.functions import Functions
from tools.modal_local.images import Images
from tools.modal_local.mounts import Mounts
from tools.modal_local.pools import Pools
from tools.modal_local.secrets import Secrets
from tools.modal_local.session import Credentials, Session
from tools.modal_local.simulated import Answers, Simulated
from tools.modal_local.tasks import Tasks
from tools.modal_local.volumes import Volumes
from tools.modal_local.wide_server import WideServer

HOST = "127.0.0.1"
CONTAINERS_MAX = 4
CLOSE_S = 1.0


@dataclass(frozen=True)
class Settings:
    """What the plane is started with.

    Attributes:
        state: Its folder, which it makes.
        port: For clients; 0 is any.
        admin_port: For faults and counts; 0 is any.
        uses_input_plane: Whether calls go the other way.
        is_simulated: Whether containers are coroutines.
        containers_max: How many containers a function may have at once.
    """

    state: Path
    port: int = 0
    admin_port: int = 0
    host: str = HOST
    environments: tuple[str, ...] = ("main",)
    credentials: Credentials = field(default_factory=Credentials)
    uses_input_plane: bool = False
    is_simulated: bool = False
    containers_max: int = CONTAINERS_MAX


class Plane:
    """A control plane.

    Attributes:
        addresses: Where it is reached, once it is up.
    """

    def __init__(self, settings: Settings) -> None:
        self.addresses: dict[str, str] = {}
        self._settings = settings
        self._faults = Faults()
        self._session = Session(settings.credentials, self._faults)
        self._server: WideServer | None = None
        self._runners: list[web.AppRunner] = []
        state = settings.state
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        environments = Environments(settings.environments)
        store = Store(state / "bytes")
        self._blobs = Blobs(store, self._faults)
        secrets = Secrets(environments)
        volumes = Volumes(environments, store, self._blobs)
        mounts = Mounts(store, self._blobs)
        self._client = ClientMount(state / "client")
        self._images = Images(secrets, state / "images")
        self._functions = Functions(Bindings(self._images, mounts, secrets, volumes))
        self._apps = Apps(environments, self._functions)
        self._calls = Calls(self._functions, self._blobs)
        self._answers = Answers()
        self._answers.released.set()
        self._admin = Admin(self._session, self._faults, secrets, self._answers, self._counts)
        attempts = Attempts(self._calls, self._functions)
        self._work: Simulated | Pools
        self._containers: Containers | None = None
        if settings.is_simulated:
            self._work = Simulated(self._calls, self._functions, self._answers)
        else:
            bwrap = sandbox.probe()
            pools = Pools(self._calls, self._functions, self._faults, settings.containers_max)
            parts = Parts(
                self._functions,
                self._images,
                mounts,
                self._client,
                secrets,
                volumes,
                store,
                self._calls,
                self._faults,
            )
            self._containers = Containers(self._session, pools, parts, state / "containers", bwrap)
            pools.start = self._containers.start
            self._work = pools
            tasks = Tasks(self._containers, pools, self._calls, self._functions, volumes)
            self._session.add(tasks.table())
        self._calls.offer = self._work.offer
        self._calls.withdraw = self._work.withdraw
        self._apps.published = self._work.renew
        self._apps.stopped = self._work.end
        for part in (
            environments,
            secrets,
            volumes,
            mounts,
            self._images,
            self._functions,
            self._apps,
            AppReports(self._apps),
            self._calls,
            self._blobs,
            attempts,
        ):
            self._session.add(part.table())

    @property
    def served(self) -> list[str]:
        """The RPCs that are emulated."""
        return self._session.names

    async def start(self) -> None:
        """Open the ports."""
        settings = self._settings
        if self._containers is not None:
            self._client.start()
        self._server = WideServer([self._session.endpoint()], status_details_codec=Details())
        taken = socket.create_server((settings.host, settings.port))
        await self._server.start(sock=taken)
        url = f"http://{settings.host}:{taken.getsockname()[1]}"
        self._blobs.url = await self._serve(self._blobs.application(), 0)
        admin = await self._serve(self._admin.application(), settings.admin_port)
        if settings.uses_input_plane:
            self._functions.input_plane_url = url
        self.addresses = {"server_url": url, "admin_url": admin}

    async def close(self) -> None:
        """End everything that was started."""
        if self._server is not None:
            self._server.close()
        if isinstance(self._work, Pools):
            self._work.is_closed = True
        self._calls.close()
        if isinstance(self._work, Simulated):
            await self._work.close()
        if self._containers is not None:
            await self._containers.close()
        await self._client.close()
        await self._images.close()
        await self._session.close()
        for runner in self._runners:
            await runner.cleanup()
        if self._server is not None:
            # It waits for clients to hang up, and who waits for an output does not.
            try:
                await asyncio.wait_for(self._server.wait_closed(), CLOSE_S)
            except TimeoutError:
                pass

    async def _serve(self, application: web.Application, port: int) -> str:
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        self._runners.append(runner)
        site = web.TCPSite(runner, self._settings.host, port)
        await site.start()
        return f"http://{self._settings.host}:{runner.addresses[0][1]}"

    def _counts(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "apps": len(self._apps),
            "functions": len(self._functions),
            "calls": self._calls.total,
            "inputs_unfinished": self._calls.unfinished,
            "emulated": self._session.names,
        }
        if isinstance(self._work, Simulated):
            found |= {"containers": self._work.running, "containers_started": self._work.started}
        elif self._containers is not None:
            found |= {
                "containers": len(self._work.workers),
                "containers_started": self._containers.started,
                "pids": self._containers.pids(),
            }
        return found
