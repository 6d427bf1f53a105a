"""``harness wait``: until units are as somebody needs them."""

from __future__ import annotations

from harness.cli.follow import follow
from harness.cli.grammar import STACK, UNITS, Option, Verb
from harness.cli.session import Cli

__all__ = ["VERB"]

_CONDITIONS = ("ready", "healthy", "running", "stopped", "completed")


def run(cli: Cli, *, names: tuple[str, ...], stack: str | None, condition: str) -> int:
    params = {**cli.select, "names": list(names), "stack": stack, "condition": condition}
    params["timeout"] = cli.settings.timeout
    return follow(cli, "wait", "service.wait", params, ", ".join(names) or stack or "everything")


VERB = Verb(
    "wait",
    run,
    "Exit code 0 when all are so, 1 when one cannot come to be so any more, 8 when --timeout is over. "
    "Nothing is started or stopped by waiting.",
    arguments=(UNITS,),
    options=(
        STACK,
        Option(("--for",), "What to wait for.", "choice", default="ready", choices=_CONDITIONS, parameter="condition"),
    ),
)
