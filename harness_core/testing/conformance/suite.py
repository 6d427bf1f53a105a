"""What an executor's author fills in, and how the tests that do not concern it go away."""

from __future__ import annotations

import os
import signal
from typing import Any, ClassVar

from harness_core.domain.executor import Capabilities, ExecutorPlugin
from harness_core.testing.conformance.bench import Bench, processes_with
from harness_core.testing.conformance.needs import unclaimed
from harness_core.testing.conformance.program import Feature, Program

__all__ = ["Suite"]


class Suite:
    """The hooks of a conformance suite. A subclass loses the tests that its claims do not cover."""

    #: what the executor declares; compared with the real declaration, so nothing is hidden here
    capabilities: ClassVar[Capabilities] = Capabilities()
    #: what a target can be made to do
    features: ClassVar[frozenset[Feature]] = frozenset(Feature)

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        if "make_plugin" in cls.__dict__:
            for name in unclaimed(cls, cls.capabilities, cls.features):
                # not a function any more, so not a test: absent, where a skip would look like something to mend
                setattr(cls, name, None)

    def make_plugin(self) -> ExecutorPlugin:
        """The plugin under test. Called once a test; every executor of the test is made by its factory."""
        raise NotImplementedError

    def target(self, program: Program) -> dict[str, Any]:
        """The target, as it would stand in a stack file, that behaves like ``program``.

        Where a shell can run, ``["sh", "-c", script(program), "sh", *program.args]`` does it all.
        """
        raise NotImplementedError

    def living(self, bench: Bench, program: Program) -> int:
        """How many processes of a staying ``program`` live. Override it where they are not on this machine."""
        return len(processes_with(program.token))

    def broken_targets(self) -> list[tuple[dict[str, Any], bool]]:
        """Targets that cannot be started, each with whether that is permanent (a missing binary is)."""
        return []

    async def end_forgotten(self, bench: Bench, program: Program) -> None:
        """End an instance that the executor was told to forget."""
        for pid in processes_with(program.token):
            os.kill(pid, signal.SIGKILL)
        await bench.reaches(lambda: self.living(bench, program) == 0)

    async def dispose(self, bench: Bench) -> None:
        """End what the executor keeps running beside its instances. Called at the end of each test, before ``close``;
        every instance has been stopped."""
