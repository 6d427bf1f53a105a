"""The table of outcomes, as people read it."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan

from tests.bench.bench import Outcome

__all__ = ["table"]

_HEAD = ("workload", "figure", "yardstick", "ratio", "wanted", "verdict")


def table(outcomes: Sequence[Outcome]) -> str:
    """A Markdown table, aligned."""
    rows = [_HEAD, *(_cells(outcome) for outcome in outcomes)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_HEAD))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def _cells(outcome: Outcome) -> tuple[str, ...]:
    row, theirs, ratio = outcome.row, outcome.theirs, outcome.ratio
    return (
        row.title,
        f"{_number(outcome.figure)} {row.unit}",
        "" if theirs is None else f"{_number(theirs)} {row.unit}",
        "" if ratio is None else f"{ratio:.2f}",
        row.wanted,
        "met" if outcome.met else "MISSED",
    )


def _number(value: float) -> str:
    if isnan(value):
        return "broke"
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
