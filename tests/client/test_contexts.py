"""Daemons elsewhere, by name: saved only when they showed the pinned authority, private, and forgotten whole."""

from __future__ import annotations

import asyncio
import json
import stat
from pathlib import Path

import pytest

from harness_core.client import contexts, fast, locate
from harness_core.domain.errors import InvalidConfiguration, NotAllowed, NotFound, UsageError
from harness_core.domain.protocol import Role
from tests.doors.conftest import House, open_house


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARNESS_CONFIG_DIR", str(tmp_path / "config"))
    return tmp_path / "config"


def address(house: House, name: str = "laptop") -> str:
    _, token = house.doors.tokens.create(name, Role.LOGS, 3600, "test")
    return f"harness://127.0.0.1:{house.port}/#h1.{house.doors.pin}.{token}"


async def test_a_saved_context_is_used_by_its_name(house: House, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await asyncio.to_thread(contexts.add, "box", address(house))
    for path in (config / "contexts.json", config / "tokens" / "box"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "hns_" not in (config / "contexts.json").read_text()
    monkeypatch.setenv("HARNESS_CONTEXT", "box")
    endpoint = locate.find()
    assert endpoint.ca == house.endpoint.ca
    answer = await asyncio.to_thread(fast.call, endpoint, "echo", {"value": 1})
    assert answer["caller"] == "laptop"


async def test_a_daemon_with_another_authority_is_not_saved(house: House) -> None:
    wrong = address(house).replace(house.doors.pin, "B" * 43 + "=")
    with pytest.raises(NotAllowed, match="not the daemon you know") as caught:
        await asyncio.to_thread(contexts.add, "box", wrong)
    assert house.doors.pin in caught.value.message
    assert contexts.load() == {}


async def test_names(house: House) -> None:
    for name in ("", "local", "a/b", "../x", "A", "x" * 64):
        with pytest.raises(UsageError, match="cannot call a context"):
            await asyncio.to_thread(contexts.add, name, address(house, f"t{len(name)}{name[:1].strip('./')}"))
    await asyncio.to_thread(contexts.add, "box", address(house, "one"))
    with pytest.raises(UsageError, match="there is one already"):
        await asyncio.to_thread(contexts.add, "box", address(house, "two"))
    with pytest.raises(NotFound) as caught:
        contexts.endpoint("bix")
    assert "box" in caught.value.hint


async def test_a_context_is_forgotten_with_its_token(house: House, config: Path) -> None:
    await asyncio.to_thread(contexts.add, "box", address(house))
    contexts.remove("box")
    assert contexts.load() == {}
    assert not (config / "tokens" / "box").exists()
    with pytest.raises(NotFound):
        contexts.remove("box")


def test_damage_is_named(config: Path) -> None:
    config.mkdir()
    (config / "contexts.json").write_text("{")
    with pytest.raises(InvalidConfiguration, match=r"contexts\.json"):
        contexts.load()
    (config / "contexts.json").write_text(
        json.dumps({"contexts": {"box": {"url": "https://b:1", "token_file": "/no"}}})
    )
    with pytest.raises(NotAllowed, match="token cannot be read"):
        contexts.endpoint("box")


async def test_new_names_under_the_same_key_are_followed(tmp_path: Path) -> None:
    async with open_house(tmp_path / "state") as house:
        port = house.port
        saved = await asyncio.to_thread(contexts.add, "box", address(house))
        await house.doors.tokens.save()
    old = saved._replace(host="127.0.0.2")
    async with open_house(tmp_path / "state", host="127.0.0.2", port=port) as house:
        assert (await asyncio.to_thread(fast.call, old, "echo", {"value": 1}))["value"] == 1
        assert contexts.load()["box"]["ca"] == house.endpoint.ca != saved.ca
