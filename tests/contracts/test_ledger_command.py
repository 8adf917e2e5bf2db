"""``ledger``: what it finds, what it prints, and that what went out comes in again."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import shutil
import signal
import sqlite3
import struct
import subprocess
import termios
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from orchestrator import lanes
from orchestrator.loop import policy
from orchestrator.world.ledger import Ledger
from processors.protocol import digests
from tests.fixtures import loops
from tests.fixtures.lives import AT, story
from tests.fixtures.programs import LEDGER, Answer, ledger, world_command
from tests.harness import finish, run, start, zoo

COUNT = 40
INPUTS_EXIT = 2


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """A world of some events, and no head."""
    return grown(tmp_path / "w", COUNT)


def grown(folder: Path, count: int) -> Path:
    """A world with so many events."""
    with Ledger(str(folder), make=True, clock=lambda: AT) as opened:
        done = opened.head().count
        with opened.writing() as transaction:
            for fact in story(count - 1)[done - 1 :]:
                transaction.append(*fact)
    return folder


class Keys:
    """A pair of keys in two files."""

    def __init__(self, folder: Path) -> None:
        key = Ed25519PrivateKey.generate()
        folder.mkdir()
        self.private = folder / "key.pem"
        self.public = folder / "key.pub.pem"
        self.id = digests.of_bytes(key.public_key().public_bytes_raw())
        self.private.write_bytes(
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
        self.public.write_bytes(
            key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        )


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    """A pair of keys."""
    return Keys(tmp_path / "keys")


def refused(answer: Answer, reason: str, *says: str) -> None:
    """Judge a refusal by the caller's mistake."""
    assert answer.error == ("ERR_INPUTS", reason, INPUTS_EXIT)
    for words in says:
        assert words in answer.message


def test_verify_says_what_is_valid_and_what_is_behind_no_head(world: Path) -> None:
    result = ledger("verify", world=world).result

    assert (result["count"], result["heads"], result["behind_no_head"]) == (COUNT, [], COUNT)
    ledger("head", world=world)
    grown(world, COUNT + 5)
    result = ledger("verify", world=world).result
    assert (result["count"], result["behind_no_head"]) == (COUNT + 5, 5)
    [head] = result["heads"]
    assert head == {"file": "head.json", "count": COUNT, "at": head["at"], "key": None} | {
        "signature": "none"
    }


def test_a_signed_head_is_told_with_its_key_and_judged_with_the_public_one(
    world: Path, keys: Keys, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.json"
    words = ("--sign-key", str(keys.private), "--out", str(copy))
    head = ledger("head", *words, world=world).result["head"]

    assert head["key"] == keys.id
    assert json.loads(copy.read_bytes()) == head
    [told] = ledger("verify", world=world).result["heads"]
    assert (told["key"], told["signature"]) == (keys.id, "not judged")
    words = ("--public-key", str(keys.public), "--head", str(copy))
    result = ledger("verify", *words, world=world).result
    assert [(each["file"], each["signature"]) for each in result["heads"]] == [
        ("head.json", "good"),
        (str(copy), "good"),
    ]


def test_with_a_public_key_only_its_heads_hold(world: Path, keys: Keys, tmp_path: Path) -> None:
    judge = ("verify", "--public-key", str(keys.public))
    refused(ledger(*judge, world=world), "world_corrupt", "no head", keys.id)

    ledger("head", world=world)
    refused(ledger(*judge, world=world), "world_corrupt", "head.json: the head is unsigned")

    other = Keys(tmp_path / "other")
    ledger("head", "--sign-key", str(other.private), world=world)
    refused(ledger(*judge, world=world), "world_corrupt", "signed by another key")


def rewrite(world: Path, *statements: str) -> None:
    """Write to the file by hand, triggers out of the way."""
    connection = sqlite3.connect(world / "ledger.sqlite3", isolation_level=None)
    triggers = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'")
    kept = dict(triggers.fetchall())
    for statement in (*(f"DROP TRIGGER {name}" for name in kept), *statements, *kept.values()):
        connection.execute(statement)
    connection.close()


@pytest.mark.proves("WL-3")
@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("UPDATE events SET hash = 'sha256:' || hash WHERE seq = 7", "event 7: its stored hash"),
        (
            "UPDATE events SET body = CAST(CAST(body AS TEXT) || ' ' AS BLOB) WHERE seq = 9",
            "event 9: its body is not canonical",
        ),
        ("DELETE FROM events WHERE seq = 11", "event 11: the event found here is numbered 12"),
        ("DELETE FROM artifacts", "the table artifacts is not the fold"),
    ],
)
def test_verify_names_the_first_broken_event_and_why(
    statement: str, says: str, world: Path
) -> None:
    rewrite(world, statement)

    answer = ledger("verify", world=world)
    refused(answer, "world_corrupt", says)
    for said in (says, repr(str(world)), "Nothing was changed"):
        assert answer.message.count(said) == 1
    people = run("verify", world=world, command=LEDGER)
    assert (people.exit_code, people.stdout) == (INPUTS_EXIT, b"")
    assert says.encode() in people.stderr


@pytest.mark.proves("WL-3")
def test_verify_finds_a_cut_tail_against_both_kinds_of_head(world: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.json"
    ledger("head", "--out", str(copy), world=world)
    other = grown(tmp_path / "other", COUNT)
    refused(
        ledger("verify", "--head", str(copy), world=other),
        "world_corrupt",
        *("copy.json", "another world"),
    )
    rewrite(world, f"DELETE FROM events WHERE seq > {COUNT - 3}")  # noqa: S608
    world_command("rebuild", world=world)

    refused(ledger("verify", world=world), "world_corrupt", "head.json: truncated")
    (world / "head.json").unlink()
    assert ledger("verify", world=world).result["count"] == COUNT - 3
    cut = ledger("verify", "--head", str(copy), world=world)
    refused(cut, "world_corrupt", f"had {COUNT}")


def test_a_head_is_written_to_no_file_that_is_there(world: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text("evidence")

    for target in (kept, tmp_path / "none" / "x"):
        answer = ledger("head", "--out", str(target), world=world)
        refused(answer, "unwritable_target", target.name)
    assert kept.read_text() == "evidence"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("verify", "--head", "/no/such"), "unreadable_file"),
        (("verify", "--head", "/dev/null"), "bad_json"),
        (("verify", "--public-key", "/dev/null"), "bad_value"),
        (("head", "--sign-key", "/dev/null"), "bad_value"),
        (("tail", "--count", "-1"), "bad_value"),
        (("tail", "--count", "\u0663"), "bad_value"),
        (("tail", "--count", "1" * 10), "bad_value"),
        (("import",), "missing_flag"),
        (("import", "/no/such"), "unreadable_file"),
        (("import", "/"), "unreadable_file"),
        (("follow",), "unknown_flag"),
        (("verify", "word"), "unknown_flag"),
    ],
)
def test_a_call_that_is_wrong_is_one_document(
    words: tuple[str, ...], reason: str, tmp_path: Path
) -> None:
    world = grown(tmp_path / "w", 1) if words[0] != "import" else tmp_path / "w"

    refused(ledger(*words, world=world), reason)


@pytest.mark.parametrize("name", ["verify", "head", "export", "tail", "stats"])
def test_a_world_that_is_not_there_is_not_made(name: str, tmp_path: Path) -> None:
    refused(ledger(name, world=tmp_path / "w"), "world_absent")

    assert not (tmp_path / "w").exists()


def exported(world: Path, file: Path, *words: str) -> list[bytes]:
    """Export a ledger to a file; return its lines."""
    ended = run("export", *words, world=world, command=LEDGER)
    assert (ended.exit_code, ended.stderr) == (0, b"")
    file.write_bytes(ended.stdout)
    return ended.stdout.splitlines(keepends=True)


def rows(world: Path, table: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(world / "ledger.sqlite3")
    try:
        return connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()  # noqa: S608
    finally:
        connection.close()


@pytest.mark.proves("WL-1")
@pytest.mark.parametrize("words", [(), ("--json",)])
def test_what_was_exported_comes_in_again_bit_for_bit(
    words: tuple[str, ...], world: Path, tmp_path: Path
) -> None:
    ledger("head", "--out", str(tmp_path / "head.json"), world=world)
    lines = exported(world, tmp_path / "export", *words)
    assert len(lines) == COUNT + 1

    result = ledger("import", str(tmp_path / "export"), world=tmp_path / "new").result

    assert result["count"] == COUNT
    for table in ("events", "artifacts", "executions"):
        assert rows(tmp_path / "new", table) == rows(world, table)
    verified = ledger("verify", "--head", str(tmp_path / "head.json"), world=tmp_path / "new")
    assert verified.result["behind_no_head"] == 0
    again = exported(tmp_path / "new", tmp_path / "again", *words)
    assert again[:-1] == lines[:-1]


type Change = Callable[[list[bytes]], list[bytes]]


@pytest.mark.proves("WL-3")
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda lines: lines[:-1], "does not say that it ends"),
        (lambda lines: lines[:20] + lines[-1:], "another chain"),
        (lambda lines: lines[:20] + lines[21:], "event 21"),
        (lambda lines: [*lines[:5], lines[6], lines[5], *lines[7:]], "event 6"),
        (lambda lines: [*lines[:5], lines[4], *lines[5:]], "event 6"),
        (lambda lines: [*lines, lines[-1]], "more after its last line"),
        (lambda lines: lines[-1:], "neither an event nor"),
        (lambda _: [], "ends after 0 event(s)"),
        (lambda lines: [lines[0].replace(b'"v":1', b'"v":2'), *lines[1:]], "event 1"),
        (lambda lines: [lines[0].replace(b'{"body":', b'{"body": '), *lines[1:]], "event 1"),
        (lambda lines: [lines[0].replace(b'"}\n', b'"} \n'), *lines[1:]], "line 1"),
        (lambda lines: [*lines[:3], lines[3][:-1], *lines[4:]], "event 4"),
        (lambda lines: [b"{}\n", *lines], "line 1"),
        (lambda lines: [b"\xff\n", *lines], "line 1"),
    ],
)
def test_an_export_that_was_changed_makes_no_world(
    change: Change, says: str, world: Path, tmp_path: Path
) -> None:
    lines = exported(world, tmp_path / "export")
    (tmp_path / "export").write_bytes(b"".join(change(lines)))

    answer = ledger("import", str(tmp_path / "export"), world=tmp_path / "new")

    refused(answer, "world_corrupt", says)
    assert list((tmp_path / "new").iterdir()) == []
    refused(ledger("stats", world=tmp_path / "new"), "world_absent")


def test_an_import_changes_no_world_that_is_there(world: Path, tmp_path: Path) -> None:
    exported(world, tmp_path / "export")
    before = rows(world, "events")

    answer = ledger("import", str(tmp_path / "export"), world=world)

    refused(answer, "unwritable_target", "already")
    assert rows(world, "events") == before


def test_the_export_of_a_broken_ledger_does_not_say_that_it_ends(world: Path) -> None:
    rewrite(world, "UPDATE events SET hash = 'x' WHERE seq = 7")

    answer = ledger("export", world=world)

    refused(answer, "world_corrupt", "event 7")
    assert len(answer.items) == 6
    people = run("export", world=world, command=LEDGER)
    assert len(people.stdout.splitlines()) == 6
    assert (people.exit_code, b"event 7" in people.stderr) == (INPUTS_EXIT, True)


def test_tail_shows_the_last_events_as_they_are_stored(world: Path) -> None:
    stored = rows(world, "events")

    for count in (0, 1, 7, 1_000):
        answer = ledger("tail", "--count", str(count), world=world)
        assert [item["hash"] for item in answer.items] == [
            hash_ for _, _, hash_ in stored[max(0, COUNT - count) :]
        ]
    assert len(ledger("tail", world=world).items) == 10
    people = run("tail", world=world, command=LEDGER).stdout.decode().splitlines()
    assert len(people) == 10
    assert people[-1].split()[0] == str(COUNT)


def test_stats_count_what_is_there(tmp_path: Path) -> None:
    zoo("good", world=tmp_path)
    zoo("raise", world=tmp_path, prefix="/artifacts/other/")

    result = ledger("stats", world=tmp_path).result

    assert result["events"]["count"] == sum(result["events"]["by_type"].values())
    assert result["events"]["by_type"]["execution.settled"] == 2
    assert result["executions"] == {"count": 2, "by_status": {"error": 1, "success": 1}}
    listing = world_command("ls", world=tmp_path)
    assert result["artifacts"] == listing.result
    sizes = {item["cid"]: item["size_bytes"] for item in listing.items}
    referred = {"count": len(sizes), "size_bytes": sum(sizes.values())}
    assert result["contents_referred"] == result["contents_stored"] == referred
    assert result["ledger_bytes"] > 0
    assert b"execution.settled" in run("stats", world=tmp_path, command=LEDGER).stdout


@pytest.mark.proves("F-9")
def test_every_recorded_verdict_can_be_reached_again(tmp_path: Path) -> None:
    zoo("good", world=tmp_path)
    zoo("good", "--memo", world=tmp_path, prefix="/artifacts/b/")
    for words in (("--allow-real",), ("--allow-env", "ZOO_SECRET")):
        zoo("good", *words, world=tmp_path)
    for lane, adapter, mode in (("pr", "modal", "mock"), ("pr", "local", "real")):
        own = ("--adapter", adapter, "--mode", mode, "--lane", lane)
        zoo("good", world=tmp_path, lane=own)
    policy = digests.of_json(lanes.document())

    seen = []
    for item in ledger("export", world=tmp_path).items:
        body = item["body"]
        if body["type"] in ("execution.admitted", "execution.refused"):
            data = body["data"]
            verdict = lanes.answer(data["question"])
            again = verdict and {"code": verdict.code, "reason": verdict.reason}
            assert again == data.get("error")
            assert data["policy"] == policy
            seen.append(data.get("error", {}).get("reason"))

    assert seen == [
        *(None, None, "lane_allow_real", "lane_secrets"),
        *("lane_adapter", "lane_mode"),
    ]


@pytest.mark.proves("F-9")
def test_readmit_decides_again_and_counts(tmp_path: Path) -> None:
    zoo("good", world=tmp_path)
    zoo("good", "--allow-real", world=tmp_path)
    with Ledger(str(tmp_path), make=False) as opened:
        loops.limit(opened, 3)
        head = loops.plan(opened)
        for prefix in ("/artifacts/one/", "/artifacts/two/"):
            loops.propose(opened, loops.proposal(loops.Step(prefix), head))

    result = ledger("readmit", world=tmp_path).result

    # The processor's run and a refusal by lane; a step admitted, and one refused by its budget.
    said = {
        "decided": 5,
        "admitted": 3,
        "refused": 2,
        "by_another_policy": 1,
        "certificates": 0,
        "certificates_gone": 0,
    }
    assert result == {**said, "policy": policy.current().version}
    people = run("readmit", world=tmp_path, command=LEDGER)
    assert people.stdout.startswith(b"agreed  5 decision(s): 3 admitted, 2 refused")


@pytest.mark.proves("F-9")
def test_readmit_names_the_first_that_is_decided_otherwise(world: Path) -> None:
    kinds = ["world.created", *(kind for kind, _ in story(COUNT - 1))]
    first = kinds.index("transition.refused") + 1  # its one recorded check is not all of them

    answer = ledger("readmit", world=world)

    assert answer.error == ("ERR_CI_SAFETY", "verdict_differs", 1)
    assert answer.message.startswith(f"event {first}: its checks are not those of admission")


@pytest.mark.parametrize("name", ["", "verify", "import"])
def test_help_is_text_for_people_and_one_document_else(name: str, tmp_path: Path) -> None:
    words = [name] if name else []
    people = run(*words, "--help", world=tmp_path, command=LEDGER)

    usage = ledger(*words, "--help", world=tmp_path).result["usage"]

    assert (people.exit_code, people.stderr) == (0, b"")
    assert usage == people.stdout.decode().removesuffix("\n")
    assert {"": "export", "verify": "--public-key", "import": "FILE"}[name] in usage


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("1>&-", b"error  stdout: Bad file descriptor; the answer is not whole"),
        ("1>/dev/full", b"error  stdout: No space left on device; the answer is not whole"),
        ("0<&- 1>&- 2>&-", b""),
    ],
)
@pytest.mark.parametrize("name", ["verify", "export", "tail", "stats", "nothing"])
def test_an_answer_that_nobody_gets_is_no_success(
    how: str, says: bytes, name: str, world: Path
) -> None:
    for form in ((), ("--json",))[name == "nothing" :]:  # without it, people read a refusal
        ended = subprocess.run(
            ["/bin/sh", "-c", f'exec "$0" "$@" {how}', LEDGER, name, "--world", world, *form],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=50,
            check=False,
        )
        assert (ended.returncode, ended.stdout) == (1, b"")
        assert ended.stderr.startswith(says)
        assert ended.stderr.count(b"\n") == (2 if says else 0)


def test_a_signal_in_the_middle_of_a_line_leaves_a_last_line_that_is_whole(
    world: Path, tmp_path: Path
) -> None:
    """A pipe takes up to 4,096 bytes at once whole, and of what is longer a part."""
    path = f"/artifacts/{'/'.join(['😀' * 60] * 16)}"
    (tmp_path / "file").write_bytes(b"x")
    world_command("put", str(tmp_path / "file"), path, world=world)
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4_096)
    with start(
        "tail", "--count", "1", "--json", world=world, command=LEDGER, stdout=writer
    ) as process:
        os.close(writer)
        with open(reader, "rb", buffering=0) as stdout:
            while struct.unpack("i", fcntl.ioctl(stdout, termios.FIONREAD, bytes(4)))[0] < 4_096:
                time.sleep(0.01)
            process.send_signal(signal.SIGTERM)
            time.sleep(0.2)
            lines = stdout.readall().splitlines()

    assert json.loads(lines[-1])["error"]["reason"] == "terminated"
    assert len(lines[0]) >= 4_096
    assert process.returncode == 143


def test_whoever_has_gone_from_stdout_asks_for_no_reason(world: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with start("tail", world=world, command=LEDGER, stdout=writer) as process:
        os.close(writer)
        _, stderr = process.communicate(timeout=50)

    assert (process.returncode, stderr) == (1, b"")


def test_a_stderr_that_is_closed_changes_nothing(world: Path) -> None:
    ended = subprocess.run(
        ["/bin/sh", "-c", 'exec "$0" "$@" 2>&-', LEDGER, "verify", "--world", world, "--json"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=50,
        check=False,
    )

    assert Answer(ended.returncode, ended.stdout, ended.stderr).result["count"] == COUNT


def test_progress_shows_on_a_terminal_and_stdout_stays_one_document(world: Path) -> None:
    master, slave = pty.openpty()
    with start("verify", "--json", world=world, command=LEDGER, stderr=slave) as process:
        os.close(slave)
        stdout, _ = process.communicate(timeout=50)
    shown = b""
    try:  # what was written may come in pieces
        while chunk := os.read(master, 65_536):
            shown += chunk
    except OSError:
        pass  # nobody has the other end any more
    os.close(master)

    assert Answer(process.returncode, stdout, b"").result["count"] == COUNT
    assert b"verified [" in shown
    assert f"of {COUNT}".encode() in shown
    assert shown.endswith(b"\r\x1b[K")


@pytest.mark.parametrize(
    ("signum", "reason", "exit_code"),
    [(signal.SIGINT, "interrupted", 130), (signal.SIGTERM, "terminated", 143)],
)
def test_a_signal_ends_with_one_document_and_no_half_world(
    signum: int, reason: str, exit_code: int, world: Path, tmp_path: Path
) -> None:
    lines = exported(world, tmp_path / "export")
    os.mkfifo(tmp_path / "pipe")
    new = tmp_path / "new"
    words = ("import", str(tmp_path / "pipe"), "--json")
    with (
        start(*words, world=new, command=LEDGER) as process,
        (tmp_path / "pipe").open("wb", buffering=0) as pipe,
    ):
        pipe.write(b"".join(lines[:5]))
        while not (new / "ledger.sqlite3.new").exists():
            time.sleep(0.01)
        process.send_signal(signum)
        ended = finish(process, world=new)

    answer = Answer(ended.exit_code, ended.stdout, ended.stderr)
    assert answer.error == ("ERR_ADAPTER_INVOCATION", reason, exit_code)
    assert list(new.iterdir()) == []
    shutil.rmtree(new)
    (tmp_path / "export").write_bytes(b"".join(lines))
    assert ledger("import", str(tmp_path / "export"), world=new).result["count"] == COUNT


def test_of_signals_that_come_together_the_first_counts(world: Path, tmp_path: Path) -> None:
    lines = exported(world, tmp_path / "export")
    os.mkfifo(tmp_path / "pipe")
    new = tmp_path / "new"
    words = ("import", str(tmp_path / "pipe"), "--json")
    with (
        start(*words, world=new, command=LEDGER) as process,
        (tmp_path / "pipe").open("wb", buffering=0) as pipe,
    ):
        pipe.write(b"".join(lines[:5]))
        while not (new / "ledger.sqlite3.new").exists():
            time.sleep(0.01)
        # Of a process that is stopped they wait, and come at once when it goes on.
        for signum in (signal.SIGSTOP, signal.SIGTERM, signal.SIGINT, signal.SIGCONT):
            process.send_signal(signum)
        ended = finish(process, world=new)

    answer = Answer(ended.exit_code, ended.stdout, ended.stderr)
    assert answer.error == ("ERR_ADAPTER_INVOCATION", "interrupted", 130)  # by their numbers
    assert ended.stderr == b""
