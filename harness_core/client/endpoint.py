"""A daemon as a client knows it, and the connection string that stands for one. Standard library only, and little."""

from __future__ import annotations

from typing import NamedTuple

from harness_core.domain.errors import UsageError

__all__ = ["Endpoint", "parse_address", "split_url"]


class Endpoint(NamedTuple):
    """A daemon, and what proves the two sides to each other."""

    host: str
    port: int
    token: str
    #: PEM of the authority that the daemon's certificate must come from; "" when only the pin is known yet
    ca: str = ""
    #: base64 SHA-256 of the authority's public key; "" for the local daemon, whose authority we read ourselves
    pin: str = ""
    #: the saved context's name; "" for the local daemon and for a bare connection string
    context: str = ""
    #: of the local daemon; "" for one elsewhere
    state_dir: str = ""

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"https://{host}:{self.port}"


def parse_address(address: str) -> Endpoint:
    """A connection string ``harness://host:port/#h1.<pin>.<token>``. Raises ``UsageError`` when it is not one."""
    place, _, secret = address.removeprefix("harness://").partition("#")
    version, pin, token = (*secret.split(".", 2), "", "", "")[:3]
    if not address.startswith("harness://") or version != "h1" or len(pin) != 44 or not token.startswith("hns_"):
        raise UsageError(
            "cannot use this connection string: it must read harness://host:port/#h1.PIN.TOKEN",
            hint="harness token create NAME, on the daemon's machine, prints one",
        )
    host, port = split_url(f"https://{place}")
    return Endpoint(host, port, token, pin=pin)


def split_url(url: str) -> tuple[str, int]:
    """Host and port of an address. Raises ``UsageError``."""
    place = url.partition("://")[2].partition("/")[0]
    host, _, port = place.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise UsageError(f"cannot use the address {url!r}: it needs a host and a port")
    return host.strip("[]"), int(port)
