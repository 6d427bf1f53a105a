"""``harness exec``: a command in a unit's context, as if it were run here."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING, cast

from harness.cli.grammar import STACK, Argument, Option, Verb
from harness.cli.passing import code_of
from harness.cli.session import Cli
from harness_core.domain.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from harness_core.domain.protocol import ExecResult

__all__ = ["VERB"]


def run(
    cli: Cli,
    *,
    name: str,
    command: tuple[str, ...],
    stack: str | None,
    variables: tuple[str, ...],
    tty: bool,
    no_tty: bool,
    no_stdin: bool,
) -> int:
    from harness.cli.remote import RemoteCommand

    argv = list(command[1:] if command[:1] == ("--",) else command)
    if not argv:
        raise UsageError("cannot exec: no command given", hint=f"harness exec {name} -- COMMAND")
    if tty and no_tty:
        raise UsageError("cannot exec with and without a terminal at once", hint="leave out -t or -T")
    here = not no_stdin and sys.stdin.isatty() and sys.stdout.isatty()
    use_tty = tty or (here and not no_tty)
    size = shutil.get_terminal_size()
    params = {**cli.select, "name": name, "stack": stack, "argv": argv, "env": _variables(variables, use_tty)}
    params |= {"tty": use_tty, "rows": size.lines, "columns": size.columns}
    with cli.stream("exec", params) as stream:
        RemoteCommand(stream, cli.out, cli.err, raw=use_tty and here, stdin=not no_stdin).pump()
        result = cast("ExecResult", stream.result)
    if result["exit"]["code"] is None and result["exit"]["signal"] is None:
        cli.err.line(f"it is not known how the command ended: {result['exit']['text']}")
        return int(ExitCode.FAILED)
    return code_of(result["exit"])


def _variables(given: tuple[str, ...], tty: bool) -> dict[str, str]:
    env = {"TERM": os.environ["TERM"]} if tty and "TERM" in os.environ else {}
    for assignment in given:
        key, equals, value = assignment.partition("=")
        if not equals or not key:
            raise UsageError(f"cannot read --env {assignment!r}", hint="write -e KEY=value")
        env[key] = value
    return env


VERB = Verb(
    "exec",
    run,
    "In its environment and its directory. With a terminal when this is one. "
    "The exit code is the command's own; 125 when it could not be started.\n\n"
    "\b\nharness exec db -- psql -c 'select 1'",
    arguments=(
        Argument("name", "The unit.", required=True, complete="unit"),
        Argument("command", "The command and its arguments.", many=True),
    ),
    options=(
        STACK,
        Option(("-e", "--env"), "Set a variable.", "text", many=True, metavar="KEY=value", parameter="variables"),
        Option(("-t", "--tty"), "Give it a terminal even when this is none."),
        Option(("-T", "--no-tty"), "Give it no terminal."),
        Option(("-n", "--no-stdin"), "Give it no input."),
    ),
    passthrough=True,
)
