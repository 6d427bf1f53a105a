"""``harness run``: a task, its output as it comes, and its exit code."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from harness.cli.grammar import STACK, Argument, Option, Verb
from harness.cli.passing import code_of
from harness.cli.render.progress import outcome
from harness.cli.render.status import full_name
from harness.cli.session import Cli
from harness_core.domain.errors import ExitCode

if TYPE_CHECKING:
    from harness_core.domain.protocol import OperationResult, ServiceRow

__all__ = ["VERB"]


def run(cli: Cli, *, task: str, stack: str | None, again: bool) -> int:
    from harness.cli.follow import Watched, outlast
    from harness.cli.taskoutput import TaskOutput

    params: dict[str, Any] = {**cli.select, "names": [task], "stack": stack}
    ask = {**params, "again": again, "timeout": cli.settings.timeout}
    watched = Watched("run", task)
    # the output is listened to before the task is asked for, so that its first line is not missed
    with TaskOutput(cli, params, since=time.time()) as output:
        result = outlast(cli, watched, "task.run", ask, lambda news: None)
        row = next((row for row in result["services"] if row["kind"] == "task"), None)
        idle = row is not None and _was_done(watched.first.get(full_name(row)), row)
        if row is not None and not idle and not result["ended_by"]:
            output.drain(row["epoch"])
    _tell(cli, {**result, "unchanged": idle}, row)
    return _exit_code(result, row)


def _was_done(before: ServiceRow | None, after: ServiceRow) -> bool:
    """Whether nothing had to be run: the life that is done now was done already."""
    return before is not None and before["epoch"] == after["epoch"] and before["phase"] == "completed"


def _tell(cli: Cli, result: OperationResult, row: ServiceRow | None) -> None:
    if cli.settings.machine or cli.settings.output == "name":
        cli.data(result, tuple, rows="services", names=lambda: map(full_name, result["services"]))
    elif result["ok"]:
        if result["unchanged"]:
            cli.note(outcome("run", result, cli.err.style)[-1])
    elif row is not None and row["exit"] is not None and not result["ended_by"]:
        # its output was just seen; the block with its last lines would say it twice
        cli.err.line(f"{row['name']} {row['state']}: {row['exit']['text']}")
    else:
        cli.err.lines(outcome("run", result, cli.err.style))


def _exit_code(result: OperationResult, row: ServiceRow | None) -> int:
    if result["ok"]:
        return int(ExitCode.OK)
    if result["ended_by"] == "timeout":
        return int(ExitCode.TIMEOUT)
    if row is None or row["exit"] is None:
        return int(ExitCode.EXEC if row is not None and row["phase"] == "failed" else ExitCode.FAILED)
    return code_of(row["exit"])


VERB = Verb(
    "run",
    run,
    "What the task needs is started first. A task that is done is not run again, unless with --again. The exit code is "
    "the task's own; 125 when it could not be started.",
    arguments=(Argument("task", "The task.", required=True, complete="task"),),
    options=(STACK, Option(("--again",), "Run it even when it is done.")),
)
