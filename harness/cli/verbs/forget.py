"""``harness forget``: give up a unit without stopping it, or remove the record of a stopped stack."""

from __future__ import annotations

from harness.cli.grammar import STACK, Argument, Verb
from harness.cli.session import Cli

__all__ = ["VERB"]


def run(cli: Cli, *, name: str, stack: str | None) -> int:
    stacks = {row["name"] for row in cli.call("status", cli.select)["stacks"]}
    if stack is None and name in stacks:
        question, method = f"remove the record of the stack {name}?", "stack.forget"
        params: dict[str, object] = {"stack": name}
    else:
        question, method = f"give up {name} without stopping it?", "service.forget"
        params = {**cli.select, "name": name, "stack": stack}
        # nobody is asked about what is not there
        cli.call("status", {**cli.select, "names": [name], "stack": stack})
    if not cli.confirm(question, refuse=f"cannot forget {name} without being sure"):
        cli.note("nothing was forgotten")
        return 1
    done = cli.call(method, params)
    cli.data(done, lambda: [done["message"] or f"{name} is forgotten"])
    return 0 if done["ok"] else 1


VERB = Verb(
    "forget",
    run,
    "A unit that runs goes on running, and nobody looks after it any more. A stack must be stopped first.",
    arguments=(Argument("name", "A unit or a stopped stack.", required=True, complete="unit"),),
    options=(STACK,),
)
