"""The source keeps its rules, and each rule sees what is planted against it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.unit import source_rules
from tests.unit.source_rules import RULES, product, registry_files, root

LOCAL = "orchestrator/execution/adapters/local.py"
RUN = "orchestrator/execution/run.py"
CHAT = "processors/llm/chat/v1/main.py"
PROVIDER = "processors/llm/chat/v1/provider.py"


def plant(base: Path, path: str, text: str) -> None:
    """Append to a file, or make it; there are its neighbours besides, and every processor."""
    needed = [*(root() / path).parent.glob("*"), *(root() / "processors").glob("*/*/v*/*")]
    for file in needed:
        if file.is_file():
            place = base / file.relative_to(root())
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, place)
    spoiled = base / path
    spoiled.parent.mkdir(parents=True, exist_ok=True)
    old = spoiled.read_text() if spoiled.exists() else ""
    spoiled.write_text(f"{old}\n{text}\n")


def test_the_rules_see_the_whole_product() -> None:
    seen = {module.path for module in product(root())}

    assert seen >= {LOCAL, RUN, CHAT, PROVIDER, "orchestrator/cli/run_processor.py"}
    assert seen >= {"processors/doc/extract/v1/main.py", "processors/protocol/spawn.py"}
    assert len(registry_files(root())) >= 2
    assert all(len(file.relative_to(root()).parts) == 5 for file in registry_files(root()))


@pytest.mark.proves("HR-1")
def test_no_word_but_mock_and_real_is_used_as_a_mode() -> None:
    assert source_rules.foreign_modes(root()) == []


@pytest.mark.proves("HR-2", "PA-6")
def test_there_is_one_way_to_run_a_processor() -> None:
    assert source_rules.second_paths(root()) == []


@pytest.mark.proves("HR-3")
def test_processors_are_thin() -> None:
    assert source_rules.thick_processors(root()) == []


@pytest.mark.proves("RC-4")
def test_an_adapter_changes_no_file() -> None:
    assert source_rules.writing_adapters(root()) == []


def test_imports_follow_the_layers_and_the_protocol_needs_the_standard_library_alone() -> None:
    assert source_rules.crossed_layers(root()) == []


@pytest.mark.proves("SE-2")
def test_code_names_no_secret() -> None:
    assert source_rules.secret_names(root()) == []


@pytest.mark.proves("PA-6")
def test_one_module_writes_to_stdout() -> None:
    assert source_rules.stdout_writers(root()) == []


@pytest.mark.proves("PA-6")
def test_no_code_writes_a_pin() -> None:
    assert source_rules.pin_writers(root()) == []


def test_modules_and_functions_stay_small_and_packages_empty() -> None:
    assert source_rules.sizes(root()) == []


PLANTED: dict[str, list[tuple[str, str]]] = {
    "foreign_modes": [
        (RUN, "def f(mode: str) -> bool:\n    return mode == 'smoke'"),
        (RUN, "def f(request) -> bool:\n    return request.mode in ('mock', 'simulate')"),
        (RUN, "def f(request) -> bool:\n    return 'default' != request.mode"),
        (RUN, "def f(meta) -> bool:\n    return meta['mode'] == 'MOCK'"),
        (RUN, "MODES = ('mock', 'real', 'dry')"),
        (RUN, "mode: str = 'replay'"),
        (RUN, "x = {'mode': 'record'}"),
        (RUN, "x = Payload(mode='canary')"),
        (RUN, "def f(mode: str = 'mock') -> None: ..."),
        (RUN, "def f(*, mode: str = 'real') -> None: ..."),
        (RUN, "def f(mode: str) -> None:\n    match mode:\n        case 'fake':\n            pass"),
        ("processors/llm/chat/v1/registry.yaml", "extra: {mode: smoke}"),
        ("processors/llm/chat/v1/registry.yaml", "modes: [mock, dry]"),
    ],
    "second_paths": [
        ("orchestrator/cli/output.py", "from orchestrator.execution.adapters import local"),
        ("orchestrator/cli/output.py", "import orchestrator.execution.adapters.local"),
        ("orchestrator/second.py", "from orchestrator.execution.adapters.local import invoke"),
        ("orchestrator/execution/checks.py", "import orchestrator.execution.adapters"),
        ("orchestrator/cli/output.py", "from processors.protocol.spawn import run"),
        ("orchestrator/cli/output.py", "from processors.protocol.spawn import *"),
        (RUN, "def f() -> None:\n    spawn.run([])"),
        (RUN, "start = spawn.run"),
        (RUN, "def f() -> None:\n    from processors.llm.chat.v1.main import run"),
        (RUN, "import processors.llm.chat.v1.main"),
        (RUN, "import subprocess"),
        (RUN, "def f() -> None:\n    os.system('x')"),
        (RUN, "from os import fork"),
        (RUN, "def f() -> None:\n    os.posix_spawn('x', [], {})"),
        (RUN, "import importlib"),
        (RUN, "x = __import__('processors.llm.chat.v1.main')"),
        (CHAT, "import subprocess"),
        (LOCAL, "import multiprocessing.pool"),
        ("orchestrator/images/tool.py", "import multiprocessing"),
        ("orchestrator/images/tool.py", "def f() -> None:\n    os.system('x')"),
        ("orchestrator/images/tool.py", "from orchestrator.images import processors"),
        ("orchestrator/images/crane.py", "import subprocess"),
        ("orchestrator/images/crane.py", "from orchestrator.images import built"),
        ("orchestrator/images/branch.py", "from orchestrator.execution.resolve import resolve"),
        ("orchestrator/images/push.py", "from orchestrator.images import tool"),
        (RUN, "from orchestrator.images.tool import run"),
        (RUN, "import orchestrator.images.tool"),
        ("orchestrator/modal/session.py", "from orchestrator.images import processors"),
        ("orchestrator/modal/session.py", "def f() -> None:\n    os.system('x')"),
        ("orchestrator/modal/deploy.py", "import subprocess"),
    ],
    "thick_processors": [
        ("processors/llm/chat/v1/helpers.py", ""),
        ("processors/llm/chat/v1/run.sh", "exit"),
        (CHAT, "import openai"),
        (CHAT, "def f() -> None:\n    import openai"),
        (CHAT, "from orchestrator import lanes"),
        (CHAT, "from processors.llm.chat.v1 import provider"),
        (CHAT, "from processors.llm.chat.v1.provider import complete"),
        ("processors/llm/chat/v2/__init__.py", ""),
        ("processors/text/count/v1/registry.yaml", "runtime: python3.13"),
        ("processors/llm/chat/v1/registry.yaml", "runtime: exec"),
    ],
    "writing_adapters": [
        (LOCAL, "def f() -> None:\n    open('x')"),
        (LOCAL, "def f() -> None:\n    os.write(1, b'')"),
        (LOCAL, "def f() -> None:\n    os.makedirs('x')"),
        (LOCAL, "def f() -> None:\n    os.rename('x', 'y')"),
        (LOCAL, "def f(path) -> None:\n    path.write_bytes(b'')"),
        (LOCAL, "def f(path) -> None:\n    path.open('w')"),
        (LOCAL, "from os import makedirs"),
        (LOCAL, "from pathlib import Path"),
        ("orchestrator/execution/adapters/third.py", "import shutil"),
    ],
    "crossed_layers": [
        ("processors/protocol/paths.py", "from orchestrator import lanes"),
        ("processors/protocol/paths.py", "import yaml"),
        ("processors/protocol/paths.py", "from processors.llm.chat.v1 import provider"),
        (CHAT, "from orchestrator.execution import run"),
        (PROVIDER, "import flask"),
        (PROVIDER, "from processors.doc.extract.v1 import provider"),
        (RUN, "from processors.llm.chat.v1 import provider"),
        (RUN, "import modal_app.app"),
        (RUN, "def f() -> None:\n    import modal"),
        (RUN, "from orchestrator.modal import operations"),
        ("orchestrator/modal/session.py", "import orchestrator.modal.calls"),
        ("orchestrator/modal/deploy.py", "from modal_app import entry"),
        ("orchestrator/modal/operations.py", "from modal_app import entry"),
        ("modal_app/run.py", "import modal"),
        (RUN, "from . import checks"),
        (RUN, "from tests import harness"),
        ("modal_app/app.py", "from orchestrator import lanes"),
        ("modal_app/app.py", "import fastapi"),
        ("modal_app/app.py", "from predicates import words"),
        (CHAT, "from predicates import words"),
        ("predicates/words.py", "from orchestrator.goals import view"),
        ("predicates/words.py", "import re2"),
    ],
    "secret_names": [
        (RUN, "KEY = 'OPENAI_API_KEY'"),
        (PROVIDER, "KEY = 'export OPENAI_API_KEY=...'"),
    ],
    "stdout_writers": [
        (RUN, "print('done')"),
        (RUN, "import sys\nsys.stdout.write('done')"),
        (LOCAL, "def f() -> None:\n    os.write(1, b'done')"),
        (CHAT, "import sys\nout = sys.__stdout__"),
        (PROVIDER, "import logging, sys\nlogging.StreamHandler(sys.stdout)"),
        (RUN, "stream = open(1, 'w')"),
    ],
    "pin_writers": [
        (RUN, "def f(registry) -> None:\n    registry['image']['digest'] = 'sha256:'"),
        (RUN, "def f(image) -> None:\n    image.update(digest='sha256:')"),
        (RUN, "def f(image) -> None:\n    image.update({'digest': 'sha256:'})"),
        (RUN, "def f(registry, file) -> None:\n    yaml.safe_dump(registry, file)"),
        ("orchestrator/execution/resolve.py", "def f(path) -> None:\n    open(path, 'r+b')"),
        (
            "orchestrator/new.py",
            "def f(path) -> None:\n    (path / 'registry.yaml').write_text('')",
        ),
        (RUN, "from orchestrator.images import pin"),
        ("orchestrator/cli/push_processor.py", "from orchestrator.images.pin import write"),
        ("orchestrator/images/push.py", "import orchestrator.images.pin"),
        ("orchestrator/images/pin.py", "def f(image) -> None:\n    image['digest'] = ''"),
        ("orchestrator/images/pin.py", "def f(x, file) -> None:\n    yaml.safe_dump(x, file)"),
        ("orchestrator/images/records.py", "def f() -> None:\n    open('registry.yaml', 'w')"),
    ],
    "sizes": [
        (RUN, "def long() -> None:\n" + "    x = 1\n" * 60),
        ("orchestrator/long.py", "x = 1\n" * 500),
        ("orchestrator/__init__.py", "from orchestrator import lanes"),
        ("processors/llm/empty/__init__.py", ""),
    ],
}


@pytest.mark.proves("HR-1", "HR-2", "HR-3", "RC-4", "SE-2", "PA-6")
@pytest.mark.parametrize(
    ("rule", "path", "text"),
    [(rule, path, text) for rule, plants in PLANTED.items() for path, text in plants],
)
def test_what_is_planted_against_a_rule_is_found(
    tmp_path: Path, rule: str, path: str, text: str
) -> None:
    plant(tmp_path, path, text)

    found = RULES[rule](tmp_path)

    folder = path.rpartition("/")[0]
    assert found
    assert all(finding.startswith(folder) for finding in found), found


def test_every_rule_has_something_planted_against_it() -> None:
    assert PLANTED.keys() == RULES.keys()


@pytest.mark.parametrize(
    ("rule", "path", "text"),
    [
        ("foreign_modes", RUN, "with open('x', mode='rb') as file:\n    pass"),
        ("foreign_modes", RUN, "meta = {'mode': request.mode, 'lane': 'dev'}"),
        ("second_paths", RUN, "def f(stop: spawn.Stop) -> spawn.Ended: ..."),
        ("second_paths", LOCAL, "ended = spawn.run([])"),
        (
            "thick_processors",
            CHAT,
            "def f() -> None:\n    from processors.llm.chat.v1 import provider",
        ),
        ("thick_processors", "processors/text/count/v1/registry.yaml", "runtime: exec"),
        ("writing_adapters", RUN, "open('x', 'w')"),
        ("crossed_layers", "modal_app/app.py", "from processors.protocol import spawn"),
        ("stdout_writers", RUN, "import sys\nsys.stderr.write('x')\nos.write(2, b'x')"),
        ("pin_writers", RUN, "def f(x) -> None:\n    open(x, 'xb')\n    meta['image_digest'] = x"),
        ("pin_writers", "orchestrator/execution/resolve.py", "data = open('x', 'rb')"),
    ],
)
def test_what_is_allowed_is_not_found(tmp_path: Path, rule: str, path: str, text: str) -> None:
    plant(tmp_path, path, text)

    assert RULES[rule](tmp_path) == []


def test_a_program_is_all_that_starts_in_its_folder(tmp_path: Path) -> None:
    folder = "processors/text/count/v1"
    plant(tmp_path, f"{folder}/registry.yaml", "runtime: exec\nentrypoint: count.sh")
    (tmp_path / folder / "count.sh").write_text("#!/bin/sh\n")
    (tmp_path / folder / "count.c").write_text("int main(void) { return 0; }\n")
    assert RULES["thick_processors"](tmp_path) == []

    (tmp_path / folder / "other").write_text("#!/bin/sh\n")

    assert RULES["thick_processors"](tmp_path) == [f"{folder}/other: not a part"]
