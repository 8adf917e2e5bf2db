"""Bazel's test sharding for pytest: every n-th collected test belongs to a shard."""

from __future__ import annotations

import pytest


class ShardPlugin:
    """Keeps the tests of one shard.

    Attributes:
        emptied: Whether the file has tests and none of them belongs to this shard.
    """

    def __init__(self, *, index: int, total: int) -> None:
        self._index = index
        self._total = total
        self.emptied = False

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Drop what other shards run; without a report, since nothing is lost."""
        mine = items[self._index :: self._total]
        self.emptied = bool(items) and not mine
        items[:] = mine
