"""A share of the inputs in every run; ``./run fuzz`` feeds a million to each target (``HARNESS_FUZZ`` another number).

``HARNESS_FUZZ_SEED`` makes other inputs.
"""

from __future__ import annotations

import os
import time
from random import Random
from typing import Any

import pytest

from tests.fuzz.runner import Target, run, run_in_processes
from tests.fuzz.targets import TARGETS

ASKED = os.environ.get("HARNESS_FUZZ", "")
INPUTS = 1_000_000 if ASKED == "full" else int(ASKED or 0)
SEED = os.environ.get("HARNESS_FUZZ_SEED", "1")
#: for all inputs of one target, in seconds
DEADLINE = 3600.0


@pytest.mark.timeout(DEADLINE + 60 if INPUTS else 120)
@pytest.mark.parametrize("name", TARGETS)
def test_whatever_comes_in(name: str) -> None:
    target = TARGETS[name]
    if INPUTS:
        report = run_in_processes(target, SEED, INPUTS, os.cpu_count() or 1, DEADLINE)
    else:
        report = run(target, SEED, target.share)
    print(report)
    assert report.findings == [], "\n".join(report.findings)
    assert report.inputs >= (INPUTS or target.share)


#: inputs that once broke something, too rare for the share of an ordinary run
KNOWN: list[tuple[str, Any]] = [
    ("loader", "name: a\nservices:\n  b: x${self.p}\n"),
    ("protocol", '{"jsonrpc":"2.0","id":1,"method":"\ud800"}'),
    ("protocol", (b"\0\0\x0b\xb8" + b"[" * 3000,)),
    ("tail", {"stdout.09223372036854775808.log": b"x\n", "stdout.00000000000000000000.log": b"a\nb\n"}),
    ("tail", {"stdout.04611686018427387904.log": b"x\n", "stdout.00000000000000000000.log": b"a\nb\n"}),
]


@pytest.mark.parametrize(("name", "made"), KNOWN)
def test_known_mistakes_are_findings(name: str, made: Any) -> None:
    TARGETS[name].judge(made)


# ── the runner itself: one that finds nothing proves nothing ─────────────────────────────────────────────────────────


def _number(dice: Random) -> int:
    return int(dice.random() * 1000)


def test_what_comes_out_of_a_target_is_a_finding() -> None:
    def judge(number: int) -> None:
        assert number != 500, "five hundred"

    report = run(Target("self", _number, judge, 0), "1", 20_000)
    assert report.findings
    assert "AssertionError: five hundred" in report.findings[0]
    assert "for 500" in report.findings[0]


def test_what_is_slow_is_a_finding() -> None:
    def judge(number: int) -> None:
        if number == 500:
            until = time.process_time() + 1.05
            while time.process_time() < until:
                pass

    report = run(Target("self", _number, judge, 0), "1", 3_000)
    assert report.findings
    assert "took 1." in report.findings[0]


def test_the_same_seed_makes_the_same_inputs_and_another_one_others() -> None:
    def made(seed: str, first: int = 0) -> list[int]:
        inputs: list[int] = []
        run(Target("self", _number, inputs.append, 0), seed, 1000, first=first)
        return inputs

    assert made("1") == made("1")
    assert made("1") != made("2")
    assert made("1")[500:] == made("1", first=1)[:500], "a block is repeated alone"


def test_a_worker_that_dies_is_a_finding() -> None:
    unknown = Target("no such target", _number, lambda number: None, 0)
    report = run_in_processes(unknown, "1", 10, 1, 30)
    assert report.findings == ["worker 0 of 1 ended with 1"]
