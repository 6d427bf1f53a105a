from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime

import pytest

from harness.cli.times import parse_moment, parse_span
from harness_core.domain.errors import UsageError

NOW = 1_795_262_400.0  # 2026-11-21 12:00:00 UTC


@pytest.fixture(autouse=True, params=["UTC", "America/New_York", "Asia/Kathmandu"])
def _zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("30s", 30), ("1m30s", 90), ("500ms", 0.5), ("2h", 7200), ("1.5h", 5400), (" 1w 2d ", 777600)],
)
def test_spans(text: str, seconds: float) -> None:
    assert parse_span(text, "--timeout") == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", " ", "soon", "-5s", "5 parsecs", "1h x", "9" * 30 + "w"])
def test_what_is_no_span_names_the_option(text: str) -> None:
    with pytest.raises(UsageError, match="--timeout"):
        parse_span(text, "--timeout")


def test_moments_before_now() -> None:
    assert parse_moment("10m", "--since", NOW) == NOW - 600
    assert parse_moment("2h", "--since", NOW) == NOW - 7200


def test_a_time_of_day_is_the_last_one_that_was() -> None:
    for text in ("00:00", "11:59:30", "23:30"):
        moment = parse_moment(text, "--since", NOW)
        assert NOW - 86400 - 3600 < moment <= NOW
        assert time.strftime("%H:%M:%S", time.localtime(moment)).startswith(text)


def test_dates_are_local_unless_they_say_otherwise() -> None:
    assert parse_moment("2026-11-21T12:00:00Z", "--since", NOW) == NOW
    assert parse_moment("2026-11-21T13:00:00+01:00", "--since", NOW) == NOW
    assert parse_moment("2026-11-21", "--since", NOW) == datetime(2026, 11, 21).timestamp()
    assert parse_moment("2026-11-21 10:30", "--since", NOW) == datetime(2026, 11, 21, 10, 30).timestamp()


@pytest.mark.parametrize(
    "text", ["yesterday", "25:00", "12:60", "2026-13-01", "12:00:61", "", "10m ago", "9999999-01-01"]
)
def test_what_is_no_moment_names_the_option(text: str) -> None:
    with pytest.raises(UsageError, match="--since"):
        parse_moment(text, "--since", NOW)
