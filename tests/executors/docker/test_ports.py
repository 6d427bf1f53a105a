"""The language of ``ports:``, every form and every mistake."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executors.docker.ports import PortMapping, parse_port


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (5432, [PortMapping(5432)]),
        ("5432", [PortMapping(5432)]),
        ("auto:5432", [PortMapping(5432)]),
        (":5432", [PortMapping(5432)]),
        ("8080:80", [PortMapping(80, published=8080)]),
        ("53:53/udp", [PortMapping(53, "udp", 53)]),
        ("0.0.0.0:8080:80", [PortMapping(80, published=8080, address="0.0.0.0")]),
        ("localhost:8080:80", [PortMapping(80, published=8080)]),
        ("127.0.0.1::80", [PortMapping(80)]),
        ("[::1]:8080:80", [PortMapping(80, published=8080, address="::1")]),
        ("8000-8002", [PortMapping(8000), PortMapping(8001), PortMapping(8002)]),
        ("9000-9001:80-81", [PortMapping(80, published=9000), PortMapping(81, published=9001)]),
    ],
)
def test_forms(text: int | str, expected: list[PortMapping]) -> None:
    assert parse_port(text) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("http", "'http' is not a port; write 5432"),
        ("", "is not a port"),
        ("80/icmp", "is not a port"),
        ("a:80", "is not a port"),
        ("0", "go from 1 to 65535"),
        ("70000", "go from 1 to 65535"),
        ("90-80", "is no port or range"),
        ("1-2000", "more than 1000 ports"),
        ("80-81:8000-8002", "publishes 2 ports for 3 of the container"),
        ("999.1.1.1:80:80", "999.1.1.1"),
    ],
)
def test_mistakes_are_named(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_port(text)


@given(st.text(max_size=20))
def test_nothing_else_comes_of_any_text(text: str) -> None:
    try:
        found = parse_port(text)
    except ValueError:
        return
    assert all(0 < one.inner < 65536 for one in found)


def test_names() -> None:
    assert (PortMapping(80).name, PortMapping(80).key) == ("80", "80/tcp")
    assert (PortMapping(53, "udp").name, PortMapping(53, "udp").key) == ("53-udp", "53/udp")
    assert (PortMapping(80).scheme, PortMapping(53, "udp").scheme) == ("http", "udp")
