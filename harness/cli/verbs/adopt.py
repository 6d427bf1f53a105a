"""``harness adopt``: a process that somebody else started becomes the instance of a registered service."""

from __future__ import annotations

from harness.cli.grammar import STACK, Argument, Option, Verb
from harness.cli.session import Cli
from harness_core.domain.errors import UsageError

__all__ = ["VERB"]


def run(cli: Cli, *, name: str, stack: str | None, pid: int | None, port: int | None, pid_file: str | None) -> int:
    if sum(given is not None for given in (pid, port, pid_file)) != 1:
        raise UsageError(
            f"cannot tell which process {name} shall take over", hint="give one of --pid, --port, --pid-file"
        )
    params = {**cli.select, "name": name, "stack": stack, "pid": pid, "port": port, "pid_file": pid_file}
    done = cli.call("service.adopt", params)
    cli.data(done, lambda: [done["message"] or f"{name} was adopted"])
    return 0 if done["ok"] else 1


VERB = Verb(
    "adopt",
    run,
    "The service must be registered and not running. Its output goes on where it went before; its state, stop and "
    "restart are the daemon's from now on.",
    arguments=(Argument("name", "The service.", required=True, complete="unit"),),
    options=(
        STACK,
        Option(("--pid",), "The process with this id.", "int"),
        Option(("--port",), "The process that listens on this port.", "int"),
        Option(("--pid-file",), "The process whose id this file holds.", "text", metavar="FILE", complete="file"),
    ),
)
