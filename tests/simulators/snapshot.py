"""A world at one moment, in memory: what predicates may look at, without a world.

It counts what it is asked, so that a test can say what was touched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orchestrator.world.chain import Event, Head
from orchestrator.world.records import Artifact
from processors.protocol import digests
from processors.protocol.errors import inputs_error

HEAD = Head(7, digests.of_bytes(b"head"))


class MemorySnapshot:
    """Artifacts by path, each with its bytes; what is put later has a higher event number."""

    def __init__(self, files: Mapping[str, bytes], *, head: Head = HEAD) -> None:
        self.head = head
        self.gone: set[str] = set()  # content ids whose bytes are not there
        self.events: dict[int, Event] = {}
        self.requests: dict[str, Event] = {}  # by execution id
        self.wrong: str | None = None  # with the ledger
        self.asked: list[str] = []  # every path and folder that was looked at
        self._bytes: dict[str, bytes] = {}
        self._artifacts: dict[str, Artifact] = {}
        for path, data in files.items():
            self.put(path, data)

    def put(self, path: str, data: bytes) -> Artifact:
        """Let some bytes lie at a path."""
        cid = digests.of_bytes(data)
        self._bytes[cid] = data
        seq = 2 + len(self._artifacts)
        self._artifacts[path] = Artifact(path, cid, len(data), "application/octet-stream", seq)
        return self._artifacts[path]

    def remove(self, path: str) -> None:
        """Let nothing lie at a path."""
        del self._artifacts[path]

    def artifact(self, path: str) -> Artifact | None:
        """See ``Snapshot``."""
        self.asked.append(path)
        return self._artifacts.get(path)

    def artifacts(self, folder: str) -> Iterator[Artifact]:
        """See ``Snapshot``."""
        self.asked.append(folder)
        for path in sorted(self._artifacts):
            if path.startswith(folder):
                yield self._artifacts[path]

    def bytes_problem(self, artifact: Artifact) -> str | None:
        """See ``Snapshot``."""
        return f"the bytes of {artifact.path} are gone" if artifact.cid in self.gone else None

    def read(self, artifact: Artifact, bytes_max: int) -> bytes:
        """See ``Snapshot``."""
        self.asked.append(artifact.path)
        if artifact.cid in self.gone:
            raise inputs_error("world_corrupt", "the bytes are gone")
        if artifact.size_bytes > bytes_max:
            raise inputs_error("too_large", f"more than {bytes_max} bytes")
        return self._bytes[artifact.cid]

    def event(self, seq: int) -> Event:
        """See ``Snapshot``."""
        return self.events[seq]

    def request(self, execution_id: str) -> Event | None:
        """See ``Snapshot``."""
        return self.requests.get(execution_id)

    def ledger_problem(self) -> str | None:
        """See ``Snapshot``."""
        self.asked.append("ledger")
        return self.wrong
