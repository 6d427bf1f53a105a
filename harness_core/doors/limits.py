"""How much anybody may ask: the figures in one place, and the two counters that enforce them.

Nothing here sleeps or knows a clock: time is an argument, monotonic, in seconds.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass

__all__ = ["Bucket", "Limits", "Penalties", "is_loopback"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Every bound of the doors. Sizes in bytes, times in seconds."""

    #: connections that have not shown a credential yet; one more pushes out the one that has waited longest
    waiting: int = 64
    #: of those, from one address that is not loopback
    waiting_per_source: int = 8
    #: for the TLS handshake, and again for the first request with a credential
    greeting: float = 5.0
    #: for the body of a request, and for a message that comes in fragments
    message_time: float = 10.0
    message_bytes: int = 1 << 20
    header_bytes: int = 32 << 10
    fragments: int = 1024
    #: frames per second that are read from one connection, and how many at once; more wait in its socket
    frames: float = 100.0
    frames_burst: float = 200.0
    #: requests per second of one token, and how many may come at once
    requests: float = 100.0
    requests_burst: float = 200.0
    connections_per_token: int = 32
    #: the same of the local token, which all commands of the daemon's own user share: terminals, scripts, dashboards
    local_requests: float = 1000.0
    local_requests_burst: float = 2000.0
    local_connections: int = 512
    #: requests of one connection that are being worked on
    in_flight: int = 64
    subscriptions: int = 256
    #: items a caller may send into a stream before its handler took them
    incoming: int = 64
    #: a peer that takes nothing for so long is dropped; with the time to fill its kernel's buffers that is ten seconds
    write_deadline: float = 8.0
    #: refused credentials per second over all of loopback, where addresses tell nobody apart
    refusals: float = 10.0
    #: for open connections to end when the doors close
    closing: float = 2.0


class Bucket:
    """A token bucket: ``rate`` a second, ``burst`` at once."""

    __slots__ = ("_at", "_burst", "_level", "_rate")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._level = burst
        self._at = now

    def take(self, now: float) -> float:
        """Take one; 0.0 when there was one, else the seconds until there will be."""
        self._level = min(self._burst, self._level + (now - self._at) * self._rate)
        self._at = now
        if self._level >= 1.0:
            self._level -= 1.0
            return 0.0
        return (1.0 - self._level) / self._rate


class Penalties:
    """What refused credentials cost an address: 5 s each, felt from 15 s on, at most 10 minutes.

    A network of 64 bits counts as one IPv6 address. The sources that were bad longest ago are forgotten first.
    """

    COST = 5.0
    FELT = 15.0
    MOST = 600.0
    SOURCES = 65_536

    def __init__(self) -> None:
        self._until: OrderedDict[str, float] = OrderedDict()

    def refused(self, source: str, now: float) -> None:
        """Add the cost of one refusal."""
        key = _network(source)
        until = min(max(self._until.pop(key, now), now) + self.COST, now + self.MOST)
        self._until[key] = until
        if len(self._until) > self.SOURCES:
            self._until.popitem(last=False)

    def wait(self, source: str, now: float) -> float:
        """Seconds until this source is heard again; 0.0 when it is."""
        left = self._until.get(_network(source), now) - now
        return left if left >= self.FELT - self.COST / 2 else 0.0


def is_loopback(source: str) -> bool:
    try:
        address = ipaddress.ip_address(source)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _network(source: str) -> str:
    try:
        address = ipaddress.ip_address(source)
    except ValueError:
        return source
    if address.version == 6 and address.ipv4_mapped is None:
        return str(ipaddress.ip_network((int(address) >> 64 << 64, 64)))
    return str(getattr(address, "ipv4_mapped", None) or address)
