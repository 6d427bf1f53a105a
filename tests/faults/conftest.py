"""A lab for each test: everything in it is real, and gone at the end. After the long tier, a table of what was done."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.lab import LONG, Lab
from tests.faults.tally import TALLIES, Tally, table


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    one = Lab(tmp_path)
    try:
        yield one
    finally:
        one.close()


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Tally:
    """Where a test that goes round and round counts its rounds."""
    one = Tally()
    request.config.stash.setdefault(TALLIES, {})[request.node.nodeid] = one
    return one


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if LONG:
        reports = [one for kind in ("passed", "failed", "error") for one in terminalreporter.stats.get(kind, [])]
        terminalreporter.section("what was tried")
        tallies = terminalreporter.config.stash.get(TALLIES, {})
        for line in table(reports, tallies):
            terminalreporter.line(line)
