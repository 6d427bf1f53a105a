"""What the services of a compose project have in common: volumes, networks, secrets and configs."""

from __future__ import annotations

from collections.abc import Mapping

from harness.importers.composelayers import Layers
from harness.importers.items import Item, Report, Spot

__all__ = ["OWN_NETWORK", "Shared"]

#: what compose calls the network that a project has without saying so
OWN_NETWORK = "default"


class Shared:
    """What the services of a project have in common."""

    def __init__(
        self,
        layers: Layers,
        report: Report,
        *,
        project: str,
        networks: Mapping[str, Item],
        volumes: Mapping[str, Item],
        files: Mapping[str, Mapping[str, Item]],
    ) -> None:
        self.layers = layers
        self._report = report
        self._project = project
        self._networks = networks
        self._volumes = volumes
        #: of ``secrets`` and ``configs``
        self.files = files
        self._sets: set[frozenset[str]] = set()
        for name, item in volumes.items():
            for key in item.entries.keys() & {"driver", "driver_opts", "labels"}:
                report.lose(item.entries[key].spot, f"volumes.{name}.{key}", "the engine makes a plain volume")
        for name, item in networks.items():
            for key in sorted(item.entries.keys() - {"external", "name"}):
                report.lose(item.entries[key].spot, f"networks.{name}.{key}", "the stack has a network of its own")

    def volume(self, name: str) -> str:
        """What a volume of the project is called outside of it, so that the stack finds what is in it already."""
        item = self._volumes.get(name)
        called = None if item is None else item.entries.get("name")
        if called is not None:
            return called.text
        return name if item is None or _is_external(item) or not self._project else f"{self._project}_{name}"

    def network(self, names: frozenset[str], spot: Spot, path: str) -> str | None:
        """The one network of a container: ``None`` for the stack's own."""
        outside = sorted(name for name in names if _is_external(self._networks.get(name)))
        if not outside or len(names) > 1:
            self._sets.add(names - set(outside))
            for name in outside:
                self._report.lose(spot, f"{path}.networks.{name}", "a container is on one network, the stack's own")
            return None
        called = self._networks[outside[0]].entries.get("name")
        return outside[0] if called is None else called.text

    def tell_networks(self) -> None:
        """Say that networks do not keep services apart, where they did."""
        if len(self._sets) > 1:
            for name, item in self._networks.items():
                if not _is_external(item):
                    why = "all containers of a stack share one network and reach each other"
                    self._report.lose(item.spot, f"networks.{name}", why)


def _is_external(item: Item | None) -> bool:
    external = None if item is None else item.entries.get("external")
    return external is not None and external.value not in (False, None)
