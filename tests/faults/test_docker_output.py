"""Floods and huge lines from containers, with the daemon killed in the middle: every byte, once, the streams apart."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.engine import IMAGE, Engine
from tests.faults.lab import Lab, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

LINES = 1_000_000


def stack(lab: Lab, engine: Engine, line: str, **logs: Any) -> None:
    lab.env["DOCKER_HOST"] = engine.host
    target = {"type": "docker", "image": IMAGE, "pull": "never", "init": True, "command": ["sh", "-c", line]}
    unit = {"target": target, "restart": {"policy": "no"}, "logs": logs}
    lab.stack(f"services: {{a: {json.dumps(unit)}}}")


def ended(lab: Lab) -> bool:
    return bool(lab.row("a")["phase"] == "completed")


def test_a_million_lines_with_the_daemon_killed_again_and_again(lab: Lab, engine: Engine) -> None:
    line = f"seq 1 {LINES} & seq 1 {LINES // 10} >&2; wait"
    stack(lab, engine, line, max_size="64MiB", max_files=4)
    lab.boot()
    lab.start(wait=False)
    for _ in range(5):
        before = until(lambda: lab.output("a") and len(lab.output("a")), "output")
        lab.kill()
        lab.boot()
        until(lambda before=before: len(lab.output("a")) > before or ended(lab), "more of it")  # type: ignore[misc]
    until(lambda: ended(lab), "the end to be told", 120)
    assert lab.output("a") == b"".join(b"%d\n" % number for number in range(1, LINES + 1))
    assert lab.output("a", "stderr") == b"".join(b"%d\n" % number for number in range(1, LINES // 10 + 1))
    lab.stop()


def test_a_line_of_ten_million_bytes(lab: Lab, engine: Engine) -> None:
    """The daemon dies while it is printed, too."""
    line = (
        "echo first; for i in 1 2 3 4 5; do head -c 2000000 /dev/zero | tr '\\000' x; sleep 0.2; done; echo; echo last"
    )
    stack(lab, engine, line)
    lab.boot()
    lab.start(wait=False)
    until(lambda: len(lab.output("a")) > 1_000_000, "a part of it")
    lab.kill()
    lab.boot()
    until(lambda: ended(lab), "the end to be told", 60)
    assert lab.output("a") == b"first\n" + b"x" * 10_000_000 + b"\nlast\n"
    lab.stop()


def test_a_service_that_printed_nothing_for_long_is_read_on_quickly(lab: Lab, engine: Engine) -> None:
    """A silent second stream does not make the first one be read from its beginning."""
    stack(lab, engine, "seq 1 300000; sleep 1000")
    lab.boot()
    lab.start()
    until(lambda: lab.output("a").endswith(b"\n300000\n"), "the flood", 60)
    lab.kill()
    began = time.monotonic()
    lab.boot()
    until(lambda: lab.row("a")["phase"] == "running", "it to be taken back")
    assert time.monotonic() - began < 6
    lab.stop()
    assert lab.output("a") == b"".join(b"%d\n" % number for number in range(1, 300_001))


def test_more_than_is_kept_is_kept_from_its_end(lab: Lab, engine: Engine) -> None:
    stack(lab, engine, "seq 1 200000", max_size="64KiB", max_files=3)
    lab.boot()
    lab.start(wait=False)
    until(lambda: ended(lab), "the end to be told", 60)
    stored = lab.output("a")
    whole = b"".join(b"%d\n" % number for number in range(1, 200_001))
    assert 64 * 1024 < len(stored) <= 3 * 64 * 1024
    assert whole.endswith(stored)
    lab.stop()
