"""Fifty secrets wherever a secret can stand, a life with failures, and a search of all that we say and keep.

Three places hold them on purpose, each readable by their owner alone: the registry, without which nothing could be
started again; the outputs of tasks; and the environment and arguments of the service that was given them.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness_core.domain.protocol import Role
from harness_core.runtime.keeper.procfs import read_stat
from tests.access.canaries import BAD_STACK, CLIENT_ENV, ENV_FILE, NAMES, STACK, canary, find
from tests.access.conftest import connection_for
from tests.faults.lab import Lab

pytestmark = pytest.mark.e2e


#: an executor whose every call but the first fails, with an error that tells what it was given
TELLING = """
import asyncio
from pydantic import BaseModel
from harness_core.domain.executor import Capabilities, ExecutorPlugin
from harness_core.domain.hookspecs import hookimpl
from harness_core.domain.states import Handle, Started

class Options(BaseModel):
    type: str
    watched: bool = True

class Telling:
    capabilities = Capabilities(stop=True)
    def __init__(self, context): pass
    async def open(self): pass
    async def close(self): pass
    async def start(self, spec):
        said = f"cannot log in with {spec.env['DB_PASSWORD']}"
        return Started(Handle("telling", {"said": said, "watched": spec.options.watched}))
    async def wait(self, marker, handle):
        if not handle.data["watched"]:
            await asyncio.sleep(3600)
        raise RuntimeError(handle.data["said"])
    async def recover(self, marker, handle): raise LookupError(handle.data["said"])
    async def stop(self, marker, handle, *, signal, grace): raise ValueError(handle.data["said"])
    async def forget(self, marker, handle): raise OSError(self)

@hookimpl
def harness_executors(register):
    register(ExecutorPlugin(kind="telling", options=Options, factory=Telling, summary="tells all"))
"""
TOLD = f"""
name: told
settings: {{env: {{DB_PASSWORD: {canary("db-password")}}}}}
services:
  tells: {{target: {{type: telling}}}}
  stays: {{target: {{type: telling, watched: false}}, stop: {{timeout: 100ms}}}}
"""


@dataclass
class Said:
    """All that was said to people and programs, by what said it."""

    lab: Lab
    texts: dict[str, str] = field(default_factory=dict)
    #: secrets that this life made by itself
    tokens: list[str] = field(default_factory=list)

    def run(self, *words: str, env: dict[str, str] | None = None, out: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "harness", *words],
            env=self.lab.environment() | CLIENT_ENV | (env or {}),
            cwd=self.lab.folder,
            capture_output=True,
            text=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
        )
        self.texts[" ".join(words)] = (done.stdout if out else "") + done.stderr
        return done


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Said]:
    lab = Lab(tmp_path_factory.mktemp("canaries"))
    (lab.folder / "birds.yaml").write_text(STACK)
    (lab.folder / "birds.env").write_text(ENV_FILE)
    (lab.folder / "bad.yaml").write_text(BAD_STACK)
    (lab.folder / "told.yaml").write_text(TOLD)
    lab.env = {"HARNESS_CONFIG_DIR": str(lab.root / "config")}
    lab.install_plugin(TELLING, "telling")
    try:
        lab.boot()
        yield live(Said(lab))
    finally:
        lab.close()


def live(said: Said) -> Said:
    lab = said.lab
    for verb in ("validate", "plan"):
        said.run(verb, "birds.yaml")
        said.run(verb, "birds.yaml", "-o", "json")
        said.run(verb, "bad.yaml")
        said.run(verb, "bad.yaml", "-o", "json")
    said.run("start", "birds.yaml", "--timeout", "8s", "-v")
    said.run("start", "bad.yaml")
    said.run("start", "told.yaml", "--timeout", "3s")
    said.run("stop", "stays", "-y", "--timeout", "2s")
    said.run("plan", "birds.yaml")
    env = f"E_PASSWORD={canary('exec-env')}"
    said.run("exec", "-e", env, "holder", "false", f"--password={canary('exec-option')}")
    said.run("exec", "-e", env, "nobody", "false", f"--password={canary('exec-option')}")
    connection = connection_for(lab.client, Role.VIEWER)
    said.tokens += [connection.rpartition(".")[2], (lab.state / "token").read_text().strip()]
    said.run("-H", connection + canary("connection"), "status")
    look(said)
    lab.kill()
    lab.kill_keeper()
    (lab.root / "fired").mkdir()
    # the next keeper dies of an error when it sees the end of the holder
    lab.env |= {"HARNESS_FAILPOINTS": "keeper.exit.drained=error", "HARNESS_FAILPOINTS_FIRED": str(lab.root / "fired")}
    lab.boot()
    said.run("stop", "holder", "-y")
    said.run("start", "holder")
    look(said)
    break_both_sides(said, connection)
    return said


def look(said: Said) -> None:
    """Everything that shows something."""
    for verb in (["status"], ["events", "--limit", "10000"], ["graph"], ["daemon", "status"], ["doctor"]):
        for style in ("table", "wide", "json"):
            said.run(*verb, "-o", style)
    for name in ("tells", "stays", "holder", "shell", "http", "away", "command", "missing", "gives", "takes"):
        for verb in ("describe", "explain", "wait"):
            more = ["--timeout", "1s"] if verb == "wait" else []
            said.run(verb, name, *more)
            said.run(verb, name, "-o", "json", *more)
    said.run("run", "--list", "-o", "json")
    said.run("daemon", "logs", "--tail", "all")
    said.run("token", "list", "-o", "json")


def break_both_sides(said: Said, connection: str) -> None:
    """A defect in a handler, told by the daemon, and one in a command, told by the client with its traceback kept."""
    program = (
        "import sys\n"
        "from harness.cli import session\n"
        "from harness.entry import main\n"
        "def broken(self, *_, **__): raise RuntimeError('a defect')\n"
        "session.Cli.call = broken\n"
        f"sys.argv = ['harness', '-H', {connection!r}, 'exec', '-e', {'E_TOKEN=' + canary('exec-env')!r}, 'holder', "
        f"'x', '--password={canary('exec-option')}']\n"
        "session.Cli.stream = broken\n"
        "raise SystemExit(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=said.lab.environment(), capture_output=True, text=True, timeout=60
    )
    said.texts["a defect of the client"] = done.stdout + done.stderr


def test_there_are_fifty_of_them() -> None:
    assert len(set(NAMES)) == len({canary(name) for name in NAMES}) == 50
    whole = STACK + BAD_STACK + ENV_FILE + str(CLIENT_ENV)
    assert set(NAMES) - find(whole) == {"exec-env", "exec-option", "connection"}


def test_the_life_was_as_meant(said: Said) -> None:
    """The search below is worth what this is."""
    rows = said.lab.rows()
    assert rows["holder"]["phase"] == "running"
    assert {name for name, row in rows.items() if row["phase"] in ("failed", "backoff")} >= {"shell", "missing"}
    assert rows["gives"]["phase"] == "completed"
    environment = Path(f"/proc/{rows['holder']['pid']}/environ").read_bytes()
    assert {"db-password", "env-file", "settings-variable", "url-env"} <= find(environment)
    assert (said.lab.state / "client-error.log").exists(), said.texts["a defect of the client"]
    daemon = (said.lab.state / "daemon.log").read_text()
    assert "Traceback" in daemon
    for error in ("RuntimeError", "LookupError", "ValueError"):
        assert f"{error}: cannot log in with ***" in daemon, daemon
    keeper = (said.lab.state / "executors/process/keeper.log").read_text()
    assert "fail point keeper.exit.drained" in keeper, "a keeper has told its end with a traceback"


def test_nothing_that_is_said_holds_a_secret(said: Said) -> None:
    found = {what: find(text) for what, text in said.texts.items()}
    assert {what: names for what, names in found.items() if names} == {}


def test_tokens_are_never_said(said: Said) -> None:
    assert [what for what, text in said.texts.items() for token in said.tokens if token in text] == []


def test_nothing_that_is_kept_holds_a_secret_but_what_must(said: Said) -> None:
    kept: dict[str, set[str]] = {}
    for path in said.lab.state.rglob("*"):
        if path.is_file():
            names = find(path.read_bytes()) | {"token" for token in said.tokens if token.encode() in path.read_bytes()}
            if names:
                kept[str(path.relative_to(said.lab.state))] = names
                assert path.stat().st_mode & 0o077 == 0, path
    assert kept.pop("token") == {"token"}
    legitimate = {name for name in kept if name.startswith(("registry.db", "outputs/birds/gives/"))}
    assert {name: kept[name] for name in kept.keys() - legitimate} == {}


def test_no_process_of_ours_carries_one_in_its_arguments(said: Said) -> None:
    ours = {said.lab.card()["pid"], said.lab.keeper}
    for pid in ours:
        assert read_stat(pid) is not None
        assert find(Path(f"/proc/{pid}/cmdline").read_bytes()) == set()


def test_even_the_journal_holds_none(said: Said) -> None:
    """The registry may hold definitions, but what happened is told to every viewer."""
    assert find(str(said.lab.told())) == set()
    assert said.lab.told("health"), "checks were made and told"
