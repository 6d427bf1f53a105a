"""The executor of local processes, with real programs behind a real keeper."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import Any

from executors.process.executor import ProcessExecutor
from executors.process.plugin import harness_executors
from harness_core.domain.executor import Capabilities, ExecutorPlugin
from harness_core.testing.conformance import Bench, ExecutorConformance, Program, script


class TestProcess(ExecutorConformance):
    capabilities = Capabilities(adopt=True)

    def make_plugin(self) -> ExecutorPlugin:
        plugins: list[ExecutorPlugin] = []
        harness_executors(plugins.append)
        (plugin,) = plugins
        return plugin

    def target(self, program: Program) -> dict[str, Any]:
        target: dict[str, Any] = {
            "type": "process",
            "binary": "sh",
            "args": ["-c", script(program), "sh", *program.args],
        }
        return {**target, "working_dir": program.cwd} if program.cwd else target

    def broken_targets(self) -> list[tuple[dict[str, Any], bool]]:
        return [
            ({"type": "process", "binary": "no-such-program-anywhere"}, True),
            ({"type": "process", "binary": "/etc/passwd"}, True),
            ({"type": "process", "binary": "sh", "working_dir": "no such folder"}, True),
        ]

    async def dispose(self, bench: Bench) -> None:
        """The keeper would wait for a while before it ends by itself."""
        assert isinstance(bench.executor, ProcessExecutor)
        keeper = bench.executor._link.keeper
        if keeper is None:
            return
        await bench.executor.close()
        # one without anything to keep may have ended by itself by now
        with contextlib.suppress(ProcessLookupError):
            os.kill(keeper.pid, signal.SIGTERM)
        await bench.reaches(lambda: not keeper.alive())
