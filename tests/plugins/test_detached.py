"""The example of the authors' guide keeps the contract, installed as a package and run for real."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness_core.domain.executor import Capabilities, ExecutorPlugin
from harness_core.runtime.plugins import load_plugins
from harness_core.testing.conformance import ExecutorConformance, Program, script
from tests.plugins.installing import install


class TestDetached(ExecutorConformance):
    capabilities = Capabilities(exec=False)

    @pytest.fixture(autouse=True)
    def _installed(self, site: Path) -> None:
        install("good", site)

    def make_plugin(self) -> ExecutorPlugin:
        return load_plugins().executors["detached"]

    def target(self, program: Program) -> dict[str, Any]:
        argv = ["sh", "-c", script(program), "sh", *program.args]
        return {"type": "detached", "argv": argv, "working_dir": program.cwd or None}

    def broken_targets(self) -> list[tuple[dict[str, Any], bool]]:
        return [
            ({"type": "detached", "argv": ["no-such-program-anywhere"]}, True),
            ({"type": "detached", "argv": ["sh"], "working_dir": "no such folder"}, True),
        ]
