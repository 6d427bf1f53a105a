"""``harness top``: processor time and memory, live."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

from harness.cli.grammar import STACK, UNITS, Option, Verb
from harness.cli.render.top import top_lines
from harness.cli.session import Cli
from harness.cli.times import parse_span

if TYPE_CHECKING:
    from harness_core.domain.protocol import TopResult

__all__ = ["VERB"]

#: seconds to the second sample, which is the first that can tell processor time
_FIRST = 0.5


def run(cli: Cli, *, names: tuple[str, ...], stack: str | None, once: bool, interval: str) -> int:
    live = not once and cli.out.style.redraws and not cli.settings.machine
    seconds = max(0.2, parse_span(interval, "--interval"))
    params = {**cli.select, "names": list(names), "stack": stack, "interval": seconds if live else _FIRST}
    with cli.stream("top", params) as stream:
        samples = (cast("TopResult", item) for item in stream)
        if live:
            _watch(cli, samples)
        else:
            _once(cli, samples)
    return 0


def _once(cli: Cli, samples: Iterator[TopResult]) -> None:
    last: TopResult | None = None
    for number, sample in enumerate(samples):
        last = sample
        if number or any(row["cpu_percent"] is not None for row in sample["services"]):
            break
    if last is not None:
        result = last
        cli.data(result, lambda: top_lines(result, cli.out.style), rows="services")


def _watch(cli: Cli, samples: Iterator[TopResult]) -> None:
    from harness.cli.live import Live

    first = next(samples, None)
    if first is None:
        return
    latest = [first]
    with Live(cli.out, lambda: top_lines(latest[0], cli.out.style), beside=cli.err) as live:
        for sample in samples:
            latest[0] = sample
            live.refresh()


VERB = Verb(
    "top",
    run,
    "100% is one core. Live on a terminal; elsewhere, with --once, or with -o json one sample.",
    arguments=(UNITS,),
    options=(
        STACK,
        Option(("--once",), "Show one sample and end."),
        Option(("--interval",), "Time between samples.", "text", default="2s", metavar="DURATION"),
    ),
)
