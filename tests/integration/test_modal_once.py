"""Work that several wait for: done once, not kept if it failed, ended if nobody waits."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator.modal.once import Once


class Source:
    """Makes results, each when it is let; knows what was begun and what was cancelled."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.begun = 0
        self.cancelled = 0

    async def make(self) -> int:
        """How many were begun, once the gate is open."""
        self.begun += 1
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return self.begun

    async def fail(self) -> int:
        """Begin, and fail."""
        self.begun += 1
        raise OSError("as always")


async def settle() -> None:
    """Let everything run that can."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_it_is_made_once_for_all_who_want_it_then_and_later() -> None:
    async def trial() -> None:
        once, source = Once[str, int](), Source()
        waiting = [asyncio.create_task(once.get("a", source.make)) for _ in range(3)]
        await settle()
        source.gate.set()

        assert await asyncio.gather(*waiting) == [1, 1, 1]
        assert await once.get("a", source.make) == 1
        assert await once.get("b", source.make) == 2

    asyncio.run(trial())


def test_a_failure_is_for_who_waited_and_is_not_kept() -> None:
    async def trial() -> None:
        once, source = Once[str, int](), Source()
        source.gate.set()
        found = await asyncio.gather(
            once.get("a", source.fail), once.get("a", source.fail), return_exceptions=True
        )

        assert [type(each) for each in found] == [OSError, OSError]
        assert source.begun == 1
        assert await once.get("a", source.make) == 2

    asyncio.run(trial())


def test_it_goes_on_for_who_still_waits_and_ends_with_the_last() -> None:
    async def trial() -> None:
        once, source = Once[str, int](), Source()
        first, second = (asyncio.create_task(once.get("a", source.make)) for _ in range(2))
        await settle()

        first.cancel()
        await settle()
        assert source.cancelled == 0
        second.cancel()
        await settle()
        assert source.cancelled == 1

        third = asyncio.create_task(once.get("a", source.make))
        await settle()
        source.gate.set()
        assert await third == 2
        for each in (first, second):
            with pytest.raises(asyncio.CancelledError):
                await each

    asyncio.run(trial())


def test_nothing_is_said_of_a_failure_that_nobody_waited_for() -> None:
    async def trial() -> None:
        said: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, what: said.append(what))
        once = Once[str, int]()

        async def late() -> int:
            try:
                await asyncio.Event().wait()
            finally:
                raise OSError("on its way out")

        waiting = asyncio.create_task(once.get("a", late))
        await settle()
        waiting.cancel()
        await asyncio.wait([waiting])
        await settle()
        del waiting

        assert said == []

    asyncio.run(trial())
