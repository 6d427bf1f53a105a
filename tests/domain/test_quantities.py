from __future__ import annotations

import pytest

from harness_core.domain.quantities import parse_duration, parse_size


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (30, 30.0),
        (0.5, 0.5),
        ("30", 30.0),
        (" 1.5 ", 1.5),
        ("500ms", 0.5),
        ("1m30s", 90.0),
        ("2h", 7200.0),
        ("1d 1 s", 86401.0),
    ],
)
def test_durations(value: object, seconds: float) -> None:
    assert parse_duration(value) == seconds


@pytest.mark.parametrize("value", ["", "  ", "soon", "5 parsecs", "1m30", "10 20", True, None, [1], "-1s", "1e3s"])
def test_what_is_no_duration(value: object) -> None:
    with pytest.raises(ValueError, match="is not a duration; write for example 30s"):
        parse_duration(value)


@pytest.mark.parametrize("value", [-1, 10**400, -(10**400), float("nan"), "9" * 400, "9" * 400 + "d", "4000d"])
def test_durations_out_of_range(value: object) -> None:
    with pytest.raises(ValueError, match="out of range"):
        parse_duration(value)


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (5, 5),
        ("5", 5),
        ("1k", 1000),
        ("1KiB", 1024),
        ("512MiB", 512 << 20),
        ("2G", 2 * 10**9),
        ("1.5 kb", 1500),
        ("1ti", 1 << 40),
    ],
)
def test_sizes(value: object, size: int) -> None:
    assert parse_size(value) == size


@pytest.mark.parametrize("value", ["", "big", "5 x", 1.5, True, None, "-1"])
def test_what_is_no_size(value: object) -> None:
    with pytest.raises(ValueError, match="is not a size; write for example 512MiB"):
        parse_size(value)


@pytest.mark.parametrize("value", [-1, 2**63, 10**400, "9" * 400, "9999999999T"])
def test_sizes_out_of_range(value: object) -> None:
    with pytest.raises(ValueError, match="out of range"):
        parse_size(value)
