"""``harness stop``: units, stacks or everything, in the reverse of the order in which they started."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from harness.cli import stackfile
from harness.cli.follow import follow
from harness.cli.grammar import STACK, UNITS, Option, Verb
from harness.cli.render.plan import affected_lines, is_asked
from harness.cli.session import Cli
from harness.cli.times import parse_span
from harness_core.domain.errors import UsageError

if TYPE_CHECKING:
    from harness_core.domain.protocol import PlanResult

__all__ = ["VERB", "ask_about_dependents"]


def run(
    cli: Cli,
    *,
    names: tuple[str, ...],
    stack: str | None,
    stop_all: bool,
    no_deps: bool,
    kill: bool,
    grace: str | None,
    no_wait: bool,
) -> int:
    chosen = list(names)
    if stop_all and (chosen or stack):
        raise UsageError("cannot stop --all and single units at once", hint="leave one of them out")
    if not stop_all and not chosen and not stack:
        stack = _stack_here(cli)
    params: dict[str, Any] = {**cli.select, "names": chosen, "stack": stack, "all": stop_all, "no_deps": no_deps}
    if stop_all and not cli.confirm("stop everything?", refuse="cannot stop everything without being sure"):
        return _left_alone(cli)
    if chosen and not no_deps and not ask_about_dependents(cli, params, chosen):
        return _left_alone(cli)
    params |= {"timeout": cli.settings.timeout, "wait": not no_wait, "force": kill}
    params["grace"] = parse_span(grace, "--grace") if grace else None
    return follow(cli, "stop", "service.stop", params, ", ".join(chosen) or stack or "everything")


def ask_about_dependents(cli: Cli, params: dict[str, Any], names: list[str]) -> bool:
    """Show what else would stop, and ask whether that is meant; ``True`` at once when nothing would."""
    plan = cast("PlanResult", cli.call("service.affected", params))
    lines = affected_lines(plan, names, cli.err.style)
    if not lines:
        return True
    if not cli.settings.quiet:
        cli.err.lines(lines)
    others = ", ".join(step["name"] for step in plan["steps"] if not is_asked(step, plan, names))
    return cli.confirm(
        "stop all of these?",
        refuse=f"cannot stop {', '.join(names)} without a yes: it would also stop {others}",
    )


def _left_alone(cli: Cli) -> int:
    cli.note("nothing was stopped")
    return 1


def _stack_here(cli: Cli) -> str:
    """Without a name, the stack of the nearest stack file is meant, as with ``start``."""
    nearest = stackfile.find(".")
    if nearest is not None:
        directory = nearest.rpartition("/")[0]
        for row in cli.call("status", cli.select)["stacks"]:
            if row["base_dir"] == directory:
                return str(row["name"])
    raise UsageError("cannot tell what to stop", hint="name units or stacks, or stop everything with --all")


VERB = Verb(
    "stop",
    run,
    "Without a name, the stack of the nearest harness.yaml. What needs a stopped unit stops first; that is shown and "
    "asked about. Each unit is asked to end, and killed when its time is over.",
    arguments=(UNITS,),
    options=(
        STACK,
        Option(("-a", "--all"), "Stop everything.", parameter="stop_all"),
        Option(("--no-deps",), "Leave running what needs them."),
        Option(("--kill",), "Kill at once instead of asking first."),
        Option(("--grace",), "How long they may take before they are killed.", "text", metavar="DURATION"),
        Option(("--no-wait",), "Return as soon as the wish is recorded."),
    ),
)
