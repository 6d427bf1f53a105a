"""The machines of a stack: which of them a unit needs, and whether the ways to them can exist."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness_core.domain.diagnostics import did_you_mean
from harness_core.domain.document import Document
from harness_core.domain.drafts import Draft
from harness_core.domain.graph import cycle_in
from harness_core.domain.stackfile import HostSpec

__all__ = ["check_hosts", "hosts_for"]


def hosts_for(target: Mapping[str, Any], hosts: Mapping[str, HostSpec]) -> dict[str, HostSpec]:
    """The host that a target names and those on the way to it, by name; empty where the stack defines none such."""
    needed: dict[str, HostSpec] = {}
    name = target.get("host")
    while isinstance(name, str) and name in hosts and name not in needed:
        needed[name] = hosts[name]
        name = hosts[name].jump
    return needed


def check_hosts(document: Document, drafts: Mapping[str, Draft]) -> None:
    """Every ``jump`` names another host of the file and no way leads in a circle; a target's host that the file does
    not have may be one of the SSH configuration, unless it looks like a slip."""
    written = document.value(("hosts",))
    hosts = (
        {name: host for name, host in written.items() if isinstance(host, dict)} if isinstance(written, dict) else {}
    )
    ways: dict[str, list[str]] = {}
    for name, host in hosts.items():
        jump = host.get("jump")
        if not isinstance(jump, str):
            continue
        if jump in hosts:
            ways[name] = [jump]
            continue
        path = ("hosts", name, "jump")
        message = f"{document.written(path, jump)} is not one of the hosts of this stack"
        document.diagnostics.error(
            "unknown-host", message, document.place_of_value(path), label=did_you_mean(jump, hosts)
        )
    circle = cycle_in({name: ways.get(name, []) for name in hosts})
    if circle is not None:
        place = document.place_of_value(("hosts", circle[0], "jump"))
        document.diagnostics.error("host-cycle", f"jumps form a cycle: {' → '.join(circle)}", place)
    for draft in drafts.values():
        wanted = draft.target.get("host")
        if draft.target_type != "remote" or not isinstance(wanted, str) or wanted in hosts:
            continue
        if label := did_you_mean(wanted, hosts):
            place = document.place_of_value((*draft.path, "target", "host"))
            message = (
                f"{document.written((*draft.path, 'target', 'host'), wanted)} is not one of the hosts of this stack"
            )
            document.diagnostics.warning("unknown-host", message, place, label=label)
