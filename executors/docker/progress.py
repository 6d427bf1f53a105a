"""How far the engine is with an image, put together from the stream of what it does: one sentence at any time."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from executors.docker.engine import EngineRefused

__all__ = ["Progress"]

_STEP = re.compile(r"Step (\d+)/(\d+) :")
#: of a layer that is here
_DONE = ("Pull complete", "Already exists")
#: of a layer that is on its way
_BEGUN = ("Pulling fs layer", "Waiting", "Downloading", "Verifying Checksum", "Download complete", "Extracting")


class Progress:
    """``take`` is called in one thread; ``sentence`` may be read in any."""

    def __init__(self, doing: str) -> None:
        self.sentence = doing
        #: the engine has said how it all went
        self.ended = False
        self._doing = doing
        #: by layer, whether it is here
        self._layers: dict[str, bool] = {}
        #: by layer, bytes fetched, and bytes in all
        self._bytes: dict[str, tuple[int, int]] = {}

    def take(self, step: Mapping[str, Any]) -> None:
        """The next piece of the stream. Raises ``EngineRefused``: errors come in the middle, after a good beginning."""
        if error := step.get("error"):
            raise EngineRefused(500, str(error).strip())
        if match := _STEP.match(str(step.get("stream", ""))):
            self.sentence = f"{self._doing}: step {match[1]} of {match[2]}"
        self.ended = self.ended or str(step.get("status", "")).startswith("Status: ")
        layer, status = str(step.get("id", "")), step.get("status")
        if layer and status in (*_DONE, *_BEGUN):
            self._layer(layer, str(status), step.get("progressDetail") or {})
            self.sentence = f"{self._doing}: {self._fetched()}"

    def _layer(self, layer: str, status: str, detail: Mapping[str, Any]) -> None:
        self._layers[layer] = status in _DONE
        if status == "Downloading" and detail.get("total", -1) > 0:
            self._bytes[layer] = (int(detail["current"]), int(detail["total"]))
        elif layer in self._bytes and status not in ("Pulling fs layer", "Waiting"):
            total = self._bytes[layer][1]
            self._bytes[layer] = (total, total)

    def _fetched(self) -> str:
        layers = f"{sum(self._layers.values())} of {len(self._layers)} layers"
        if not self._bytes:
            return layers
        done, total = (sum(column) for column in zip(*self._bytes.values(), strict=True))
        return f"{layers}, {done / 1e6:.1f} of {total / 1e6:.1f} MB"
