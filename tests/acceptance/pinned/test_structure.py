"""What is in one processor's image, and what is not. Every ``processor_image`` has this test.

The image comes as a layout, and an example of its inputs comes with it. Nothing is built here.
"""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from orchestrator.goals import effects
from processors.protocol import content, digests
from processors.protocol.payload import Artifact, Payload
from tests.fixtures import rootfs
from tests.harness import ROOT

EXAMPLE: dict[str, Any] = json.loads((ROOT / os.environ["IMAGE_EXAMPLE"]).read_bytes())
LAYOUT = ROOT / os.environ["IMAGE_LAYOUT"]
DIGEST_FILE = ROOT / os.environ["IMAGE_DIGEST"]

# What a thin image has no use for; names of packages and of programs.
FRAMEWORKS = {"django", "flask", "fastapi", "starlette", "tornado", "modal", "orchestrator"}
PROGRAMS = {"sh", "bash", "dash", "busybox", "gcc", "cc", "c++", "ld", "as", "make", "tcc", "clang"}
MANAGERS = {"apt", "apt-get", "dpkg", "pip", "pip3", "uv", "perl"}
WRITABLE = {"tmp", "world"}
SHARED_WRITABLE = 0o002
SET_IDS = 0o6000


@pytest.fixture(scope="module")
def image() -> rootfs.Image:
    return rootfs.Image(LAYOUT)


@pytest.fixture(scope="module")
def unpacked(image: rootfs.Image, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rootfs")
    image.unpack(folder)
    return folder


@pytest.fixture(scope="module")
def files(image: rootfs.Image) -> dict[str, tarfile.TarInfo]:
    return {info.name: info for layer in image.members() for info in layer}


def test_the_digest_file_says_what_the_layout_holds(image: rootfs.Image) -> None:
    assert DIGEST_FILE.read_text(encoding="ascii") == image.digest + "\n"
    assert image.index is not None
    [only] = image.index["manifests"]
    assert only["platform"] == {"architecture": "amd64", "os": "linux"}


def test_it_runs_as_nobody_in_particular_and_says_what_it_is(image: rootfs.Image) -> None:
    assert image.config["config"]["User"] == "65532:65532"
    assert image.labels["processor.ref"] == EXAMPLE["ref"]
    assert image.labels["org.opencontainers.image.title"] == EXAMPLE["ref"]
    assert image.labels["org.opencontainers.image.licenses"]
    assert digests.is_digest(image.labels["processor.source-root"])
    assert digests.is_digest(image.labels["processor.content-root"])


def test_the_content_root_is_what_the_files_have(image: rootfs.Image, unpacked: Path) -> None:
    stated = (unpacked / content.ROOT_FILE[1:]).read_text(encoding="ascii").strip()

    assert stated == image.labels["processor.content-root"]
    content.check(str(unpacked / content.FOLDER[1:]), stated)


def test_every_layer_is_plain(files: dict[str, tarfile.TarInfo]) -> None:
    for name, info in files.items():
        assert info.isfile() or info.isdir() or info.issym(), name
        assert (info.uid, info.gid, info.mtime) == (0, 0, 0), name
        assert not info.mode & SET_IDS, name


def test_nothing_can_be_written_that_should_not_be(files: dict[str, tarfile.TarInfo]) -> None:
    found = {name for name, info in files.items() if not info.issym() and info.mode & 0o022}

    assert {name for name in found if name.split("/")[0] not in WRITABLE} == set()


def test_there_is_no_framework_orchestrator_shell_or_compiler(
    files: dict[str, tarfile.TarInfo],
) -> None:
    paths = [PurePosixPath(name) for name in files]
    packages = {path.name.lower() for path in paths if path.parent.name == "site-packages"}
    own = {path.name for path in paths if str(path.parent) == "opt/processor/app"}
    programs = {path.name for path in paths if path.parent.name in ("bin", "sbin")}

    assert not packages & FRAMEWORKS
    assert own <= {"modal_app", "processors", "tests"}
    assert not programs & (PROGRAMS | MANAGERS)
    assert not [name for name in files if name.endswith((".pyc", ".a", ".deb"))]


def test_every_module_can_be_imported(image: rootfs.Image, unpacked: Path, tmp_path: Path) -> None:
    done = rootfs.run_image(image, unpacked, tmp_path, words=_python(image, _IMPORT_ALL))

    assert (done.returncode, done.stderr.decode()) == (0, "")
    assert int(done.stdout) >= len(list((unpacked / "opt/processor/app").rglob("*.py"))) > 0


def test_the_entrypoint_answers_a_mock_payload_and_makes_what_it_declares(
    image: rootfs.Image, unpacked: Path, tmp_path: Path
) -> None:
    payload = _payload(tmp_path)

    done = rootfs.run_image(image, unpacked, tmp_path, stdin=payload.encode())

    envelope = json.loads(done.stdout)
    assert (done.returncode, envelope["status"]) == (0, "success"), done.stderr.decode()
    assert envelope["execution_id"] == payload.execution_id
    assert envelope["outputs"]
    for output in envelope["outputs"]:
        assert digests.of_file(f"{tmp_path}{output['path']}") == (
            output["cid"],
            output["size_bytes"],
        )
    _, _, _, registry = image.config["config"]["Cmd"]
    products = json.loads((unpacked / registry[1:]).read_bytes())["produces"]
    made = [output["path"] for output in envelope["outputs"]]
    assert effects.missing(products, payload.write_prefix, made) is None


def _python(image: rootfs.Image, code: str) -> list[str]:
    python: str = image.config["config"]["Entrypoint"][0]
    return [python, "-P", "-s", "-S", "-B", "-c", code]


# Each module of ours, and what each package offers at its top.
_IMPORT_ALL = """
import importlib, pathlib, sys
root = pathlib.Path("/opt/processor")
app, site = root / "app", root / "site-packages"
sys.path += [str(app), str(site)]
own = [path.relative_to(app).with_suffix("").parts for path in sorted(app.rglob("*.py"))]
names = [".".join(part for part in parts if part != "__init__") for parts in own]
if site.is_dir():
    for entry in sorted(site.iterdir()):
        name = entry.name.partition(".")[0]
        importable = entry.suffix in (".py", ".so") or (entry / "__init__.py").exists()
        if importable and name.isidentifier():
            names.append(name)
for name in names:
    importlib.import_module(name)
print(len(names))
"""


def _payload(world: Path) -> Payload:
    artifacts = {}
    for name, file in EXAMPLE["files"].items():
        data = (ROOT / file).read_bytes()
        place = f"/artifacts/attached/{digests.of_bytes(data)[7:]}/{Path(file).name}"
        (world / place[1:]).parent.mkdir(parents=True, exist_ok=True)
        (world / place[1:]).write_bytes(data)
        artifacts[name] = Artifact(place, digests.of_bytes(data), len(data))
    return Payload(
        execution_id="structure",
        ref=EXAMPLE["ref"],
        mode="mock",
        inputs=EXAMPLE["inputs"],
        artifacts=artifacts,
        write_prefix="/artifacts/structure/",
    )
