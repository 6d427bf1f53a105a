"""``harness restart``: stop, see it gone, start again."""

from __future__ import annotations

from harness.cli.follow import follow
from harness.cli.grammar import STACK, UNITS, Option, Verb
from harness.cli.session import Cli
from harness.cli.times import parse_span
from harness_core.domain.errors import UsageError

__all__ = ["VERB"]


def run(
    cli: Cli,
    *,
    names: tuple[str, ...],
    stack: str | None,
    restart_all: bool,
    no_deps: bool,
    kill: bool,
    grace: str | None,
    no_wait: bool,
) -> int:
    if not names and not stack and not restart_all:
        raise UsageError("cannot tell what to restart", hint="name units or stacks, or take --all")
    params = {**cli.select, "names": list(names), "stack": stack, "all": restart_all, "no_deps": no_deps}
    params |= {"timeout": cli.settings.timeout, "wait": not no_wait, "force": kill}
    params["grace"] = parse_span(grace, "--grace") if grace else None
    return follow(cli, "restart", "service.restart", params, ", ".join(names) or stack or "everything")


VERB = Verb(
    "restart",
    run,
    "The new instance starts only when the old one is seen gone. Units that need it and say `restart: true` for it are "
    "restarted as well.",
    arguments=(UNITS,),
    options=(
        STACK,
        Option(("-a", "--all"), "Restart everything.", parameter="restart_all"),
        Option(("--no-deps",), "Only what is named."),
        Option(("--kill",), "Kill at once instead of asking first."),
        Option(("--grace",), "How long they may take before they are killed.", "text", metavar="DURATION"),
        Option(("--no-wait",), "Return as soon as the wish is recorded."),
    ),
)
