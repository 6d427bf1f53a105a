"""Feeds a target seeded inputs and judges it: nothing but what it may raise, true to its promises, never slow.

Inputs come in blocks, each with dice of its own, so that a finding is repeated from its block alone and processes share
the work without agreeing on anything. As a program it runs a share of the blocks and prints what it found:

    python -m tests.fuzz.runner TARGET SEED FIRST_BLOCK STEP INPUTS
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from random import Random
from typing import Any

__all__ = ["Report", "Target", "run", "run_in_processes"]

BLOCK = 500
#: processor time that no input may take, in seconds
SLOWEST = 1.0
#: an input that takes so long is given up
HANGS = 5.0
#: findings kept in words; more of them say nothing new
MOST = 5
#: address space of a worker: an input that needs more is a finding too
MEMORY = 2 << 30


@dataclass(frozen=True)
class Target:
    """What is fed. ``make`` draws an input; ``judge`` feeds it, and lets nothing out when all is well."""

    name: str
    make: Callable[[Random], Any]
    judge: Callable[[Any], None]
    #: inputs of an ordinary run
    share: int


@dataclass
class Report:
    """What a run found."""

    target: str
    inputs: int = 0
    #: of the slowest input, in seconds of processor time
    slowest: float = 0.0
    seconds: float = 0.0
    findings: list[str] = field(default_factory=list)

    def add(self, other: Report) -> None:
        self.inputs += other.inputs
        self.slowest = max(self.slowest, other.slowest)
        self.seconds += other.seconds
        self.findings += other.findings

    def __str__(self) -> str:
        said = f"{self.target:<10} {self.inputs:>9} inputs  {self.seconds:>7.1f} s of processor time"
        return f"{said}  slowest {self.slowest * 1000:>6.1f} ms  findings {len(self.findings)}"


def run(target: Target, seed: str, inputs: int, *, first: int = 0, step: int = 1) -> Report:
    """Every ``step``-th block from ``first`` on, until so many inputs were judged."""
    report, block = Report(target.name), first
    began = time.process_time()
    before = signal.signal(signal.SIGPROF, _give_up)
    try:
        while report.inputs < inputs and len(report.findings) < MOST:
            dice = Random(f"{seed}/{target.name}/{block}")
            for number in range(min(BLOCK, inputs - report.inputs)):
                _feed(target, target.make(dice), f"block {block} input {number}", report)
                if len(report.findings) == MOST:
                    break
            block += step
    finally:
        signal.signal(signal.SIGPROF, before)
    report.seconds = time.process_time() - began
    return report


def _give_up(_signal: int, _frame: object) -> None:
    raise TimeoutError(f"more than {HANGS:g} s of processor time")


def _feed(target: Target, made: Any, place: str, report: Report) -> None:
    report.inputs += 1
    before = time.process_time()
    signal.setitimer(signal.ITIMER_PROF, HANGS)
    try:
        target.judge(made)
    except Exception as error:  # noqa: BLE001 - anything at all that comes out is a finding
        report.findings.append(f"{place}: {type(error).__name__}: {str(error)[:300]} for {made!r:.1000}")
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    took = time.process_time() - before
    report.slowest = max(report.slowest, took)
    if took > SLOWEST:
        report.findings.append(f"{place}: took {took:.2f} s for {made!r:.1000}")


def run_in_processes(target: Target, seed: str, inputs: int, processes: int, timeout: float) -> Report:
    """The same, shared by several processes. A worker that dies or never ends is a finding."""
    share = -(-inputs // processes)
    workers = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.runner", target.name, seed, str(n), str(processes), str(share)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )
        for n in range(processes)
    ]
    report = Report(target.name)
    deadline = time.monotonic() + timeout
    for number, worker in enumerate(workers):
        try:
            out, _ = worker.communicate(timeout=max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            worker.kill()
            out, _ = worker.communicate()
        try:
            report.add(Report(**json.loads(out)))
        except ValueError:
            report.findings.append(f"worker {number} of {processes} ended with {worker.returncode}")
    return report


def main() -> None:
    from tests.fuzz.targets import TARGETS

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    name, seed, first, step, inputs = sys.argv[1:]
    print(json.dumps(asdict(run(TARGETS[name], seed, int(inputs), first=int(first), step=int(step)))))


if __name__ == "__main__":
    main()
