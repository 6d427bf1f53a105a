"""``harness plan``: what starting a stack file would do, without doing it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from harness.cli.grammar import Verb
from harness.cli.render.plan import plan_lines
from harness.cli.session import Cli
from harness.cli.sources import FILE_OR_NAMES, PROFILE, SOURCE, chosen_files, read_source

if TYPE_CHECKING:
    from harness_core.domain.protocol import PlanResult

__all__ = ["VERB", "show_plans"]


def run(cli: Cli, *, targets: tuple[str, ...], profiles: tuple[str, ...], **shaping: Any) -> int:
    files, names = chosen_files(targets)
    return show_plans(cli, files, names, profiles, shaping)


def show_plans(
    cli: Cli, files: Sequence[str], names: Sequence[str], profiles: Sequence[str], shaping: Mapping[str, Any]
) -> int:
    """Print the plan of each file; exit code 1 when one of them would run into a problem."""
    problems = False
    for file in files or chosen_files(())[0]:
        params = {"source": read_source(file, **shaping), "names": list(names), "profiles": list(profiles)}
        result = cast("PlanResult", cli.call("stack.plan", params, begin=True))
        _show(cli, result)
        problems = problems or bool(result["problems"])
    return int(problems)


def _show(cli: Cli, result: PlanResult) -> None:
    cli.data(
        result,
        lambda: plan_lines(result, cli.out.style),
        rows="steps",
        names=lambda: [step["name"] for step in result["steps"] if step["action"] not in ("keep", "skip")],
    )


VERB = Verb(
    "plan",
    run,
    "The units in the order in which they would start, by wave; what would restart because its definition changed, and "
    "which keys changed; taken ports and missing programs. The same as: harness start --dry-run.",
    arguments=(FILE_OR_NAMES,),
    options=(*SOURCE, PROFILE),
)
