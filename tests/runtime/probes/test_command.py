from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness_core.domain.errors import ExecNotStarted
from harness_core.domain.executor import Lost
from harness_core.domain.states import Exit

from .conftest import Look, Session, until


async def test_exit_code_zero(look: Look) -> None:
    outcome = await look({"command": "exit 0"}, execute=Session.start)
    assert (outcome.ok, outcome.detail) == (True, "command `exit 0` succeeded")


async def test_another_exit_code_comes_with_the_last_line(look: Look) -> None:
    outcome = await look(
        {"command": ["/bin/sh", "-c", "echo one; printf 'no \\033[31mroute\\n\\n'; exit 3"]}, execute=Session.start
    )
    assert outcome.ok is False
    assert outcome.detail.endswith("ended with exit code 3: no  [31mroute")


async def test_a_signal_is_named(look: Look) -> None:
    outcome = await look({"command": "kill -TERM $$"}, execute=Session.start)
    assert outcome.detail == "command `kill -TERM $$` killed by SIGTERM"


async def test_hanging_is_ended_with_all_it_started(look: Look, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    command = f"sleep 60 & echo $! $$ > {pids}.new; mv {pids}.new {pids}; wait"
    outcome = await look({"command": command, "timeout": "500ms"}, execute=Session.start)
    assert outcome.detail.endswith("gave no answer within 0.5 s")
    for pid in map(int, pids.read_text().split()):
        await until(functools.partial(_gone, pid))


def _gone(pid: int) -> bool:
    """Whether a process has ended; as a subreaper we may have become its parent."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    return not Path(f"/proc/{pid}").exists()


async def test_a_flood_of_output_leaves_one_line(look: Look) -> None:
    outcome = await look({"command": "yes | head -c 1000000; exit 1", "timeout": "10s"}, execute=Session.start)
    assert outcome.detail.endswith("ended with exit code 1: y")


@pytest.mark.parametrize(
    ("error", "ok", "words"),
    [
        (Lost("the host does not answer"), None, "has no answer: the host does not answer"),
        (Lost(), None, "has no answer: the link is lost"),
        (ExecNotStarted("cannot run pg_isready: no such file"), False, "could not be run: cannot run pg_isready"),
    ],
)
async def test_a_command_that_could_not_be_run(look: Look, error: Exception, ok: bool | None, words: str) -> None:
    async def broken(argv: Sequence[str]) -> Session:
        raise error

    outcome = await look({"command": "x"}, execute=broken)
    assert outcome.ok is ok
    assert words in outcome.detail


async def test_an_end_that_nobody_saw_is_unknown(look: Look) -> None:
    class Unseen(Session):
        async def wait(self) -> Exit:
            await super().wait()
            return Exit()

    assert (await look({"command": "exit 0"}, execute=Unseen.start)).ok is None


async def test_a_command_that_reads_its_input_finds_none(look: Look) -> None:
    assert (await look({"command": "cat", "timeout": "10s"}, execute=Session.start)).ok is True


async def test_a_service_that_runs_no_commands(look: Look) -> None:
    assert (await look({"command": "x"})).ok is None
