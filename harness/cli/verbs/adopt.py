"""``harness adopt``: what somebody else started becomes the instance of a registered service."""

from __future__ import annotations

import os.path

from harness.cli.grammar import STACK, Argument, Option, Verb
from harness.cli.session import Cli
from harness_core.domain.errors import UsageError

__all__ = ["VERB"]


def run(
    cli: Cli,
    *,
    name: str,
    stack: str | None,
    pid: int | None,
    port: int | None,
    pid_file: str | None,
    match: str | None,
    container: str | None,
) -> int:
    # the daemon has another directory
    file = None if pid_file is None else os.path.abspath(pid_file)
    what = {"pid": pid, "port": port, "pid_file": file, "match": match, "container": container}
    if sum(given is not None for given in what.values()) != 1:
        raise UsageError(
            f"cannot tell what {name} shall take over",
            hint="give one of --pid, --port, --pid-file, --match and --container",
        )
    done = cli.call("service.adopt", {**cli.select, "name": name, "stack": stack, **what})
    cli.data(done, lambda: [done["message"] or f"{name} was adopted"])
    return 0 if done["ok"] else 1


VERB = Verb(
    "adopt",
    run,
    "The service must be registered and not running. Its state, stop and restart are the daemon's from now on; output "
    "of a process goes on where it went before, that of a container is read. To look on without ever ending it, give "
    "the service a target of type process-attach or docker-attach instead.",
    arguments=(Argument("name", "The service.", required=True, complete="unit"),),
    options=(
        STACK,
        Option(("--pid",), "The process with this id.", "int"),
        Option(("--port",), "The process that listens on this port.", "int"),
        Option(("--pid-file",), "The process whose id this file holds.", "text", metavar="FILE", complete="file"),
        Option(("--match",), "The process with exactly this name, program path or command line.", "text"),
        Option(("--container",), "The container with this name or id.", "text", metavar="NAME"),
    ),
)
