"""``harness graph``: what needs what."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from harness.cli.grammar import STACK, UNITS, Option, Verb
from harness.cli.render.graph import critical_lines, dot_lines, mermaid_lines, tree_lines
from harness.cli.session import Cli

if TYPE_CHECKING:
    from harness_core.domain.protocol import GraphResult

__all__ = ["VERB"]


def run(cli: Cli, *, names: tuple[str, ...], stack: str | None, form: str, critical_path: bool) -> int:
    result = cast("GraphResult", cli.call("graph", {**cli.select, "names": list(names), "stack": stack}))
    if form == "json":
        cli = cli.with_output("json")

    def lines() -> list[str]:
        if critical_path:
            return critical_lines(result, cli.out.style)
        if form == "mermaid":
            return mermaid_lines(result)
        return dot_lines(result) if form == "dot" else tree_lines(result, cli.out.style)

    cli.data(result, lines, rows="nodes", names=lambda: [f"{node['stack']}/{node['name']}" for node in result["nodes"]])
    return 0


VERB = Verb(
    "graph",
    run,
    "What nothing needs stands at the left, what it needs below it. --critical-path shows the chain of units that "
    "decided how long the start took.",
    arguments=(UNITS,),
    options=(
        STACK,
        Option(
            ("-f", "--format"),
            "How to draw it.",
            "choice",
            default="tree",
            choices=("tree", "mermaid", "dot", "json"),
            parameter="form",
        ),
        Option(("--critical-path",), "Only the chain that decided how long the start took."),
    ),
)
