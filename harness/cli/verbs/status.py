"""``harness status``: the units as they are, once or as they change."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from harness.cli.grammar import STACK, UNITS, Option, Verb
from harness.cli.render.status import names as unit_names
from harness.cli.render.status import status_lines
from harness.cli.session import Cli
from harness_core.domain.errors import ExitCode

if TYPE_CHECKING:
    from harness_core.domain.protocol import ServiceRow, StatusResult

__all__ = ["VERB"]


def run(cli: Cli, *, names: tuple[str, ...], follow: bool, stack: str | None, exit_code: bool) -> int:
    params = {**cli.select, "names": list(names), "stack": stack}
    if follow:
        from harness.cli.watch import watch_status

        return watch_status(cli, params)
    result = cast("StatusResult", cli.call("status", params))
    wide = cli.settings.output == "wide"
    cli.data(
        result,
        lambda: status_lines(result, cli.out.style, wide=wide),
        rows="services",
        names=lambda: unit_names(result["services"]),
    )
    return _verdict(result["services"], strict=exit_code)


def _verdict(rows: list[ServiceRow], *, strict: bool) -> int:
    """What cannot be known is never a success; with ``strict`` neither is what is not as it is wanted."""
    if any(row["phase"] == "unknown" for row in rows):
        return int(ExitCode.FAILED)
    if strict and any(row["wanted"] == "up" and row["state"] not in ("ready", "busy", "done") for row in rows):
        return int(ExitCode.FAILED)
    return int(ExitCode.OK)


VERB = Verb(
    "status",
    run,
    "Without a name, all units of all stacks. A narrow terminal loses columns; -o wide shows all.\n\n"
    "The exit code tells whether the answer could be had: 1 when the truth about a unit is unknown. "
    "With --exit-code also when a unit that is wanted up is not ready.",
    arguments=(UNITS,),
    options=(
        Option(("-f", "--follow"), "Keep showing every change, through restarts of the daemon."),
        STACK,
        Option(("--exit-code",), "Exit with 1 unless all that is wanted up is ready."),
    ),
)
