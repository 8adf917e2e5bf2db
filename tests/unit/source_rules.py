"""Rules about the source itself, each a function from a tree of files to its findings.

They read text and never import it. ``product`` is orchestrator/, predicates/, processors/ and, once
it exists, modal_app/. A finding starts with the file's path; no finding means that the rule holds.
"""

from __future__ import annotations

import ast
import os
import re
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

import yaml

MODES = ("mock", "real")
MODULE_LINES_MAX = 500
FUNCTION_LINES_MAX = 60
PARTS = ("orchestrator", "processors", "modal_app", "predicates")

RUN = "orchestrator/execution/run.py"
ADAPTERS = "orchestrator/execution/adapters/"
SPAWN = "processors/protocol/spawn.py"
OUTPUT = "orchestrator/cli/output.py"

# What starts the tools that are no processors, who may use it, and what these must not know: how a
# processor is started.
TOOL = "orchestrator/images/tool.py"
TOOL_USERS = ("orchestrator/images/branch.py", "orchestrator/images/crane.py")
TOOL_STARTS = re.compile(r"subprocess(\..*)?")

# What starts the process that runs Modal's SDK; it knows no more of processors than tools do. The
# SDK is imported in that process alone, and there the deploy step alone knows the app.
SDK_START = "orchestrator/modal/session.py"
SDK_USERS = (
    "modal_app/entry.py",
    "orchestrator/modal/deployments.py",
    "orchestrator/modal/failures.py",
    "orchestrator/modal/operations.py",
)
SDK_PROCESS = ("orchestrator/modal/calls.py", "orchestrator/modal/deploying.py", *SDK_USERS)
_SDK_SIDE = re.compile(
    r"orchestrator\.modal\.(calls|deploying|deployments|failures|operations)\b.*"
)
APP_USER = "orchestrator/modal/deployments.py"
_STARTABLE = re.compile(r"orchestrator\.(execution|images\.(processors|built))\b.*")

# The one module that writes a registry.yaml, and the one command that has it.
PIN = "orchestrator/images/pin.py"
PIN_USERS = ("orchestrator/cli/pin_processor.py", "orchestrator/images/proposal.py")
PYTHON_FILES = {"main.py", "provider.py"}  # which nothing starts where a program is
PROCESSOR_FILES = PYTHON_FILES | {"__init__.py", "registry.yaml", "BUILD.bazel"}

_PROCESSOR = re.compile(r"processors/(?!protocol/)\w+/\w+/v\d+/(\w+)\.py")
_MAIN = re.compile(r"processors\.(?!protocol\b)\w+\.\w+\.v\d+\.main")
_ANY_PROCESSOR = re.compile(r"processors\.(?!protocol\b)\w+")

# Keywords called "mode" that are not ours: of open(), of pydantic.
_OTHER_MODES = ("open", "model_validator", "field_validator", "model_dump")

# Calls and modules that start a program.
_STARTERS = re.compile(
    r"os\.(fork|forkpty|system|popen|exec\w+|spawn\w+|posix_spawnp?)|"
    r"(subprocess|multiprocessing|pty|runpy|importlib|asyncio\.create_subprocess\w+)\b.*|__import__"
)

# What can reach stdout; one module of the product may.
_STDOUT = re.compile(r"print|sys\.(__)?stdout(__)?(\..*)?|logging\.StreamHandler")

# Calls that change a file system.
_WRITERS = re.compile(
    r"os\.(write|rename|renames|replace|remove|unlink|rmdir|removedirs|mkdir|makedirs|link|symlink|"
    r"truncate|ftruncate|chmod|chown|utime|mkfifo|open|fdopen|sendfile|copy_file_range)|"
    r"(shutil|tempfile)\..*|.*\.(write_text|write_bytes|touch)"
)


def root() -> Path:
    """The repository as the build laid it out for this test."""
    return Path(os.environ["TEST_SRCDIR"]) / os.environ["TEST_WORKSPACE"]


class Module:
    """One source file: its path from the root, its text and its syntax tree."""

    def __init__(self, base: Path, file: Path) -> None:
        self.path = file.relative_to(base).as_posix()
        self.text = file.read_text()
        self.tree = _parsed(self.text, self.path)

    def at(self, node: ast.AST, words: str) -> str:
        """A finding."""
        return f"{self.path}:{getattr(node, 'lineno', 1)}: {words}"


@lru_cache(maxsize=1_000)  # most files of a spoiled copy are those of the last one
def _parsed(text: str, path: str) -> ast.Module:
    return ast.parse(text, path)


def product(base: Path) -> list[Module]:
    """Every source file of the product."""
    return [
        Module(base, file)
        for part in PARTS
        for file in sorted((base / part).rglob("*.py"))
        if "tree" not in file.relative_to(base).parts  # what the build made of them
    ]


def registry_files(base: Path) -> list[Path]:
    """Every processor's ``registry.yaml``."""
    return sorted((base / "processors").glob("*/*/v*/registry.yaml"))


def imports(module: Module) -> tuple[tuple[ast.stmt, str], ...]:
    """Each import, anywhere in a file, as one dotted name: ``from a import b`` is ``a.b``."""
    return _imports(module.tree)


@lru_cache(maxsize=1_000)  # as the trees
def _imports(tree: ast.Module) -> tuple[tuple[ast.stmt, str], ...]:
    found: list[tuple[ast.stmt, str]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(node, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            source = "." * node.level + (node.module or "")
            found += [(node, f"{source}.{alias.name}") for alias in node.names]
    return tuple(found)


def _dotted(node: ast.AST) -> str:
    """``a.b.c`` of a name or attribute; a dot alone for what is computed."""
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def foreign_modes(base: Path) -> list[str]:
    """HR-1: a word other than the two used as a mode, in code or in a registry."""
    found = []
    for module in product(base):
        for node in ast.walk(module.tree):
            found += [
                module.at(node, f"{word!r} is used as a mode")
                for word in _mode_words(node)
                if word not in MODES
            ]
    for file in registry_files(base):
        for word in _yaml_modes(yaml.safe_load(file.read_text())):
            if word not in MODES:
                found.append(f"{file.relative_to(base)}: {word!r} is used as a mode")
    return found


def _is_mode(node: ast.AST) -> bool:
    """Whether an expression is called mode: ``mode``, ``x.mode``, ``MODES``, ``x["mode"]``."""
    if isinstance(node, ast.Subscript):
        node = node.slice
    name = str(node.value) if isinstance(node, ast.Constant) else _dotted(node).rpartition(".")[2]
    return re.fullmatch(r"(\w+_)?modes?", name.lower().lstrip("-_")) is not None


def _words(node: ast.AST | None) -> list[str]:
    if node is None:
        return []
    constants = [each for each in ast.walk(node) if isinstance(each, ast.Constant)]
    return [each.value for each in constants if isinstance(each.value, str)]


def _mode_words(node: ast.AST) -> list[str]:
    """The words that one node gives to a mode or compares it with."""
    match node:
        case ast.Compare(left=left, comparators=others):
            sides = [left, *others]
            named = any(_is_mode(side) and not isinstance(side, ast.Constant) for side in sides)
            plain = [side for side in sides if not isinstance(side, ast.Subscript | ast.Call)]
            return [word for side in plain for word in _words(side)] if named else []
        case ast.Assign(targets=targets, value=value):
            return _words(value) if any(map(_is_mode, targets)) else []
        case ast.AnnAssign(target=target, value=value):
            return _words(value) if _is_mode(target) else []
        case ast.Call(func=function, keywords=keywords):
            if _dotted(function).rpartition(".")[2] in _OTHER_MODES:
                return []
            values = [each.value for each in keywords if each.arg in ("mode", "modes")]
            return [word for value in values if _is_literal(value) for word in _words(value)]
        case ast.Dict(keys=keys, values=values):
            pairs = zip(keys, values, strict=True)
            chosen = [value for key, value in pairs if key is not None and _is_mode(key)]
            return [word for value in chosen if _is_literal(value) for word in _words(value)]
        case ast.Match(subject=subject, cases=cases):
            return [w for each in cases for w in _words(each.pattern)] if _is_mode(subject) else []
        case ast.arguments():
            return [] if not _default_modes(node) else ["a default"]
    return []


def _is_literal(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant | ast.Tuple | ast.List | ast.Set)


def _default_modes(node: ast.arguments) -> list[str]:
    """Parameters called mode that have a default."""
    positional = [*node.posonlyargs, *node.args]
    last = positional[len(positional) - len(node.defaults) :]
    keyword = [
        arg
        for arg, value in zip(node.kwonlyargs, node.kw_defaults, strict=True)
        if value is not None
    ]
    return [arg.arg for arg in (*last, *keyword) if arg.arg in ("mode", "modes")]


def _yaml_modes(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        for key, item in value.items():
            if str(key).lower() in ("mode", "modes"):
                yield from item if isinstance(item, list) else [item]
            yield from _yaml_modes(item)
    elif isinstance(value, list):
        for item in value:
            yield from _yaml_modes(item)


def second_paths(base: Path) -> list[str]:
    """HR-2: a way to run a processor besides run → adapter → spawn.run → start file."""
    found = []
    for module in product(base):
        reaches = module.path == RUN or module.path.startswith(ADAPTERS)
        spawns = module.path.startswith((ADAPTERS, "modal_app/"))
        for node, name in imports(module):
            if f"{name}.".startswith("orchestrator.execution.adapters.") and not reaches:
                found.append(module.at(node, f"only {RUN} imports an adapter"))
            if name in ("processors.protocol.spawn.run", "processors.protocol.spawn.*"):
                found += [] if spawns else [module.at(node, "only an adapter takes spawn.run")]
            if _MAIN.match(name):
                found.append(module.at(node, "only the build's start file imports a main"))
            if _STARTERS.fullmatch(name) and not _is_tool_start(module, name):
                found.append(module.at(node, f"{name}: only {SPAWN} starts a program"))
        for part in ast.walk(module.tree):
            name = _dotted(part)
            if name.endswith("spawn.run") and not spawns:
                found.append(module.at(part, "only an adapter uses spawn.run"))
            may_start = module.path == SPAWN or _is_tool_start(module, name)
            if _STARTERS.fullmatch(name) and not may_start:
                found.append(module.at(part, f"{name}: only {SPAWN} starts a program"))
        found += _tool_paths(module)
    return found


def _is_tool_start(module: Module, name: str) -> bool:
    return module.path in (TOOL, SDK_START) and TOOL_STARTS.fullmatch(name) is not None


def _tool_paths(module: Module) -> list[str]:
    """What starts tools is for those alone that start no processor, and know of none."""
    found = []
    for node, name in imports(module):
        if f"{name}.".startswith("orchestrator.images.tool.") and module.path not in TOOL_USERS:
            found.append(module.at(node, f"only {', '.join(TOOL_USERS)} start tools"))
        if module.path in (TOOL, SDK_START, *TOOL_USERS) and _STARTABLE.fullmatch(name):
            found.append(module.at(node, f"{name}: what starts tools knows no processor"))
    return found


def thick_processors(base: Path) -> list[str]:
    """HR-3: a file that a processor must not have; an import that mock mode would need."""
    found = []
    for folder in sorted((base / "processors").glob("*/*/v*")):
        names = {path.name for path in folder.iterdir() if path.name != "tree"}
        where = folder.relative_to(base)
        said = _lines(folder / "registry.yaml")
        is_program = "runtime: exec" in said
        starting = {name for name in names if _starts(folder / name)}
        own = {name for name in starting if f"entrypoint: {name}" in said}
        extra = names & PYTHON_FILES | starting - own if is_program else names - PROCESSOR_FILES
        needed = {"registry.yaml"} if is_program else {"main.py", "registry.yaml"}
        found += [f"{where}/{name}: not a part" for name in sorted(extra)]
        found += [f"{where}/{name}: missing" for name in sorted(needed - names)]
    for module in product(base):
        if (file := _PROCESSOR.fullmatch(module.path)) is None:
            continue
        own = module.path.removesuffix(f"{file[1]}.py").replace("/", ".")
        for node, name in imports(module):
            always = node in module.tree.body
            lazy = file[1] == "provider" or (not always and name.startswith(own + "provider"))
            if name.startswith(own + "provider") and (file[1] != "main" or always):
                found.append(module.at(node, "provider.py is imported inside a call of main.py"))
            elif file[1] == "main" and not lazy and not _is_thin(name):
                found.append(module.at(node, f"{name}: neither standard library nor protocol"))
    return found


def _lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").splitlines() if file.exists() else []


def _starts(file: Path) -> bool:
    """Whether the kernel would start a file."""
    return file.is_file() and file.read_bytes().startswith((b"#!", b"\x7fELF"))


def _is_thin(name: str) -> bool:
    top = name.partition(".")[0]
    return top in sys.stdlib_module_names or f"{name}.".startswith("processors.protocol.")


def writing_adapters(base: Path) -> list[str]:
    """RC-4: a call in an adapter that changes a file system."""
    found = []
    for module in product(base):
        if not module.path.startswith(ADAPTERS):
            continue
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call):
                name = _dotted(node.func)
                opens = name.rpartition(".")[2] == "open"
                if opens or _WRITERS.fullmatch(name):
                    found.append(module.at(node, f"{name}: an adapter touches no file"))
        found += [
            module.at(node, f"{name}: an adapter touches no file")
            for node, name in imports(module)
            if name.partition(".")[0] in ("pathlib", "shutil", "tempfile", "io")
            or (name.startswith("os.") and _WRITERS.fullmatch(name))
        ]
    return found


def crossed_layers(base: Path) -> list[str]:
    """The arrows of the layout: an import against one of them."""
    found = []
    for module in product(base):
        for node, name in imports(module):
            if name.startswith("."):
                found.append(module.at(node, "an import is written in full"))
            elif not _is_allowed(module.path, name):
                found.append(module.at(node, f"{name}: against the layers"))
    return found


def _is_allowed(path: str, name: str) -> bool:
    top = name.partition(".")[0]
    if path.startswith("processors/protocol/"):
        return top in sys.stdlib_module_names or _is_thin(name) or name == "processors"
    if top in ("django", "fastapi", "flask", "starlette", "aiohttp", "tests", "tools"):
        return False
    if path.startswith("predicates/"):
        return top in sys.stdlib_module_names or top == "predicates"
    if top == "modal":
        return path in SDK_USERS
    if _SDK_SIDE.fullmatch(name):
        return path in SDK_PROCESS
    if path.startswith("orchestrator/"):
        return _ANY_PROCESSOR.match(name) is None and (top != "modal_app" or path == APP_USER)
    if top in ("orchestrator", "modal_app", "predicates"):
        return path.startswith("modal_app/") and top == "modal_app"
    own = "processors." + ".".join(path.split("/")[1:4])  # another processor is no library
    return _ANY_PROCESSOR.match(name) is None or f"{name}.".startswith(own + ".")


def secret_names(base: Path) -> list[str]:
    """SE-2: the name of a declared secret in code, where only registries may have it."""
    names = set()
    for file in registry_files(base):
        names |= set(yaml.safe_load(file.read_text())["secrets"])
    return [
        module.at(node, f"{name}: secrets are named in registry.yaml alone")
        for module in product(base)
        for node in ast.walk(module.tree)
        for name in sorted(names)
        if (isinstance(node, ast.Constant) and name in str(node.value))
        or (isinstance(node, ast.Name) and node.id == name)
    ]


def sizes(base: Path) -> list[str]:
    """Modules and functions that no longer fit a head or a screen; packages with code in them."""
    found = []
    for module in product(base):
        lines = module.text.count("\n")
        if lines > MODULE_LINES_MAX:
            found.append(f"{module.path}: {lines} lines; at most {MODULE_LINES_MAX}")
        if module.path.endswith("__init__.py") and (
            len(module.tree.body) != 1 or ast.get_docstring(module.tree) is None
        ):
            found.append(f"{module.path}: holds more or less than a docstring")
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > FUNCTION_LINES_MAX:
                    found.append(module.at(node, f"{node.name} has {length} lines"))
    return found


def stdout_writers(base: Path) -> list[str]:
    """PA-6: something besides the one envelope on our stdout, or on a processor's."""
    return [
        module.at(node, f"{_dotted(node) or 'fd 1'}: only {OUTPUT} writes to stdout")
        for module in product(base)
        for node in ast.walk(module.tree)
        if module.path != OUTPUT and (_STDOUT.fullmatch(_dotted(node)) or _writes_fd_1(node))
    ]


def _writes_fd_1(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call) or not node.args:
        return False
    first = node.args[0]
    is_1 = isinstance(first, ast.Constant) and first.value == 1
    return is_1 and _dotted(node.func) in ("open", "os.write", "os.writev", "os.fdopen")


def pin_writers(base: Path) -> list[str]:
    """PA-6: a pin that changes without a person: code that sets one, or writes a registry."""
    found = []
    for module in product(base):
        names_registry = any(
            isinstance(node, ast.Constant) and "registry.yaml" in str(node.value)
            for node in _code(module.tree)
        )
        for node in ast.walk(module.tree):
            if _sets_digest(node):
                found.append(module.at(node, "sets a registry's digest"))
            if re.fullmatch(r"yaml\..*(dump|emit|serialize).*", _dotted(node)):
                found.append(module.at(node, "writes YAML"))
            if names_registry and _opens_for_writing(node) and module.path != PIN:
                found.append(module.at(node, "writes a file where registry.yaml is named"))
        for node, name in imports(module):
            if f"{name}.".startswith("orchestrator.images.pin.") and module.path not in PIN_USERS:
                found.append(module.at(node, f"only {PIN_USERS[0]} edits pins"))
    return found


def _code(tree: ast.Module) -> Iterator[ast.AST]:
    """Every node but those of docstrings."""
    skipped = {
        id(part.body[0].value)
        for part in ast.walk(tree)
        if isinstance(part, ast.Module | ast.ClassDef | ast.FunctionDef)
        and part.body
        and isinstance(part.body[0], ast.Expr)
    }
    return (node for node in ast.walk(tree) if id(node) not in skipped)


def _sets_digest(node: ast.AST) -> bool:
    match node:
        case ast.Assign(targets=targets):
            places: list[ast.expr] = targets
        case ast.AugAssign(target=target):
            places = [target]
        case ast.Call(func=ast.Attribute(attr="update" | "setdefault"), args=args, keywords=words):
            return any(word.arg == "digest" for word in words) or any(
                isinstance(each, ast.Constant) and each.value == "digest"
                for arg in args
                for each in ast.walk(arg)
            )
        case _:
            return False
    return any(
        isinstance(place, ast.Subscript)
        and isinstance(place.slice, ast.Constant)
        and place.slice.value == "digest"
        for place in places
    )


def _opens_for_writing(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    name = _dotted(node.func)
    if name.endswith((".write_text", ".write_bytes", "os.replace", "os.rename")):
        return True
    modes = [each.value for each in node.args[1:2] if isinstance(each, ast.Constant)]
    return name.endswith("open") and any(set("wax+") & set(str(mode)) for mode in modes)


RULES: dict[str, Callable[[Path], list[str]]] = {
    rule.__name__: rule
    for rule in (
        foreign_modes,
        second_paths,
        thick_processors,
        writing_adapters,
        crossed_layers,
        secret_names,
        stdout_writers,
        pin_writers,
        sizes,
    )
}
