"""Tokens: made, proved, ended; and the files that hold them."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import re
import stat
from pathlib import Path

import pytest

from harness_core.domain.errors import Conflict, NotAllowed, NotFound, UsageError
from harness_core.domain.protocol import Role
from harness_core.doors.tokens import LOCAL_LIFE, LOCAL_OVERLAP, MAX_LIFE, Tokens

DAY = 86400.0


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def opened(state: Path, clock: Clock) -> Tokens:
    tokens = Tokens(state, clock=clock)
    tokens.open()
    return tokens


def local(state: Path) -> str:
    return (state / "token").read_text().strip()


def reason(tokens: Tokens, credential: str) -> str:
    with pytest.raises(NotAllowed) as caught:
        tokens.authenticate(credential)
    return str(caught.value.data["reason"])


def test_the_local_token_is_private_and_opens_everything(tmp_path: Path, clock: Clock) -> None:
    tokens = opened(tmp_path, clock)
    assert re.fullmatch(r"hns_[a-z2-7]{8}_[A-Za-z0-9_-]{43}", local(tmp_path))
    assert tokens.authenticate(local(tmp_path)).role is Role.ADMIN
    for name in ("token", "tokens.json"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_only_a_digest_is_stored(tmp_path: Path, clock: Clock) -> None:
    tokens = opened(tmp_path, clock)
    _, credential = tokens.create("laptop", Role.LOGS, DAY, "local")
    asyncio.run(tokens.save())
    stored = (tmp_path / "tokens.json").read_text()
    secret = credential[13:]
    assert secret not in stored
    assert len(base64.urlsafe_b64decode(secret + "=")) == 32
    assert hashlib.sha256(secret.encode()).hexdigest() in stored


def test_tokens_outlive_a_restart(tmp_path: Path, clock: Clock) -> None:
    tokens = opened(tmp_path, clock)
    _, credential = tokens.create("laptop", Role.LOGS, DAY, "local")
    asyncio.run(tokens.save())
    before = local(tmp_path)
    again = opened(tmp_path, clock)
    assert again.authenticate(credential).role is Role.LOGS
    assert local(tmp_path) == before
    assert [row["name"] for row in again.rows()] == ["local", "laptop"]


def test_why_a_credential_is_refused(tmp_path: Path, clock: Clock) -> None:
    tokens = opened(tmp_path, clock)
    token, credential = tokens.create("laptop", Role.LOGS, DAY, "local")
    assert reason(tokens, "") == "malformed"
    assert reason(tokens, credential[:-1]) == "malformed"
    assert reason(tokens, credential + "\n") == "malformed"
    assert reason(tokens, "hns_aaaaaaaa_" + "a" * 43) == "unknown"
    assert reason(tokens, credential[:-1] + ("A" if credential[-1] != "A" else "B")) == "wrong"
    clock.now += DAY
    assert reason(tokens, credential) == "expired"
    clock.now -= 1
    tokens.revoke(token.id)
    assert reason(tokens, credential) == "revoked"


def test_a_comparison_is_made_whatever_was_sent(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = opened(tmp_path, clock)
    compared: list[tuple[str, str]] = []

    def compare(one: str, other: str) -> bool:
        compared.append((one, other))
        return one == other

    monkeypatch.setattr("harness_core.doors.tokens.hmac.compare_digest", compare)
    for credential in ("", "nonsense", "hns_aaaaaaaa_" + "a" * 43, local(tmp_path)):
        with contextlib.suppress(NotAllowed):
            tokens.authenticate(credential)
    assert len(compared) == 4
    assert {len(part) for pair in compared for part in pair} == {64}


@pytest.mark.parametrize("name", ["", " x", "a/b", "x" * 64, "a\nb", "-a"])
def test_names_that_are_none(tmp_path: Path, clock: Clock, name: str) -> None:
    with pytest.raises(UsageError, match="cannot create a token"):
        opened(tmp_path, clock).create(name, Role.VIEWER, DAY, "local")


@pytest.mark.parametrize("life", [0.0, -1.0, MAX_LIFE + 1, float("nan"), float("inf")])
def test_lives_that_are_none(tmp_path: Path, clock: Clock, life: float) -> None:
    with pytest.raises(UsageError, match="365 days"):
        opened(tmp_path, clock).create("x", Role.VIEWER, life, "local")


def test_a_name_is_free_again_when_its_token_has_ended(tmp_path: Path, clock: Clock) -> None:
    tokens = opened(tmp_path, clock)
    with pytest.raises(Conflict):
        tokens.create("local", Role.VIEWER, DAY, "local")
    tokens.create("x", Role.VIEWER, DAY, "local")
    with pytest.raises(Conflict):
        tokens.create("x", Role.VIEWER, DAY, "local")
    tokens.revoke("x")
    tokens.create("x", Role.VIEWER, DAY, "local")
    with pytest.raises(NotFound):
        tokens.revoke("nobody")


def test_revoking_the_local_token_replaces_it(tmp_path: Path, clock: Clock) -> None:
    tokens = opened(tmp_path, clock)
    before = local(tmp_path)
    tokens.revoke("local")
    assert reason(tokens, before) == "revoked"
    assert tokens.authenticate(local(tmp_path)).role is Role.ADMIN


def test_the_local_token_is_replaced_when_it_is_old_with_an_overlap(tmp_path: Path, clock: Clock) -> None:
    tokens = opened(tmp_path, clock)
    before = local(tmp_path)
    clock.now += LOCAL_LIFE - 1
    assert not tokens.renew_local()
    clock.now += 1
    assert tokens.renew_local()
    assert tokens.authenticate(before).name == tokens.authenticate(local(tmp_path)).name == "local"
    clock.now += LOCAL_OVERLAP
    assert reason(tokens, before) == "expired"


@pytest.mark.parametrize("content", [None, b"", b"nonsense", b"hns_aaaaaaaa_" + b"a" * 43, b"\xff\xfe"])
def test_a_damaged_local_token_is_replaced(tmp_path: Path, clock: Clock, content: bytes | None) -> None:
    opened(tmp_path, clock)
    path = tmp_path / "token"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    assert opened(tmp_path, clock).authenticate(local(tmp_path)).role is Role.ADMIN


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"tokens": [{}]}', b'{"tokens": [{"id": 1}]}', b"\xff", b"[" * 10_000],
)
def test_damaged_records_are_set_aside_and_told(tmp_path: Path, clock: Clock, content: bytes) -> None:
    tokens = opened(tmp_path, clock)
    _, credential = tokens.create("laptop", Role.LOGS, DAY, "local")
    (tmp_path / "tokens.json").write_bytes(content)
    again = opened(tmp_path, clock)
    assert "set aside" in again.problems[0]
    assert [path for path in tmp_path.iterdir() if "damaged" in path.name]
    assert again.authenticate(local(tmp_path)).role is Role.ADMIN
    assert reason(again, credential) == "unknown"


def test_a_link_in_place_of_the_token_is_refused(tmp_path: Path, clock: Clock) -> None:
    opened(tmp_path, clock)
    (tmp_path / "token").rename(tmp_path / "elsewhere")
    (tmp_path / "token").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NotAllowed, match="it is a link"):
        opened(tmp_path, clock)


def test_a_use_is_remembered_but_not_written_at_once(tmp_path: Path, clock: Clock) -> None:
    tokens = opened(tmp_path, clock)
    assert not tokens.unsaved_use
    clock.now += 5
    tokens.authenticate(local(tmp_path))
    assert tokens.unsaved_use
    assert json.loads((tmp_path / "tokens.json").read_text())["tokens"][0]["last_used"] is None
    asyncio.run(tokens.save())
    assert not tokens.unsaved_use
    assert json.loads((tmp_path / "tokens.json").read_text())["tokens"][0]["last_used"] == clock.now


def test_what_ended_long_ago_is_forgotten(tmp_path: Path, clock: Clock) -> None:
    tokens = opened(tmp_path, clock)
    tokens.create("x", Role.VIEWER, DAY, "local")
    clock.now += DAY + MAX_LIFE + 1
    asyncio.run(tokens.save())
    assert [row["name"] for row in tokens.rows()] == ["local"]
