"""The executor of containers, with a real engine behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from executors.docker.command import LABELS
from executors.docker.plugin import harness_executors
from harness_core.domain.executor import Capabilities, ExecutorPlugin
from harness_core.testing.conformance import Bench, ExecutorConformance, Feature, Program, script
from tests.engine import IMAGE, Engine


class TestDocker(ExecutorConformance):
    capabilities = Capabilities(adopt=True, start_deadline=1830.0)
    #: arguments pass through JSON and directories are the image's, so both have tests of their own; and the engine
    #: tells an end by a signal as an exit code
    features = frozenset(Feature) - {Feature.REPORT, Feature.EXIT_SIGNAL}

    @pytest.fixture(autouse=True)
    def private_engine(self, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
        self.engine = engine
        monkeypatch.setenv("DOCKER_HOST", engine.host)

    def make_plugin(self) -> ExecutorPlugin:
        plugins: list[ExecutorPlugin] = []
        harness_executors(plugins.append)
        (plugin,) = plugins
        return plugin

    def target(self, program: Program) -> dict[str, Any]:
        # with an init: the kernel keeps from a container's first process what that has no handler for
        return {
            "type": "docker",
            "image": IMAGE,
            "command": ["sh", "-c", script(program), "sh", *program.args],
            "init": True,
            "pull": "never",
        }

    def broken_targets(self) -> list[tuple[dict[str, Any], bool]]:
        base = {"type": "docker", "image": IMAGE, "pull": "never"}
        return [
            ({**base, "image": "no-such-image:anywhere"}, True),
            ({**base, "command": ["no-such-program-anywhere"]}, True),
            ({**base, "command": ["/etc/passwd"]}, True),
            ({**base, "volumes": ["./no such folder:/x"]}, True),
            ({**base, "network": "no-such-network"}, True),
            ({**base, "limits": {"memory": "1k"}}, True),
            ({**base, "gpus": "all"}, True),
            ({**base, "devices": ["/dev/no-such-device"]}, True),
        ]

    async def foreign(self, bench: Bench) -> tuple[dict[str, Any], Callable[[], None]]:
        """It stays when it was taken over and ended, so it is removed with the engine's others."""
        self.engine.run("foreign", "sleep", "1000", HostConfig={"Init": True})
        return {"container": "foreign"}, lambda: self.engine.call("POST", "/containers/foreign/kill")

    async def dispose(self, bench: Bench) -> None:
        """Instances that ended by themselves stay until they are stopped or started again."""
        for row in self.engine.containers(**{LABELS.INSTANCE: bench.context.instance}):
            self.engine.remove(row["Id"])
        self.engine.remove("foreign")
