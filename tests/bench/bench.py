"""What a workload is: rows of the table, and one repetition that measures them, ours and the yardstick's in turn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import nan
from pathlib import Path
from shutil import rmtree
from statistics import median
from tempfile import mkdtemp
from typing import Protocol

from tests.bench.stock import Stock

__all__ = ["Bench", "Outcome", "Pair", "Row", "Workload"]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. ``limit`` is a multiple of the yardstick, or, without one, in ``unit``."""

    name: str
    title: str
    unit: str
    limit: float
    yardstick: str = ""
    #: the figure must reach the limit instead of staying below it
    at_least: bool = False

    @property
    def wanted(self) -> str:
        sign = "≥" if self.at_least else "≤"
        return f"{sign} {self.limit:g}× {self.yardstick}" if self.yardstick else f"{sign} {self.limit:g} {self.unit}"


@dataclass(frozen=True, slots=True)
class Pair:
    """One measurement: ours, and the yardstick's where there is one."""

    ours: float
    theirs: float | None = None


@dataclass(slots=True)
class Outcome:
    """All repetitions of one row."""

    row: Row
    pairs: list[Pair] = field(default_factory=list)

    @property
    def figure(self) -> float:
        """Not a number when every repetition broke."""
        return median(pair.ours for pair in self.pairs) if self.pairs else nan

    @property
    def theirs(self) -> float | None:
        known = [pair.theirs for pair in self.pairs if pair.theirs is not None]
        return median(known) if known else None

    @property
    def ratio(self) -> float | None:
        theirs = self.theirs
        return None if not theirs else self.figure / theirs

    @property
    def met(self) -> bool:
        value = self.figure if not self.row.yardstick else self.ratio
        if value is None:
            return False
        return value >= self.row.limit if self.row.at_least else value <= self.row.limit


@dataclass(slots=True)
class Bench:
    """What a repetition gets: the yardsticks' programs, and folders that are gone afterwards."""

    stock: Stock
    quick: bool

    @contextmanager
    def folder(self) -> Iterator[Path]:
        path = Path(mkdtemp(prefix="harness-bench-"))
        try:
            yield path
        finally:
            rmtree(path, ignore_errors=True)


class Workload(Protocol):
    """A module of ``workloads``."""

    ROWS: tuple[Row, ...]

    @staticmethod
    def once(bench: Bench) -> Mapping[str, Pair]:
        """Measure every row once, by its name."""
        ...
