"""Start one child, feed it, drain it, and end it, and all it started, in time.

The only place that starts a processor: the local adapter uses it, and so does the Modal app. The
child gets a session of its own, no terminal, its stdin fed and then closed. Both output streams
are drained together, so neither can block the other; memory is bounded whatever the child prints.
The wall clock is monotonic; the end of it, like the end of the child, ends the whole process group
and whatever left it. When we are killed, the child and its group are too (``_watch``).

The child shares our memory until its program starts (posix_spawn(3)), so starting one costs the
same however much we hold (docs/decisions/0018). Its working folder is ours: a start file goes to
its own at once, which is ``TMPDIR``.

Status rule: ``returncode`` is the exit status, or ``-N`` when signal N ended the child, or 124
when the time limit did.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import resource
import select
import signal
import time

from processors.protocol import marks, reaper
from processors.protocol.errors import adapter_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Self

    from processors.protocol.redact import Redactor

TAIL_BYTES_MAX = 8_192
LINE_BYTES_MAX = 65_536  # a longer line is handed on in pieces
GRACE_S = 0.5  # between SIGTERM and SIGKILL at the end of time
DEATH_S_MAX = 1.0  # between SIGKILL and the end; longer only in an uninterruptible system call
LAST_READS_MAX = 64  # of what the pipes still hold when nobody writes any more: at most 4 MiB
RETURNCODE_TIME_LIMIT = 124  # as timeout(1)
PAUSE_MS = 200  # after which a whole line is not held back for the rest of a secret any more
_READ_BYTES = 65_536
_LIFE_FD = 200  # the child's end of its life line: no number that a program or a shell script uses

# What an interpreter ignores or handles; a program begins with none of it.
_DEFAULT_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE)

# A processor's whole environment, besides its folders and its secrets, whoever starts it.
PROCESSOR_ENV = {
    "LANG": "C.UTF-8",
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "PYTHONHASHSEED": "0",
    "TZ": "UTC",
}

# What starts any processor, with ``{python}`` and ``{tree}`` to fill in.
# -P: no implicit folder on the path; -s and -S: no site folder of the user or the interpreter; -B:
# no bytecode is written; -u: no buffering. -I and -E would switch PYTHONHASHSEED off.
PROCESSOR_ARGV = ("{python}", "-P", "-s", "-S", "-B", "-u", "{tree}/start.py")


class Stop:
    """A request, from a signal handler, to end the running child.

    ``wakeup_fd`` is readable as soon as ``signum`` is set, so that a poll notices at once.
    """

    __slots__ = ("_write_fd", "signum", "wakeup_fd")

    def __init__(self) -> None:
        self.signum: int | None = None
        self.wakeup_fd, self._write_fd = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def request(self, signum: int, _frame: object = None) -> None:
        """Signal handler: the first signal counts, later ones change nothing."""
        if self.signum is None:
            self.signum = signum
            os.write(self._write_fd, b"!")

    def wait(self, seconds: float) -> None:
        """Wait until there is a request, and for no longer than that."""
        poll = select.poll()
        poll.register(self.wakeup_fd, select.POLLIN)
        poll.poll(round(seconds * 1_000))

    def close(self) -> None:
        """Let go of what a request needs; there can be none any more."""
        os.close(self.wakeup_fd)
        os.close(self._write_fd)


class Ended:
    """How a child ended, and what it printed."""

    __slots__ = ("elapsed_ms", "returncode", "stderr", "stdout", "stopped", "timed_out")

    def __init__(
        self,
        *,
        returncode: int,
        stdout: Tail,
        stderr: Tail,
        elapsed_ms: int,
        timed_out: bool,
        stopped: int | None,
    ) -> None:
        self.returncode = returncode
        self.stdout = stdout
        self.stderr = stderr
        self.elapsed_ms = elapsed_ms
        self.timed_out = timed_out
        self.stopped = stopped  # the signal number of the request that ended the child


class Tail:
    """The last bytes of a stream, with the digest and the length of all of it."""

    __slots__ = ("_keep_bytes", "_state", "_told", "data", "size_bytes")

    def __init__(self, keep_bytes: int) -> None:
        self._keep_bytes = keep_bytes
        self._state = hashlib.sha256()
        self._told = ""
        self.data = bytearray()
        self.size_bytes = 0

    @classmethod
    def told(cls, data: bytes, *, digest: str, size_bytes: int) -> Self:
        """The tail of a stream that somebody else drained; of a whole one nothing is believed."""
        tail = cls(len(data))
        tail.feed(data)
        if size_bytes > len(data):
            tail.size_bytes = size_bytes
            tail._told = digest
        return tail

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the stream."""
        self._state.update(chunk)
        self.size_bytes += len(chunk)
        self.data += chunk
        # Cutting at twice the size keeps the copying linear in what is fed.
        if len(self.data) > 2 * self._keep_bytes:
            del self.data[: -self._keep_bytes]

    @property
    def digest(self) -> str:
        """``sha256:<hex>`` of the whole stream."""
        return self._told or "sha256:" + self._state.hexdigest()

    @property
    def complete(self) -> bool:
        """Whether ``data`` is the whole stream."""
        return self.size_bytes == len(self.data)

    def text(self, bytes_max: int = TAIL_BYTES_MAX) -> str:
        """The last bytes as text, cut at a character's boundary.

        A byte that is not UTF-8 becomes U+FFFD, which takes three itself; the limit holds for what
        is returned.
        """
        text = _whole_characters(bytes(self.data[-bytes_max:])).decode("utf-8", "replace")
        return _whole_characters(text.encode("utf-8")[-bytes_max:]).decode("utf-8")


def run(
    argv: Sequence[str],
    *,
    attempt: str,
    env: Mapping[str, str],
    secret_values: Sequence[str],
    stdin: bytes,
    timeout_s: float,
    memory_bytes_max: int,
    stdout_bytes_max: int,
    on_stderr_line: Callable[[bytes], None],
    stop: Stop,
) -> Ended:
    """Run a child to its end and return how it ended.

    Args:
        argv: Program (an absolute path) and arguments.
        attempt: What the child belongs to; its environment has it besides ``env`` (``marks``), so
            that what outlives a killed orchestrator can be found (``leftovers``).
        env: The child's environment.
        secret_values: What is masked in both streams before anything sees them: tails, lengths,
            digests and lines are those of the masked streams.
        stdin: What the child reads before its stdin is closed.
        timeout_s: Wall-clock limit in seconds.
        memory_bytes_max: How much writable memory the child may have (RLIMIT_DATA), or less where
            our own hard limit is lower; an allocation beyond it fails in the child.
        stdout_bytes_max: How much of the end of stdout is kept.
        on_stderr_line: Called with each line (without its newline) as soon as it is complete.
        stop: Ends the child when it is requested.

    Raises:
        OSError: The child could not be started.
        ContractError: ``ERR_ADAPTER_INVOCATION``: ``unsupported_platform``, or ``survivors`` when
            something the child started cannot be ended.
    """
    began = time.monotonic()
    reaper.adopt()
    others = reaper.children()
    env = {**env, marks.VARIABLE: attempt}
    masks = _masks(secret_values)  # all that can fail without a child is done before there is one
    with reaper.starting:  # or another thread's run would take the new child for an orphan
        started = _start(argv, env, memory_bytes_max)
        reaper.begin(started.pid, attempt)
    child = _Child(started, stdin, stdout_bytes_max, on_stderr_line, masks)
    timed_out, returncode = child.live(began + timeout_s, stop, others)
    return Ended(
        returncode=RETURNCODE_TIME_LIMIT if timed_out else returncode,
        stdout=child.stdout,
        stderr=child.stderr,
        elapsed_ms=int((time.monotonic() - began) * 1000),
        timed_out=timed_out,
        stopped=None if timed_out else stop.signum,
    )


def _masks(secret_values: Sequence[str]) -> list[Redactor]:
    """A redactor for stdout and one for stderr; none where there is nothing to mask."""
    if not secret_values:
        return []
    from processors.protocol.redact import Redactor  # runs without a secret do without it

    return [Redactor(secret_values) for _ in range(2)]


def _whole_characters(data: bytes) -> bytes:
    """Leave out the end of a UTF-8 character whose beginning was cut off."""
    start = 0
    while start < min(3, len(data)) and data[start] & 0xC0 == 0x80:
        start += 1
    return data[start:]


class _Started:
    """A child whose program has started, and our ends of what leads to it.

    ``exit_fd`` is readable once it has ended. It is killed when ``life_fd`` is closed.
    """

    __slots__ = ("err_fd", "exit_fd", "in_fd", "life_fd", "out_fd", "pid")

    def __init__(
        self, pid: int, *, in_fd: int, out_fd: int, err_fd: int, exit_fd: int, life_fd: int
    ) -> None:
        self.pid = pid
        self.in_fd = in_fd
        self.out_fd = out_fd
        self.err_fd = err_fd
        self.exit_fd = exit_fd
        self.life_fd = life_fd


class _Child:
    """One running child and the pipes to it."""

    def __init__(
        self,
        started: _Started,
        stdin: bytes,
        stdout_bytes_max: int,
        on_stderr_line: Callable[[bytes], None],
        masks: list[Redactor],
    ) -> None:
        self._masks = masks
        self.stdout = Tail(stdout_bytes_max)
        self.stderr = Tail(TAIL_BYTES_MAX)
        self._unsent = memoryview(stdin)
        self._line = b""
        self._on_line = on_stderr_line
        self._pid, self._life = started.pid, started.life_fd
        self._in, self._out, self._err = started.in_fd, started.out_fd, started.err_fd
        self._exit = started.exit_fd
        self._has_ended = False

    def live(self, deadline: float, stop: Stop, others: Sequence[int]) -> tuple[bool, int]:
        """Run the child and end it; return whether time ran out, and its status."""
        try:
            try:
                timed_out = not self._pump(deadline, stop)
            finally:  # whatever happened to us, nothing goes on running
                returncode = self._end()
                is_alone = reaper.end_orphans(self._pid, others)
            if not is_alone:
                raise adapter_error("survivors", "processes that the child started cannot be ended")
            self._drain_all()
        finally:
            self._close()
        return timed_out, returncode

    def _pump(self, deadline: float, stop: Stop) -> bool:
        """Move bytes until the child has ended or is to be ended; False if time ran out."""
        poll = select.poll()
        poll.register(stop.wakeup_fd, select.POLLIN)
        poll.register(self._exit, select.POLLIN)
        if self._feed():
            poll.register(self._in, select.POLLOUT)
        for fd in (self._out, self._err):
            poll.register(fd, select.POLLIN)
        while (left_ms := (deadline - time.monotonic()) * 1000) > 0:
            ready = poll.poll(min(left_ms, PAUSE_MS) if self._masks else left_ms)
            if not ready and self._masks:
                self._take(self._err, self._masks[1].pause())
            for fd, _ in ready:
                if fd in (stop.wakeup_fd, self._exit):
                    self._has_ended = fd == self._exit
                    return True
                if not (self._feed() if fd == self._in else self._drain(fd)):
                    poll.unregister(fd)
        return False

    def _end(self) -> int:
        """End the child if it still runs, and what is left of its group; return its status."""
        if not self._is_dead(0):
            self._kill(signal.SIGTERM)
            self._is_dead(GRACE_S)
        self._kill(signal.SIGKILL)
        self._is_dead(DEATH_S_MAX)
        _, status = os.waitpid(self._pid, 0)
        return os.waitstatus_to_exitcode(status)

    def _drain_all(self) -> None:
        """Take what the pipes still hold, now that nobody writes any more."""
        for fd in (self._out, self._err):
            for _ in range(LAST_READS_MAX):
                if not self._drain(fd):
                    break
        for fd, mask in zip((self._out, self._err), self._masks, strict=False):
            self._take(fd, mask.close())
        if self._line:
            self._on_line(self._line)
            self._line = b""

    def _close(self) -> None:
        """Close our ends of the pipes."""
        for fd in (self._in, self._out, self._err, self._exit, self._life):
            if fd >= 0:
                os.close(fd)

    def _is_dead(self, wait_s: float) -> bool:
        """Whether the child has ended; it is not waited for yet, so its number stays its own."""
        if not self._has_ended:
            poll = select.poll()
            poll.register(self._exit, select.POLLIN)
            self._has_ended = bool(poll.poll(wait_s * 1000))
        return self._has_ended

    def _kill(self, signum: int) -> None:
        try:
            os.killpg(self._pid, signum)
        except ProcessLookupError:
            pass  # nothing of the group is left

    def _feed(self) -> bool:
        """Write more of stdin; False once it is closed."""
        try:
            sent = os.write(self._in, self._unsent[:_READ_BYTES]) if self._unsent else 0
        except BlockingIOError:
            return True
        except BrokenPipeError:
            sent = len(self._unsent)  # the child does not want the rest
        self._unsent = self._unsent[sent:]
        if self._unsent:
            return True
        os.close(self._in)
        self._in = -1
        return False

    def _drain(self, fd: int) -> bool:
        """Read what is there; False at the end of the stream or when nothing is waiting."""
        try:
            chunk = os.read(fd, _READ_BYTES)
        except BlockingIOError:
            return False
        self._take(fd, self._masks[fd == self._err].feed(chunk) if self._masks else chunk)
        return chunk != b""

    def _take(self, fd: int, masked: bytes) -> None:
        if fd == self._out:
            self.stdout.feed(masked)
        else:
            self.stderr.feed(masked)
            self._split(masked)

    def _split(self, chunk: bytes) -> None:
        *lines, self._line = (self._line + chunk).split(b"\n")
        for line in lines:
            self._on_line(line)
        while len(self._line) >= LINE_BYTES_MAX:
            self._on_line(self._line[:LINE_BYTES_MAX])
            self._line = self._line[LINE_BYTES_MAX:]


def _start(argv: Sequence[str], env: Mapping[str, str], memory_bytes_max: int) -> _Started:
    """Start a program in a session of its own."""
    files_max, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files_max != resource.RLIM_INFINITY and files_max <= _LIFE_FD:
        why = f"{files_max} open files are allowed (ulimit -n), and it takes {_LIFE_FD + 1}"
        raise OSError(errno.EMFILE, why)
    pipes: list[tuple[int, int]] = []
    try:
        while len(pipes) < 4:
            pipes.append(os.pipe2(os.O_CLOEXEC))
        (in_read, in_write), (out_read, out_write), (err_read, err_write), life = pipes
        life_read, life_write = life
        for_child = {in_read: 0, out_write: 1, err_write: 2, life_read: _LIFE_FD}
        pid = os.posix_spawn(
            argv[0],
            list(argv),
            env,
            file_actions=[(os.POSIX_SPAWN_DUP2, fd, at) for fd, at in for_child.items()],
            setsid=True,
            setsigmask=(),
            setsigdef=_DEFAULT_SIGNALS,
        )
        exit_fd = _watch(pid, life_read, memory_bytes_max)
    except BaseException:
        for ends in pipes:
            for fd in ends:
                os.close(fd)
        raise
    for fd in for_child:
        os.close(fd)
    for fd in (in_write, out_read, err_read):
        os.set_blocking(fd, False)
    return _Started(
        pid,
        in_fd=in_write,
        out_fd=out_read,
        err_fd=err_read,
        exit_fd=exit_fd,
        life_fd=life_write,
    )


def _watch(pid: int, life_fd: int, memory_bytes_max: int) -> int:
    """Limit a child, and have its group killed as soon as the other end of a pipe is closed.

    Returns what is readable once it has ended. A child that cannot be watched is ended here.

    The kernel closes what a process had open when it ends, and sends whoever is set with F_SETOWN
    the signal set with F_SETSIG when something happens at the other end (fcntl(2)). The end that
    waits for it is the child's. A child has no payload yet, so it has not done anything.
    """
    try:
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        if hard != resource.RLIM_INFINITY:  # nobody but root may raise it
            memory_bytes_max = min(memory_bytes_max, hard)
        resource.prlimit(pid, resource.RLIMIT_DATA, (memory_bytes_max, memory_bytes_max))
        fcntl.fcntl(life_fd, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(life_fd, fcntl.F_SETOWN, -pid)
        flags = fcntl.fcntl(life_fd, fcntl.F_GETFL)
        fcntl.fcntl(life_fd, fcntl.F_SETFL, flags | os.O_ASYNC)
        return os.pidfd_open(pid)
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise
