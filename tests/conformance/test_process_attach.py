"""Attachments to processes: what they promise, with real processes that somebody else started."""

from __future__ import annotations

import subprocess
from typing import Any

from executors.process_attach.plugin import harness_executors
from harness_core.domain.executor import Capabilities, ExecutorPlugin
from harness_core.testing.conformance import Bench, ExecutorConformance, Program, script


class TestProcessAttach(ExecutorConformance):
    capabilities = Capabilities(stop=False, listens_here=False)
    features = frozenset()

    def make_plugin(self) -> ExecutorPlugin:
        self.foreign: list[subprocess.Popen[bytes]] = []
        plugins: list[ExecutorPlugin] = []
        harness_executors(plugins.append)
        (plugin,) = plugins
        return plugin

    def target(self, program: Program) -> dict[str, Any]:
        null = subprocess.DEVNULL
        self.foreign.append(subprocess.Popen(["sh", "-c", script(program)], stdin=null, stdout=null, stderr=null))
        return {"type": "process-attach", "pid": self.foreign[-1].pid}

    def broken_targets(self) -> list[tuple[dict[str, Any], bool]]:
        return [
            ({"type": "process-attach", "pid": 2**22 + 1}, True),
            ({"type": "process-attach", "pid_file": "no/such/file"}, False),
            ({"type": "process-attach", "match": "no such process anywhere"}, False),
        ]

    async def dispose(self, bench: Bench) -> None:
        for one in self.foreign:
            one.kill()
            one.wait(10)
