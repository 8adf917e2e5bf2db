"""Containers: the wheel's own entrypoint in an image's root, on a socket that is its identity.

What a container asks comes in on a unix socket of its own; so no request needs to say who sends it,
and none can claim to be another. It has no network: arguments reach it inline, and its results come
inline.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from asyncio.subprocess import PIPE, STDOUT, Process
from pathlib import Path

from grpclib.server import Server
from modal_proto import api_pb2

from tools.modal_local import failures, sandbox
from tools.modal_local.client_mount import DEPENDENCIES
from tools.modal_local.container_records import Container, Parts
from tools.modal_local.copies import Copy
from tools.modal_local.definitions import Definition
from tools.modal_local.pools import Pools
from tools.modal_local.sandbox import Bind
from tools.modal_local.session import FROM_CONTAINER, Session, new_id
from tools.modal_local.workers import Worker

SOCKET = "/__modal/api.sock"
ARGUMENTS = "/__modal/arguments"
COMMAND = ("python", "-m", "modal._container_entrypoint")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LOG_BYTES_MAX = 1 << 20
STOP_S = 10.0


class Containers:
    """All containers."""

    def __init__(
        self, session: Session, pools: Pools, parts: Parts, folder: Path, bwrap: str
    ) -> None:
        self._session = session
        self._pools = pools
        self._parts = parts
        self._folder = folder
        self._bwrap = bwrap
        self._all: dict[str, Container] = {}
        self.started = 0
        (folder / "logs").mkdir(parents=True, exist_ok=True)
        # A socket's path may have 107 bytes; by way of this descriptor it always fits.
        self._here = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)

    def start(self, function_id: str, definition: Definition) -> Worker:
        """Start a container; it asks for its input itself."""
        task_id = new_id("ta")
        worker = Worker(task_id, function_id, definition, lambda why: self.kill(task_id, why))
        container = Container(worker, self._folder / task_id)
        self._all[task_id] = container
        self.started += 1
        container.life = asyncio.create_task(self._live(container))
        return worker

    def get(self, task_id: str) -> Container:
        """The container of a socket."""
        if task_id not in self._all:
            raise failures.not_found("the container is gone")
        return self._all[task_id]

    def pids(self) -> dict[str, int]:
        """The process of each container that has one."""
        return {
            task_id: container.process.pid
            for task_id, container in self._all.items()
            if container.process is not None
        }

    async def close(self) -> None:
        """End them all."""
        lives = [each.life for each in self._all.values() if each.life is not None]
        for task_id in list(self._all):
            self.kill(task_id, "the plane ends")
        await asyncio.gather(*lives, return_exceptions=True)
        os.close(self._here)

    def kill(self, task_id: str, why: str) -> None:
        """End one at once."""
        container = self._all.get(task_id)
        if container is None or container.why:
            return
        container.why = why
        if container.process is not None:
            if container.process.returncode is None:
                container.process.kill()
        elif container.life is not None:
            container.life.cancel()

    async def _live(self, container: Container) -> None:
        worker = container.worker
        limit = asyncio.get_running_loop().call_later(
            worker.definition.start_s, self._give_up, container
        )
        server = Server([self._session.endpoint(worker.task_id, FROM_CONTAINER)])
        name = f"{worker.task_id}.sock"
        try:
            if fault := self._parts.faults.take("slow_start"):
                await asyncio.sleep(fault.seconds)
            container.folder.mkdir()
            await server.start(path=f"/proc/self/fd/{self._here}/{name}")
            await self._run(container)
        except asyncio.CancelledError:
            pass
        except Exception as error:  # noqa: BLE001 - whatever it is, the pool must know
            container.why = container.why or f"{type(error).__name__}: {error}"
        finally:
            limit.cancel()
            server.close()
            (self._folder / name).unlink(missing_ok=True)
            await asyncio.to_thread(shutil.rmtree, container.folder, ignore_errors=True)
            del self._all[worker.task_id]
            self._pools.ended(worker, container.why)

    def _give_up(self, container: Container) -> None:
        if not container.worker.has_asked:
            self.kill(container.worker.task_id, "it did not start in time")

    async def _run(self, container: Container) -> None:
        worker, parts = container.worker, self._parts
        root = parts.images.get(worker.definition.function.image_id)
        binds = await self._binds(container)
        env = {"PATH": PATH, **root.env}
        env |= parts.secrets.values(worker.definition.function.secret_ids)
        env |= {
            "MODAL_CONTAINER_ARGUMENTS_PATH": ARGUMENTS,
            "MODAL_ENVIRONMENT": parts.functions.get(worker.function_id).environment,
            "MODAL_IMAGE_ID": worker.definition.function.image_id,
            "MODAL_IS_REMOTE": "1",
            "MODAL_SERVER_URL": f"unix://{SOCKET}",
            "MODAL_TASK_ID": worker.task_id,
            "PYTHONPATH": "/root:/pkg",
        }
        words = sandbox.options(root.folder, binds, env, root.workdir)
        descriptor = os.memfd_create("options")
        try:
            os.write(descriptor, words)
            os.lseek(descriptor, 0, os.SEEK_SET)
            container.process = await asyncio.create_subprocess_exec(
                self._bwrap,
                "--args",
                str(descriptor),
                "--",
                *root.entrypoint,
                *COMMAND,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=PIPE,
                stderr=STDOUT,
                pass_fds=(descriptor,),
                env={},
                cwd="/",
            )
        finally:
            os.close(descriptor)
        await self._wait(container, container.process)

    async def _wait(self, container: Container, process: Process) -> None:
        """Keep what it says, within a limit, until it is gone with all its children.

        They hold the pipe; its end is the end of the last of them.
        """
        log = self._folder / "logs" / f"{container.worker.task_id}.log"
        assert process.stdout is not None
        room = LOG_BYTES_MAX
        try:
            with log.open("wb") as file:
                while piece := await process.stdout.read(1 << 16):
                    file.write(piece[:room])
                    file.flush()
                    room -= min(room, len(piece))
        finally:
            if process.returncode is None:
                try:
                    await asyncio.wait_for(process.wait(), STOP_S)
                except TimeoutError:
                    process.kill()
                    await process.wait()
        container.why = container.why or f"exit status {process.returncode}"

    async def _binds(self, container: Container) -> list[Bind]:
        parts, worker = self._parts, container.worker
        function = worker.definition.function
        packages, dependencies = await parts.client.folders()
        arguments = container.folder / "arguments"
        arguments.write_bytes(self._arguments(worker).SerializeToString())
        found = [
            Bind(packages, "/pkg"),
            Bind(dependencies, DEPENDENCIES),
            Bind(arguments, ARGUMENTS),
            Bind(self._folder / f"{worker.task_id}.sock", SOCKET),
        ]
        for mount_id in function.mount_ids:
            for source, target in parts.mounts.lay_out(mount_id, container.folder):
                found.append(Bind(source, target))
        for mount in function.volume_mounts:
            volume = parts.volumes.get(mount.volume_id)
            copy = Copy(volume, parts.store, container.folder / volume.volume_id)
            await copy.reload()
            if not mount.read_only:
                container.copies[volume.volume_id] = copy
            target = "/" + mount.mount_path.strip("/")
            found.append(Bind(copy.folder, target, is_writable=not mount.read_only))
        return found

    def _arguments(self, worker: Worker) -> api_pb2.ContainerArguments:
        function = self._parts.functions.get(worker.function_id)
        return api_pb2.ContainerArguments(
            task_id=worker.task_id,
            function_id=worker.function_id,
            app_id=function.app_id,
            function_def=worker.definition.function,
            environment_name=function.environment,
            app_layout=self._parts.functions.layout_for_a_container(worker.function_id),
        )
