from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from .conftest import Look, Serve, hanging

YES, NO, UNKNOWN = {"file": "/"}, {"file": "/no/such/file"}, {"command": "x"}


@pytest.mark.parametrize(
    ("check", "ok"),
    [
        ({"all": [YES, YES]}, True),
        ({"all": [YES, NO]}, False),
        ({"all": [UNKNOWN, NO]}, False),
        ({"all": [UNKNOWN, YES]}, None),
        ({"any": [NO, YES]}, True),
        ({"any": [UNKNOWN, YES]}, True),
        ({"any": [NO, NO]}, False),
        ({"any": [NO, UNKNOWN]}, None),
        ({"all": [YES, {"any": [NO, YES]}]}, True),
        ({"any": [NO, {"all": [YES, NO]}]}, False),
    ],
)
async def test_truth(look: Look, check: dict[str, Any], ok: bool | None) -> None:
    assert (await look(check)).ok is ok


async def test_all_names_the_part_that_failed(look: Look) -> None:
    assert (await look({"all": [YES, NO]})).detail == "file /no/such/file is missing"


async def test_any_names_all_that_failed(look: Look, tmp_path: Path) -> None:
    outcome = await look({"any": [{"file": "a"}, {"file": "b"}]}, base_dir=tmp_path)
    assert outcome.detail == "file a is missing; file b is missing"


async def test_a_part_that_hangs_is_named_and_does_not_hold_up_what_is_decided(serve: Serve, look: Look) -> None:
    port = await serve(hanging)
    late = {"http": f"http://127.0.0.1:{port}/"}
    began = time.monotonic()
    assert (await look({"any": [late, YES], "timeout": "30s"})).ok is True
    assert (await look({"all": [late, NO], "timeout": "30s"})).ok is False
    assert time.monotonic() - began < 5.0
    assert "gave no answer within 0.05 s" in (await look({"all": [late, YES], "timeout": "50ms"})).detail


async def test_a_part_that_makes_no_sense_is_that_part_alone(look: Look) -> None:
    assert (await look({"any": [{"tcp": "nowhere"}, YES]})).ok is True
