"""The store of contents against a model: a dict of what was placed, and who refers to it."""

from __future__ import annotations

import os
import shutil
import tempfile

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from orchestrator.world import placing as placing_module
from orchestrator.world.objects import Objects
from orchestrator.world.placing import Placing
from processors.protocol import digests
from processors.protocol.errors import ContractError
from tests.property.profile import searched

CONTENTS = st.sampled_from([b"", b"a", b"b", b"ab", b"x" * 5_000])
SMALL_MAX = 1  # of the contents above, some are small

BATCHES = st.lists(CONTENTS, max_size=4)


class StoreMachine(RuleBasedStateMachine):
    """One world's store, used and left behind as processes would that are killed."""

    def __init__(self) -> None:
        super().__init__()
        self.world = tempfile.mkdtemp()
        self.store = Objects(self.world)
        self.placed: dict[str, bytes] = {}  # what is there
        self.spoiled: set[str] = set()
        self.referred: set[str] = set()  # what a ledger would refer to

    def teardown(self) -> None:
        """Leave nothing behind."""
        shutil.rmtree(self.world)

    @rule(contents=BATCHES, ahead=st.booleans(), refers=st.booleans())
    def write(self, contents: list[bytes], *, ahead: bool, refers: bool) -> None:
        """Place some bytes, and perhaps commit a reference. Small ones mend what was spoiled."""
        with self.store.placing() as placing:
            for content in contents:
                assert placing.write(content) == (digests.of_bytes(content), len(content))
            self.place(placing, contents, ahead=ahead)
            self.spoiled -= {digests.of_bytes(data) for data in contents if len(data) <= SMALL_MAX}
            if refers:
                self.referred |= {digests.of_bytes(content) for content in contents}

    @rule(contents=BATCHES, ahead=st.booleans())
    def move(self, contents: list[bytes], *, ahead: bool) -> None:
        """Place checked files, which take the place of what was spoiled."""
        with self.store.placing() as placing:
            for number, content in enumerate(contents):
                file = os.path.join(self.world, f"staged-{number}")
                with open(file, "wb") as staged:
                    staged.write(content)
                placing.move(file, digests.of_bytes(content), len(content))
            self.place(placing, contents, ahead=ahead)
        self.spoiled -= {digests.of_bytes(content) for content in contents}

    @rule(contents=BATCHES)
    def forget(self, contents: list[bytes]) -> None:
        """A block that is left before it places anything."""
        with self.store.placing() as placing:
            for content in contents:
                placing.write(content)

    @rule(content=CONTENTS)
    def be_killed(self, content: bytes) -> None:
        """What a process leaves that is killed while it writes."""
        scratch = os.path.join(self.world, "store", ".new")
        os.makedirs(scratch, exist_ok=True)
        with open(os.path.join(scratch, os.urandom(16).hex()), "wb") as file:
            file.write(content[: len(content) // 2])

    @rule(content=CONTENTS)
    def spoil(self, content: bytes) -> None:
        """Somebody changes a byte of what is there."""
        cid = digests.of_bytes(content)
        if content and cid in self.placed:
            os.chmod(self.store.path(cid), 0o644)
            with open(self.store.path(cid), "r+b") as file:
                file.write(bytes((content[0] ^ 1,)))
            self.spoiled.add(cid)

    @rule(content=CONTENTS)
    def lose(self, content: bytes) -> None:
        """Somebody removes what is there."""
        cid = digests.of_bytes(content)
        if cid in self.placed:
            os.unlink(self.store.path(cid))
            del self.placed[cid]
            self.spoiled.discard(cid)

    @rule(drop=CONTENTS)
    def collect(self, drop: bytes) -> None:
        """Everything that is referred to stays; the rest, and every leftover, goes."""
        self.referred.discard(digests.of_bytes(drop))
        gone = {cid: data for cid, data in self.placed.items() if cid not in self.referred}

        assert self.store.collect(lambda: self.referred) == (
            len(gone),
            sum(map(len, gone.values())),
        )

        for cid in gone:
            del self.placed[cid]
            self.spoiled.discard(cid)
        scratch = os.path.join(self.world, "store", ".new")
        assert not os.path.isdir(scratch) or os.listdir(scratch) == []

    @invariant()
    def agrees(self) -> None:
        """What was placed is there, once, and reading tells the truth about it."""
        assert list(self.store.sizes()) == sorted(
            (cid, len(data)) for cid, data in self.placed.items()
        )
        for cid, data in self.placed.items():
            assert self.store.holds(cid, len(data))
            if cid in self.spoiled:
                with pytest.raises(ContractError, match="world_corrupt"):
                    self.store.read(cid)
            else:
                assert self.store.read(cid) == data

    def place(self, placing: Placing, contents: list[bytes], *, ahead: bool) -> None:
        """Place what was taken, and remember what is there now."""
        if ahead:
            small = {digests.of_bytes(data): data for data in contents if len(data) <= SMALL_MAX}
            written = placing.place_ahead()
            assert len(written) <= len(small)  # without those that are known to be on the disk
            assert small.items() >= dict(written).items()
        else:
            placing.place()
        self.placed |= {digests.of_bytes(content): content for content in contents}


@pytest.fixture(autouse=True)
def _few_are_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placing_module, "SMALL_MAX", SMALL_MAX)


TestStoreAgainstItsModel = StoreMachine.TestCase
TestStoreAgainstItsModel.settings = settings(searched, max_examples=40, stateful_step_count=20)
