"""Where the Docker engine is: found as the ``docker`` command finds it, so that both speak to the same one."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

__all__ = ["Address", "BadAddress", "find_address"]

_DEFAULT = "unix:///var/run/docker.sock"
#: says that an engine without TLS on another machine is meant so
INSECURE = "HARNESS_DOCKER_INSECURE"
_PORT, _TLS_PORT = 2375, 2376


class BadAddress(Exception):
    """The engine cannot be used as the environment names it; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Address:
    """One engine's address."""

    #: as people write it: ``unix:///var/run/docker.sock``
    url: str
    #: where it was read: ``DOCKER_HOST``, ``context lab``, ``default``
    source: str = "default"
    #: folder with ``ca.pem``, ``cert.pem`` and ``key.pem``; ``None`` without TLS
    certificates: str | None = None
    verify: bool = True

    @property
    def socket(self) -> str | None:
        """The path of its Unix socket, if it has one."""
        return self.url.removeprefix("unix://") if self.url.startswith("unix://") else None

    @property
    def host(self) -> str:
        """The name or address of the machine that it publishes ports on."""
        return "127.0.0.1" if self.socket is not None else urlsplit(self.url).hostname or "127.0.0.1"

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or (_TLS_PORT if self.certificates else _PORT)

    @property
    def local(self) -> bool:
        """Whether it runs on this machine, so that its published ports are this machine's."""
        return self.socket is not None or _is_loopback(self.host)

    def tls(self) -> ssl.SSLContext | None:
        """What connections are secured with. Raises ``BadAddress`` for certificates that cannot be read."""
        if self.certificates is None:
            return None
        folder = Path(self.certificates)
        try:
            context = ssl.create_default_context(cafile=str(folder / "ca.pem"))
            context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
        except OSError as error:  # ssl.SSLError is one
            raise BadAddress(f"cannot read the engine's certificates in {folder}: {error}") from None
        if not self.verify:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context


def find_address(env: Mapping[str, str]) -> Address:
    """The engine that these variables mean: ``DOCKER_HOST``, else ``DOCKER_CONTEXT``, else the context in use.

    Reads the command's configuration files; blocks for as long as that takes. Raises ``BadAddress``.
    """
    home = env.get("DOCKER_CONFIG") or str(Path(env.get("HOME", "~")).expanduser() / ".docker")
    if host := env.get("DOCKER_HOST"):
        folder = (env.get("DOCKER_CERT_PATH") or home) if env.get("DOCKER_TLS_VERIFY") else None
        return _checked(Address(host, "DOCKER_HOST", folder), env)
    name = env.get("DOCKER_CONTEXT") or _context_in_use(Path(home))
    if name in ("", "default"):
        return Address(_DEFAULT)
    return _checked(_context(Path(home), name), env)


def _context_in_use(home: Path) -> str:
    try:
        value = json.loads((home / "config.json").read_bytes())
    except (OSError, ValueError):
        return ""
    name = value.get("currentContext") if isinstance(value, dict) else None
    return name if isinstance(name, str) else ""


def _context(home: Path, name: str) -> Address:
    place = hashlib.sha256(name.encode()).hexdigest()
    try:
        meta = json.loads((home / "contexts" / "meta" / place / "meta.json").read_bytes())
        endpoint = meta["Endpoints"]["docker"]
        url, skip = str(endpoint["Host"]), bool(endpoint.get("SkipTLSVerify"))
    except FileNotFoundError:
        raise BadAddress(f"cannot use the docker context {name!r}: there is none; see: docker context ls") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadAddress(f"cannot use the docker context {name!r}: its file is damaged: {error}") from None
    folder = home / "contexts" / "tls" / place / "docker"
    return Address(url, f"context {name}", str(folder) if folder.is_dir() else None, verify=not skip)


def _checked(address: Address, env: Mapping[str, str]) -> Address:
    url = address.url
    if url.startswith("unix://") and address.socket:
        return address
    if url.startswith("ssh://"):
        raise BadAddress(
            f"cannot use {url}: an engine behind SSH is reached through a forwarded socket; "
            f"ssh -NL /tmp/engine.sock:/var/run/docker.sock {url.removeprefix('ssh://')}, and DOCKER_HOST=unix:///tmp/engine.sock"
        )
    if not url.startswith(("tcp://", "http://", "https://")) or not urlsplit(url).hostname:
        raise BadAddress(f"cannot use {url!r} of {address.source}: write unix:///PATH or tcp://HOST:PORT")
    if address.certificates is None and not _is_loopback(address.host) and not env.get(INSECURE):
        raise BadAddress(
            f"cannot use {url}: whoever reaches that port is root there, and it is not secured; set "
            f"DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH, or {INSECURE}=1 if the network between is yours alone"
        )
    return address


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
