"""One container, and what containers are made of."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import Process
from dataclasses import dataclass, field
from pathlib import Path

from tools.modal_local.blobs import Store
from tools.modal_local.calls import Calls
from tools.modal_local.client_mount import ClientMount
from tools.modal_local.copies import Copy
from tools.modal_local.faults import Faults
from tools.modal_local.functions import Functions
from tools.modal_local.images import Images
from tools.modal_local.mounts import Mounts
from tools.modal_local.secrets import Secrets
from tools.modal_local.volumes import Volumes
from tools.modal_local.workers import Worker


@dataclass
class Parts:
    """What containers are made of."""

    functions: Functions
    images: Images
    mounts: Mounts
    client: ClientMount
    secrets: Secrets
    volumes: Volumes
    store: Store
    calls: Calls
    faults: Faults


@dataclass(eq=False)
class Container:
    """One container: its process, its socket, its copies of volumes."""

    worker: Worker
    folder: Path
    copies: dict[str, Copy] = field(default_factory=dict)
    process: Process | None = None
    why: str = ""
    life: asyncio.Task[None] | None = None
