"""The mock executor keeps the contract, so that what is tested with it holds with the others."""

from __future__ import annotations

import signal
from typing import Any

from harness_core.domain.executor import Capabilities, ExecutorPlugin
from harness_core.testing.conformance import Bench, ExecutorConformance, Feature, Program
from harness_core.testing.executor import MockWorld, mock_plugin


class TestMock(ExecutorConformance):
    capabilities = Capabilities(exec=False)
    features = frozenset({Feature.AT_ONCE, Feature.UNSEEN_END, Feature.IGNORE_TERM, Feature.EXIT_SIGNAL})

    def make_plugin(self) -> ExecutorPlugin:
        self.world = MockWorld()
        return mock_plugin(self.world, self.capabilities)

    def target(self, program: Program) -> dict[str, Any]:
        return {
            "type": "mock",
            "run_for": program.runs,
            "exit_code": program.exit_code,
            "exit_signal": signal.Signals[f"SIG{program.exit_signal}"].value if program.exit_signal else None,
            "ignore_term": program.ignores_term,
        }

    def living(self, bench: Bench, program: Program) -> int:
        return len(self.world.living())

    def broken_targets(self) -> list[tuple[dict[str, Any], bool]]:
        return [
            ({"type": "mock", "start_error": "no such binary", "start_error_permanent": True}, True),
            ({"type": "mock", "start_error": "try later", "start_delay": 0.01}, False),
        ]

    async def end_forgotten(self, bench: Bench, program: Program) -> None:
        """It lived in the world alone, which ends with the test."""
