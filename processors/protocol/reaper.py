"""Nothing outlives a run: what a child leaves behind comes to us and is ended.

A process that detaches from its parent goes to init, unless an ancestor asked for such orphans
(prctl(2), PR_SET_CHILD_SUBREAPER). We ask, so that neither a second fork, nor a new session, nor an
empty environment hides one. It needs Linux and a mounted /proc; without them ``adopt`` refuses.
"""

from __future__ import annotations

import _thread
import os
import signal
import time

from processors.protocol import marks
from processors.protocol.errors import adapter_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from typing import Any

END_S_MAX = 1.0  # for all orphans of one run; each dies at once, but may have forked before
_ROUND_S = 0.001  # between two looks

_PR_SET_CHILD_SUBREAPER = 36

_runs: dict[int, str] = {}  # the children that are being run now, and their attempts

_ending: set[str] = set()  # attempts whose child was waited for, and whose orphans are being ended

_adopters: list[int] = []  # the process that orphans go to; a fork of it has to ask for itself

_prctls: list[Callable[..., int]] = []  # prctl(2), once it was looked up

starting = _thread.allocate_lock()  # held from a child's start until ``begin`` knows of it


def adopt() -> None:
    """Become the one that orphans of our children go to.

    Raises:
        ContractError: ``ERR_ADAPTER_INVOCATION`` / ``unsupported_platform``, naming what lacks.
    """
    if _adopters == [os.getpid()]:
        return  # it holds for as long as the process lives
    if lacking := missing("/proc/self"):
        raise adapter_error(
            "unsupported_platform", f"this system has no {', no '.join(lacking)}; it takes Linux"
        )
    _adopters[:] = [os.getpid()]


def missing(own_proc: str) -> list[str]:
    """Name what the kernel lacks of what a run needs; ask it for the orphans on the way."""
    found = []
    if not _prctl(_PR_SET_CHILD_SUBREAPER, 1):
        found.append("prctl PR_SET_CHILD_SUBREAPER")
    if not hasattr(os, "pidfd_open"):
        found.append("pidfd_open")
    if not os.path.exists(f"{own_proc}/task/{os.getpid()}/children"):
        found.append("/proc/self/task/N/children")
    return found


def begin(pid: int, attempt: str) -> None:
    """Take note of a child: its end is its run's business."""
    _runs[pid] = attempt


def forget(pid: int) -> None:
    """Let go of a child that was waited for and left nothing behind."""
    del _runs[pid]


def end_orphans(pid: int, others: Collection[int]) -> bool:
    """End what a child left behind, once the child itself has been waited for.

    Args:
        pid: The child that ``begin`` was told of.
        others: Children that were there before it.

    Returns:
        Whether nothing is left; False when ``END_S_MAX`` was not enough.
    """
    attempt = _runs.pop(pid)
    _ending.add(attempt)
    try:
        return _end_orphans(attempt, others)
    finally:
        _ending.discard(attempt)


def _end_orphans(attempt: str, others: Collection[int]) -> bool:
    deadline = time.monotonic() + END_S_MAX
    while left := _orphans(attempt, others):
        if time.monotonic() > deadline:
            return False
        for orphan in left:
            _end(orphan)
        time.sleep(_ROUND_S)
    return True


def _orphans(attempt: str, others: Collection[int]) -> list[int]:
    """Our children that no run knows and no other attempt's mark is on."""
    with starting:
        return [
            orphan
            for orphan in children()
            if orphan not in others and orphan not in _runs and not _is_of_another(orphan, attempt)
        ]


def children() -> list[int]:
    """The process ids of our main thread's children, dead ones that nobody waited for among them.

    The kernel hands an orphan to a process's first thread that is alive, and Python's main thread
    ends last. What another thread has started is that one's: it calls ``begin``, or waits for the
    process before it ends itself.
    """
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return []  # the usual case, in one system call
    with open(f"/proc/self/task/{os.getpid()}/children", "rb", buffering=0) as file:
        return [int(word) for word in file.readall().split()]


def _is_of_another(orphan: int, attempt: str) -> bool:
    """Whether an orphan belongs to another child, which still runs or whose orphans are ended now.

    By its session, which is named after that child; one that has left it says so by its mark, which
    cannot be read at the moment that a program takes another one's place.
    """
    if not _runs and _ending == {attempt}:
        return False
    try:
        if os.getsid(orphan) in _runs:
            return True
    except ProcessLookupError:
        return False  # it is gone
    mark = marks.attempt_of(orphan)
    return mark != attempt and (mark in _ending or mark in _runs.values())


def _end(orphan: int) -> None:
    try:
        group = os.getpgid(orphan)
        if group != os.getpgid(0):
            os.killpg(group, signal.SIGKILL)  # at once, those included that are being forked
        os.kill(orphan, signal.SIGKILL)
    except ProcessLookupError:
        pass  # it is dead and waits to be waited for
    try:
        os.waitpid(orphan, os.WNOHANG)
    except ChildProcessError:
        pass  # it was a thread's of ours, which has waited for it


def _prctl(option: int, value: int) -> bool:
    """Call prctl(2); looked up once, so that a child only has to call it."""
    if not _prctls:
        _prctls.extend(_find_prctl())
    return bool(_prctls) and _prctls[0](option, value, 0, 0, 0) == 0


def _find_prctl() -> list[Callable[..., int]]:
    """The function prctl(2), or nothing; the standard library offers it through ctypes alone.

    These are the parts that ctypes is made of. It takes twelve times as long to import as they do,
    a twentieth of a whole run (docs/decisions/0010).
    """
    import _ctypes

    class Long(_ctypes._SimpleCData):  # type: ignore[type-arg] # noqa: SLF001 - as above
        _type_ = "l"

    class Prctl(_ctypes.CFuncPtr):
        _flags_ = _ctypes.FUNCFLAG_CDECL
        _argtypes_ = (Long,) * 5
        _restype_ = Long

    try:
        whole_program: Any = None
        address = _ctypes.dlsym(_ctypes.dlopen(whole_program, os.RTLD_NOW), "prctl")
    except OSError:
        return []  # another system's C library
    function: Callable[..., int] = Prctl(address)
    return [function]
