"""A few open worlds of one folder, which many threads lend each other.

A thread has a world for as long as it reads or writes, so many more can wait for processors than
there are worlds. A world's ledger is a file that every process appends to, and each transaction
sees what was committed before it, by whomever. It is held against its published head when it is
opened; after that the open file can only get longer. Where another file has taken its place, that
one is opened.
"""

from __future__ import annotations

import queue
from contextlib import contextmanager

from orchestrator.world import heads
from orchestrator.world.world import World

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self


class Worlds:
    """Open worlds of one folder, each lent to one thread at a time.

    Args:
        folder: The folder.
        count_max: How many may be open.
    """

    def __init__(self, folder: str, count_max: int) -> None:
        self._folder = folder
        # What may be lent; None may be opened. The one that came back last is taken first.
        self._free: queue.LifoQueue[World | None] = queue.LifoQueue()
        self._count_max = count_max
        for _ in range(count_max):
            self._free.put(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Close them all, once they are back."""
        for _place in range(self._count_max):
            if (world := self._free.get()) is not None:
                world.close()

    @contextmanager
    def lend(self) -> Iterator[World]:
        """A block that has one; it waits until one is free.

        Raises:
            ContractError: ``ERR_INPUTS``: as ``World``, and as ``heads.check``.
        """
        world = self._free.get()
        try:
            if world is not None and not world.ledger.file.is_current():
                world.close()
                world = None
            if world is None:
                world = self._open()
            yield world
        finally:
            self._free.put(world)

    def _open(self) -> World:
        world = World(self._folder, make=False)
        try:
            heads.check(world.ledger)
        except BaseException:
            world.close()
            raise
        return world
