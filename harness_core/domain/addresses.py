"""What ``${db.host}`` and its kind mean: the address of one unit as another one has to write it.

It depends on who asks. A process of this machine is given the published address; a container in the same network the
other one's name and own port; one in another network the name by which it reaches this machine.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass

from harness_core.domain.references import UnresolvedReference
from harness_core.domain.states import Endpoint, Inside, Kind
from harness_core.domain.unit import Unit

__all__ = ["HERE", "Viewpoint", "probed", "value_of"]


@dataclass(frozen=True, slots=True)
class Viewpoint:
    """From where addresses are asked for."""

    #: the network in which others are found by name; empty: none
    network: str = ""
    #: what this machine is called there
    machine: str = "127.0.0.1"


#: this machine itself: its processes, and the daemon
HERE = Viewpoint()


def value_of(unit: Unit, attribute: str, viewpoint: Viewpoint = HERE) -> str:
    """The value of ``${unit.attribute}`` for somebody at ``viewpoint``. Raises ``UnresolvedReference``."""
    name = unit.spec.name
    if unit.spec.kind is Kind.TASK:
        if attribute not in unit.outputs:
            raise UnresolvedReference(f"the task {name} has no output called {attribute!r}")
        return unit.outputs[attribute]
    inside = _inside(unit, viewpoint)
    if attribute in ("host", "ip"):
        if inside is not None:
            return inside.ip or inside.host if attribute == "ip" else inside.host
        return _from(viewpoint, unit.started.host if unit.started else "127.0.0.1")
    endpoints = unit.endpoints if inside is None else inside.endpoints
    wanted = attribute.removeprefix("ports.") if attribute.startswith("ports.") else next(iter(endpoints), "")
    endpoint = endpoints.get(wanted)
    if endpoint is None:
        what = f"port {wanted!r}" if wanted else "port"
        raise UnresolvedReference(f"{name} has no {what}")
    seen = Endpoint(_from(viewpoint, endpoint.host), endpoint.port, endpoint.scheme) if inside is None else endpoint
    return seen.url if attribute == "url" else str(seen.port)


def probed(unit: Unit) -> tuple[Mapping[str, Endpoint], str]:
    """Where the daemon looks at a unit's ports: those known by name, or by the number that they have inside, and the
    host on which it looks for any other."""
    host = unit.started.host if unit.started else "127.0.0.1"
    inside = unit.started.inside if unit.started else None
    if inside is None:
        return unit.endpoints, host
    numbers = {str(own.port): unit.endpoints[name] for name, own in inside.endpoints.items() if name in unit.endpoints}
    return {**unit.endpoints, **{number: one for number, one in numbers.items() if number not in unit.endpoints}}, (
        inside.ip or host
    )


def _inside(unit: Unit, viewpoint: Viewpoint) -> Inside | None:
    inside = unit.started.inside if unit.started else None
    same = inside is not None and inside.network and inside.network == viewpoint.network
    return inside if same else None


def _from(viewpoint: Viewpoint, host: str) -> str:
    """An address of this machine's loopback is another machine's own: there this one has another name."""
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = host == "localhost"
    return viewpoint.machine if loopback else host
