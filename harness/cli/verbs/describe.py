"""``harness describe``: everything about one unit."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from harness.cli.grammar import STACK, Argument, Verb
from harness.cli.render.status import full_name
from harness.cli.render.story import describe_lines
from harness.cli.session import Cli

if TYPE_CHECKING:
    from harness_core.domain.protocol import DescribeResult

__all__ = ["VERB"]


def run(cli: Cli, *, name: str, stack: str | None) -> int:
    result = cast("DescribeResult", cli.call("describe", {**cli.select, "name": name, "stack": stack}))
    cli.data(result, lambda: describe_lines(result, cli.out.style), names=lambda: [full_name(result["service"])])
    return 0


VERB = Verb(
    "describe",
    run,
    "Its state and why, processes, addresses, health, definition and environment (secrets masked), where its logs are, "
    "and its last events.",
    arguments=(Argument("name", "The unit.", required=True, complete="unit"),),
    options=(STACK,),
)
