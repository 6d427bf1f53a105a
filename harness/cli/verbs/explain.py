"""``harness explain``: why a unit is as it is, from the journal."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from harness.cli.grammar import STACK, Argument, Verb
from harness.cli.render.status import full_name
from harness.cli.render.story import explain_lines
from harness.cli.session import Cli

if TYPE_CHECKING:
    from harness_core.domain.protocol import ExplainResult

__all__ = ["VERB"]


def run(cli: Cli, *, name: str, stack: str | None) -> int:
    result = cast("ExplainResult", cli.call("explain", {**cli.select, "name": name, "stack": stack}))
    cli.data(
        result,
        lambda: explain_lines(result, cli.out.style),
        rows="story",
        names=lambda: [full_name(result["service"])],
    )
    return 0


VERB = Verb(
    "explain",
    run,
    "The verdict in one sentence, the chain of causes from this unit to the one at fault, what happened and when, and "
    "what to do.",
    arguments=(Argument("name", "The unit.", required=True, complete="unit"),),
    options=(STACK,),
)
