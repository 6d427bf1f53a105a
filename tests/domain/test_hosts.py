"""The machines of a stack: what a unit needs of them, and what is wrong with the ways to them."""

from __future__ import annotations

import pytest

from tests.domain.stackkit import found, good

HOSTS = """\
name: shop
services:
  worker:
    target: {type: remote, host: box, binary: x}
  here:
    target: {type: process, binary: x}
hosts:
  box: {address: 10.0.0.7, user: deploy, jump: gate}
  gate: {address: gate.example.org, port: 2222}
  other: {address: "fe80::1"}
"""


def test_a_unit_has_its_host_and_those_on_the_way() -> None:
    units = good(HOSTS).units
    assert list(units["worker"].hosts) == ["box", "gate"]
    assert units["worker"].hosts["gate"].port == 2222
    assert units["here"].hosts == {}


def test_another_address_is_another_instance_and_another_label_is_not() -> None:
    before = good(HOSTS).units["worker"].digest
    assert good(HOSTS.replace("10.0.0.7", "10.0.0.8")).units["worker"].digest != before
    assert good(HOSTS.replace("port: 2222", "port: 2222, labels: {a: b}")).units["worker"].digest == before


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("jump: gate", "jump: gat", ["8:48 unknown-host"]),
        ("port: 2222", "jump: box", ["8:48 host-cycle"]),
        ("host: box,", "host: boy,", ["4:34 unknown-host"]),
        # one of the SSH configuration
        ("host: box,", "host: elsewhere,", []),
        ("host: box,", "host: [box],", ["4:28 wrong-value"]),
        ("address: 10.0.0.7", "address: -oProxyCommand=x", ["8:18 wrong-value"]),
        ("address: 10.0.0.7", 'address: "a b"', ["8:18 wrong-value"]),
        ("user: deploy", 'user: "$(id)"', ["8:34 wrong-value"]),
        ("{address: 10.0.0.7, user: deploy, jump: gate}", "5", ["8:8 wrong-value"]),
        ("jump: gate", "jump: [gate]", ["8:42 wrong-value"]),
    ],
)
def test_what_is_wrong_is_told_with_its_place(old: str, new: str, expected: list[str]) -> None:
    assert found(HOSTS.replace(old, new, 1)) == expected


def test_hosts_that_are_no_mapping_are_only_that() -> None:
    text = HOSTS.split("hosts:\n")[0] + "hosts: [box]\n"
    assert [line.split()[1] for line in found(text)] == ["wrong-value"]
