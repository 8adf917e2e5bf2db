"""``world``: what it prints, what it refuses, and that nothing else changes."""

from __future__ import annotations

import base64
import os
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from processors.protocol import digests
from tests.fixtures.programs import LEDGER, WORLD, Answer, ledger, world_command
from tests.harness import ZOO_COMMAND, finish, read_until, run, start, zoo, zoo_words

INPUTS_EXIT = 2
UTF_8 = "Gr\u00fc\u00dfe\n"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder of real files, two levels deep."""
    folder = tmp_path / "files"
    (folder / "sub" / "deep").mkdir(parents=True)
    (folder / "b.txt").write_text(UTF_8, encoding="utf-8")
    (folder / "a.bin").write_bytes(b"\xff\x00")
    (folder / "sub" / "deep" / "c.json").write_bytes(b"{}")
    return folder


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """The folder of a world that does not exist yet."""
    return tmp_path / "w"


@pytest.fixture
def filled(world: Path, files: Path) -> Path:
    """A world with three artifacts."""
    put(world, files, "/artifacts/in")
    return world


def put(world: Path, source: Path, path: str) -> Answer:
    return world_command("put", str(source), path, world=world)


def refused(answer: Answer, reason: str, *says: str) -> None:
    """Judge a refusal by the caller's mistake."""
    assert answer.error == ("ERR_INPUTS", reason, INPUTS_EXIT)
    for words in says:
        assert words in answer.message


def listed(world: Path, *words: str) -> list[str]:
    return [item["path"] for item in world_command("ls", *words, world=world).items]


def events(world: Path) -> int:
    return int(ledger("tail", "--count", "0", world=world).result["count"])


def test_put_brings_a_folder_in_sorted_and_typed_by_ending(world: Path, files: Path) -> None:
    answer = put(world, files, "/artifacts/in")

    assert answer.items == []
    assert answer.result["artifacts"] == [
        {
            "path": f"/artifacts/in/{name}",
            "cid": digests.of_bytes((files / name).read_bytes()),
            "size_bytes": (files / name).stat().st_size,
            "mime": mime,
        }
        for name, mime in (
            ("a.bin", "application/octet-stream"),
            ("b.txt", "text/plain"),
            ("sub/deep/c.json", "application/json"),
        )
    ]
    assert answer.document["meta"] == {"command": "world put", "world": str(world)}
    assert ledger("verify", world=world).result["behind_no_head"] == 0


def test_put_of_the_same_again_is_no_event(filled: Path, files: Path) -> None:
    before = events(filled)

    assert put(filled, files, "/artifacts/in/").result["artifacts"]
    assert events(filled) == before
    (files / "b.txt").write_text("other", encoding="utf-8")
    put(filled, files, "/artifacts/in")
    assert events(filled) == before + 1


def test_put_of_one_file_gives_it_the_path(world: Path, files: Path) -> None:
    put(world, files / "b.txt", "/artifacts/x/renamed.md")

    [item] = world_command("ls", world=world).items
    assert (item["path"], item["mime"]) == ("/artifacts/x/renamed.md", "text/markdown")


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/artifacts/attached/x", "path_bad_prefix"),
        ("/artifacts/attached", "path_bad_prefix"),
        ("/artifacts/execution/e-1/x", "path_bad_prefix"),
        ("/artifacts/%65xecution/e-1/x", "path_bad_prefix"),
        ("/artifacts", "path_bad_prefix"),
        ("/goals/g", "path_bad_prefix"),
        ("/nowhere/x", "path_unknown_facet"),
        ("artifacts/x", "path_not_absolute"),
        ("/artifacts/../x", "path_dot_segment"),
        ("/artifacts/x/", "path_empty_segment"),
        ("/artifacts/\udcff", "path_bad_character"),
    ],
)
def test_put_refuses_a_path_that_is_not_for_it(
    path: str, reason: str, world: Path, files: Path
) -> None:
    refused(put(world, files / "b.txt", path), reason)

    assert not world.exists()


def linked(folder: Path) -> None:
    (folder / "link").symlink_to("b.txt")


def piped(folder: Path) -> None:
    os.mkfifo(folder / "pipe")


def escaped(folder: Path) -> None:
    (folder / "a%20b").touch()


def twice(folder: Path) -> None:
    (folder / "e\u0301").touch()
    (folder / "\u00e9").touch()


def undecodable(folder: Path) -> None:
    (folder / "\udcff").touch()


@pytest.mark.parametrize(
    ("spoil", "reason", "says"),
    [
        (linked, "unreadable_file", "a link; files"),
        (piped, "unreadable_file", "neither"),
        (escaped, "path_bad_percent", "a%20b"),
        (twice, "unwritable_target", "have one world path"),
        (undecodable, "path_bad_character", ""),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_put_of_a_folder_is_all_or_nothing(
    spoil: Callable[[Path], None], reason: str, says: str, filled: Path, files: Path
) -> None:
    before = events(filled)
    spoil(files)

    refused(put(filled, files, "/artifacts/other"), reason, says)
    assert events(filled) == before
    assert listed(filled, "/artifacts/other") == []


@pytest.mark.parametrize("source", [".", "w", "w/store", "link"])
def test_put_does_not_bring_a_world_into_itself(source: str, filled: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    before = events(filled)

    found = put(filled, tmp_path / source, "/artifacts/all")

    refused(found, "unreadable_file", "the world itself")
    assert events(filled) == before


def test_put_of_nothing_is_refused(world: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    refused(put(world, tmp_path / "empty", "/artifacts/x"), "unreadable_file", "holds no file")
    refused(put(world, tmp_path / "absent", "/artifacts/x"), "unreadable_file", "absent")


def test_a_path_is_a_file_or_a_folder(filled: Path, files: Path) -> None:
    refused(put(filled, files / "b.txt", "/artifacts/in"), "unwritable_target", "is a folder")
    below = put(filled, files / "b.txt", "/artifacts/in/b.txt/x")
    refused(below, "unwritable_target", "is a file")


def test_put_and_rm_leave_an_executions_prefix_alone(tmp_path: Path, files: Path) -> None:
    zoo("good", "--execution-id", "e-1", world=tmp_path, prefix="/artifacts/zoo/")
    before = events(tmp_path)

    for path in ("/artifacts/zoo/outputs/seen.txt", "/artifacts/zoo/new", "/artifacts/zoo/a/b"):
        refused(put(tmp_path, files / "b.txt", path), "prefix_occupied", "/artifacts/zoo/")
    for path, reason in (
        ("/artifacts/zoo/receipt.json", "prefix_occupied"),
        ("/artifacts/execution/e-1/determinism.json", "path_bad_prefix"),
        ("/artifacts/execution/e-1/envelope.json", "path_bad_prefix"),
    ):
        refused(world_command("rm", path, world=tmp_path), reason)
    assert events(tmp_path) == before
    assert put(tmp_path, files / "b.txt", "/artifacts/zoo-2").result


def test_put_refuses_where_a_running_execution_writes(tmp_path: Path, files: Path) -> None:
    words = zoo_words("sleep", "--timeout-s", "20", prefix="/artifacts/zoo/")
    with start(*words, world=tmp_path, command=ZOO_COMMAND) as process:
        read = read_until(process, "processor.start")
        answers = [
            put(tmp_path, files / "b.txt", path) for path in ("/artifacts/zoo/x", "/artifacts/zoo")
        ]
        process.terminate()
        finish(process, world=tmp_path, read=read)

    for answer in answers:
        refused(answer, "prefix_occupied", "running execution")


def test_a_single_output_may_be_removed_and_its_bytes_collected(tmp_path: Path) -> None:
    zoo("good", world=tmp_path, prefix="/artifacts/zoo/")
    output = "/artifacts/zoo/outputs/seen.txt"

    assert world_command("rm", output, world=tmp_path).result == {"path": output}
    assert output not in listed(tmp_path)
    refused(world_command("cat", output, world=tmp_path), "unknown_artifact")
    refused(world_command("rm", output, world=tmp_path), "unknown_artifact", output)
    assert world_command("gc", world=tmp_path).result["count"] == 1
    assert world_command("gc", world=tmp_path).result == {"count": 0, "size_bytes": 0}
    entries = world_command("log", output, world=tmp_path).items
    assert [entry["change"] for entry in entries] == ["put", "removed"]
    assert ledger("verify", world=tmp_path).result


def test_what_is_collected_stays_so_even_if_a_killed_process_had_written_it_ahead(
    tmp_path: Path,
) -> None:
    zoo("good", world=tmp_path, prefix="/artifacts/zoo/")
    output = "/artifacts/zoo/outputs/seen.txt"
    [found] = world_command("ls", output, world=tmp_path).items
    cid = found["cid"]
    data = (tmp_path / "store" / cid[7:9] / cid[9:]).read_bytes()
    world_command("rm", output, world=tmp_path)
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite3")) as connection, connection:
        connection.execute("INSERT INTO ahead VALUES (?, ?, ?)", (1, cid, data))

    assert world_command("gc", world=tmp_path).result["count"] == 1
    assert world_command("gc", world=tmp_path).result == {"count": 0, "size_bytes": 0}


def stored(world: Path) -> list[Path]:
    return sorted(path for path in (world / "store").rglob("*") if path.is_file())


def test_nothing_is_added_to_or_collected_for_a_ledger_that_has_lost_its_end(
    filled: Path, files: Path
) -> None:
    ledger_file = filled / "ledger.sqlite3"
    older = ledger_file.read_bytes()
    world_command("rm", listed(filled)[0], world=filled)
    put(filled, files / "b.txt", "/artifacts/later/b.txt").result  # noqa: B018 - a success
    whole, contents = ledger_file.read_bytes(), stored(filled)
    ledger_file.write_bytes(older)
    count = events(filled)

    answers = [
        put(filled, files / "b.txt", "/artifacts/other.txt"),
        world_command("rm", listed(filled)[0], world=filled),
        world_command("gc", world=filled),
    ]

    for answer in answers:
        refused(answer, "world_corrupt", f"truncated: the ledger has {count} events, and had")
    assert events(filled) == count
    ledger_file.write_bytes(whole)
    assert ledger("verify", world=filled).result
    assert stored(filled) == contents


@pytest.mark.parametrize("target", ["nowhere", "head.json"])
def test_a_head_that_is_a_link_to_nowhere_is_kept_and_told(
    target: str, filled: Path, files: Path
) -> None:
    head = filled / "head.json"
    head.unlink()
    head.symlink_to(target)
    count = events(filled)

    for answer in (
        put(filled, files / "b.txt", "/artifacts/other.txt"),
        world_command("gc", world=filled),
        ledger("verify", world=filled),
        ledger("head", world=filled),
    ):
        refused(answer, "world_corrupt", "head.json is a link that leads nowhere", "move it away")
    assert (events(filled), head.is_symlink()) == (count, True)


def test_no_world_is_begun_where_the_head_of_one_lies(
    filled: Path, files: Path, tmp_path: Path
) -> None:
    ended = run("export", world=filled, command=LEDGER)
    (tmp_path / "kept").write_bytes(ended.stdout)
    (filled / "ledger.sqlite3").unlink()
    contents = stored(filled)

    answer = put(filled, files / "b.txt", "/artifacts/other.txt")

    refused(answer, "world_corrupt", "ledger.sqlite3 is gone, but its head is there")
    refused(world_command("gc", world=filled), "world_absent")
    ledger("import", str(tmp_path / "kept"), world=filled).result  # noqa: B018 - a success
    assert world_command("get", "/artifacts/", str(tmp_path / "got"), world=filled).result
    assert stored(filled) == contents


def test_nothing_is_collected_that_an_event_refers_to_and_a_table_does_not(filled: Path) -> None:
    contents = stored(filled)
    with closing(sqlite3.connect(filled / "ledger.sqlite3")) as connection, connection:
        connection.execute("DELETE FROM artifacts")

    answer = world_command("gc", world=filled)

    refused(answer, "world_corrupt", "artifacts")
    world_command("rebuild", world=filled).result  # noqa: B018 - it must be a success
    assert world_command("gc", world=filled).result["count"] == 0
    assert stored(filled) == contents


@pytest.mark.parametrize(
    ("statement", "words", "says"),
    [
        ("UPDATE artifacts SET size_bytes = -5", ("ls",), "artifacts holds what no event says"),
        ("UPDATE artifacts SET cid = 'junk'", ("ls",), "artifacts holds what no event says"),
        ("UPDATE executions SET status = 'odd'", ("why", "e-1"), "executions holds what no event"),
        ("UPDATE executions SET requested_seq = 1", ("why", "e-1"), "a table takes event 1 for"),
        ("UPDATE executions SET requested_seq = 99", ("why", "e-1"), "a table names event 99"),
        ("UPDATE executions SET settled_seq = 3", ("why", "e-1"), "the table executions says succ"),
        ("UPDATE executions SET status = 'reused'", ("why", "e-1"), "the table executions says re"),
        ("ALTER TABLE artifacts ADD COLUMN other TEXT", ("ls",), "artifacts has 6 columns"),
        ("DROP TABLE artifacts", ("ls",), "no such table: artifacts"),
        ("DELETE FROM executions", ("why", "e-1"), "the table executions lacks e-1"),
    ],
)
def test_a_table_that_was_written_to_is_told_with_what_mends_it(
    statement: str, words: tuple[str, ...], says: str, tmp_path: Path
) -> None:
    zoo("good", "--execution-id", "e-1", world=tmp_path)
    before = world_command("ls", world=tmp_path).items
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite3")) as connection, connection:
        connection.execute(statement)

    refused(world_command(*words, world=tmp_path), "world_corrupt", says, "world rebuild folds")
    refused(ledger("verify", world=tmp_path), "world_corrupt", "world rebuild folds")
    world_command("rebuild", world=tmp_path).result  # noqa: B018 - it must be a success
    assert world_command("ls", world=tmp_path).items == before
    assert ledger("verify", world=tmp_path).result


def test_what_was_written_ahead_as_no_content_id_is_told(filled: Path) -> None:
    with closing(sqlite3.connect(filled / "ledger.sqlite3")) as connection, connection:
        connection.execute("INSERT INTO ahead VALUES (2, 'junk', x'00')")

    says = "what was written ahead as 'junk' has another hash"
    refused(world_command("gc", world=filled), "world_corrupt", says)
    [lost] = [event for event in zoo("good", world=filled).events if "unrecorded" in event["event"]]
    assert (lost["code"], lost["reason"]) == ("ERR_INPUTS", "world_corrupt")


def test_ls_lists_by_segments(filled: Path, files: Path) -> None:
    put(filled, files / "b.txt", "/artifacts/in-2")

    everything = [f"/artifacts/in/{name}" for name in ("a.bin", "b.txt", "sub/deep/c.json")]
    assert listed(filled) == ["/artifacts/in-2", *everything]
    assert listed(filled, "/") == listed(filled)
    assert listed(filled, "/artifacts/in") == listed(filled, "/artifacts/in/") == everything
    assert listed(filled, "/artifacts/in/b.txt") == ["/artifacts/in/b.txt"]
    assert listed(filled, "/artifacts/i") == []
    answer = world_command("ls", "/artifacts/in", world=filled)
    assert answer.result == {"count": 3, "size_bytes": 2 + len(UTF_8.encode()) + 2}
    assert [item["seq"] for item in answer.items] == [2, 3, 4]
    refused(world_command("ls", "/artifacts/../", world=filled), "path_dot_segment")


def test_cat_prints_the_bytes_and_nothing_else(filled: Path, files: Path) -> None:
    for name in ("a.bin", "b.txt"):
        ended = run("cat", f"/artifacts/in/{name}", world=filled, command=WORLD)
        assert (ended.exit_code, ended.stderr) == (0, b"")
        assert ended.stdout == (files / name).read_bytes()


def test_cat_as_json_is_one_document(filled: Path) -> None:
    text = world_command("cat", "/artifacts/in/b.txt", world=filled)
    binary = world_command("cat", "/artifacts/in/a.bin", world=filled)

    assert (text.result["encoding"], text.result["content"]) == ("utf-8", UTF_8)
    assert binary.result["encoding"] == "base64"
    assert base64.b64decode(binary.result["content"]) == b"\xff\x00"


def test_cat_as_json_has_a_limit(world: Path, tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(bytes(1_048_577))
    put(world, tmp_path / "big", "/artifacts/big")

    refused(world_command("cat", "/artifacts/big", world=world), "too_large", "1048577")
    assert len(run("cat", "/artifacts/big", world=world, command=WORLD).stdout) == 1_048_577


def spoil(world: Path, content: bytes, new: bytes) -> None:
    """Write other bytes where a content lies."""
    cid = digests.of_bytes(content)
    file = world / "store" / cid[7:9] / cid[9:]
    file.chmod(0o644)
    file.write_bytes(new)


def test_what_does_not_verify_is_neither_printed_nor_copied(filled: Path, tmp_path: Path) -> None:
    spoil(filled, UTF_8.encode(), b"x" * len(UTF_8.encode()))

    ended = run("cat", "/artifacts/in/b.txt", world=filled, command=WORLD)
    assert (ended.exit_code, ended.stdout) == (INPUTS_EXIT, b"")
    assert b"world_corrupt" in ended.stderr
    for path, target in (("/artifacts/in/b.txt", "one"), ("/artifacts/in/", "all")):
        answer = world_command("get", path, str(tmp_path / target), world=filled)
        refused(answer, "world_corrupt")
        assert not (tmp_path / target).exists()


def test_get_copies_a_file_and_a_folder(filled: Path, files: Path, tmp_path: Path) -> None:
    one, whole = tmp_path / "one", tmp_path / "whole"

    world_command("get", "/artifacts/in/b.txt", str(one), world=filled)
    answer = world_command("get", "/artifacts/in/", str(whole), world=filled)

    assert one.read_text(encoding="utf-8") == UTF_8
    names = ("a.bin", "b.txt", "sub/deep/c.json")
    assert [item["file"] for item in answer.result["files"]] == [str(whole / n) for n in names]
    assert all((whole / name).read_bytes() == (files / name).read_bytes() for name in names)


def test_get_writes_nothing_beside_its_target_whatever_a_table_says(
    filled: Path, tmp_path: Path
) -> None:
    (tmp_path / "far" / "deep").mkdir(parents=True)
    with closing(sqlite3.connect(filled / "ledger.sqlite3")) as connection, connection:
        connection.execute(
            "UPDATE artifacts SET path = '/artifacts/in/../../beside' WHERE path LIKE '%/b.txt'"
        )

    found = world_command("get", "/artifacts/in/", str(tmp_path / "far/deep/got"), world=filled)

    refused(found, "world_corrupt", "'/artifacts/in/../../beside' is no world path")
    assert [path.name for path in (tmp_path / "far").rglob("*")] == ["deep"]


def test_get_overwrites_nothing(filled: Path, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("mine")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "folder").mkdir()

    for path in ("/artifacts/in/b.txt", "/artifacts/in/"):
        for name in ("there", "dangling", "folder", "none/at/all"):
            answer = world_command("get", path, str(tmp_path / name), world=filled)
            refused(answer, "unwritable_target", name)
    assert (tmp_path / "there").read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()
    assert list((tmp_path / "folder").iterdir()) == []
    unknown = world_command("get", "/artifacts/none/", str(tmp_path / "new"), world=filled)
    refused(unknown, "unknown_artifact")


def test_log_tells_every_event_and_those_of_a_path(tmp_path: Path) -> None:
    for _ in range(2):
        zoo("good", world=tmp_path, prefix="/artifacts/zoo/")
    output = "/artifacts/zoo/outputs/seen.txt"

    every = world_command("log", world=tmp_path).items
    own = world_command("log", output, world=tmp_path).items

    assert [entry["seq"] for entry in every] == list(range(1, events(tmp_path) + 1))
    assert every[0]["type"] == "world.created"
    assert [entry["type"] for entry in own] == ["execution.outputs"] * 2
    assert [entry["change"] for entry in own] == ["put"] * 2


def test_why_tells_what_made_an_artifact_and_from_what(tmp_path: Path, files: Path) -> None:
    put(tmp_path, files / "b.txt", "/artifacts/source.txt")
    zoo(
        *("good", "--execution-id", "e-1", "--use", "source=/artifacts/source.txt"),
        world=tmp_path,
    )

    answer = world_command("why", "/artifacts/zoo/outputs/seen.txt", world=tmp_path)

    artifact, execution = answer.result["artifact"], answer.result["execution"]
    assert artifact["put"]["type"] == "execution.outputs"
    assert artifact["put"]["execution_id"] == execution["execution_id"] == "e-1"
    wanted = {"ref": "hostile/zoo@1", "mode": "mock", "lane": "pr", "status": "success"}
    assert wanted.items() <= execution.items()
    assert execution["artifacts"]["source"]["put"]["type"] == "artifact.put"
    assert execution["artifacts"]["source"]["path"] == "/artifacts/source.txt"
    assert execution["admission"]["verdict"] == "admitted"
    assert execution["memo_key"] == digests.of_json(execution["memo"])
    assert execution["receipt"]["writer"] == "processor"
    assert execution["failure"] is None
    assert execution["envelope"]["path"] == "/artifacts/execution/e-1/envelope.json"
    assert execution == world_command("why", "e-1", world=tmp_path).result["execution"]
    outside = world_command("why", "/artifacts/source.txt", world=tmp_path).result
    assert (outside["execution"], outside["artifact"]["put"]["seq"]) == (None, 2)


def test_why_tells_of_a_refused_proposal_and_a_failure(tmp_path: Path) -> None:
    zoo("good", "--execution-id", "no", "--allow-real", world=tmp_path)
    zoo("raise", "--execution-id", "bad", world=tmp_path)

    no = world_command("why", "no", world=tmp_path).result["execution"]
    bad = world_command("why", "bad", world=tmp_path).result["execution"]

    assert no["status"] == no["admission"]["verdict"] == "refused"
    assert no["admission"]["error"] == {"code": "ERR_CI_SAFETY", "reason": "lane_allow_real"}
    assert bad["error"]["reason"] == "processor_error"
    assert (bad["outputs"], bad["receipt"]["writer"]) == (None, "processor")
    assert no["failure"] is None
    assert bad["failure"]["message"] == "the processor raised RuntimeError"
    assert bad["failure"]["stderr"].endswith("in _raise\nRuntimeError\n")
    said = run("why", "bad", world=tmp_path, command=WORLD).stdout.decode()
    assert "  message          the processor raised RuntimeError\n" in said
    assert "  stderr           RuntimeError\n" in said
    refused(world_command("why", "no", "bad", world=tmp_path), "unknown_artifact", "never started")


def test_why_names_an_execution_that_a_table_has_lost(tmp_path: Path) -> None:
    zoo("good", "--execution-id", "a", world=tmp_path)
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite3")) as connection, connection:
        connection.execute("DELETE FROM executions")

    for words in (("a",), ("/artifacts/zoo/outputs/seen.txt",), ("a", "a")):
        found = world_command("why", *words, world=tmp_path)
        refused(found, "world_corrupt", "the table executions lacks a.")


def test_log_refuses_a_path_where_nothing_ever_was(filled: Path) -> None:
    refused(world_command("log", "/artifacts/none", world=filled), "unknown_artifact", "ever")
    world_command("rm", "/artifacts/in/b.txt", world=filled)

    assert len(world_command("log", "/artifacts/in/b.txt", world=filled).items) == 2


def test_why_refuses_what_it_cannot_know(filled: Path) -> None:
    refused(world_command("why", "/artifacts/none", world=filled), "unknown_artifact", "log")
    refused(world_command("why", "e-9", world=filled), "unknown_artifact", "'e-9'")
    for words in ("\udcff", "E-9", "e_9", "x/y"):
        refused(world_command("why", words, world=filled), "path_not_absolute")
    refused(world_command("why", "/artifacts/\udcff", world=filled), "path_bad_character")
    both = world_command("why", "/artifacts/in/b.txt", "/artifacts/in/a.bin", world=filled)
    refused(both, "unknown_artifact", "from outside")


def test_why_names_a_member_of_the_inputs_while_the_bytes_are_there(tmp_path: Path) -> None:
    zoo("good", "--execution-id", "a", world=tmp_path, text="x", prefix="/artifacts/a/")
    zoo("good", "--execution-id", "b", world=tmp_path, text="y", prefix="/artifacts/b/")

    answer = world_command("why", "a", "b", world=tmp_path).result
    assert answer["inputs_compared"] == "by member"
    assert answer["differences"] == [{"part": "/inputs/text", "a": "x", "b": "y"}]
    by_path = ("/artifacts/a/outputs/seen.txt", "/artifacts/b/outputs/seen.txt")
    assert world_command("why", *by_path, world=tmp_path).result == answer

    cid = world_command("why", "a", world=tmp_path).result["execution"]["inputs"]["cid"]
    (tmp_path / "store" / cid[7:9] / cid[9:]).unlink()
    answer = world_command("why", "a", "b", world=tmp_path).result
    assert answer["inputs_compared"] == "by digest"
    [difference] = answer["differences"]
    assert (difference["part"], difference["a"]) == ("/inputs", cid)


def test_rebuild_counts_and_needs_a_whole_ledger(filled: Path) -> None:
    answer = world_command("rebuild", world=filled)

    assert answer.result == {"events": 4, "artifacts": 3, "executions": 0}


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ((), "missing_flag"),
        (("list",), "unknown_flag"),
        (("ls", "--unheard-of"), "unknown_flag"),
        (("ls", "/", "/"), "unknown_flag"),
        (("ls", "-x"), "unknown_flag"),
        (("ls", ""), "unknown_flag"),
        (("cat",), "missing_flag"),
        (("put", "x"), "missing_flag"),
        (("get",), "missing_flag"),
        (("ls", "--world", "--json"), "missing_value"),
        (("ls", "--json"), "repeated_flag"),
        (("ls",), "world_absent"),
        (("gc",), "world_absent"),
        (("rebuild",), "world_absent"),
        (("rm", "/artifacts/x"), "world_absent"),
        (("log",), "world_absent"),
        (("why", "e-1"), "world_absent"),
        (("cat", "/artifacts/x"), "world_absent"),
        (("get", "/artifacts/x", "y"), "world_absent"),
    ],
)
def test_a_call_that_is_wrong_is_one_document(
    words: tuple[str, ...], reason: str, tmp_path: Path
) -> None:
    ended = subprocess.run(
        [WORLD, *words, "--json"], cwd=tmp_path, capture_output=True, check=False, timeout=50
    )

    answer = Answer(ended.returncode, ended.stdout, ended.stderr)
    refused(answer, reason)
    assert answer.stderr == b""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [(), ("put",), ("nonsense",)])
def test_help_is_text_for_people_and_one_document_else(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    people = run(*words, "--help", world=tmp_path, command=WORLD)
    document = world_command(*words, "--help", world=tmp_path)

    assert (people.exit_code, people.stderr) == (0, b"")
    assert document.result["usage"] == people.stdout.decode().removesuffix("\n")
    assert "FILE|FOLDER" in document.result["usage"]


@pytest.mark.parametrize("words", [("ls",), ("cat", "/artifacts/in/b.txt"), ("log",), ("gc",)])
@pytest.mark.parametrize("form", [(), ("--json",)])
def test_an_answer_that_nobody_gets_is_no_success(
    words: tuple[str, ...], form: tuple[str, ...], filled: Path
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with start(*words, *form, world=filled, command=WORLD, stdout=writer) as process:
        os.close(writer)
        ended = finish(process, world=filled)

    assert (ended.exit_code, ended.stderr) == (1, b"")


def test_a_name_of_a_file_moves_no_cursor(world: Path, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    refused(put(world, tmp_path / "f", "/artifacts/\x1b[2J"), "path_bad_character")

    ended = run("put", str(tmp_path / "f\x1b[2J"), "/artifacts/f", world=world, command=WORLD)

    assert (ended.exit_code, ended.stdout) == (INPUTS_EXIT, b"")
    assert b"unreadable_file" in ended.stderr
    assert b"\x1b" not in ended.stderr
