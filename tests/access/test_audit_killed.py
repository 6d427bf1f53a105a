"""The audit trail under SIGKILL at any moment, rotation and many writers: nothing acknowledged is lost, no break is
told where nobody changed anything, and every change is."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from harness.maintenance import audit_problems
from harness_core.domain.errors import HarnessError
from harness_core.doors.audit import Audit, verify
from tests.faults.lab import LONG, ROOT, Lab

pytestmark = pytest.mark.e2e

KILLS = 300 if LONG else 40
#: writes as fast as it can, and says which records are on the disk; rotated every few dozen
WRITER = """
import sys
from pathlib import Path
from harness_core.doors.audit import Audit
audit = Audit(Path(sys.argv[1]), max_bytes=8000, max_files=10)
while True:
    audit.record("done", operation="x", padding="p" * 50)
    sys.stdout.write(f"{audit._seq}\\n"); sys.stdout.flush()
"""


def records(path: Path) -> list[int]:
    files = [*(path.with_name(f"{path.name}.{n}") for n in range(10, 0, -1)), path]
    lines = [line for file in files if file.exists() for line in file.read_bytes().split(b"\n")[:-1]]
    return [json.loads(line)["seq"] for line in lines]


@pytest.mark.timeout(300)
def test_killed_at_any_moment_the_chain_is_whole_and_what_was_acknowledged_is_there(tmp_path: Path) -> None:
    dice, path, acknowledged = random.Random(7), tmp_path / "audit.log", 0
    for _ in range(KILLS):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, env={"PYTHONPATH": str(ROOT)}
        )
        assert writer.stdout is not None
        for _ in range(dice.randrange(1, 40)):
            acknowledged = int(writer.stdout.readline())
        writer.kill()
        rest = writer.stdout.read().split()
        writer.wait()
        writer.stdout.close()
        acknowledged = int(rest[-1]) if rest else acknowledged
        assert verify(path) == []
        found = records(path)
        assert found == list(range(found[0], found[0] + len(found))), "none is missing, none comes twice"
        assert found[-1] >= acknowledged


@pytest.mark.parametrize("gap", [1, 2, 5])
def test_a_rotation_that_was_cut_short_hides_nothing(tmp_path: Path, gap: int) -> None:
    path = tmp_path / "audit.log"
    audit = Audit(path, max_bytes=500, max_files=10)
    for _ in range(20):
        audit.record("done", padding="p" * 100)
    for number in range(8, gap - 1, -1):
        older = path.with_name(f"{path.name}.{number}")
        if older.exists():
            older.rename(path.with_name(f"{path.name}.{number + 1}"))
    assert verify(path) == []
    oldest = max(path.parent.glob("audit.log.*"), key=lambda file: int(file.suffix[1:]))
    oldest.write_bytes(oldest.read_bytes().replace(b'"done"', b'"gone"', 1))
    assert verify(path) != [], "what lies behind the gap is looked at, too"


def test_half_a_record_at_the_end_is_no_break_but_in_the_middle_it_is(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    audit = Audit(path)
    for _ in range(3):
        audit.record("done")
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    assert verify(path) == []
    Audit(path).record("done")
    assert verify(path) == []
    lines = whole.splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1][:40] + b"\n" + lines[2])
    assert verify(path) != []


def test_every_kind_of_tampering_is_told(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    audit = Audit(path)
    for number in range(6):
        audit.record("done", number=number)
    lines = path.read_bytes().splitlines(keepends=True)
    tampered = {
        "changed": [*lines[:2], lines[2].replace(b'"number":2', b'"number":9'), *lines[3:]],
        "removed": [*lines[:2], *lines[3:]],
        "swapped": [lines[0], lines[2], lines[1], *lines[3:]],
        "repeated": [*lines[:3], *lines[2:]],
        "inserted": [*lines[:3], lines[0], *lines[3:]],
        "garbage": [*lines[:3], b"garbage\n", *lines[3:]],
    }
    for how, content in tampered.items():
        path.write_bytes(b"".join(content))
        assert verify(path) != [], how


def test_many_who_change_something_at_once_make_one_chain(lab: Lab) -> None:
    lab.boot()

    def create(number: int) -> None:
        for life in range(5):
            try:
                lab.client.call("token.create", {"name": f"t{number}-{life}", "role": "viewer"})
            except HarnessError:
                return

    threads = [threading.Thread(target=create, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads[:10]:
        thread.join()
    assert audit_problems(lab.state) == [], "also while it is written"
    lab.kill()
    for thread in threads:
        thread.join()
    assert audit_problems(lab.state) == []
    lab.boot()
    created = {row["name"] for row in lab.client.call("token.list")["tokens"]} - {"local"}
    records = map(json.loads, (lab.state / "audit.log").read_text().splitlines())
    asked = [one for one in records if one["event"] == "asked" and one["operation"] == "token.create"]
    assert len(asked) >= len(created) > 0, "nothing was done that is not recorded"
