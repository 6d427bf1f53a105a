"""From a start to what the holder is told. Values only: no file is opened and no process started here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness_core.domain.executor import StartSpec
from harness_detached.options import DetachedOptions


def order_of(spec: StartSpec, options: DetachedOptions, marker: Mapping[str, str]) -> dict[str, Any]:
    """The holder's order, as JSON. ``marker`` is the variable by which the instance is found again."""
    return {
        "argv": options.argv,
        "env": {**spec.env, **marker},
        "cwd": str(spec.base_dir / (options.working_dir or "")),
        "ports": {name: [port, spec.schemes.get(name, "http")] for name, port in spec.ports.items()},
        "logs": {"max_size": spec.logs.max_size, "max_files": spec.logs.max_files},
    }
