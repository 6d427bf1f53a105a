"""The house keeps its walls: who may import whom, and what may stand nowhere.

Imports are read from the syntax tree, so that lazy ones inside functions and those for type checkers count as well.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("harness", "harness_core", "executors", "registry")

#: room → rooms it may import from, besides itself; the longest prefix of a module's name is its room
ARROWS: dict[str, set[str]] = {
    "harness_core.domain": set(),
    "harness_core.runtime": {"harness_core.domain"},
    "harness_core.framework": {"harness_core.domain", "harness_core.runtime", "harness_core.doors"},
    "harness_core.doors": {"harness_core.domain", "harness_core.runtime"},
    "harness_core.client": {"harness_core.domain"},
    "harness_core.testing": {"harness_core.domain", "harness_core.runtime", "harness_core.client"},
    "harness_core": set(),
    "registry": {"harness_core.domain"},
    "executors": {"harness_core.domain", "harness_core.runtime"},
    "harness.cli": {"harness_core.domain", "harness_core.client", "harness"},
    "harness": {
        "harness.cli",
        "harness_core.domain",
        "harness_core.runtime",
        "harness_core.framework",
        "harness_core.doors",
        "harness_core.client",
        "registry",
    },
}

#: the pure core knows no clock, no chance, no machine
IMPURE = {
    "asyncio", "concurrent", "ctypes", "fcntl", "glob", "http", "importlib", "inspect", "io", "logging", "mmap",
    "multiprocessing", "os", "random", "resource", "sched", "secrets", "select", "selectors", "shutil", "socket",
    "sqlite3", "ssl", "subprocess", "sys", "tempfile", "termios", "threading", "time", "urllib.request", "uuid",
}  # fmt: skip
#: third-party libraries of the pure core
PURE_LIBRARIES = {"pydantic", "pydantic_core", "typing_extensions", "yaml", "pluggy"}
#: what a path can do besides being a value
PATH_DEEDS = {
    "chmod", "cwd", "exists", "expanduser", "glob", "is_dir", "is_file", "is_symlink", "iterdir", "lstat", "mkdir",
    "open", "read_bytes", "read_text", "readlink", "resolve", "rglob", "rmdir", "stat", "symlink_to", "touch",
    "unlink", "write_bytes", "write_text",
}  # fmt: skip
YAML_LOADERS = {"load", "load_all", "safe_load", "safe_load_all", "full_load", "full_load_all", "unsafe_load"}


@dataclass(frozen=True)
class Module:
    name: str
    path: Path
    tree: ast.Module
    lines: list[str]

    @property
    def room(self) -> str:
        return max((room for room in ARROWS if _within(self.name, room)), key=len)

    def imports(self) -> Iterator[tuple[int, str]]:
        """Line and dotted name of everything imported; ``from a import b`` gives ``a.b`` where that is a module."""
        package = self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((node.lineno, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = node.module or ""
                if node.level:
                    above = package.split(".")[: len(package.split(".")) - node.level + 1]
                    base = ".".join([*above, base]).rstrip(".")
                for alias in node.names:
                    deeper = f"{base}.{alias.name}"
                    yield node.lineno, deeper if deeper in _names() else base

    def at(self, line: int) -> str:
        return f"{self.path.relative_to(ROOT)}:{line}"


def _within(name: str, room: str) -> bool:
    return name == room or name.startswith(room + ".")


@cache
def _files() -> dict[str, Path]:
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def _names() -> frozenset[str]:
    return frozenset(_files())


@cache
def modules() -> tuple[Module, ...]:
    """Every module of the project, parsed once."""
    read = []
    for name, path in _files().items():
        text = path.read_text(encoding="utf-8")
        read.append(Module(name, path, ast.parse(text, filename=str(path)), text.splitlines()))
    return tuple(read)


def of(room: str) -> Iterator[Module]:
    return (module for module in modules() if _within(module.name, room))


def _calls(module: Module, owner: str, names: set[str]) -> Iterator[ast.Call]:
    for node in ast.walk(module.tree):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=found), attr=attr)) if found == owner and attr in names:
                yield node


def _third_party(name: str) -> bool:
    top = name.partition(".")[0]
    return top not in sys.stdlib_module_names and top not in PACKAGES


def test_every_module_is_found_and_has_a_room() -> None:
    assert len(modules()) > 20
    assert all(module.room in ARROWS for module in modules())


@pytest.mark.parametrize("room", sorted(ARROWS))
def test_rooms_import_only_what_the_arrows_allow(room: str) -> None:
    wrong = []
    for module in modules():
        if module.room != room:
            continue
        for line, name in module.imports():
            rooms = [r for r in ARROWS if _within(name, r)]
            if not rooms:
                continue
            target = max(rooms, key=len)
            if target != room and target not in ARROWS[room] and name != "harness_core":
                wrong.append(f"{module.at(line)} imports {name}")
    assert not wrong, f"{room} may import {sorted(ARROWS[room]) or 'nothing'} besides itself:\n" + "\n".join(wrong)


#: the kinds that speak to the Docker engine share its client, which lives with the first of them
LEANS = {"compose": {"docker"}, "docker_attach": {"docker"}}


def test_one_kind_of_executor_does_not_lean_on_another() -> None:
    wrong = []
    for module in of("executors"):
        own = "".join(module.name.split(".")[1:2])
        for line, name in module.imports():
            if _within(name, "executors") and "".join(name.split(".")[1:2]) not in {own, *LEANS.get(own, ())}:
                wrong.append(f"{module.at(line)} imports {name}")
    assert not wrong, "\n".join(wrong)


def test_the_domain_is_pure() -> None:
    wrong = []
    for module in of("harness_core.domain"):
        for line, name in module.imports():
            if any(_within(name, impure) for impure in IMPURE):
                wrong.append(f"{module.at(line)} imports {name}")
            if _third_party(name) and name.partition(".")[0] not in PURE_LIBRARIES:
                wrong.append(f"{module.at(line)} imports {name}")
        for node in ast.walk(module.tree):
            match node:
                case ast.Call(func=ast.Name(id="open" | "print" | "input")):
                    wrong.append(f"{module.at(node.lineno)} calls {ast.unparse(node.func)}")
                case ast.Call(func=ast.Attribute(value=ast.Name(id=owner), attr=attr)) if (
                    attr in PATH_DEEDS and owner in ("Path", "path", "directory", "base_dir")
                ):
                    wrong.append(f"{module.at(node.lineno)} touches the disk: {ast.unparse(node.func)}")
    assert not wrong, "\n".join(wrong)


def test_the_keeper_reaches_the_standard_library_and_its_own_folder_only() -> None:
    """It runs under ``python -I -S`` from its folder: whatever its entry leads to must be there."""
    keeper = "harness_core.runtime.keeper"
    by_name = {module.name: module for module in of(keeper)}
    reached, todo, wrong = set[str](), [f"{keeper}.server"], []
    while todo:
        name = todo.pop()
        reached.add(name)
        for line, imported in by_name[name].imports():
            if _third_party(imported) or (imported not in by_name and imported.partition(".")[0] in PACKAGES):
                wrong.append(f"{by_name[name].at(line)} imports {imported}")
            elif imported in by_name and imported not in reached:
                todo.append(imported)
    assert not wrong, "\n".join(wrong)


def test_no_command_passes_through_a_shell_behind_our_back() -> None:
    wrong = [
        module.at(node.lineno)
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call)
        and any(
            k.arg == "shell" and not (isinstance(k.value, ast.Constant) and not k.value.value) for k in node.keywords
        )
    ]
    wrong += [module.at(node.lineno) for module in modules() for node in _calls(module, "os", {"system", "popen"})]
    assert not wrong, "\n".join(wrong)


def test_yaml_is_read_by_one_loader() -> None:
    """The library's own loaders take duplicate keys, YAML 1.1 surprises and unbounded aliases."""
    wrong = [module.at(node.lineno) for module in modules() for node in _calls(module, "yaml", YAML_LOADERS)]
    assert not wrong, "\n".join(wrong)


def test_durations_are_not_measured_with_the_wall_clock() -> None:
    """Sums and comparisons with ``time.time()`` break when the clock is set. Where a date is really meant (an expiry, a
    file's age), the line says ``# wall clock: why``.
    """
    wrong = []
    for module in modules():
        for node in ast.walk(module.tree):
            if isinstance(node, (ast.BinOp, ast.Compare)) and any(
                isinstance(part, ast.Call) and ast.unparse(part.func) == "time.time"
                for part in ast.iter_child_nodes(node)
            ):
                last = node.end_lineno or node.lineno
                if not any("# wall clock:" in line for line in module.lines[node.lineno - 1 : last]):
                    wrong.append(module.at(node.lineno))
    assert not wrong, "\n".join(wrong)


def test_blanket_handlers_and_silenced_checks_say_why() -> None:
    """``except Exception`` and a bare ``type: ignore`` hide mistakes; the former needs a comment with its reason."""
    wrong = []
    for module in modules():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ExceptHandler) and _is_blanket(node):
                around = module.lines[node.lineno - 2 : node.body[0].lineno]
                if not any("#" in line for line in around):
                    wrong.append(f"{module.at(node.lineno)} blanket handler without a reason")
        for number, line in enumerate(module.lines, start=1):
            if re.search(r"# type: ignore(?!\[)|# noqa(?!: [A-Z]+\d)", line):
                wrong.append(f"{module.at(number)} silences every check of the line")
    assert not wrong, "\n".join(wrong)


def _is_blanket(handler: ast.ExceptHandler) -> bool:
    match handler.type:
        case None:
            return True
        case ast.Name(id="Exception" | "BaseException"):
            # one that always raises again only cleans up; one that logs the traceback hides nothing
            raises = isinstance(handler.body[-1], ast.Raise) and handler.body[-1].exc is None
            first = ast.unparse(handler.body[0])
            return not raises and ".exception(" not in first and "exc_info=" not in first
    return False


# ── what may stand nowhere in the repository ─────────────────────────────────────────────────────────────────────────

FORBIDDEN = {
    "a path of somebody's machine": r"(^|[^A-Za-z0-9_.~$}])/(work|farm|root)/",
    "the number of an issue": r"(?i)\b(?:issues?|pull requests?|PR)\s*#?\d+\b|\bGH-\d+",
    "an unfinished mark": r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X)\b",
    "an index that only one machine has": r"(?i)(?:--)?(?:extra-)?index-url[ =]|\bfile:///opt/",
}


@cache
def tracked() -> tuple[Path, ...]:
    git = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    listed = subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip(f"needs a git checkout: {listed.stderr.strip()}")
    return tuple(ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file())


@pytest.mark.parametrize("what", FORBIDDEN)
def test_the_repository_speaks_of_the_project_alone(what: str) -> None:
    pattern = re.compile(FORBIDDEN[what])
    found = []
    for path in tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a picture
        found += [
            f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}"
            for number, line in enumerate(text.splitlines(), start=1)
            if pattern.search(line)
        ]
    assert not found, f"{what}:\n" + "\n".join(found)


def test_no_key_and_no_lock_file_with_addresses_is_tracked() -> None:
    wrong = [
        str(path.relative_to(ROOT))
        for path in tracked()
        if path.suffix in {".pem", ".key", ".crt"} or path.name in {"uv.lock", "token"}
    ]
    assert not wrong


def test_constraints_are_plain_pins() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert len(lines) > 20
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", line)] == []
    pinned = {_normal(line.partition("==")[0]) for line in lines}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    unpinned = [need for need in wanted if _normal(re.split(r"[<>=!~;\[ ]", need)[0]) not in pinned]
    assert unpinned == [], "run: scripts/renew-constraints"


def _normal(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()
