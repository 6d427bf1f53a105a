"""The way to a machine as a value: what the stack file says of it and of those on the way, and who logs in."""

from __future__ import annotations

import json
import os.path
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness_core.domain.spec import HostSpec

__all__ = ["Route"]


@dataclass(frozen=True, slots=True)
class Route:
    """``hosts`` is empty for a name that only the SSH configuration or the network knows."""

    name: str
    user: str | None
    hosts: Mapping[str, HostSpec]

    @classmethod
    def from_data(cls, data: Any) -> Route:
        """Raises ``KeyError``, ``TypeError`` or ``ValueError``."""
        hosts = {str(name): HostSpec.model_validate(host) for name, host in data["hosts"].items()}
        user = data["user"]
        return cls(str(data["name"]), None if user is None else str(user), hosts)

    def to_data(self) -> dict[str, Any]:
        # only what was set: what was not may stand in the SSH configuration
        hosts = {
            name: host.model_dump(mode="json", exclude_unset=True, exclude={"labels"})
            for name, host in self.hosts.items()
        }
        return {"name": self.name, "user": self.user, "hosts": hosts}

    @property
    def key(self) -> str:
        """The same for all that may share a connection."""
        return json.dumps(self.to_data(), sort_keys=True)

    @property
    def address(self) -> str:
        """How the machine is called where the daemon runs."""
        return self.hosts[self.name].address if self.name in self.hosts else self.name

    @property
    def before(self) -> Route | None:
        """The way to the machine through which this one is reached."""
        spec = self.hosts.get(self.name)
        if spec is None or spec.jump is None:
            return None
        return Route(spec.jump, None, {name: host for name, host in self.hosts.items() if name != self.name})

    @property
    def options(self) -> dict[str, Any]:
        """For ``asyncssh.connect``, which asks the SSH configuration for the rest."""
        spec = self.hosts.get(self.name)
        options: dict[str, Any] = {"host": self.address}
        if spec is not None:
            if "port" in spec.model_fields_set:
                options["port"] = spec.port
            if spec.identity_file is not None:
                options["client_keys"] = [os.path.expanduser(spec.identity_file)]
        user = self.user or (spec.user if spec is not None else None)
        if user is not None:
            options["username"] = user
        return options

    @property
    def known_hosts(self) -> str | None:
        """The file of trusted host keys that the stack file names."""
        return self.hosts[self.name].known_hosts if self.name in self.hosts else None
