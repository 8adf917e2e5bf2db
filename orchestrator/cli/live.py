"""The live view of ``achieve``, for whoever looks at a terminal.

A thread of its own draws the scene a few times a second; the loop never waits for it. It moves the
cursor and erases its own lines, and changes nothing else of the terminal: no mode, no cursor that
is hidden. So there is nothing to put back, however the program ends.

Names and messages are data: a character that is not printable is shown and never sent.
"""

from __future__ import annotations

import signal
import threading

from orchestrator.cli import output
from orchestrator.cli.scene import Scene
from orchestrator.execution.trail import Trail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from orchestrator.cli.scene import Clock
    from orchestrator.goals.goal import Goal
    from processors.protocol.canonical import Json

STDERR = 2
PERIOD_S = 0.2  # between two pictures
PATIENCE_S = 0.3  # a run that is over by then needs no view
NOTES_MAX = 20
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_LOOKS = ("TERM", "COLORTERM", "NO_COLOR")  # what of the environment tells how a terminal looks
_DUMB = ("", "dumb", "unknown")


# Breadcrumbs that the view has no place for and that a person has to know.
_NOTED = ("execution.unrecorded", "naming.warning")


class _Kept(Trail):
    """Breadcrumbs that go nowhere, since the view shows the same to people; a few are noted."""

    def __init__(self, execution_id: str, notes: list[str]) -> None:
        super().__init__(execution_id, STDERR)
        self._about = execution_id
        self._notes = notes

    def emit(self, event: str, fields: dict[str, Json] | None = None) -> None:
        """Take an event."""
        if event in _NOTED and len(self._notes) < NOTES_MAX:
            self._notes.append(f"{event}  {self._about}  {fields or ''}")


class Drawn(Scene):
    """A scene that is shown, as a block; what is drawn is gone when the block is left.

    Args:
        goal: The goal.
        clock: As in ``Scene``.
        environ: The environment; how a terminal looks is read from it, and nothing else.
    """

    def __init__(self, goal: Goal, clock: Clock, environ: Mapping[str, str]) -> None:
        super().__init__(goal, clock)
        self._looks = {name: environ[name] for name in _LOOKS if name in environ}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._show, name="view", daemon=True)
        self._notes: list[str] = []
        self._problem: str | None = None

    def trail(self, execution_id: str) -> Trail:
        """See ``Observer``."""
        return _Kept(execution_id, self._notes)

    def __enter__(self) -> Self:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # they are for the main thread
        try:
            self._thread.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        if self._problem is not None:
            self._notes.append(f"the view ended early: {self._problem}")
        for note in self._notes:
            output.tell(f"{output.shown(note)}\n")

    def _show(self) -> None:
        try:
            if self._looks.get("TERM", "") in _DUMB:
                self._tell()
            elif not self._over.wait(PATIENCE_S):
                self._draw()
        except Exception as error:  # noqa: BLE001 - what is shown decides nothing about what is done
            self._problem = f"{type(error).__name__}: {error!a}"[:200]

    def _draw(self) -> None:
        from orchestrator.cli import frame

        with frame.screen(lambda: frame.Frame(self.goal, self.picture()), self._looks) as screen:
            screen.refresh()
            while not self._over.wait(PERIOD_S):
                screen.refresh()

    def _tell(self) -> None:
        """One line for each step that begins or ends, where the cursor cannot be moved."""
        running: set[str] = set()
        ended = 0
        over = False
        while not over:
            over = self._over.wait(PERIOD_S)
            for row in self.picture().running:
                if row.step not in running:
                    running.add(row.step)
                    output.tell(f"runs    {output.shown(f'{row.ref}  {row.step}')}\n")
            for each in self.ended[ended:]:
                ended += 1
                error = "" if each.error is None else f"  {each.error.code} / {each.error.reason}"
                word = "failed" if error else "done"
                output.tell(f"{word:<7} {output.shown(f'{each.ref}  {each.step}{error}')}\n")
