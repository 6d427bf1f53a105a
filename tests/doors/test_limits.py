"""Buckets and penalties, as arithmetic."""

from __future__ import annotations

import pytest

from harness_core.doors.limits import Bucket, Penalties, is_loopback


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    bucket = Bucket(rate=10.0, burst=3.0, now=0.0)
    assert [bucket.take(0.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert bucket.take(0.0) == pytest.approx(0.1)
    assert bucket.take(0.1) == 0.0
    assert bucket.take(0.15) == pytest.approx(0.05)
    assert [bucket.take(100.0) for _ in range(4)][:3] == [0.0, 0.0, 0.0]


def test_penalties_are_felt_from_the_third_refusal_and_pass() -> None:
    penalties = Penalties()
    for _ in range(2):
        penalties.refused("192.0.2.1", 0.0)
    assert penalties.wait("192.0.2.1", 0.0) == 0.0
    penalties.refused("192.0.2.1", 0.0)
    assert penalties.wait("192.0.2.1", 0.0) == 15.0
    assert penalties.wait("192.0.2.2", 0.0) == 0.0
    assert penalties.wait("192.0.2.1", 15.0) == 0.0


def test_penalties_end_at_ten_minutes() -> None:
    penalties = Penalties()
    for _ in range(1000):
        penalties.refused("192.0.2.1", 0.0)
    assert penalties.wait("192.0.2.1", 0.0) == 600.0


def test_a_network_of_64_bits_is_one_source() -> None:
    penalties = Penalties()
    for number in range(3):
        penalties.refused(f"2001:db8::{number:x}", 0.0)
    assert penalties.wait("2001:db8::ffff", 0.0) == 15.0
    assert penalties.wait("2001:db8:0:1::1", 0.0) == 0.0
    for _ in range(3):
        penalties.refused("::ffff:192.0.2.1", 0.0)
    assert penalties.wait("192.0.2.1", 0.0) == 15.0


def test_sources_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Penalties, "SOURCES", 10)
    penalties = Penalties()
    for _ in range(3):
        penalties.refused("192.0.2.1", 0.0)
    for number in range(10):
        penalties.refused(f"198.51.100.{number}", 0.0)
    assert penalties.wait("192.0.2.1", 0.0) == 0.0


@pytest.mark.parametrize("source", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_loopback(source: str) -> None:
    assert is_loopback(source)


@pytest.mark.parametrize("source", ["", "192.0.2.1", "localhost", "::2", "10.0.0.1"])
def test_not_loopback(source: str) -> None:
    assert not is_loopback(source)
