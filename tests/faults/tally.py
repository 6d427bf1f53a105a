"""What the long tier leaves to be read: a table of what was tried how often, how long it took, and what was found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import pytest

__all__ = ["TALLIES", "Tally", "table"]


@dataclass
class Tally:
    """Of one test: how many kills, lives or the like it went through, and figures worth telling."""

    rounds: int = 0
    words: list[str] = field(default_factory=list)

    def note(self, words: str) -> None:
        self.words.append(words)


#: by node
TALLIES = pytest.StashKey[dict[str, Tally]]()


@dataclass
class _Row:
    rounds: int = 0
    seconds: float = 0.0
    failed: int = 0
    words: list[str] = field(default_factory=list)

    def cells(self, name: str) -> tuple[str, ...]:
        found = f"{self.failed} FAILED" if self.failed else "none"
        return name, str(self.rounds), f"{self.seconds:.0f}", "; ".join([found, *self.words])


def table(reports: Iterable[pytest.TestReport], tallies: dict[str, Tally]) -> list[str]:
    """Lines of Markdown, a row for each test function; one without a tally counts its cases."""
    rows: dict[str, _Row] = {}
    for report in reports:
        row = rows.setdefault(report.nodeid.partition("[")[0].removeprefix("tests/"), _Row())
        row.seconds += report.duration
        row.failed += report.failed
        if report.when == "call":
            tally = tallies.get(report.nodeid, Tally(rounds=1))
            row.rounds += tally.rounds
            row.words += tally.words
    lines = ["| test | rounds | seconds | findings |", "|---|---|---|---|"]
    return lines + [f"| {' | '.join(row.cells(name))} |" for name, row in sorted(rows.items())]
