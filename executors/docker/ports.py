"""What may stand under ``ports:`` of a container: a small language, read into values."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

__all__ = ["PortMapping", "parse_port"]

LOOPBACK = "127.0.0.1"
_SPEC = re.compile(
    r"(?:(?:(?P<address>\[[0-9a-fA-F:.]+\]|\d+\.\d+\.\d+\.\d+|localhost):)?(?P<published>auto|\d+(?:-\d+)?)?:)?"
    r"(?P<inner>\d+(?:-\d+)?)(?:/(?P<protocol>tcp|udp|sctp))?"
)
_MOST = 1000


@dataclass(frozen=True, slots=True)
class PortMapping:
    """One port of a container, and where it is published."""

    inner: int
    protocol: str = "tcp"
    #: the port on the engine's machine; ``None``: one is chosen
    published: int | None = None
    address: str = LOOPBACK

    @property
    def name(self) -> str:
        """How it is called where it has no name of its own: ``5432``, or ``53-udp``."""
        return str(self.inner) if self.protocol == "tcp" else f"{self.inner}-{self.protocol}"

    @property
    def scheme(self) -> str:
        """With what its URL begins where the stack file does not say."""
        return "http" if self.protocol == "tcp" else self.protocol

    @property
    def key(self) -> str:
        """How the engine calls it: ``5432/tcp``."""
        return f"{self.inner}/{self.protocol}"


def parse_port(value: int | str) -> list[PortMapping]:
    """Read one entry: ``5432``, ``auto:5432``, ``8080:80``, ``0.0.0.0:8080:80``, ``8000-8009``, ``53:53/udp``.

    Published on loopback unless an address says otherwise. Raises ``ValueError`` that says what is wrong.
    """
    text = str(value).strip()
    match = _SPEC.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a port; write 5432, 8080:80, 0.0.0.0:8080:80, 8000-8009 or 53:53/udp")
    inner = _range(match["inner"])
    written = match["published"]
    address = _address(match["address"])
    published: list[int] | list[None]
    if written in (None, "auto"):
        published = [None] * len(inner)
    else:
        published = _range(written)
        if len(published) != len(inner):
            raise ValueError(f"{text!r} publishes {len(published)} ports for {len(inner)} of the container")
    protocol = match["protocol"] or "tcp"
    return [PortMapping(port, protocol, out, address) for port, out in zip(inner, published, strict=True)]


def _range(text: str) -> list[int]:
    first, _, last = text.partition("-")
    begin, end = int(first), int(last or first)
    if not 0 < begin <= end < 65536:
        raise ValueError(f"{text!r} is no port or range of ports: they go from 1 to 65535")
    if end - begin >= _MOST:
        raise ValueError(f"{text!r} is more than {_MOST} ports")
    return list(range(begin, end + 1))


def _address(text: str | None) -> str:
    if text is None:
        return LOOPBACK
    bare = text.strip("[]")
    return LOOPBACK if bare == "localhost" else str(ipaddress.ip_address(bare))
