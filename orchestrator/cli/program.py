"""A program of several commands: one shape of answer, and one place where it ends.

With ``--json`` the last line of stdout is always one document, ``{status, result|error, meta}``. A
command that streams prints its items before it, one a line. Without ``--json`` people get text, and
an error is told on stderr, so that a file that stdout goes to never holds one.
"""

from __future__ import annotations

import signal

from orchestrator.cli import flags, output
from orchestrator.cli.flags import Flag, Given
from orchestrator.cli.progress import Progress
from orchestrator.execution.answer import DEBUG_FRAMES_MAX, known
from processors.protocol.canonical import Json
from processors.protocol.errors import (
    EXIT_OK,
    ContractError,
    adapter_error,
    inputs_error,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    type Result = dict[str, Json]
    type Perform = Callable[[Call], tuple[Result, Iterable[str]]]

WORLD_FOLDER = ".world"
_DEBUG = Flag("--debug", "", "show on stderr where an unknown error came from")
_HELP = Flag("--help", "", "print this text")
COMMON = (
    Flag("--world", "DIR", f"the world's folder; {WORLD_FOLDER} by default"),
    Flag("--json", "", "print one JSON document on one line of stdout; streams, one a line"),
    _DEBUG,
    _HELP,
)
# Of a program that is one command; it has no world but one that is named.
COMMON_ALONE = (
    Flag("--world", "DIR", "leave a record in the ledger of this world; none by default"),
    Flag("--json", "", "print one JSON document on one line of stdout"),
    _DEBUG,
    _HELP,
)


class Command:
    """One command: its name, what it does, its words and flags, and the function that does it.

    The function returns the result, and the same as lines for people.
    """

    __slots__ = ("help", "name", "one_of", "own", "perform", "streams", "table", "world")

    def __init__(
        self,
        name: str,
        text: str,
        own: Sequence[Flag],
        perform: Perform,
        *,
        streams: str = "",
        one_of: Sequence[str] = (),
        alone: bool = False,
    ) -> None:
        self.name = name
        self.help = text
        self.own = own
        self.table = (*own, *(COMMON_ALONE if alone else COMMON))
        self.perform = perform
        self.streams = streams  # what its items are, one a line; "" for a command without
        self.one_of = one_of  # flags of which exactly one must be given
        self.world = "" if alone else WORLD_FOLDER


class Call:
    """One call of a command: what was given, and the ways to answer while it goes on.

    Attributes:
        given: Its words and flags.
        world: The world's folder; "" where none is named and the command has no other.
        as_json: Whether the answer is JSON.
    """

    def __init__(self, given: Given, world: str) -> None:
        self.given = given
        self.world = given.get("--world") or world
        self.as_json = given.has("--json")

    def item(self, document: Result, line: str) -> None:
        """Print one item of a stream."""
        if self.as_json:
            output.print_document(document)
        else:
            output.print_lines((line,))

    def raw(self, data: bytes) -> None:
        """Print what is the same for people and programs."""
        output.print_bytes(data)

    def progress(self, what: str, total: int) -> Progress:
        """What shows how far the command is, as a block."""
        return Progress(what, total)


def run(program: str, summary: str, commands: Sequence[Command], argv: list[str]) -> int:
    """Run one command of a program; return the exit status."""
    _prepare()
    if "--help" in argv:
        text = usage(program, summary, commands, argv)
        return output.print_help(text, as_json="--json" in argv)
    meta: dict[str, Json] = {"command": program, "world": None}
    return _answer(lambda: _named(program, commands, argv, meta), argv, meta, 1)


def run_alone(command: Command, argv: list[str]) -> int:
    """Run a program that is one command; return the exit status."""
    _prepare()
    if "--help" in argv:
        text = flags.usage(command.name, command.help, command.table)
        return output.print_help(text, as_json="--json" in argv)
    meta: dict[str, Json] = {"command": command.name, "world": None}
    return _answer(lambda: command, argv, meta, 0)


def _prepare() -> None:
    output.keep_standard_streams()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # a child whose end is ignored has no status


def _named(program: str, commands: Sequence[Command], argv: list[str], meta: Result) -> Command:
    command = _chosen(commands, argv)
    meta["command"] = f"{program} {command.name}"
    return command


def _answer(find: Callable[[], Command], argv: list[str], meta: Result, skipped: int) -> int:
    """Perform a command, whose words come after those skipped, and print what it answers.

    A signal ends it wherever it comes: from the first to the last that take it, all lies in one
    block. Before and after, it ends the process, or comes too late to end anything.
    """
    answer = _Answer(meta, as_json="--json" in argv)
    try:
        try:
            _on_signals(_stop)
            exit_code = _performed(find, argv, answer, skipped)
        except output.UnreadError as error:
            exit_code = output.unread(error)
        _on_signals(_leave)
    except _StoppedError as stopped:  # then they are left alone already
        try:
            exit_code = answer.refuse(stopped.error)
        except output.UnreadError as error:
            exit_code = output.unread(error)
    return exit_code


def _performed(find: Callable[[], Command], argv: list[str], answer: _Answer, skipped: int) -> int:
    try:
        command = find()
        given = flags.parse(command.table, argv[skipped:], one_of=command.one_of)
        call = Call(given, command.world)
        if call.world:
            answer.meta["world"] = call.world.encode("utf-8", "backslashreplace").decode("utf-8")
        answer.give(*command.perform(call))
    except output.UnreadError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, the answer is one document
        if "--debug" in argv and not isinstance(error, ContractError):
            _show_frames(error)
        return answer.refuse(known(error))
    return EXIT_OK


class _Answer:
    """What a call is answered: one document, of which no second one begins."""

    def __init__(self, meta: Result, *, as_json: bool) -> None:
        self.meta = meta
        self._as_json = as_json
        self._is_begun = False

    def give(self, result: Result, lines: Iterable[str]) -> None:
        """Print the result of a success."""
        if self._as_json:
            self._print({"status": "success", "result": result, "meta": self.meta})
        else:
            output.print_lines(lines)

    def refuse(self, error: ContractError) -> int:
        """Print an error, or tell of it where a document has begun; return the exit status."""
        document: Result = {"status": "error", "error": dict(error.as_json()), "meta": self.meta}
        if self._as_json and not self._is_begun:
            output.end_line()
            self._print(document)
        else:
            output.tell(f"error  {self.meta['command']}\n{output.explained(document['error'])}\n")
            for note in getattr(error, "__notes__", ()):  # what the command adds for people
                output.tell(f"{output.shown(note)}\n")
        return output.exit_code(document)

    def _print(self, document: Result) -> None:
        data = output.line_of(document)
        self._is_begun = True
        output.print_bytes(data)


def usage(program: str, summary: str, commands: Sequence[Command], argv: Sequence[str]) -> str:
    """The help text of the command that is named, or of the program."""
    for command in commands:
        if argv[:1] == [command.name]:
            return flags.usage(f"{program} {command.name}", command.help, command.table)
    lines = [f"{program}: {summary}", ""]
    for command in commands:
        lines.append(f"  {' '.join([command.name, *words(command)])}")
        lines.append(f"      {command.help}")
    return "\n".join([*lines, "", f"  {program} COMMAND --help tells a command's flags"])


def words(command: Command) -> list[str]:
    """A command's plain words; one in brackets may be left out."""
    plain = [flag for flag in command.table if not flag.name.startswith("--")]
    return [flag.name if flag.required else f"[{flag.name}]" for flag in plain]


def _chosen(commands: Sequence[Command], argv: list[str]) -> Command:
    names = ", ".join(command.name for command in commands)
    if not argv or argv[0].startswith("-"):
        raise inputs_error("missing_flag", f"missing: the command, as the first word: {names}")
    for command in commands:
        if command.name == argv[0]:
            return command
    raise inputs_error("unknown_flag", f"{argv[0][:80]!a} is no command; there are {names}")


class _StoppedError(KeyboardInterrupt):
    """A signal ended the command; nothing takes it for what it could not read or judge.

    Attributes:
        error: What is answered.
    """

    def __init__(self, error: ContractError) -> None:
        self.error = error
        super().__init__(str(error))


def _stop(signum: int, _: object) -> None:
    """Turn a signal into the end of the command; what it does last is left alone."""
    _on_signals(_leave)
    reason = "interrupted" if signum == signal.SIGINT else "terminated"
    raise _StoppedError(
        adapter_error(reason, f"signal {signum} ended the command; what was committed stays")
    )


def _on_signals(handler: Callable[[int, object], None]) -> None:
    for each in _SIGNALS:
        signal.signal(each, handler)


def _leave(_: int, __: object) -> None:
    """Do nothing; of an ignored one that came with the first, the interpreter would complain."""


def _show_frames(error: Exception) -> None:
    import traceback  # rarely needed

    for frame in traceback.extract_tb(error.__traceback__)[-DEBUG_FRAMES_MAX:]:
        output.tell(f"{frame.filename}:{frame.lineno} in {frame.name}\n")


_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
