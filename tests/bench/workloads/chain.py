"""What dependencies add to what the services themselves take: a chain of 50, and 10 layers of 10."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping
from typing import Any

from tests.bench.bench import Bench, Pair, Row
from tests.bench.ours import ours, shell

ROWS = (
    Row("chain", "chain of 50 ready-gated, above the critical path", "ms a step", 3),
    Row("layers", "10 layers of 10, above the critical path", "ms a layer", 12),
)
STEPS, LAYERS, WIDTH = 50, 10, 10
SCRIPT = "echo up; exec sleep 1000000"


def once(bench: Bench) -> Mapping[str, Pair]:
    floor = _command_alone(bench)
    steps = _took(bench, {f"s{i}": _after([f"s{i - 1}"] if i else []) for i in range(STEPS)})
    chain = steps - floor - sum(_alone(1) for _ in range(STEPS))
    layers = _took(
        bench,
        {
            f"s{layer}-{i}": _after([f"s{layer - 1}-{n}" for n in range(WIDTH)] if layer else [])
            for layer in range(LAYERS)
            for i in range(WIDTH)
        },
    )
    wide = layers - floor - sum(_alone(WIDTH) for _ in range(LAYERS))
    return {"chain": Pair(chain / STEPS * 1000), "layers": Pair(wide / LAYERS * 1000)}


def _after(names: list[str]) -> dict[str, Any]:
    gates = [{"service": name, "condition": "log_ready"} for name in names]
    return shell(SCRIPT, health_check={"log": "up"}, dependencies=gates)


def _took(bench: Bench, services: dict[str, Any]) -> float:
    with bench.folder() as folder, ours(folder) as harness:
        harness.define(services)
        return harness.run("start", str(harness.stack), "-q")


def _command_alone(bench: Bench) -> float:
    """What a start costs that has a single service: the command, the door, the disk."""
    return _took(bench, {"one": _after([])})


def _alone(width: int) -> float:
    """The critical path of a step: so many of the programs started at once, until each has written its line."""
    began = time.monotonic()
    programs = [subprocess.Popen(["/bin/sh", "-c", SCRIPT], stdout=subprocess.PIPE) for _ in range(width)]
    for program in programs:
        assert program.stdout is not None
        program.stdout.readline()
    took = time.monotonic() - began
    for program in programs:
        program.kill()
        program.communicate()
    return took
