"""Run one processor in its image: bytes in, bytes out.

measure the image's files → lay the payload's artifacts out → spawn the processor as a local child
is spawned → leave what it made on the volume, each file under its content id → reply. What the
world around it is, where the volume is mounted and how it is committed, is given from outside; so
the same code runs where no Modal is.
"""

from __future__ import annotations

import os
import shutil
import tempfile

from processors.protocol import (
    content,
    digests,
    paths,
    redact,
    remote,
    shapes,
    spawn,
    supervisor,
)
from processors.protocol.canonical import Json, parse_object
from processors.protocol.envelope import ENVELOPE_BYTES_MAX
from processors.protocol.errors import ContractError, adapter_error, mismatch, modal_error
from processors.protocol.events import Sieve
from processors.protocol.payload import Payload, decode
from processors.protocol.remote import Left, Reply, Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

REGISTRY = "registry.json"
REGISTRY_BYTES_MAX = 262_144
READ_ONLY = 0o444


class Edges:
    """What an app reaches of the world around it.

    Attributes:
        folder: The processor's files.
        python: The interpreter that runs it.
        volume: Where the volume is mounted.
        scratch: A folder that can be written to.
        environ: The container's environment, read for declared secrets in real mode alone.
        reload: Makes visible what others have committed to the volume.
        commit: Makes visible to others what was written to the volume.
    """

    __slots__ = ("commit", "environ", "folder", "python", "reload", "scratch", "volume")

    def __init__(
        self,
        *,
        folder: str,
        python: str,
        volume: str,
        scratch: str,
        environ: Mapping[str, str],
        reload: Callable[[], None],
        commit: Callable[[], None],
    ) -> None:
        self.folder = folder
        self.python = python
        self.volume = volume
        self.scratch = scratch
        self.environ = environ
        self.reload = reload
        self.commit = commit


class App:
    """One container's app; what it measures of the image at its first call, it remembers."""

    def __init__(self, edges: Edges) -> None:
        self._edges = edges
        self._image: _Image | None = None

    def run(self, data: bytes) -> bytes:
        """Answer one request; never raises for what a request can cause."""
        try:
            return self._reply(remote.decode_request(data)).encode()
        except ContractError as error:
            return Reply(error=error).encode()

    def _reply(self, request: Request) -> Reply:
        image = self._image = self._image or _Image(self._edges.folder)
        if image.root != request.content_root:
            raise mismatch(
                "content_mismatch",
                f"{self._edges.folder} has the content root {image.root}, the pinned image's is"
                f" {request.content_root}",
            )
        payload = decode(request.payload)
        if image.registry["ref"] != payload.ref:
            raise mismatch(
                "ref_mismatch", f"this is the image of {image.registry['ref']}, not {payload.ref}"
            )
        if digests.of_json(image.registry) != request.registry:
            raise mismatch(
                "pin_stale",
                f"the image of {payload.ref} has another registry than the one that it is run by;"
                " build, push, pin and deploy it again",
            )
        secrets = self._secrets(payload, image.registry)
        with tempfile.TemporaryDirectory(dir=self._edges.scratch) as folder:
            tree, tmp = os.path.join(folder, "tree"), os.path.join(folder, "tmp")
            os.mkdir(tmp)
            self._lay_out(payload, tree)
            reply = self._spawn(request, image, secrets, (tree, tmp))
            reply.left = self._keep(payload, tree, redact.Redactor(secrets.values()))
        return reply

    def _secrets(self, payload: Payload, registry: dict[str, Json]) -> dict[str, str]:
        """The declared secrets in real mode; in mock mode nothing is looked at."""
        names = registry["secrets"]
        assert isinstance(names, list)
        needed = [str(name) for name in names] if payload.mode == "real" else []
        found = {name: self._edges.environ.get(name, "") for name in needed}
        if missing := sorted(name for name in needed if not found[name]):
            raise ContractError(
                "ERR_MISSING_SECRET",
                "absent",
                f"mode real needs {', '.join(missing)}, and the deployment has it not; sync the"
                " secrets of its environment and deploy again",
            )
        return found

    def _lay_out(self, payload: Payload, tree: str) -> None:
        """Make the tree that a processor sees: its artifacts, read-only, and an empty prefix."""
        os.makedirs(tree + payload.write_prefix)
        for artifact in payload.artifacts.values():
            target = tree + artifact.path
            if os.path.exists(target):
                continue  # two names may share one artifact
            source = self._edges.volume + remote.place(artifact.cid)
            if not os.path.exists(source):
                self._edges.reload()
            os.makedirs(os.path.dirname(target), exist_ok=True)
            try:
                shutil.copyfile(source, target)
            except OSError as error:
                raise modal_error("file_lost", f"{artifact.path}: {error.strerror}") from None
            if digests.of_file(target) != (artifact.cid, artifact.size_bytes):
                raise modal_error("file_lost", f"{artifact.path} on the volume is another file")
            os.chmod(target, READ_ONLY)

    def _spawn(
        self, request: Request, image: _Image, secrets: dict[str, str], places: tuple[str, str]
    ) -> Reply:
        """Start the processor as the local adapter does, and see it end."""
        tree, tmp = places
        named = {"python": self._edges.python, "tree": self._edges.folder}
        argv = [word.format_map(named) for word in spawn.PROCESSOR_ARGV]
        lines = Lines()
        stop = spawn.Stop()
        try:
            ended = spawn.run(
                [*argv, "--root", tree, "--registry", image.registry_file],
                attempt=digests.of_bytes(request.payload),
                env={**spawn.PROCESSOR_ENV, "HOME": tmp, "TMPDIR": tmp, **secrets},
                secret_values=list(secrets.values()),
                stdin=request.payload,
                timeout_s=request.timeout_s,
                memory_bytes_max=shapes.count(image.registry["limits"], "memory_mb") * 1_048_576,
                stdout_bytes_max=ENVELOPE_BYTES_MAX,
                on_stderr_line=lines.take,
                stop=stop,
            )
        except OSError as error:
            raise adapter_error("spawn_failed", f"{argv[0]}: {error.strerror}") from None
        finally:
            stop.close()
        return Reply(ended=ended, lines=lines.kept, dropped=lines.dropped)

    def _keep(self, payload: Payload, tree: str, redactor: redact.Redactor) -> list[Left]:
        """Put what the processor left on the volume, each file under its content id.

        A name is the processor's, which knows the secrets, and nobody masks it after this.
        """
        found = supervisor.files_below(tree, payload.write_prefix)
        determinism = paths.determinism_path(payload.execution_id)
        if os.path.lexists(tree + determinism):
            found.append(determinism)
        if len(found) > remote.FILES_MAX:
            raise adapter_error("stray_file", f"{len(found)} files; at most {remote.FILES_MAX}")
        left = []
        for path in found:
            if supervisor.is_plain(tree + path):
                cid, size_bytes = digests.of_file(tree + path)
                self._store(tree + path, cid)
                left.append(Left(_told(path, redactor), cid, size_bytes))
            else:
                left.append(Left(_told(path, redactor), None, 0))
        if found:
            self._edges.commit()
        return left

    def _store(self, source: str, cid: str) -> None:
        target = self._edges.volume + remote.place(cid)
        # Other bytes there would keep every later run of this content from being fetched.
        if os.path.exists(target) and digests.of_file(target)[0] == cid:
            return
        os.makedirs(os.path.dirname(target), exist_ok=True)
        fd, half = tempfile.mkstemp(dir=os.path.dirname(target))
        with open(fd, "wb") as writer, open(source, "rb") as reader:
            shutil.copyfileobj(reader, writer)
        os.replace(half, target)  # so that nobody ever sees a half of it


class Lines:
    """Those lines of stderr that the orchestrator forwards of a local run."""

    def __init__(self) -> None:
        self.kept: list[bytes] = []
        self._sieve = Sieve()

    def take(self, line: bytes) -> None:
        """Keep a line, or count it."""
        if (event := self._sieve.take(line)) is not None:
            self.kept.append(remote.forwarded(event))

    @property
    def dropped(self) -> int:
        """How many were counted."""
        return self._sieve.dropped


class _Image:
    """What is in the image: the measured root, and the one registry, which the root covers."""

    def __init__(self, folder: str) -> None:
        self.root = content.measure(folder)
        self.registry_file = _only_registry(folder)
        with open(self.registry_file, "rb") as file:
            data = file.read(REGISTRY_BYTES_MAX + 1)
        self.registry = parse_object(data, "the registry", bytes_max=REGISTRY_BYTES_MAX)


def _only_registry(folder: str) -> str:
    found = [
        os.path.join(inner, REGISTRY)
        for inner, _, files in os.walk(f"{folder}/app")
        if REGISTRY in files
    ]
    if len(found) != 1:
        raise mismatch("content_mismatch", f"{folder} holds {len(found)} registries, not one")
    return found[0]


def _told(path: str, redactor: redact.Redactor) -> str:
    """A name as it is told: without secrets, and as text if it is none; others judge it.

    It is masked as in an envelope, where a quotation mark ends it: a name that ends as a secret
    begins is none.
    """
    data = path.encode("utf-8", "backslashreplace") + b'"'
    told = redactor.feed(data) + redactor.close()
    return told.removesuffix(b'"').decode("utf-8", "replace")
