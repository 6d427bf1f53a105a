"""The audit trail: what stands in it, that it is there before the answer, and that a change to it shows."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import stat
from pathlib import Path
from typing import Any

import pytest

from harness_core.domain.errors import ReadOnly
from harness_core.doors.audit import Audit, digest_of, target_of, verify

from .conftest import House
from .wire import http, request, websocket


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def filled(path: Path, count: int = 5, **options: int) -> Audit:
    audit = Audit(path, **options)
    for number in range(count):
        audit.record("done", number=number)
    return audit


def test_records_are_chained_and_private(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    filled(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [record["seq"] for record in records(path)] == [1, 2, 3, 4, 5]
    assert verify(path) == []


def test_the_chain_goes_on_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    filled(path)
    filled(path)
    assert [record["seq"] for record in records(path)] == list(range(1, 11))
    assert verify(path) == []


def test_a_change_a_removal_and_a_move_show(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    filled(path)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([lines[0], lines[1].replace('"number":1', '"number":7'), *lines[2:]]))
    assert verify(path) == ["audit.log:3: the record before it was changed or removed"]
    path.write_text("".join([lines[0], *lines[2:]]))
    assert verify(path) == ["audit.log:2: the record before it was changed or removed"]
    path.write_text("".join([lines[1], lines[0], *lines[2:]]))
    assert verify(path)
    path.write_text("".join([*lines[:2], "nonsense\n", *lines[2:]]))
    assert "audit.log:3: not a record" in verify(path)


def test_half_a_record_at_the_end_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    filled(path)
    with path.open("ab") as file:
        file.write(b'{"seq":6,"at":')
    filled(path, 1)
    assert [record["seq"] for record in records(path)] == [1, 2, 3, 4, 5, 6]
    assert verify(path) == []


def test_files_are_rotated_and_the_chain_spans_them(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    filled(path, 60, max_bytes=1000, max_files=4)
    names = sorted(found.name for found in tmp_path.iterdir())
    assert len(names) <= 4
    assert "audit.log.1" in names
    assert verify(path) == []
    (tmp_path / "audit.log.2").write_text((tmp_path / "audit.log.2").read_text().replace('"number":', '"number":9'))
    assert verify(path)
    filled(path, 1, max_bytes=1000, max_files=4)


def test_a_disk_that_takes_nothing_makes_it_read_only_and_it_recovers(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"
    audit = filled(path)
    size = path.stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 50, hard))
    try:
        with pytest.raises(ReadOnly, match="the audit log cannot be written"):
            audit.record("done")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.stat().st_size == size
    audit.record("done")
    assert verify(path) == []


def test_a_digest_knows_names_of_variables_but_not_their_values() -> None:
    one = {"source": {"text": "x", "env": {"SECRET": "a"}}}
    other = {"source": {"text": "x", "env": {"SECRET": "b"}}}
    assert digest_of(one) == digest_of(other)
    assert digest_of(one) != digest_of({"source": {"text": "x", "env": {"OTHER": "a"}}})
    assert digest_of(one) != digest_of({"source": {"text": "y", "env": {"SECRET": "a"}}})


def test_targets() -> None:
    assert target_of({"names": ["a", "b"], "stack": "s"}) == "s a b"
    assert target_of({"source": {"filename": "shop.yaml", "env": {"S": "secret"}}}) == "shop.yaml"
    assert target_of(None) == ""
    assert len(target_of({"names": ["x" * 500]})) == 200


async def test_a_change_is_recorded_before_and_after(house: House) -> None:
    await http(house, request("change", value="v"))
    await http(house, request("echo"))
    asked, done = records(house.state_dir / "audit.log")
    assert (asked["event"], done["event"]) == ("asked", "done")
    assert asked["operation"] == "change"
    assert asked["name"] == "local"
    assert asked["peer"] == "127.0.0.1"
    assert asked["request"] == done["request"]


async def test_a_change_that_fails_and_one_whose_caller_leaves_are_recorded(house: House) -> None:
    await http(house, request("token.revoke", id="nobody"))
    await http(house, request("token.create", name="x", role="nonsense"))
    events = [record["event"] for record in records(house.state_dir / "audit.log")]
    assert events == ["asked", "failed", "asked", "failed"]


async def test_no_secret_stands_in_the_trail(house: House) -> None:
    _, _, body = await http(house, request("token.create", name="x", role="viewer"))
    secret = body["result"]["token"]
    await http(house, request("echo"), headers={"Authorization": f"Bearer {secret[:-2]}AA"})
    async with websocket(house, secret):
        pass
    path = house.state_dir / "audit.log"
    await house.until(lambda: "refused" in path.read_text())
    text = path.read_text()
    assert secret[13:] not in text
    assert secret[13:-2] not in text
    assert house.token[13:] not in text
    assert verify(path) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
async def test_when_the_trail_cannot_be_written_nothing_is_changed_but_reading_goes_on(house: House) -> None:
    path = house.state_dir / "audit.log"
    path.unlink(missing_ok=True)
    path.mkdir()
    _, _, body = await http(house, request("change", value="v"))
    assert body["error"]["data"]["code"] in ("read-only", "not-allowed")
    assert house.changes == []
    assert (await http(house, request("echo")))[0] == 200
    await asyncio.to_thread(path.rmdir)
    assert "result" in (await http(house, request("change", value="v")))[2]
    assert house.changes == ["v"]
