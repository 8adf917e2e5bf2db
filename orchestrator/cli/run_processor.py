"""``run_processor``: execute one processor and print one envelope."""

from __future__ import annotations

import os
import select
import signal

from orchestrator.cli import flags, output
from orchestrator.cli.flags import Flag, Given
from orchestrator.execution import answer
from orchestrator.execution import request as asked
from orchestrator.execution.request import Request
from orchestrator.execution.run import Setting, run
from orchestrator.execution.trail import Trail
from orchestrator.world import heads
from processors.protocol import shapes
from processors.protocol.canonical import DOCUMENT_BYTES_MAX, Json
from processors.protocol.envelope import META_KEYS
from processors.protocol.errors import EXIT_ERROR, ContractError, adapter_error, inputs_error
from processors.protocol.spawn import Stop

SUMMARY = "run one processor through an adapter and settle what it made"

FLAGS = (
    Flag("--ref", "NS/NAME@N", "the processor and its version", required=True),
    Flag("--adapter", "local|modal", "where it runs", required=True),
    Flag("--mode", "mock|real", "whether it may reach what is real", required=True),
    Flag("--lane", "pr|dev|staging|main", "the policy that applies", required=True),
    Flag(
        "--write-prefix",
        "/artifacts/.../",
        "where outputs go; {execution_id} is expanded once",
        required=True,
    ),
    Flag("--inputs-json", "JSON", "the inputs, or --inputs-file, or --inputs"),
    Flag("--inputs-file", "FILE", "a file with the inputs"),
    Flag("--inputs", "-", "read the inputs from stdin"),
    Flag(
        "--attach",
        "NAME=FILE",
        "store a file in the world and give it to the processor",
        repeats=True,
    ),
    Flag("--use", "NAME=/PATH", "give an artifact of the world to the processor", repeats=True),
    Flag("--world", "DIR", "the world's folder; .world by default"),
    Flag("--timeout-s", "N", "a lower wall-clock limit than the registry's, in seconds"),
    Flag("--image-override", "REPO@sha256:HEX", "an image instead of the pinned one (lane dev)"),
    Flag(
        "--allow-env", "NAME", "opt a declared secret in, by its variable (lane dev)", repeats=True
    ),
    Flag("--allow-real", "", "confirm mode real (lanes staging and main)"),
    Flag("--branch", "B", "the branch part of an app's name (lane dev, adapter modal)"),
    Flag("--user", "U", "the user part of an app's name (lane dev, adapter modal)"),
    Flag("--registry-root", "DIR", "read registry.yaml files from a folder (lanes pr and dev)"),
    Flag("--memo", "", "take what an execution of the same memo key made, if its bytes are there"),
    Flag("--sign-key", "FILE", "sign the world's head with this Ed25519 key (PEM)"),
    Flag("--execution-id", "ID", "an id instead of a new one"),
    Flag("--json", "", "print exactly one JSON envelope on stdout"),
    Flag("--debug", "", "show on stderr where an unknown error came from"),
    Flag("--help", "", "print this text"),
)
INPUTS = ("--inputs-json", "--inputs-file", "--inputs")


def main(argv: list[str], root: str) -> int:
    """Run the command; return its exit status.

    Args:
        argv: The words after the command's name.
        root: The repository's root as the build laid it out, with ``processors/`` in it.
    """
    output.keep_standard_streams()
    stop = Stop()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # a child whose end is ignored has no status
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, stop.request)
    as_json = "--json" in argv
    if "--help" in argv:
        return output.print_help(flags.usage("run_processor", SUMMARY, FLAGS), as_json=as_json)
    execution_id = asked.new_execution_id()
    given: Given | ContractError
    try:
        given = flags.parse(FLAGS, argv, one_of=INPUTS)
        execution_id = asked.check_execution_id(given.get("--execution-id") or execution_id)
    except ContractError as error:
        given = error
    trail = Trail(execution_id, 2)
    trail.emit("execution.start")
    try:
        if isinstance(given, ContractError):
            raise given
        envelope = _run(given, execution_id, root, stop, trail)
    except Exception as error:  # noqa: BLE001 - whatever it is, the answer is one envelope
        if "--debug" in argv and not isinstance(error, ContractError):
            answer.show_frames(error, trail)
        meta = {**dict.fromkeys(META_KEYS), "duration_ms": trail.elapsed_ms}
        envelope = answer.refusal(execution_id, answer.known(error), meta)
    exit_code = output.exit_code(envelope)
    try:
        output.print_envelope(envelope, as_json=as_json)
    except output.UnreadError as unread:
        exit_code = EXIT_ERROR
        if unread.why:
            trail.emit("execution.unanswered", {"why": unread.why})
    trail.emit("execution.settle", _settled(envelope, exit_code))
    return exit_code


def _settled(envelope: dict[str, Json], exit_code: int) -> dict[str, Json]:
    """What ``execution.settle`` says."""
    failed = envelope["status"] != "success"
    cause: dict[str, Json] = {
        key: shapes.text(envelope["error"], key) if failed else None for key in ("code", "reason")
    }
    return {"status": envelope["status"], "exit_code": exit_code, **cause}


def _run(given: Given, execution_id: str, root: str, stop: Stop, trail: Trail) -> dict[str, Json]:
    request = _request(given, execution_id, stop)
    key_file = given.get("--sign-key")
    setting = Setting(
        world=given.get("--world") or ".world",
        processors_folder=os.path.join(root, "processors"),
        environ=os.environ,
        stop=stop,
        debug=given.has("--debug"),
        signing_key=None if key_file is None else heads.read_signing_key(key_file),
    )
    try:
        return run(request, setting, trail)
    finally:
        setting.close()


def _request(given: Given, execution_id: str, stop: Stop) -> Request:
    timeout = given.get("--timeout-s")
    return Request(
        ref=asked.check_ref(given.require("--ref")),
        adapter=asked.check_adapter(given.require("--adapter")),
        mode=asked.check_mode(given.require("--mode")),
        lane=asked.check_lane(given.require("--lane")),
        write_prefix=asked.check_write_prefix(given.require("--write-prefix"), execution_id),
        inputs=_inputs(given, stop),
        execution_id=execution_id,
        attach=asked.check_named("--attach", given.all("--attach")),
        use=asked.check_named("--use", given.all("--use")),
        timeout_s=None if timeout is None else asked.check_timeout(timeout),
        image_override=given.get("--image-override"),
        allow_env=given.all("--allow-env"),
        allow_real=given.has("--allow-real"),
        registry_root=given.get("--registry-root"),
        memo=given.has("--memo"),
        branch=given.get("--branch"),
        user=given.get("--user"),
    )


def _inputs(given: Given, stop: Stop) -> dict[str, Json]:
    text = given.get("--inputs-json")
    if text is not None:
        return asked.check_inputs(os.fsencode(text), "--inputs-json")
    file = given.get("--inputs-file")
    if file is None:
        asked.check_choice("--inputs", given.require("--inputs"), ("-",))
        return asked.check_inputs(_read(0, "stdin", stop), "--inputs")
    try:
        # Without O_NONBLOCK, opening a named pipe that nobody writes to could not be interrupted.
        fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise inputs_error("unreadable_file", f"{file!a}: {error.strerror}") from None
    try:
        return asked.check_inputs(_read(fd, ascii(file), stop), "--inputs-file")
    finally:
        os.close(fd)


def _read(fd: int, what: str, stop: Stop) -> bytes:
    """Read a stream to its end or just past the limit; a signal ends the wait."""
    poll = select.poll()
    poll.register(stop.wakeup_fd, select.POLLIN)
    poll.register(fd, select.POLLIN)
    data = bytearray()
    while len(data) <= DOCUMENT_BYTES_MAX:
        poll.poll()
        if stop.signum is not None:
            reason = "interrupted" if stop.signum == signal.SIGINT else "terminated"
            raise adapter_error(reason, f"signal {stop.signum} came before the inputs were read")
        try:
            chunk = os.read(fd, 65_536)
        except OSError as error:
            raise inputs_error("unreadable_file", f"{what}: {error.strerror}") from None
        if not chunk:
            break
        data += chunk
    return bytes(data)
